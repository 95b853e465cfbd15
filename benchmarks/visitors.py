"""Visitors that only come: one after the other, and many that stay."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import Final

from benchmarks.greeter import GREETING
from benchmarks.programs import BenchmarkError

#: How long one connection may take, in seconds.
TIMEOUT: Final = 10.0

#: How many visitors come at the same time when many are to stay: few enough for every tunnel's backlog.
_AT_ONCE: Final = 50

#: How long a system is left alone between two visitors whose first byte is timed, in seconds.
_PAUSE: Final = 0.003


def _connect(host: str, port: int) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=TIMEOUT)
    except OSError as e:
        raise BenchmarkError(f"{host}:{port} cannot be reached: {e}") from e


def _greeted(sock: socket.socket) -> None:
    try:
        data = sock.recv(1)
    except OSError as e:
        raise BenchmarkError(f"a visitor was not greeted: {e}") from e
    if data != GREETING:
        raise BenchmarkError("a visitor was closed instead of greeted")


def firstByte(host: str, port: int) -> float:
    """The time from the first packet of a new visitor to the first byte for it, in milliseconds."""
    begin = time.perf_counter()
    with _connect(host, port) as sock:
        _greeted(sock)
        return (time.perf_counter() - begin) * 1000


def firstBytes(near: tuple[str, int], far: tuple[str, int], count: int) -> tuple[list[float], list[float]]:
    """
    The times to the first byte at two addresses, taken in turns on a system that does nothing else.

    :param near: where the service itself is.
    :param far: where the tunnel shows it.
    """
    direct, tunnel = [], []
    for _ in range(count):
        direct.append(firstByte(*near))
        time.sleep(_PAUSE)
        tunnel.append(firstByte(*far))
        time.sleep(_PAUSE)
    return direct, tunnel


class IdleVisitors:
    """
    Visitors that were greeted, and send nothing.

    They are in this process, and take one descriptor each; a tunnel's processes need two for each.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._stack = ExitStack()
        self._count = 0

    def grow(self, count: int) -> None:
        """Have visitors come until there are that many, each greeted through the tunnel."""
        while self._count < count:
            fresh = [
                self._stack.enter_context(_connect(*self._address)) for _ in range(min(_AT_ONCE, count - self._count))
            ]
            for sock in fresh:
                _greeted(sock)
            self._count += len(fresh)

    def __enter__(self) -> IdleVisitors:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
