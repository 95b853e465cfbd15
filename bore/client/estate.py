"""What a process of a client has, so that another process can have it instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bore.client.settings import ServerAddress
from bore.client.state import tokenFrom
from bore.streams.addresses import parseHostPort
from bore.wire.publicaddress import PublicAddress, UnixPath, fieldOf


@dataclass(frozen=True, slots=True)
class Inherited:
    """
    A tunnel at a server.

    :ivar tunnel: its name, by which it is the same in both processes.
    :ivar address: the public address that it had last.
    :ivar resume: its token; None: there is none.
    :ivar up: whether it is up there.
    :ivar key: its lasting key in a cluster; None: it has none.
    """

    tunnel: str
    server: ServerAddress
    address: PublicAddress
    resume: str | None
    up: bool
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Estate:
    """
    All that a successor gets.

    :ivar user: whose the tokens are.
    :ivar servers: the servers in the settings.
    :ivar at: the server that is used; None: there is no session.
    :ivar host: the host of public addresses there, for people.
    """

    user: str
    servers: tuple[ServerAddress, ...]
    at: ServerAddress | None
    tunnels: tuple[Inherited, ...]
    host: str = ""


def fieldsOfEstate(estate: Estate) -> dict[str, object]:
    """Return an estate as JSON has it."""
    return {
        "user": estate.user,
        "servers": [str(each) for each in estate.servers],
        "at": None if estate.at is None else str(estate.at),
        "tunnels": fieldsOfTunnels(estate.tunnels),
        **({"host": estate.host} if estate.host else {}),
    }


def fieldsOfTunnels(tunnels: Sequence[Inherited]) -> list[dict[str, object]]:
    """Return tunnels as JSON has them."""
    return [
        {
            "tunnel": each.tunnel,
            "server": str(each.server),
            **dict([fieldOf(each.address)]),
            "resume": each.resume,
            "up": each.up,
            **({} if each.key is None else {"key": each.key}),
        }
        for each in tunnels
    ]


def readEstate(fields: Mapping[str, object]) -> Estate:
    """
    Return the estate that JSON has. Keys that are not known are ignored.

    :raises ValueError: if it is none.
    """
    match fields:
        case {"user": str(user), "servers": list(servers), "at": str() | None as at, "tunnels": tunnels, **others}:
            where, host = None if at is None else _server(at), others.get("host", "")
            if isinstance(host, str):
                return Estate(user, tuple(map(_server, servers)), where, readTunnels(tunnels), host)
    raise ValueError("not an estate")


def readTunnels(tunnels: object) -> tuple[Inherited, ...]:
    """
    Return the tunnels that JSON has.

    :raises ValueError: if it has something else.
    """
    if not isinstance(tunnels, list):
        raise ValueError("not a list of tunnels")
    return tuple(map(_tunnel, tunnels))


def _tunnel(fields: object) -> Inherited:
    match fields:
        case {"tunnel": str(name), "server": server, "resume": shown, "up": bool(up), **others}:
            resume, key = tokenFrom(shown), tokenFrom(others.get("key"))
            match others:
                case {"port": int(port)} if type(port) is int and 0 < port <= 65535:
                    return Inherited(name, _server(server), port, resume, up, key)
                case {"path": str(path)} if path.startswith("/"):
                    return Inherited(name, _server(server), UnixPath(path), resume, up, key)
    raise ValueError("not a tunnel")


def _server(text: object) -> ServerAddress:
    if not isinstance(text, str):
        raise ValueError("not a server")
    host, port = parseHostPort(text)
    if port is None:
        raise ValueError("a server without a port")
    return ServerAddress(host, port)
