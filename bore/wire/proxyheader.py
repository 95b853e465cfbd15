"""
The header of the PROXY protocol, which a proxy sends in front of a connection: how it is read.

The source is HAProxy's specification, ``doc/proxy-protocol.txt``, sections 2.1 (version 1, a line of text) and 2.2
(version 2, binary).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import unpack_from
from typing import Final

from bore.wire.more import More
from bore.wire.proxyprotocol import LOCAL, PROXY, SIGNATURES, TCP4, TCP6, Address, plainAddress
from bore.wire.values import value

#: The longest header of version 1, in bytes (section 2.1).
_MAX_LINE: Final = 107

#: The shortest header of either version, in bytes: ``PROXY UNKNOWN`` with its end.
_SHORTEST: Final = 15

#: What every header of version 2 begins with, in bytes: signature, command, family and length.
FIXED: Final = 16

#: The longest header that is read, in bytes. The specification allows 65551, and proxies send some hundred.
MAX_HEADER: Final = 4096

#: Families of version 2 whose addresses mean nothing here: an unspecified one, and Unix sockets.
_NO_ADDRESS: Final = (0x00, 0x31)

_MISSING: Final = "it does not begin with a PROXY protocol header"
_DAMAGED: Final = "its PROXY protocol header is damaged"
_TOO_LONG: Final = f"its PROXY protocol header has more than {MAX_HEADER} bytes"


@value
class Announcement:
    """
    A whole header.

    :ivar length: its length, in bytes.
    :ivar source: where the connection comes from; None: the header does not say, and it may be a connection of the
        proxy itself: UNKNOWN, LOCAL, or a family without IP addresses.
    """

    length: int
    source: Address | None


def announcement(start: bytes) -> Announcement | More:
    """
    Decode a header.

    The bytes may end anywhere. If :class:`~bore.wire.more.More` are needed, the next call gets all bytes again, with
    further ones.

    :param start: the first bytes of the connection, MAX_HEADER at most.
    :raises ValueError: when they are not those of a header, or of one over a limit; its text says which.
    """
    line, binary = SIGNATURES
    if start.startswith(line):
        return _version1(start)
    if start.startswith(binary):
        return _version2(start)
    if any(each.startswith(start) for each in SIGNATURES):
        return More(_SHORTEST - len(start))
    raise ValueError(_MISSING)


def _version1(start: bytes) -> Announcement | More:
    end = start.find(b"\r\n", 0, _MAX_LINE)
    if end < 0:
        missing = 1 if start.endswith(b"\r") else 2
        if len(start) + missing > _MAX_LINE:
            raise ValueError(_DAMAGED)
        return More(max(missing, _SHORTEST - len(start)))
    match start[:end].split(b" "):
        case [_, b"UNKNOWN", *_]:
            return Announcement(end + 2, None)
        case [_, b"TCP4" | b"TCP6" as family, source, destination, port, to]:
            version = int(family[-1:])
            _host(destination, version)
            _port(to)
            return Announcement(end + 2, (_host(source, version), _port(port)))
    raise ValueError(_DAMAGED)


def _host(word: bytes, version: int) -> str:
    """An IP address of this version; a mapped IPv4 address as IPv4."""
    try:
        address = ip_address(word.decode("ascii"))
    except ValueError:
        raise ValueError(_DAMAGED) from None
    if address.version != version or b"%" in word:
        raise ValueError(_DAMAGED)
    return str(plainAddress(str(address)))


def _port(word: bytes) -> int:
    if not word.isdigit() or len(word) > 5 or int(word) > 65535:
        raise ValueError(_DAMAGED)
    return int(word)


def _version2(start: bytes) -> Announcement | More:
    if len(start) < FIXED:
        return More(FIXED - len(start))
    command, family, behind = unpack_from("!BBH", start, FIXED - 4)
    size = {TCP4: 4, TCP6: 16}.get(family, 0)
    addresses = 2 * size + 4 if size else 0
    if command not in (LOCAL, PROXY) or (
        command == PROXY and (behind < addresses or not (size or family in _NO_ADDRESS))
    ):
        raise ValueError(_DAMAGED)
    length = FIXED + behind
    if length > MAX_HEADER:
        raise ValueError(_TOO_LONG)
    if len(start) < length:
        return More(length - len(start))
    if command == LOCAL or not size:
        return Announcement(length, None)
    packed = start[FIXED : FIXED + size]
    host = IPv4Address(packed) if size == 4 else IPv6Address(packed)
    return Announcement(length, (str(plainAddress(str(host))), int(unpack_from("!H", start, FIXED + 2 * size)[0])))
