"""What the kernel is told about a socket, and asked."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from typing import Any, Final, cast

if sys.platform == "linux":
    import fcntl

#: A control connection of the base protocol is given up when its peer has not acknowledged anything for so long, in
#: seconds. Behind a slow link with a long queue acknowledgements take half a minute and more, and what is cut is never
#: explained to an original client.
BASE_TIMEOUT: Final = 120

#: The same between our own peers, which find out by heartbeats and answers: this is the bound for a control connection
#: that is dead while their streams go on.
PEER_TIMEOUT: Final = 30

#: When nothing is under way the kernel asks the peer after so many seconds, and then again at this interval. Where it
#: has no TCP_USER_TIMEOUT, this many questions without an answer end the connection.
_KEEPALIVE_IDLE: Final = 15
_KEEPALIVE_INTERVAL: Final = 15
_KEEPALIVE_COUNT: Final = 7

#: Streams may be silent for long, and a slow reader is no dead one: they are only asked now and then, which frees what
#: a vanished peer left behind within two minutes and keeps the mapping in a NAT alive.
_STREAM_KEEPALIVE_IDLE: Final = 60
_STREAM_KEEPALIVE_INTERVAL: Final = 15
_STREAM_KEEPALIVE_COUNT: Final = 4

#: Idle lanes are asked often: none that is dead should be given to a visitor.
_LANE_KEEPALIVE_IDLE: Final = 15
_LANE_KEEPALIVE_INTERVAL: Final = 5
_LANE_KEEPALIVE_COUNT: Final = 3


#: The most bytes in one record of TLS (RFC 8446, section 5.1).
RECORD: Final = 1 << 14

#: What a record has beside them: header, content type and tag, with every cipher of TLS 1.3 that is in use.
_RECORD_OVERHEAD: Final = 22


#: A peer inside TLS that has asked for new keys, and has not read the answer by then, is given up, in seconds: until it
#: does nothing can be read from it.
STUCK_TIMEOUT: Final = 10.0


#: Linux: where struct tcp_info (linux/tcp.h) has how many segments are not acknowledged, for how many milliseconds no
#: data has come, and for how many no acknowledgement; and where that ends.
_UNACKED: Final = 24
_LAST_DATA_RECV: Final = 52
_LAST_ACK_RECV: Final = 56
_TCP_INFO_SIZE: Final = 60

#: Linux: how many bytes of a socket the peer's kernel has not acknowledged (ioctl SIOCOUTQ).
SIOCOUTQ: Final = 0x5411

#: Linux: the state of a connection that is over, in the first byte of what TCP_INFO gives (net/tcp_states.h).
_TCP_CLOSE: Final = 7

#: Linux: where TCP_INFO says how many milliseconds ago data was sent (tcpi_last_data_sent of struct tcp_info).
_LAST_DATA_SENT: Final = 44


def _options(idle: int, interval: int, count: int) -> tuple[tuple[int, int, int], ...]:
    """Small messages are sent at once, and a silent peer is asked, as far as the system can."""
    named = (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPALIVE", idle),  # what macOS calls TCP_KEEPIDLE
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
_LANE_OPTIONS: Final = _options(_LANE_KEEPALIVE_IDLE, _LANE_KEEPALIVE_INTERVAL, _LANE_KEEPALIVE_COUNT)


#: Closing throws away what was not sent (struct linger; on Windows its members are short).
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class TlsError(ConnectionError):
    """The peer broke TLS, or has said why it will not have it."""

    def __str__(self) -> str:
        return str(self.strerror)


def isEncrypted(sock: socket.socket) -> bool:
    """Whether a socket's bytes go through TLS: then the kernel knows nothing of them."""
    return type(sock) is not socket.socket


def saidEnd(sock: socket.socket) -> bool:
    """Whether the end of what we send was said inside TLS; False for a plain socket."""
    return isEncrypted(sock) and bool(cast(Any, sock).saidEnd)


def troubleOf(sock: socket.socket, error: OSError) -> OSError:
    """Why a socket's peer is gone, as it may have said inside TLS; else the error by which that was noticed."""
    try:
        sock.recv(RECORD)
    except TlsError as e:
        return e
    except OSError:
        pass
    return error


def channelBinding(sock: socket.socket) -> bytes:
    """What names a socket's TLS connection to both of its ends, and to nobody else; empty for a plain one."""
    return cast(Any, sock).binding if isEncrypted(sock) else b""


def stuckAt(sock: socket.socket) -> int:
    """See :attr:`bore.tls.tlssocket.TlsSocket.stuck`; 0 for a plain socket."""
    return cast(int, cast(Any, sock).stuck) if isEncrypted(sock) else 0


def encryptedSize(size: int) -> int:
    """What so many bytes, written in one go, are on the wire inside TLS."""
    return size + _RECORD_OVERHEAD * -(-size // RECORD)


def prepareControl(sock: socket.socket, timeout: int = BASE_TIMEOUT) -> None:
    """
    Have the kernel send each frame at once, and give up a peer that has vanished, both while data is under way and
    while none is.

    For control connections only: TCP_USER_TIMEOUT would end a stream whose reader is slow. Where the kernel has no
    such option keepalive alone has to do, in two minutes.

    :param timeout: after how many seconds.
    """
    _set(sock, _CONTROL_OPTIONS)
    if sys.platform == "linux":
        _set(sock, ((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout * 1000),))


def prepareLane(sock: socket.socket) -> None:
    """Have the kernel send small messages at once, and ask every 15 seconds whether the peer of an idle lane lives."""
    _set(sock, _LANE_OPTIONS)


def prepareStream(sock: socket.socket) -> None:
    """
    Have the kernel send small messages at once, and ask a silent peer now and then.

    On Linux, accepted sockets inherit this from the listening one.
    """
    _set(sock, _STREAM_OPTIONS)


def closeWithReset(sock: socket.socket) -> None:
    """Close a socket so that the system forgets the connection at once, and the peer reads a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()


def unheardFor(sock: socket.socket) -> float:
    """
    For how many seconds the peer's kernel has acknowledged nothing, although something is under way to it.

    0 where nothing is, and where the system does not tell (not Linux).
    """
    info = _tcpInfo(sock)
    return _number(info, _LAST_ACK_RECV) / 1000 if info and _number(info, _UNACKED) else 0.0


def sinceReceived(sock: socket.socket) -> float:
    """How many seconds ago the peer's last bytes came; infinity where the system does not tell (not Linux)."""
    info = _tcpInfo(sock)
    return _number(info, _LAST_DATA_RECV) / 1000 if info else float("inf")


def _tcpInfo(sock: socket.socket) -> bytes:
    """What Linux knows of a connection; empty if it does not tell."""
    if sys.platform != "linux":
        return b""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return b""
    return info if len(info) == _TCP_INFO_SIZE else b""


def _number(info: bytes, offset: int) -> int:
    return int.from_bytes(info[offset : offset + 4], sys.byteorder)


def unacknowledged(fd: int) -> int:
    """How many bytes written to a socket the peer's kernel has not acknowledged; 0 if it cannot be told (not Linux)."""
    if sys.platform != "linux":
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, SIOCOUTQ, b"\0\0\0\0"))[0])
    except OSError:
        return 0


def sinceSent(sock: socket.socket) -> float:
    """Seconds since data was last sent to the peer, or since it has connected; 0 if that cannot be told (not Linux)."""
    if sys.platform != "linux":
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_SENT + 4)
    except OSError:
        return 0.0
    return int(struct.unpack_from("I", info, _LAST_DATA_SENT)[0]) / 1000


def hasClosed(sock: socket.socket) -> bool:
    """Whether a connection is over for the kernel, as after a reset; False if that cannot be told (not Linux)."""
    if sys.platform != "linux":
        return False
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
    except OSError:
        return True


def _set(sock: socket.socket, options: tuple[tuple[int, int, int], ...]) -> None:
    # Some systems refuse options to a socket whose peer is gone already: reading from it will tell.
    with contextlib.suppress(OSError):
        for level, option, value in options:
            sock.setsockopt(level, option, value)
