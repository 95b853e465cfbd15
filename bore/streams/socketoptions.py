"""Socket options: TCP_NODELAY, keepalive, time-outs and resets, for each kind of connection."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from typing import Final

#: The backlog: as large as the kernel allows. Linux limits it to net.core.somaxconn, 4096 by default. On Windows
#: SOMAXCONN stands for the largest one, and other numbers are limited to 200.
BACKLOG: Final = 65535 if os.name == "posix" else socket.SOMAXCONN

#: After how many seconds without an acknowledgement a control connection of the base protocol is given up. Behind a
#: slow link with a long queue, acknowledgements take half a minute and more; an original client does not come back.
BASE_TIMEOUT: Final = 120

#: The credentials of a peer: its process, user and group.
_CREDENTIALS: Final = struct.Struct("3i")

#: The same between our own peers. Heartbeats and answers find a dead peer sooner; this is for a control connection that
#: is dead while its streams go on.
PEER_TIMEOUT: Final = 30

#: Keepalive of control connections: seconds of silence before the first probe, seconds between probes, and the number
#: of unanswered probes that end the connection where there is no TCP_USER_TIMEOUT.
_KEEPALIVE_IDLE: Final = 15
_KEEPALIVE_INTERVAL: Final = 15
_KEEPALIVE_COUNT: Final = 7

#: Keepalive of streams. A stream may be silent for long, and a slow reader is not a dead one: rare probes free what a
#: vanished peer has left behind within two minutes, and keep the mapping in a NAT alive.
_STREAM_KEEPALIVE_IDLE: Final = 60
_STREAM_KEEPALIVE_INTERVAL: Final = 15
_STREAM_KEEPALIVE_COUNT: Final = 4

#: Keepalive of lanes. An idle lane is probed often enough to keep the mapping in a NAT alive; more often it would cost
#: more than the heartbeats: four lanes, probed by both sides, cost 72 MB a day divided by this. A visitor that is given
#: a dead lane gets another one.
LANE_KEEPALIVE_IDLE: Final = 45
_LANE_KEEPALIVE_INTERVAL: Final = 5
_LANE_KEEPALIVE_COUNT: Final = 3


#: Linux's numbers (asm-generic/socket.h, linux/tcp.h): the socket module does not have the first one.
_SO_MAX_PACING_RATE: Final = 47
_TCP_NOTSENT_LOWAT: Final = 25

#: An unsigned long; kernels before 5.0 read the first half of it.
_PACING_RATE: Final = struct.Struct("@L")

#: A rate that is none.
_UNLIMITED: Final = (1 << 8 * _PACING_RATE.size) - 1

#: A paced socket takes as many bytes as it sends in this part of a second, and at least these, before it blocks:
#: otherwise megabytes would wait in it.
_UNSENT_PART: Final = 8
_LEAST_UNSENT: Final = 1 << 16
_MOST_UNSENT: Final = 1 << 30


def _options(idle: int, interval: int, count: int) -> tuple[tuple[int, int, int], ...]:
    """TCP_NODELAY and keepalive, as far as the system has them."""
    named = (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPALIVE", idle),  # the name of TCP_KEEPIDLE on macOS
        ("TCP_KEEPINTVL", interval),
        ("TCP_KEEPCNT", count),
    )
    return (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in named if hasattr(socket, name)),
    )


_CONTROL_OPTIONS: Final = _options(_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_COUNT)
_STREAM_OPTIONS: Final = _options(_STREAM_KEEPALIVE_IDLE, _STREAM_KEEPALIVE_INTERVAL, _STREAM_KEEPALIVE_COUNT)
_LANE_OPTIONS: Final = _options(LANE_KEEPALIVE_IDLE, _LANE_KEEPALIVE_INTERVAL, _LANE_KEEPALIVE_COUNT)


#: Closing discards what was not sent (struct linger; on Windows its members are short).
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def prepareControl(sock: socket.socket, timeout: int = BASE_TIMEOUT) -> None:
    """
    Have the kernel send each frame at once, and give up a peer that has vanished, whether data is in flight or not.

    For control connections only: TCP_USER_TIMEOUT would end a stream whose reader is slow. Where the kernel does not
    have that option, keepalive gives the peer up in two minutes.

    :param timeout: after how many seconds.
    """
    _set(sock, _CONTROL_OPTIONS)
    if sys.platform == "linux":
        _set(sock, ((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout * 1000),))


def prepareLane(sock: socket.socket) -> None:
    """Have the kernel send small messages at once, and probe the peer of an idle lane from time to time."""
    _set(sock, _LANE_OPTIONS)


def prepareStream(sock: socket.socket) -> None:
    """
    Have the kernel send small messages at once, and probe a silent peer every minute.

    On Linux, accepted sockets inherit this from the listening one.
    """
    _set(sock, _STREAM_OPTIONS)


def saveAck(sock: socket.socket) -> None:
    """
    Have the acknowledgement that completes the handshake go along with the first bytes of a socket that is about to be
    connected, where the system can do that.

    That saves a packet, and the peer is woken once, for a connection that has something to read. The bytes must be sent
    as soon as the socket is connected: the acknowledgement waits for them, for at most 200 ms.
    """
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)


def canPace() -> bool:
    """Whether this system can limit the rate at which a socket sends."""
    if sys.platform != "linux":
        return False
    try:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, _PACING_RATE.pack(1 << 30))
    except OSError:
        return False
    return True


def pace(sock: socket.socket, rate: int) -> None:
    """
    Have the kernel send at most at a rate, and take no more bytes than it sends in a short time.

    The kernel spreads the bytes over time, so that the socket can be written and spliced to as any other. It does so to
    the end of the connection. A Unix socket accepts the rate, and ignores it.

    :param rate: bytes per second; see :func:`canPace`. 0: no limit any more.
    """
    unsent = min(max(_LEAST_UNSENT, rate // _UNSENT_PART), _MOST_UNSENT) if rate else 0  # 0: as the system has it
    options = (
        (socket.SOL_SOCKET, _SO_MAX_PACING_RATE, _PACING_RATE.pack(rate or _UNLIMITED)),
        (socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, struct.pack("i", unsent)),
    )
    with contextlib.suppress(OSError):  # as in _set
        for level, option, value in options:
            sock.setsockopt(level, option, value)


def closeWithReset(sock: socket.socket) -> None:
    """Close a socket so that the system forgets the connection at once, and the peer reads a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()


def _set(sock: socket.socket, options: tuple[tuple[int, int, int], ...]) -> None:
    # Some systems refuse options to a socket whose peer is gone already: reading from it will report that.
    with contextlib.suppress(OSError):
        for level, option, value in options:
            sock.setsockopt(level, option, value)


def peerCredentials(sock: socket.socket) -> tuple[int, int]:
    """
    The process and the user at the other end of a Unix socket (SO_PEERCRED in unix(7)), on Linux.

    :raises OSError: when the system refuses.
    """
    pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid
