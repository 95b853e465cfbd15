"""
What this layer knows of sockets whose bytes go through TLS, without loading OpenSSL.

The functions take any stream socket. For a plain one they make no system call.
"""

from __future__ import annotations

import socket
from typing import Final, Protocol, cast

#: The most bytes in one record of TLS (RFC 8446, section 5.1).
RECORD: Final = 1 << 14

#: What a record has beside them: header, content type and tag, with every cipher of TLS 1.3 that is in use.
_RECORD_OVERHEAD: Final = 22

#: How long a peer may leave the answer to its request for new keys unread, in seconds; then it is given up, as nothing
#: can be read from it before it reads the answer.
STUCK_TIMEOUT: Final = 10.0


class TlsError(ConnectionError):
    """The peer broke TLS, or has refused it. The text is for people."""

    def __str__(self) -> str:
        return str(self.strerror)


class NotTls(TlsError):
    """The peer does not use TLS, or closes the connection where TLS would begin."""


class OtherTls(TlsError):
    """The peer uses TLS for another protocol than ours."""


class EncryptedSocket(Protocol):
    """
    What a socket inside TLS offers beside the interface of a socket.

    :ivar binding: the channel binding (RFC 9266): 32 bytes that only the two ends of this connection have.
    :ivar peerNames: the names in the certificate that the peer has shown and that was verified; none if it has not.
    :ivar stuck: not 0: nothing can be read before the socket is writable. The number differs each time this begins.
    :ivar hasSentEnd: whether ``close_notify`` was sent.
    :ivar hasPendingError: whether the next read raises, or finds the end, although no poll will say so.
    """

    @property
    def binding(self) -> bytes: ...

    @property
    def peerNames(self) -> tuple[str, ...]: ...

    @property
    def stuck(self) -> int: ...

    @property
    def hasSentEnd(self) -> bool: ...

    @property
    def hasPendingError(self) -> bool: ...


def isEncrypted(sock: socket.socket) -> bool:
    """Whether a socket is an :class:`EncryptedSocket`: then the kernel knows nothing of its bytes."""
    kind = type(sock)
    # Most are plain. Other subclasses are not necessarily inside TLS: of some sockets the first bytes are watched.
    return kind is not socket.socket and hasattr(kind, "hasPendingError")


def hasSentEnd(sock: socket.socket) -> bool:
    """Whether we have sent ``close_notify``; False for a plain socket."""
    return isEncrypted(sock) and cast(EncryptedSocket, sock).hasSentEnd


def channelBinding(sock: socket.socket) -> bytes:
    """The channel binding of a socket inside TLS; empty for a plain one."""
    return cast(EncryptedSocket, sock).binding if isEncrypted(sock) else b""


def peerNames(sock: socket.socket) -> tuple[str, ...]:
    """See :attr:`EncryptedSocket.peerNames`; none for a plain socket."""
    return cast(EncryptedSocket, sock).peerNames if isEncrypted(sock) else ()


def stuckAt(sock: socket.socket) -> int:
    """See :attr:`EncryptedSocket.stuck`; 0 for a plain socket."""
    return cast(EncryptedSocket, sock).stuck if isEncrypted(sock) else 0


def encryptedSize(size: int) -> int:
    """The size in TLS of a number of bytes that are written at once."""
    return size + _RECORD_OVERHEAD * -(-size // RECORD)


def isAtEnd(sock: socket.socket) -> bool:
    """Whether the next read below TLS finds the end of the connection, and not bytes, or nothing for now."""
    try:
        return not socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def peerError(sock: socket.socket, error: OSError) -> OSError:
    """
    The error with which a peer has closed its connection, if it has sent one inside TLS.

    :param error: what to return otherwise: the error by which the end was noticed.
    """
    try:
        sock.recv(RECORD)
    except TlsError as e:
        return e
    except OSError:
        pass
    return error
