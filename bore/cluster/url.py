"""The URL of an engine: ``redis://…``, ``rediss://…``, ``redis+sentinel://…``, ``etcd://…`` and ``etcds://…``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from bore.streams.addresses import hostPort, parseHostPort
from bore.wire.values import value

#: Kinds of engines.
REDIS: Final = "redis"
SENTINEL: Final = "sentinel"
ETCD: Final = "etcd"

#: What a scheme names: the kind, and whether TLS is used.
_SCHEMES: Final = {
    "redis": (REDIS, False),
    "rediss": (REDIS, True),
    "redis+sentinel": (SENTINEL, False),
    "rediss+sentinel": (SENTINEL, True),
    "etcd": (ETCD, False),
    "etcds": (ETCD, True),
}

_PORTS: Final = {REDIS: 6379, SENTINEL: 26379, ETCD: 2379}

#: What the names of all keys begin with, unless the URL says otherwise.
_PREFIXES: Final = {REDIS: "bore:", SENTINEL: "bore:", ETCD: "bore/"}
_PREFIX: Final = re.compile(r"[!-~]{1,64}")

_TLS_OPTIONS: Final = ("ca", "cert", "key")
_OPTIONS: Final = {
    REDIS: ("prefix", "replicas"),
    SENTINEL: ("prefix", "replicas", "sentinel-user", "sentinel-password"),
    ETCD: ("prefix",),
}

#: The databases of a Redis server; it has 16 of them unless it was told otherwise.
_MAX_DATABASE: Final = 65535

#: The most replicas that a URL may require.
_MAX_REPLICAS: Final = 64

#: The most servers in a URL.
_MAX_SERVERS: Final = 16

_EXAMPLES: Final = (
    "redis://10.0.0.5, rediss://USER:PASSWORD@redis.example.com, redis+sentinel://10.0.0.5,10.0.0.6,10.0.0.7/MASTER "
    "or etcd://10.0.0.5,10.0.0.6,10.0.0.7"
)


class EngineServer(NamedTuple):
    """
    Where a server of the engine is.

    :ivar host: a name or an IP address.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return hostPort(*self)


class Login(NamedTuple):
    """
    Who we are to a server of the engine.

    :ivar user: empty: there is none.
    :ivar password: empty: there is none.
    """

    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "<Login>"  # for tracebacks


@value
class EngineTls:
    """
    How TLS is used. Certificates are always verified, and the host name or address of the server with them.

    :ivar authorities: a PEM file with the only authorities to trust; None: those of the system.
    :ivar certificate: a PEM file with our certificate, for engines that require one; None: there is none.
    :ivar key: a PEM file with its key; None: there is none.
    """

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@value
class EngineUrl:
    """
    Where an engine is, and how it is used.

    :ivar kind: REDIS, SENTINEL or ETCD.
    :ivar servers: its servers, or its Sentinels, at least one.
    :ivar login: who we are to the servers.
    :ivar sentinelLogin: who we are to the Sentinels.
    :ivar tls: how TLS is used; None: not at all.
    :ivar master: the name of the master that the Sentinels know; empty where there are none.
    :ivar database: the number of the database of a Redis server.
    :ivar prefix: what the names of all keys begin with.
    :ivar replicas: the number of replicas that must have a write before it counts, whatever the number that is
        connected.
    """

    kind: str
    servers: tuple[EngineServer, ...]
    login: Login = Login()
    sentinelLogin: Login = Login()
    tls: EngineTls | None = None
    master: str = ""
    database: int = 0
    prefix: str = _PREFIXES[REDIS]
    replicas: int = 0

    def __str__(self) -> str:
        """The URL for people: without password and options."""
        scheme = next(name for name, meaning in _SCHEMES.items() if meaning == (self.kind, self.tls is not None))
        path = "".join(f"/{part}" for part in (self.master, self.database) if part)
        return f"{scheme}://{','.join(map(str, self.servers))}{path}"


def parseEngineUrl(text: str) -> EngineUrl:
    """
    Parse the URL of an engine. Special characters of a user or a password are percent-encoded.

    :raises ValueError: when it is none; its text says what would be right, and does not have the password.
    """
    parts = _split(text)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"must be the URL of an engine, such as {_EXAMPLES}")
    kind, encrypted = _SCHEMES[parts.scheme]
    if not parts.netloc:
        raise ValueError(f"must name a server behind {parts.scheme}://, as in {parts.scheme}://10.0.0.5")
    if parts.fragment or ("@" not in parts.netloc and "@" in f"{parts.path}{parts.query}"):
        raise ValueError("has a special character: write # / ? @ in a user or a password as %23 %2F %3F %40")
    found = _optionsIn(parts, kind, encrypted)
    master, database = _pathOf(parts.path, kind)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    return EngineUrl(
        kind,
        _serversIn(hosts, kind),
        Login(unquote(user), unquote(password)),
        Login(found.get("sentinel-user", ""), found.get("sentinel-password", "")),
        _tlsOf(found) if encrypted else None,
        master,
        database,
        _prefixOf(found.get("prefix", _PREFIXES[kind])),
        _numberOf("replicas", found.get("replicas", "0"), _MAX_REPLICAS),
    )


def _split(text: str) -> SplitResult:
    """What urlsplit does with one server. Some of its versions refuse several of which one is in brackets."""
    scheme, colon, rest = text.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    parts = urlsplit(f"{scheme}{colon}{rest[end:]}")
    return parts._replace(netloc=rest[:end])


def _serversIn(hosts: str, kind: str) -> tuple[EngineServer, ...]:
    texts = hosts.split(",")
    if kind == REDIS and len(texts) > 1:
        raise ValueError("names several servers: give one, or the Sentinels that know which one is the master, as in "
                         "redis+sentinel://10.0.0.5,10.0.0.6,10.0.0.7/MASTER")  # fmt: skip
    if len(texts) > _MAX_SERVERS:
        raise ValueError(f"must name at most {_MAX_SERVERS} servers")
    found = [parseHostPort(each) for each in texts]
    servers = tuple(EngineServer(host, _PORTS[kind] if port is None else port) for host, port in found)
    if len(set(servers)) < len(servers):
        raise ValueError("names the same server twice")
    return servers


def _pathOf(path: str, kind: str) -> tuple[str, int]:
    """The name of the master, and the number of the database."""
    words = [unquote(word) for word in path.split("/")[1:]]
    master = ""
    if kind == SENTINEL:
        master, *words = words or [""]
        if not master:
            raise ValueError("must name the master that the Sentinels know, as in redis+sentinel://10.0.0.5/MASTER")
    if (kind == ETCD and words not in ([], [""])) or len(words) > 1:
        raise ValueError(f"must not have a path {path!r}")
    return master, _numberOf("the number of the database", words[0], _MAX_DATABASE) if words and words[0] else 0


def _optionsIn(parts: SplitResult, kind: str, encrypted: bool) -> dict[str, str]:
    known = _OPTIONS[kind] + _TLS_OPTIONS
    found: dict[str, str] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise ValueError(f"has an unknown option {name!r}: with {parts.scheme}:// there are {', '.join(known)}")
        if name in found or not text:
            raise ValueError(f"must have {name}= once, and not empty")
        if name in _TLS_OPTIONS and not encrypted:
            tls = next(scheme for scheme, meaning in _SCHEMES.items() if meaning == (kind, True))
            raise ValueError(f"has {name}=, which needs TLS: write {tls}://")
        found[name] = text
    return found


def _tlsOf(found: dict[str, str]) -> EngineTls:
    if ("cert" in found) != ("key" in found):
        raise ValueError("has one of cert= and key=, which need each other")
    return EngineTls(*(Path(found[name]) if name in found else None for name in _TLS_OPTIONS))


def _prefixOf(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError("must have a prefix= of 1 to 64 visible ASCII characters")
    return text


def _numberOf(what: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise ValueError(f"has {text!r} for {what}, which must be from 0 to {most}")
    return int(text)
