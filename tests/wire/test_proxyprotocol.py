"""
The header of the PROXY protocol, as HAProxy's specification has it.

The vectors are computed by hand from ``doc/proxy-protocol.txt``, sections 2.1 and 2.2.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import address
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.proxyprotocol import Address, Version, header
from tests.wire.strategies import ADDRESSES, PORTS, UNHURRIED

SIGNATURE: Final = "0d0a0d0a 00 0d0a 51554954 0a"

#: Where it comes from, where it went to, the line of version 1 without its end, and version 2 in hex.
VECTORS: Final[list[tuple[Address | None, Address, str, str]]] = [
    # The example of section 2.1.
    (
        ("192.168.0.1", 56324),
        ("192.168.0.11", 443),
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443",
        "21 11 000c c0a80001 c0a8000b dc04 01bb",
    ),
    (
        ("255.255.255.255", 65535),
        ("0.0.0.0", 0),
        "PROXY TCP4 255.255.255.255 0.0.0.0 65535 0",
        "21 11 000c ffffffff 00000000 ffff 0000",
    ),
    (
        ("2001:db8::1", 50123),
        ("2001:db8:0:0:1::2", 8000),
        "PROXY TCP6 2001:db8::1 2001:db8::1:0:0:2 50123 8000",
        "21 21 0024 20010db8000000000000000000000001 20010db8000000000001000000000002 c3cb 1f40",
    ),
    (
        ("2001:0DB8:0000:0000:0000:0000:0000:00AB", 1),
        ("::1", 2),
        "PROXY TCP6 2001:db8::ab ::1 1 2",
        "21 21 0024 20010db80000000000000000000000ab 00000000000000000000000000000001 0001 0002",
    ),
    # Nobody knows where it comes from.
    (None, ("192.168.0.11", 443), "PROXY UNKNOWN", "20 00 0000"),
    (None, ("::1", 443), "PROXY UNKNOWN", "20 00 0000"),
    # A header has room for one family: that of the source.
    (
        ("203.0.113.9", 50123),
        ("2001:db8::1", 8000),
        "PROXY TCP4 203.0.113.9 0.0.0.0 50123 8000",
        "21 11 000c cb007109 00000000 c3cb 1f40",
    ),
    (
        ("2001:db8::1", 50123),
        ("203.0.113.9", 8000),
        "PROXY TCP6 2001:db8::1 :: 50123 8000",
        "21 21 0024 20010db8000000000000000000000001 00000000000000000000000000000000 c3cb 1f40",
    ),
    # What a socket of both families tells of a visitor that came by IPv4.
    (
        ("::ffff:203.0.113.9", 50123),
        ("::ffff:192.0.2.1", 8000),
        "PROXY TCP4 203.0.113.9 192.0.2.1 50123 8000",
        "21 11 000c cb007109 c0000201 c3cb 1f40",
    ),
    (
        ("::FFFF:cb00:7109", 50123),
        ("192.0.2.1", 8000),
        "PROXY TCP4 203.0.113.9 192.0.2.1 50123 8000",
        "21 11 000c cb007109 c0000201 c3cb 1f40",
    ),
    (
        ("2001:db8::1", 1),
        ("::ffff:192.0.2.1", 2),
        "PROXY TCP6 2001:db8::1 :: 1 2",
        "21 21 0024 20010db8000000000000000000000001 00000000000000000000000000000000 0001 0002",
    ),
    # A scope means something to one host only.
    (
        ("fe80::1%eth0", 50123),
        ("fe80::abcd%2", 8000),
        "PROXY TCP6 fe80::1 fe80::abcd 50123 8000",
        "21 21 0024 fe800000000000000000000000000001 fe80000000000000000000000000abcd c3cb 1f40",
    ),
    # The longest line there is.
    (
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 65535),
        ("fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65534),
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65534",
        "21 21 0024 fffffffffffffffffffffffffffffffe fffeffffffffffffffffffffffffffff ffff fffe",
    ),
]


def number(host: str) -> int:
    """An address without its scope as 128 bits, in which IPv4 has the place that RFC 4291 2.5.5.2 gives it."""
    found = ip_address(host.partition("%")[0])
    return int(found) | 0xFFFF << 32 if isinstance(found, IPv4Address) else int(found)


class VectorTests(SynchronousTestCase):
    """Headers have the bytes of the specification."""

    def test_everyLineOfVersion1HasItsBytes(self) -> None:
        for source, destination, line, _ in VECTORS:
            self.assertEqual(header(Version.V1, source, destination), line.encode() + b"\r\n")

    def test_everyHeaderOfVersion2HasItsBytes(self) -> None:
        for source, destination, _, digits in VECTORS:
            expected = bytes.fromhex(SIGNATURE + digits)
            self.assertEqual(header(Version.V2, source, destination), expected, source)

    def test_theLongestLineFitsTheRoomThatEveryReceiverHas(self) -> None:
        source, destination, line, _ = VECTORS[-1]
        longest = header(Version.V1, source, destination)
        self.assertEqual(len(longest), 104)
        self.assertEqual(longest, line.encode() + b"\r\n")

    def test_whatIsNoAddressIsRefused(self) -> None:
        good = ("192.0.2.1", 1)
        for version in Version:
            for host in ("", "localhost", "192.0.2.256", "[::1]", "/run/socket"):
                self.assertRaises(ValueError, header, version, (host, 1), good)
                self.assertRaises(ValueError, header, version, good, (host, 1))

    def test_theVersionsAreNamedAsInHaproxy(self) -> None:
        self.assertEqual([version.value for version in Version], ["v1", "v2"])


class ParsedTests(SynchronousTestCase):
    """What Twisted's own parser finds in a header is what was written."""

    def assertSame(self, found: object, family: type[object], host: str, port: int) -> None:
        """The parser found this address."""
        self.assertIsInstance(found, family)
        assert isinstance(found, address.IPv4Address | address.IPv6Address)
        self.assertEqual((number(found.host), found.port, found.type), (number(host), port, "TCP"))

    @UNHURRIED
    @given(st.sampled_from([V1Parser, V2Parser]), ADDRESSES, PORTS, ADDRESSES, PORTS, st.binary(max_size=9))
    def test_theParserFindsBothAddressesAndWhatIsBehindTheHeader(
        self,
        parser: type[V1Parser | V2Parser],
        source: str,
        sourcePort: int,
        destination: str,
        destinationPort: int,
        behind: bytes,
    ) -> None:
        version = Version.V1 if parser is V1Parser else Version.V2
        written = header(version, (source, sourcePort), (destination, destinationPort))
        self.assertLessEqual(len(written), 107)
        info, rest = parser().feed(written + behind)
        assert info is not None
        self.assertEqual(rest, behind)
        isV4, toV4 = (number(host) >> 32 == 0xFFFF for host in (source, destination))
        family = address.IPv4Address if isV4 else address.IPv6Address
        unspecified = "0.0.0.0" if isV4 else "::"
        self.assertSame(info.source, family, source, sourcePort)
        self.assertSame(info.destination, family, destination if isV4 is toV4 else unspecified, destinationPort)

    def test_theParserFindsNoAddressWhereNoneIsKnown(self) -> None:
        # Version 1 is left out: Twisted's parser wants a space behind UNKNOWN, which the specification lets us omit.
        info, rest = V2Parser().feed(header(Version.V2, None, ("192.0.2.1", 1)) + b"behind")
        assert info is not None
        self.assertEqual((info.source, info.destination, rest), (None, None, b"behind"))

    @UNHURRIED
    @given(st.ip_addresses(v=6), PORTS)
    def test_aScopeChangesNothing(self, plain: IPv4Address | IPv6Address, port: int) -> None:
        for version in Version:
            self.assertEqual(
                header(version, (f"{plain}%eth0", port), (f"{plain}%1", port)),
                header(version, (str(plain), port), (str(plain), port)),
            )
