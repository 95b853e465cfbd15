"""
``python -m laboratory.impairment DEVICE DELAY LOSS``: a link that holds back and loses packets.

It reads packets from a TUN device and writes them to it again, DELAY seconds later, or, LOSS of them, never.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator

_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000

#: Packets that are read before those are looked at whose time has come.
_BATCH = 256


def openTun(name: str) -> int:
    """Make a TUN device that is there as long as this process."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return fd


def waiting(fd: int) -> Iterator[bytes]:
    """The packets that are there, up to some number."""
    with contextlib.suppress(BlockingIOError):
        for _ in range(_BATCH):
            yield os.read(fd, 65536)


def forward(fd: int, delay: float, loss: float) -> None:
    """Pass packets on for ever."""
    held: deque[tuple[float, bytes]] = deque()
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        if select.select([fd], [], [], wait)[0]:
            until = time.monotonic() + delay
            held.extend((until, packet) for packet in waiting(fd) if not loss or random.random() >= loss)
        while held and held[0][0] <= time.monotonic():
            os.write(fd, held.popleft()[1])


def main() -> None:
    name, delay, loss = sys.argv[1:]
    fd = openTun(name)
    print("ready", flush=True)  # noqa: T201
    forward(fd, float(delay), float(loss))


if __name__ == "__main__":
    main()
