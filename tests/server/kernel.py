"""A socket with the kernel's answers of the test."""

from __future__ import annotations

import socket
import struct


class Kernel(socket.socket):
    """
    A socket of which the kernel tells what a test wants.

    :ivar unacked: segments that are under way.
    :ivar ackAge: seconds since the last acknowledgement.
    :ivar dataAge: seconds since the last bytes came.
    :ivar drift: how much shorter the kernel says that it is each time.
    """

    unacked = 0
    ackAge = 0.0
    dataAge = 0.0
    drift = 0.0

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:  # type: ignore[override]
        if (level, option) != (socket.IPPROTO_TCP, socket.TCP_INFO):
            return super().getsockopt(level, option, size) if size else super().getsockopt(level, option)
        self.dataAge -= self.drift
        ages = struct.pack("=II", round(1000 * self.dataAge), round(1000 * self.ackAge))
        return bytes(24) + struct.pack("=I", self.unacked) + bytes(24) + ages + bytes(size - 60)
