"""The options of a node of a cluster."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bore.commandline import Command, UsageError, Values
from bore.option import Option, option
from bore.options.secrets import readSecrets
from bore.options.values import path
from bore.streams.addresses import hostPort, parseHostPort
from bore.wire.secret import Secret
from bore.wire.values import value

if TYPE_CHECKING:
    from bore.cluster.url import EngineUrl
    from bore.tls.settings import ServerTls

_TLS: Final = "tls://"

#: The shortest and the longest time to live, in seconds: the shortest is three times the margin.
_LEAST_TTL: Final = 15
_MOST_TTL: Final = 3600
_USUAL_TTL: Final = 60

#: The longest host of an address, in characters: with a user's longest name it fits a frame of the base protocol.
_MAX_HOST: Final = 64

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


@value
class ClusterSettings:
    """
    The settings of a node of a cluster.

    :ivar engine: the engine that all nodes share.
    :ivar name: the name of the node.
    :ivar advertise: where the other nodes and their clients reach it, such as ``tls://node1.example.com:7835``.
    :ivar key: the key of the cluster.
    :ivar ttl: how long it keeps its tunnels without an answer of the engine, in seconds.
    """

    engine: EngineUrl
    name: str
    advertise: str
    key: Secret
    ttl: int


def _engine(text: str) -> EngineUrl:
    from bore.cluster.url import parseEngineUrl

    return parseEngineUrl(text)


def _name(text: str) -> str:
    if _NAME.fullmatch(text):
        return text
    raise ValueError("must be a name of letters, digits and .-_, with at most 64 characters, such as node1")


def _advertised(text: str) -> tuple[str, int | None]:
    if not text.startswith(_TLS):
        raise ValueError("must begin with tls://, as in tls://node1.example.com:7835")
    host, port = parseHostPort(text.removeprefix(_TLS))
    if len(host) > _MAX_HOST:
        raise ValueError(f"has a host of {len(host)} characters, and clients read {_MAX_HOST}: use a shorter name")
    return host, port


def _key(name: str) -> Secret:
    secrets = readSecrets(str(path(name)))
    if len(secrets) > 1:
        raise ValueError(f"has {len(secrets)} lines: a cluster has one key, in one line")
    secret = Secret(secrets[0])
    if secret.short:
        raise ValueError("has a key that is too short: 'bore cluster-key --write PATH' makes a good one")
    return secret


def _ttl(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and _LEAST_TTL <= int(text) <= _MOST_TTL:
        return int(text)
    raise ValueError(f"must be a whole number of seconds from {_LEAST_TTL} to {_MOST_TTL}")


CLUSTER: Final = option(
    "--cluster",
    "Share the public ports with other nodes, which all use the engine at this URL: redis://HOST, "
    "redis+sentinel://HOST,HOST/MASTER or etcd://HOST,HOST,HOST",
    _engine,
    "URL",
    None,
    environment="BORE_CLUSTER",
)
_NODE: Final = option(
    "--node", "Name of this node, which no other node of the cluster has", _name, "NAME", None, shown="the host's name"
)
_ADVERTISE: Final = option(
    "--advertise",
    "Where the other nodes and their clients reach this node: tls://HOST or tls://HOST:PORT",
    _advertised,
    "ADDRESS",
    None,
)
KEY: Final = option(
    "--cluster-key",
    "File with the key of the cluster, not readable by other users, as 'bore cluster-key' makes it",
    _key,
    "PATH",
    None,
    isFile=True,
)
_TTL: Final = option(
    "--cluster-ttl",
    "How long a node keeps its tunnels without an answer of the engine, at least 15; five seconds before, it holds new "
    "visitors; the same on all nodes",
    _ttl,
    "SECONDS",
    _USUAL_TTL,
    unquoted=True,
)

#: All of them, in their order.
ALL: Final[tuple[Option[object], ...]] = (CLUSTER, _NODE, _ADVERTISE, KEY, _TTL)

_WRITE: Final = option(
    "--write", "Write the key to this new file, readable by you only; each node needs a copy", path, "PATH", None
)


def clusterKeyCommand(name: str) -> Command[Path]:
    """
    Return the command line of ``bore cluster-key``, whose result is the file to write.

    :param name: the program and the command, as the user writes them.
    """
    return Command(name, "Write a new key of a cluster to a file.", (_WRITE,), _target)


def _target(found: Values) -> Path:
    target = found[_WRITE]
    if target is None:
        raise UsageError("no --write PATH given: name the new file, as in 'bore cluster-key --write cluster.key'")
    return target


def hasPassword(found: Values) -> bool:
    """Return whether the URL of the engine has a password."""
    engine = found[CLUSTER]
    return engine is not None and bool(engine.login.password or engine.sentinelLogin.password)


def clusterSettings(found: Values, tls: ServerTls | None, controlPort: int) -> ClusterSettings | None:
    """
    Return the settings of a node; None: the server is not one.

    :param tls: the settings for TLS; None: there is none.
    :raises UsageError: if options are missing, or have no effect.
    """
    engine = found[CLUSTER]
    if engine is None:
        useless = [found.name(each) for each in ALL if found.given(each)]
        if useless:
            raise UsageError(f"{useless[0]} is for a node of a cluster: give {found.name(CLUSTER)}, too")
        return None
    if tls is None:
        raise UsageError(
            f"{found.name(CLUSTER)} needs TLS, by which nodes reach each other: add --tls, or --tls-port to serve "
            "original clients, too"
        )
    key = found[KEY]
    if key is None:
        raise UsageError(
            f"{found.name(CLUSTER)} needs {found.name(KEY)}: 'bore cluster-key --write PATH' makes a key, and each "
            "node needs a copy of that file"
        )
    advertise = _address(found, controlPort if tls.port is None else tls.port)
    return ClusterSettings(engine, found[_NODE] or _hostName(found), advertise, key, found[_TTL])


def _address(found: Values, port: int) -> str:
    """Where a node is reached, with its port."""
    advertise = found[_ADVERTISE]
    if advertise is None:
        raise UsageError(
            f"{found.name(CLUSTER)} needs {found.name(_ADVERTISE)}: where the other nodes reach this one, as in "
            "tls://node1.example.com"
        )
    host, given = advertise
    if not (given or port):
        raise UsageError(f"{found.name(_ADVERTISE)} needs a port, as the system chooses that of this node")
    return _TLS + hostPort(host, given or port)


def _hostName(found: Values) -> str:
    name = socket.gethostname()
    if not _NAME.fullmatch(name):
        raise UsageError(f"the host's name, {name!r}, cannot be that of a node: give {found.name(_NODE)}")
    return name
