"""
The header of the PROXY protocol, which carries a visitor's address to the local service: how it is made.

How it is read: :mod:`bore.wire.proxyheader`.

The source is HAProxy's specification, ``doc/proxy-protocol.txt``, sections 2.1 (version 1, a line of text) and 2.2
(version 2, binary).
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack
from typing import Final, TypeAlias

#: An IP address as text, and a port.
Address: TypeAlias = tuple[str, int]

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"

#: The first bytes of a header of either version.
SIGNATURES: Final = (b"PROXY ", _SIGNATURE)

LOCAL: Final = 0x20
PROXY: Final = 0x21
TCP4: Final = 0x11
TCP6: Final = 0x21


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
        return b"PROXY UNKNOWN\r\n" if version is Version.V1 else _SIGNATURE + pack("!BBH", LOCAL, 0, 0)
    here, there = plainAddress(source[0]), plainAddress(destination[0])
    if here.version != there.version:
        there = type(here)(0)
    if version is Version.V1:
        return f"PROXY TCP{here.version} {here} {there} {source[1]} {destination[1]}\r\n".encode("ascii")
    addresses = here.packed + there.packed + pack("!HH", source[1], destination[1])
    return _SIGNATURE + pack("!BBH", PROXY, TCP4 if here.version == 4 else TCP6, len(addresses)) + addresses


def plainAddress(host: str) -> IPv4Address | IPv6Address:
    """An address without its scope; an IPv4-mapped IPv6 address as IPv4."""
    address = ip_address(host)
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv6Address(int(address)) if address.scope_id is not None else address
