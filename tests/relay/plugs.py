"""Connected sockets, and what the outer end of one does."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import sys

from tests.support import PATIENCE

#: Sizes of buffers.
SMALL = 1 << 16
TINY = 1 << 12

_numbers = itertools.count(1)


def _shrink(sock: socket.socket, size: int) -> None:
    if size:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    if size == TINY:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)


def _connect(listener: socket.socket, size: int) -> tuple[socket.socket, socket.socket]:
    near = socket.socket()
    _shrink(near, size)
    near.connect(listener.getsockname())
    far, _ = listener.accept()
    for sock in (near, far):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def tcpPair(small: bool = False) -> tuple[socket.socket, socket.socket]:
    """Two connected TCP sockets, of which the second does not block; with small buffers, if wanted."""
    size = SMALL if small else 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _shrink(listener, size)
        near, far = _connect(listener, size)
    near.settimeout(PATIENCE)
    far.setblocking(False)
    return near, far


def unixPair(small: bool = False) -> tuple[socket.socket, socket.socket]:
    """Two connected Unix sockets, as :func:`tcpPair`."""
    near, far = socket.socketpair()
    for sock in (near, far):
        _shrink(sock, SMALL if small else 0)
    near.settimeout(PATIENCE)
    far.setblocking(False)
    return near, far


class Plugs:
    """
    Makes connected sockets, at an address of its own, so that many of them leave the system's ports to others.

    The kinds are those with the system's buffers, with small ones, and with buffers of a few thousand bytes, which
    take short segments to work well.
    """

    def __init__(self) -> None:
        # loopbackHost() has 255 of them for a process; a long stress takes more.
        pid = os.getpid()
        number = next(_numbers)
        self._host = f"127.{200 + pid % 50}.{number // 250 % 250}.{1 + number % 250}"
        self._listeners: dict[int, socket.socket] = {}

    def pair(self, size: int = 0) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets that do not block, with buffers of a size; 0: the system's."""
        listener = self._listeners.get(size)
        if listener is None:
            listener = self._listeners[size] = socket.socket()
            _shrink(listener, size)
            listener.bind((self._host, 0))
            listener.listen()
        near, far = _connect(listener, size)
        near.setblocking(False)
        far.setblocking(False)
        return near, far

    def close(self) -> None:
        """Make no more."""
        for listener in self._listeners.values():
            listener.close()


def reset(sock: socket.socket) -> None:
    """Close a socket by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def take(sock: socket.socket, most: int = 1 << 24) -> bytes:
    """What has come on a socket up to now, or up to its end."""
    parts = []
    with contextlib.suppress(BlockingIOError):
        while most > 0 and (part := sock.recv(min(most, 1 << 18))):
            parts.append(part)
            most -= len(part)
    return b"".join(parts)


def hasEnded(sock: socket.socket) -> bool:
    """Whether a stream has come to its orderly end. Bytes before it are lost."""
    try:
        while sock.recv(1 << 18):
            pass
    except BlockingIOError:
        return False
    return True


def wasReset(sock: socket.socket) -> bool:
    """Whether a stream was reset. Bytes before that are lost."""
    try:
        while sock.recv(1 << 18):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return False


def fill(sock: socket.socket, byte: bytes = b"\0") -> int:
    """Write until the kernel takes no more, and return how many bytes it has taken."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(byte * 65536)
    return sent


def rateOf(sock: socket.socket) -> int:
    """The rate that a socket may send at, in bytes per second (SO_MAX_PACING_RATE)."""
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, 47, 8), sys.byteorder)
