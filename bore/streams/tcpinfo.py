"""
What the kernel knows of a TCP connection: what is acknowledged, and since when.

Only Linux says so; what is returned elsewhere is the value that changes nothing.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final

if sys.platform == "linux":
    import fcntl

#: Offsets in struct tcp_info (linux/tcp.h): the segments that are not acknowledged, the milliseconds since data was
#: sent, since data came, and since an acknowledgement came; and the end of these. Then the round trip, in microseconds.
_UNACKED: Final = 24
_LAST_DATA_SENT: Final = 44
_LAST_DATA_RECV: Final = 52
_LAST_ACK_RECV: Final = 56
_SIZE: Final = 60
_ROUND_TRIP: Final = 68
_LONG_SIZE: Final = 72

#: The state of a connection that is over, in the first byte of struct tcp_info (net/tcp_states.h).
_TCP_CLOSE: Final = 7

#: The ioctl for the number of bytes that the peer's kernel has not acknowledged (linux/sockios.h).
SIOCOUTQ: Final = 0x5411


def unacknowledgedFor(sock: socket.socket) -> float:
    """Seconds since the peer's kernel has acknowledged anything; 0 if nothing is in flight, or not on Linux."""
    info = _tcpInfo(sock)
    return _number(info, _LAST_ACK_RECV) / 1000 if info and _number(info, _UNACKED) else 0.0


def sinceReceived(sock: socket.socket) -> float:
    """Seconds since data came from the peer; infinity if not on Linux."""
    info = _tcpInfo(sock)
    return _number(info, _LAST_DATA_RECV) / 1000 if info else float("inf")


def sinceSent(sock: socket.socket) -> float:
    """Seconds since data was sent to the peer, or since the connection was made; 0 if not on Linux."""
    info = _tcpInfo(sock)
    return _number(info, _LAST_DATA_SENT) / 1000 if info else 0.0


def roundTrip(sock: socket.socket) -> float | None:
    """The kernel's estimate of the time from a segment to its acknowledgement, in seconds; None if not on Linux."""
    info = _tcpInfo(sock, _LONG_SIZE)
    return _number(info, _ROUND_TRIP) / 1e6 if info else None


def hasClosed(sock: socket.socket) -> bool:
    """Whether a connection is over for the kernel, as after a reset; False if not on Linux."""
    if sys.platform != "linux":
        return False
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
    except OSError:
        return True


def unacknowledged(fd: int) -> int:
    """The number of bytes sent that the peer's kernel has not acknowledged; 0 if not on Linux."""
    if sys.platform != "linux":
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, SIOCOUTQ, b"\0\0\0\0"))[0])
    except OSError:
        return 0


def _tcpInfo(sock: socket.socket, size: int = _SIZE) -> bytes:
    """The beginning of the struct tcp_info of a connection; empty if there is none."""
    if sys.platform != "linux":
        return b""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    except OSError:
        return b""
    return info if len(info) == size else b""


def _number(info: bytes, offset: int) -> int:
    return int.from_bytes(info[offset : offset + 4], sys.byteorder)
