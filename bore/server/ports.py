"""Which port a client gets."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable

from bore.server.settings import ServerSettings
from bore.streams.listener import bindSocket
from bore.wire.errors import BindFailed, NoFreePort, PortForbidden, PortInUse, PortNotAllowed, Refusal
from bore.wire.limits import PORT_TRIES

_REFUSALS: dict[int | None, type[Refusal]] = {errno.EADDRINUSE: PortInUse, errno.EACCES: PortForbidden}


def openPort(settings: ServerSettings, asked: int, draw: Callable[[int, int], int] = random.randint) -> socket.socket:
    """
    Listen on the port that a client has asked for.

    :param asked: the port, or 0 for a random one out of the server's range.
    :param draw: gives a random number out of a range, both ends included.
    :raises bore.wire.errors.Refusal: when the client cannot have it.
    """
    if asked == 0:
        return _openRandomPort(settings, draw)
    if not settings.minPort <= asked <= settings.maxPort:
        raise PortNotAllowed
    return _bind(settings.bindTunnels, asked)


def _openRandomPort(settings: ServerSettings, draw: Callable[[int, int], int]) -> socket.socket:
    for _ in range(PORT_TRIES):
        try:
            return _bind(settings.bindTunnels, draw(settings.minPort, settings.maxPort))
        except Refusal:
            continue
    raise NoFreePort


def _bind(host: str, port: int) -> socket.socket:
    try:
        return bindSocket(host, port)
    except OSError as e:
        raise _REFUSALS.get(e.errno, BindFailed)() from e
