"""Observes local services."""

from __future__ import annotations

from typing import Final

from bore.client.tunnelspec import TunnelSpec
from bore.doctor.network import Talk, begin, firstBytes, statusIn
from bore.doctor.verdicts import Service
from bore.streams.reactor import IReactor
from bore.wire.otherprotocols import otherServer
from bore.wire.proxyprotocol import header

#: How long a service has to speak first, and to answer, in seconds.
FIRST_WORD: Final = 0.5
_ANSWER: Final = 2.0

#: What is asked of one that does not speak first.
REQUEST: Final = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bore-doctor\r\nConnection: close\r\n\r\n"


async def examineService(reactor: IReactor, spec: TunnelSpec, seconds: float) -> Service:
    """
    Connect to the local service of a tunnel, and find out what it speaks.

    :param seconds: the time for the connection.
    """
    start = reactor.seconds()
    try:
        talk = await begin(reactor, spec.target.dialer(reactor), Talk(), seconds)
    except Exception as e:
        return Service(reactor.seconds() - start, e)
    took = reactor.seconds() - start
    version = spec.proxyProtocol
    before = b"" if version is None else header(version, None, ("127.0.0.1", 0))
    return Service(took, speaks=_named(await firstBytes(reactor, talk, before + REQUEST, FIRST_WORD, _ANSWER)))


def _named(start: bytes) -> str:
    """What a service speaks, by its first bytes; empty: it has sent none."""
    status = statusIn(start)
    if status:
        return f"HTTP, status {status}"
    return otherServer(start) or ("another protocol than HTTP" if start else "")
