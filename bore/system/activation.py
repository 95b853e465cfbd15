"""Listening sockets that systemd has opened."""

from __future__ import annotations

import os
import socket


class BadSocket(Exception):
    """A descriptor that systemd has passed is not a listening TCP socket."""


def inheritedSockets() -> list[socket.socket]:
    """
    The listening sockets that systemd has passed to this process (sd_listen_fds(3)); none elsewhere.

    :raises BadSocket: when one of them is something else.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    first = 3
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [_listening(fd) for fd in range(first, first + count)]


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
