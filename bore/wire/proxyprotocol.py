"""
The header of the PROXY protocol, which carries a visitor's address to the local service.

The source is HAProxy's specification, ``doc/proxy-protocol.txt``, sections 2.1 (version 1, a line of text) and 2.2
(version 2, binary).
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack, unpack_from
from typing import Final, TypeAlias

#: An IP address as text, and a port.
Address: TypeAlias = tuple[str, int]

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"

#: The first bytes of a header of either version.
SIGNATURES: Final = (b"PROXY ", _SIGNATURE)

_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21


class Version(Enum):
    """The two forms of the header."""

    V1 = "v1"
    V2 = "v2"


def header(version: Version, source: Address | None, destination: Address) -> bytes:
    """
    Encode the header of a connection.

    :param source: the address of the visitor; None if it is not known: UNKNOWN in version 1, LOCAL in version 2.
    :param destination: the address that the visitor connected to. An address of another family than the source's is
        encoded as the unspecified one, as a header has room for one family only.
    :raises ValueError: when an address is not an IP address.
    """
    if source is None:
        return b"PROXY UNKNOWN\r\n" if version is Version.V1 else _SIGNATURE + pack("!BBH", _LOCAL, 0, 0)
    here, there = _plain(source[0]), _plain(destination[0])
    if here.version != there.version:
        there = type(here)(0)
    if version is Version.V1:
        return f"PROXY TCP{here.version} {here} {there} {source[1]} {destination[1]}\r\n".encode("ascii")
    addresses = here.packed + there.packed + pack("!HH", source[1], destination[1])
    return _SIGNATURE + pack("!BBH", _PROXY, _TCP4 if here.version == 4 else _TCP6, len(addresses)) + addresses


#: The length of what every header of version 2 begins with, in bytes.
FIXED: Final = len(_SIGNATURE) + 4


def lengthBehind(begin: bytes) -> int:
    """
    Decode the begin of a header of version 2.

    :param begin: its first FIXED bytes.
    :returns: the number of bytes that follow.
    :raises ValueError: when it is not such a header.
    """
    if len(begin) != FIXED or not begin.startswith(_SIGNATURE):
        raise ValueError("not a header of the PROXY protocol, version 2")
    return int(unpack_from("!H", begin, FIXED - 2)[0])


def source(header: bytes) -> Address | None:
    """
    Decode a whole header of version 2 as :func:`header` makes it.

    :returns: where the connection comes from; None: that is not known.
    :raises ValueError: when it is not such a header.
    """
    if len(header) != FIXED + lengthBehind(header[:FIXED]):
        raise ValueError("the header has another length than it says")
    command, family = header[FIXED - 4], header[FIXED - 3]
    if command == _LOCAL:
        return None
    size = {_TCP4: 4, _TCP6: 16}.get(family, 0)
    if command != _PROXY or not size or len(header) < FIXED + 2 * size + 4:
        raise ValueError("not the header of a TCP connection")
    host = ip_address(header[FIXED : FIXED + size])
    return str(host), int(unpack_from("!H", header, FIXED + 2 * size)[0])


def _plain(host: str) -> IPv4Address | IPv6Address:
    """An address without its scope; an IPv4-mapped IPv6 address as IPv4."""
    address = ip_address(host)
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv6Address(int(address)) if address.scope_id is not None else address
