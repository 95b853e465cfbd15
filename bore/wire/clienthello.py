"""
The first message of a TLS connection, ClientHello, as far as the protocols that the client offers by ALPN.

Nothing is decrypted or negotiated here, and the bytes stay where they are. Sources: RFC 8446, section 5.1 (records),
4 (the header of a handshake message), 4.1.2 (ClientHello) and 4.2 (extensions); RFC 7301, section 3.1 (ALPN).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from bore.wire.more import More

#: The longest ClientHello that is read, in bytes. Those of browsers have 2000 at most.
MAX_HELLO: Final = 1 << 14

#: The most records over which it may be spread. Each of them can make it necessary to look at all bytes again.
MAX_RECORDS: Final = 16

_RECORD_HEADER: Final = 5
_MESSAGE_HEADER: Final = 4

#: No more bytes have to be looked at.
MAX_START: Final = _MESSAGE_HEADER + MAX_HELLO + MAX_RECORDS * _RECORD_HEADER

#: The longest payload of a record that is not encrypted.
_MAX_RECORD: Final = 1 << 14

#: After so many calls with as many bytes as were needed there is a decision: two for each record, and two at first.
MAX_LOOKS: Final = 2 * MAX_RECORDS + 2

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_MAJOR: Final = 3
_ALPN: Final = 16

#: What comes before the session id: the version and the random bytes.
_BEFORE_SESSION_ID: Final = 2 + 32

#: The names of protocols, in the client's order; none: it offers none.
Protocols: TypeAlias = tuple[bytes, ...]


class _Malformed(Exception):
    """The bytes are not a ClientHello."""


def protocolsOffered(start: bytes) -> Protocols | More | None:
    """
    The protocols that a client offers.

    The bytes may end anywhere. If :class:`More` are needed, the next call gets all bytes again, with further ones. If
    it gets as many as were needed, :data:`MAX_LOOKS` calls are enough; each takes time in proportion to the bytes.

    :param start: the first bytes of the connection.
    :returns: the protocols, or how many bytes are missing; None: it is not a ClientHello, or one over the limits.
    """
    try:
        message = _message(start)
        return message if isinstance(message, More) else _alpn(_extensions(message))
    except _Malformed:
        return None


def _message(start: bytes) -> bytes | More:
    """The first handshake message without its header, which the records have to have in full."""
    parts: list[bytes] = []
    size = at = 0
    for _ in range(MAX_RECORDS):
        header = start[at : at + _RECORD_HEADER]
        _checkRecord(header)
        if len(header) < _RECORD_HEADER:
            return More(_RECORD_HEADER - len(header))
        length = int.from_bytes(header[3:], "big")
        at += _RECORD_HEADER
        parts.append(start[at : at + length])
        missing = length - len(parts[-1])
        size += length - missing
        at += length
        wanted = _wanted(parts)
        if size >= wanted:
            return b"".join(parts)[_MESSAGE_HEADER:wanted]
        if missing:
            return More(min(missing, wanted - size))
    raise _Malformed


def _checkRecord(header: bytes) -> None:
    """Refuse the header of a record, or its beginning, that is not one of a handshake, or is empty."""
    if header[:1] not in (b"", bytes([_HANDSHAKE])) or header[1:2] not in (b"", bytes([_MAJOR])):
        raise _Malformed
    if len(header) == _RECORD_HEADER and not 0 < int.from_bytes(header[3:], "big") <= _MAX_RECORD:
        raise _Malformed


def _wanted(parts: list[bytes]) -> int:
    """How long the message is with its header; the length of the header while that is not complete."""
    header = parts[0] if len(parts[0]) >= _MESSAGE_HEADER else b"".join(parts)
    if header[:1] not in (b"", bytes([_CLIENT_HELLO])):
        raise _Malformed
    if len(header) < _MESSAGE_HEADER:
        return _MESSAGE_HEADER
    length = int.from_bytes(header[1:_MESSAGE_HEADER], "big")
    if length > MAX_HELLO:
        raise _Malformed
    return _MESSAGE_HEADER + length


class _Vectors:
    """Reads vectors (RFC 8446, section 3.4) from bytes, one behind the other."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    @property
    def atEnd(self) -> bool:
        """Whether nothing is left. More may have been skipped than there is."""
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        """Take a number of bytes."""
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise _Malformed
        self._at += count
        return taken

    def number(self, size: int) -> int:
        """Take a number of this many bytes."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """Take a vector whose length has this many bytes."""
        return self.take(self.number(size))


def _extensions(hello: bytes) -> bytes:
    reader = _Vectors(hello)
    reader.take(_BEFORE_SESSION_ID)
    reader.vector(1)  # the session id
    reader.vector(2)  # ciphers
    reader.vector(1)  # compression
    return b"" if reader.atEnd else reader.vector(2)


def _alpn(extensions: bytes) -> Protocols:
    reader = _Vectors(extensions)
    while not reader.atEnd:
        kind, content = reader.number(2), reader.vector(2)
        if kind == _ALPN:
            names = _Vectors(_Vectors(content).vector(2))
            found: list[bytes] = []
            while not names.atEnd:
                found.append(names.vector(1))
            return tuple(found)
    return ()
