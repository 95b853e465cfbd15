"""The first bytes of other protocols, which clients and proxies send to the control port by mistake."""

from __future__ import annotations

from typing import Final

from bore.wire.errors import ProxyHeader, Refusal, SpeaksNoTls
from bore.wire.proxyprotocol import SIGNATURES

#: The first bytes of a TLS handshake (RFC 8446, section 5.1).
_TLS: Final = b"\x16\x03"

_PROXY: Final[tuple[tuple[bytes, type[Refusal]], ...]] = tuple((signature, ProxyHeader) for signature in SIGNATURES)
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
