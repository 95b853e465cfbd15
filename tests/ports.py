"""Addresses and ports of this machine that no other test uses."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

#: Ports that the system does not choose by itself: below those of outgoing connections on Linux, macOS and Windows.
_PORTS: Final = range(12000, 32000)

#: How many of these each process of tests has for itself.
_BLOCK: Final = 200

_hosts = itertools.count(1)


def loopbackHost() -> str:
    """
    An address of this machine that no other test uses, not even one in another process.

    Original peers always use port 7835: with a host of its own for each test they need not take turns.
    """
    pid = os.getpid()
    return f"127.{100 + pid // 250 % 100}.{1 + pid % 250}.{1 + next(_hosts) % 250}"


def _reserve() -> tuple[socket.socket, Iterator[int]]:
    """
    Reserve ports for this process.

    :returns: a UDP socket, which keeps other processes of tests from the same ports while it is open; and the ports,
        for ever again.
    """
    blocks = [_PORTS[start : start + _BLOCK] for start in range(0, len(_PORTS), _BLOCK)]
    for n in range(len(blocks)):
        ports = blocks[(os.getpid() + n) % len(blocks)]
        guard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            guard.bind(("127.0.0.1", ports[0]))
            return guard, itertools.cycle(ports)
        guard.close()
    raise AssertionError(f"other processes have all ports from {_PORTS[0]} to {_PORTS[-1]}")


# At the import, and not at the first use: there are tests that count descriptors.
_guard, _ports = _reserve()


def freePort(host: str = "127.0.0.1") -> int:
    """A port that is free now, and is given neither to an outgoing connection nor to another test meanwhile."""
    for port in itertools.islice(_ports, _BLOCK):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            return port
    raise AssertionError(f"{host} has no free port")


def connectUnix(path: str, timeout: float) -> socket.socket:
    """A blocking socket that is connected to a Unix socket."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout)
    try:
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def resetSocket(timeout: float) -> socket.socket:
    """A socket that was reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname(), timeout=timeout)
        far, _ = listener.accept()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    return near
