"""Listening sockets that systemd has opened, and what else it has passed to this process (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from typing import Final

#: What the names of the descriptors begin with that this program has given to systemd's descriptor store.
OURS: Final = "txbore."

#: The name of a descriptor in the store that was given none.
_NAMELESS: Final = "stored"

_FIRST: Final = 3


class BadSocket(Exception):
    """A descriptor that systemd has passed is not a listening TCP socket."""


def inheritedSockets() -> list[socket.socket]:
    """
    The listening sockets that systemd has passed to this process, of socket units; none elsewhere.

    :raises BadSocket: when one of them is something else.
    """
    return [_listening(fd) for fd, name in _passed() if not _isStored(name)]


def storedDescriptors() -> list[tuple[int, str]]:
    """The descriptors from systemd's descriptor store that it has passed to this process, and their names."""
    return [(fd, name) for fd, name in _passed() if _isStored(name)]


def _isStored(name: str) -> bool:
    return name.startswith(OURS) or name == _NAMELESS


def _passed() -> list[tuple[int, str]]:
    """What systemd has passed to this process, with names: empty ones if it has given none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    if len(names) != count:
        names = [""] * count
    return list(zip(range(_FIRST, _FIRST + count), names, strict=True))


def _listening(fd: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
        if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            return sock
    except OSError:
        pass
    raise BadSocket(
        f"descriptor {fd}, passed by systemd, is not a listening TCP socket: give the socket unit a ListenStream with "
        "a port"
    )
