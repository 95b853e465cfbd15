"""The engine that a URL names."""

from __future__ import annotations

from bore.cluster.engine import Engine
from bore.cluster.url import ETCD, EngineUrl
from bore.streams.reactor import IReactor


class ExtraMissing(Exception):
    """A package that the engine needs is not installed; the text names what to install."""


def engineAt(reactor: IReactor, url: EngineUrl) -> Engine:
    """
    Make an engine, which connects when it is started. What it needs is imported here, and not before.

    :raises ExtraMissing: when a package that it needs is not installed.
    """
    extra = "etcd" if url.kind == ETCD else "redis"
    try:
        if url.kind == ETCD:
            from bore.cluster.etcd import EtcdEngine

            return EtcdEngine(reactor, url)
        from bore.cluster.redis import RedisEngine

        return RedisEngine(reactor, url)
    except ModuleNotFoundError as e:
        package = (e.name or "").partition(".")[0]
        raise ExtraMissing(f"{package} is not installed, which {url} needs: pip install 'txbore[{extra}]'") from None
