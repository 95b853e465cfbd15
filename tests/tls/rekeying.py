"""
A peer that asks for new keys inside TLS, as often as it likes.

No binding of OpenSSL that the tests have can send a KeyUpdate: the records are made here (RFC 8446, sections 4.6.3, 5.2
and 7), with the secret that the handshake has given this side.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

from bore.tls.tlssocket import TlsSocket

_CIPHERS: Final[dict[str, tuple[type[AESGCM | ChaCha20Poly1305], int, HashAlgorithm]]] = {
    "TLS_AES_128_GCM_SHA256": (AESGCM, 16, SHA256()),
    "TLS_AES_256_GCM_SHA384": (AESGCM, 32, SHA384()),
    "TLS_CHACHA20_POLY1305_SHA256": (ChaCha20Poly1305, 32, SHA256()),
}

#: A KeyUpdate that requests one of the peer.
_REQUEST: Final = b"\x18\x00\x00\x01\x01"

#: How many session tickets OpenSSL's server sends after the handshake, with the same keys.
_TICKETS: Final = 2

_APPLICATION_DATA: Final = 23
_HANDSHAKE: Final = 22


class Rekeying:
    """
    Makes a TLS socket request new keys. The socket reads nothing, and must have sent nothing since its handshake.

    :param context: the context of the socket, which is made later.
    :param label: the label of this end in a key log: CLIENT or SERVER.
    """

    def __init__(self, context: SSL.Context, label: str) -> None:
        self._label = f"{label}_TRAFFIC_SECRET_0"
        self._secret = b""
        self._number = 0
        self._unsent = b""
        self._first = _TICKETS if label == "SERVER" else 0
        context.set_keylog_callback(self._learn)

    def _learn(self, _: SSL.Connection, line: bytes) -> None:
        name, _random, secret = line.decode().split()
        if name == self._label:
            self._secret = bytes.fromhex(secret)
            self._number = self._first

    def send(self, sock: TlsSocket, data: bytes) -> None:
        """Send data, as OpenSSL would: it must not send any itself after a KeyUpdate that it has not made."""
        self._unsent += self._record(sock, data, _APPLICATION_DATA)
        self.flush(sock)

    def flush(self, sock: TlsSocket) -> bool:
        """Send the data that was held back, and return whether that was all."""
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[socket.socket.send(sock, self._unsent) :]
        return not self._unsent

    def request(self, sock: TlsSocket, times: int = 1) -> int:
        """
        Request new keys.

        :returns: the number of requests that were sent; fewer than ``times`` if the kernel takes no more.
        """
        for done in range(times):
            if not self._unsent:
                self._unsent = self._record(sock, _REQUEST, _HANDSHAKE)
                self._secret, self._number = self._derive(sock, b"traffic upd", len(self._secret)), 0
            if not self.flush(sock):
                return done
        return times

    def requestUntilStuck(self, sock: TlsSocket, other: TlsSocket, read: Callable[[], object]) -> None:
        """
        Request until the other end, which reads, has no room for its answers.

        :param read: lets the other end read once.
        """
        while not other.stuck:
            self.request(sock, 20)
            with contextlib.suppress(BlockingIOError):
                read()

    def _record(self, sock: TlsSocket, content: bytes, kind: int) -> bytes:
        aead, size, _ = _CIPHERS[sock._tls.get_cipher_name() or ""]
        number = bytes(4) + struct.pack("!Q", self._number)
        nonce = bytes(a ^ b for a, b in zip(self._derive(sock, b"iv", 12), number, strict=True))
        self._number += 1
        inner = content + bytes([kind])
        header = struct.pack("!BHH", _APPLICATION_DATA, 0x0303, len(inner) + 16)
        return header + aead(self._derive(sock, b"key", size)).encrypt(nonce, inner, header)

    def _derive(self, sock: TlsSocket, label: bytes, size: int) -> bytes:
        """HKDF-Expand-Label, without a context."""
        label = b"tls13 " + label
        info = struct.pack("!HB", size, len(label)) + label + b"\0"
        algorithm = _CIPHERS[sock._tls.get_cipher_name() or ""][2]
        return HKDFExpand(algorithm, size, info).derive(self._secret)
