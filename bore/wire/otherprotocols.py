"""The first bytes of other protocols, which reach one end by a mistake at the other, or of a proxy between them."""

from __future__ import annotations

from typing import Final

from bore.wire.errors import OtherProtocol, ProxyHeader, Refusal, SpeaksNoTls
from bore.wire.proxyprotocol import SIGNATURES

#: The first bytes of a TLS handshake (RFC 8446, section 5.1).
_TLS: Final = b"\x16\x03"

_PROXY: Final[tuple[tuple[bytes, type[Refusal]], ...]] = tuple((signature, ProxyHeader) for signature in SIGNATURES)
#: What a server of another protocol sends first, or in answer to a Hello. No message of ours begins so.
_SERVERS: Final = (
    (b"HTTP/", "an HTTP server"),
    (b"SSH-", "an SSH server"),
    (b"\x15\x03", "a server with TLS"),  # an alert (RFC 8446, section 6)
    (b"220", "a mail or FTP server"),
    (b"+OK", "a POP3 server"),
    (b"* OK", "an IMAP server"),
    (b"RFB ", "a VNC server"),
    (b"-ERR", "a Redis server"),
    (b"<", "a web server"),
)

#: No signature of a server is longer, in bytes.
LONGEST_SIGNATURE: Final = max(len(signature) for signature, _ in _SERVERS)

_PLAIN: Final[tuple[tuple[bytes, type[Refusal]], ...]] = ((_TLS, SpeaksNoTls), *_PROXY)


def isUndecided(start: bytes, encrypted: bool) -> bool:
    """
    Whether more bytes are needed to decide that a connection does not speak another protocol.

    :param start: all bytes that have arrived so far. No message of ours begins as another protocol does.
    :param encrypted: whether the connection is a TLS connection.
    :raises bore.wire.errors.Refusal: when it speaks another protocol.
    """
    for signature, refusal in _PROXY if encrypted else _PLAIN:
        if start.startswith(signature):
            raise refusal
        if signature.startswith(start):
            return True
    return False


def refuseOtherServer(start: bytes) -> None:
    """
    Refuse a server that speaks another protocol.

    :param start: the first bytes that it has sent.
    :raises bore.wire.errors.OtherProtocol: when they show that.
    """
    kind = otherServer(start)
    if kind:
        raise OtherProtocol(kind)


def otherServer(start: bytes) -> str:
    """Return what a server is by its first bytes, such as "an HTTP server"; empty: that is not known."""
    return next((kind for signature, kind in _SERVERS if start.startswith(signature)), "")
