"""Headers of the PROXY protocol are read as HAProxy's specification has them, whatever the bytes and their parts."""

from __future__ import annotations

from struct import pack
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.more import More
from bore.wire.proxyheader import FIXED, MAX_HEADER, Announcement, announcement
from bore.wire.proxyprotocol import SIGNATURES, Address, Version, header, plainAddress
from tests.wire.strategies import ADDRESSES, PORTS, UNHURRIED

_BINARY: Final = SIGNATURES[1]

#: Type 4, PP2_TYPE_NOOP of section 2.2.7, with any content.
_TLVS: Final = st.lists(st.binary(max_size=40), max_size=4).map(
    lambda contents: b"".join(b"\4" + pack("!H", len(each)) + each for each in contents)
)


def binary(command: int, family: int, block: bytes, length: int | None = None) -> bytes:
    """A header of version 2."""
    return _BINARY + pack("!BBH", command, family, len(block) if length is None else length) + block


def read(data: bytes) -> Announcement:
    """Decode a header as it comes in: no sooner than as many bytes are there as were missing."""
    at = 0
    while isinstance(found := announcement(data[:at]), More):
        assert found.count > 0
        at += found.count
        assert at <= len(data), "it wants more than there is"
    return found


class WrittenTests(SynchronousTestCase):
    """What is made is read again."""

    @UNHURRIED
    @given(st.sampled_from(Version), ADDRESSES, PORTS, ADDRESSES, PORTS, st.binary(max_size=9))
    def test_theSourceIsTheOneThatWasWrittenAndNothingBehindIsTouched(
        self, version: Version, source: str, port: int, destination: str, to: int, behind: bytes
    ) -> None:
        written = header(version, (source, port), (destination, to))
        expected = Announcement(len(written), (str(plainAddress(source)), port))
        self.assertEqual(announcement(written + behind), expected)
        self.assertEqual(read(written + behind), expected)

    @UNHURRIED
    @given(st.sampled_from(Version), ADDRESSES, PORTS, ADDRESSES, PORTS)
    def test_everyTruncationWantsMoreAndNeverTooMuch(
        self, version: Version, source: str, port: int, destination: str, to: int
    ) -> None:
        for written in (header(version, (source, port), (destination, to)), header(version, None, ("::", 1))):
            for at in range(len(written)):
                found = announcement(written[:at])
                assert isinstance(found, More), at
                self.assertTrue(1 <= found.count <= len(written) - at, (at, found))

    def test_anUnknownSourceIsNone(self) -> None:
        for version in Version:
            written = header(version, None, ("192.0.2.1", 1))
            self.assertEqual(announcement(written + b"behind"), Announcement(len(written), None))

    @UNHURRIED
    @given(_TLVS, st.binary(max_size=9))
    def test_whatFollowsTheAddressesIsSkipped(self, values: bytes, behind: bytes) -> None:
        block = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + pack("!HH", 4711, 443) + values
        written = binary(0x21, 0x11, block)
        self.assertEqual(read(written + behind), Announcement(len(written), ("192.0.2.7", 4711)))

    def test_lines(self) -> None:
        lines: list[tuple[bytes, Address | None]] = [
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443", ("192.0.2.7", 4711)),
            (b"PROXY TCP6 2001:DB8::7 ::1 0 65535", ("2001:db8::7", 0)),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 4711 443", ("192.0.2.7", 4711)),
            (b"PROXY UNKNOWN", None),
            (b"PROXY UNKNOWN ffff:f:f:f:f:f:f:f ffff:f:f:f:f:f:f:f 65535 65535", None),
        ]
        for line, source in lines:
            self.assertEqual(read(line + b"\r\nGET /"), Announcement(len(line) + 2, source))


class OtherHeadersTests(SynchronousTestCase):
    """Headers of version 2 without an IP address, and those that are not accepted."""

    def test_aConnectionOfTheProxyItselfHasNoSourceWhateverItsFamily(self) -> None:
        for family in (0x00, 0x11, 0x21, 0x31, 0xFF):
            for block in (b"", b"x" * 12):
                self.assertEqual(read(binary(0x20, family, block)), Announcement(FIXED + len(block), None))

    def test_aFamilyWithoutIpAddressesHasNoSource(self) -> None:
        self.assertEqual(read(binary(0x21, 0x00, b"")), Announcement(FIXED, None))
        self.assertEqual(read(binary(0x21, 0x31, b"\0" * 216)), Announcement(FIXED + 216, None))

    def test_whatIsDamagedIsRefused(self) -> None:
        good = bytes(8) + pack("!HH", 1, 2)
        for data in (
            binary(0x11, 0x11, good),  # version 1
            binary(0x22, 0x11, good),  # no such command
            binary(0x21, 0x12, good),  # datagrams
            binary(0x21, 0x41, good),  # no such family
            binary(0x21, 0x11, good[:-1]),  # too short for its addresses
            binary(0x21, 0x21, good),
        ):
            with self.assertRaisesRegex(ValueError, "damaged"):
                announcement(data)

    def test_damageIsFoundBeforeTheRestHasCome(self) -> None:
        with self.assertRaisesRegex(ValueError, "damaged"):
            announcement(binary(0x21, 0x12, b"", 100))

    def test_oneThatIsTooLongIsRefusedBeforeItHasCome(self) -> None:
        longest = MAX_HEADER - FIXED
        self.assertEqual(announcement(binary(0x21, 0x11, b"", longest)), More(longest))
        with self.assertRaisesRegex(ValueError, "more than 4096 bytes"):
            announcement(binary(0x20, 0x00, b"", longest + 1))

    def test_linesThatAreDamagedAreRefused(self) -> None:
        for line in (
            b"PROXY ",
            b"PROXY TCP4",
            b"PROXY UNKNOWNS",
            b"PROXY TCP5 192.0.2.7 198.51.100.1 4711 443",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 5",
            b"PROXY TCP4 192.0.2.7  198.51.100.1 4711 443",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443",
            b"PROXY TCP4 192.0.2.7 localhost 4711 443",
            b"PROXY TCP4 192.0.2.07 198.51.100.1 4711 443",
            b"PROXY TCP4 2001:db8::7 ::1 4711 443",
            b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 443",
            b"PROXY TCP6 fe80::1%eth0 fe80::2 4711 443",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 \xb2",
            b"PROXY TCP4 192.0.2.\xff 198.51.100.1 4711 443",
        ):
            with self.assertRaisesRegex(ValueError, "damaged"):
                announcement(line + b"\r\n")

    def test_aLineWithoutAnEndIsRefusedWhenItIsTooLong(self) -> None:
        self.assertEqual(announcement(b"PROXY UNKNOWN ".ljust(105, b"x")), More(2))
        self.assertEqual(announcement(b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r"), More(1))
        self.assertEqual(announcement(b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n"), Announcement(107, None))
        for data in (b"PROXY UNKNOWN ".ljust(106, b"x"), b"PROXY UNKNOWN ".ljust(106, b"x") + b"\r\n"):
            with self.assertRaisesRegex(ValueError, "damaged"):
                announcement(data)

    def test_whatIsNoHeaderIsSeenAtItsFirstByte(self) -> None:
        for data in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b'{"Hello":8000}\0', b"PROXX", b"\r\n\r\nX", b"proxy "):
            with self.assertRaisesRegex(ValueError, "does not begin with"):
                announcement(data)

    @UNHURRIED
    @given(st.sampled_from((b"", *SIGNATURES)), st.binary(max_size=200))
    def test_anyBytesAreAHeaderOrNoneOrWantMore(self, begin: bytes, data: bytes) -> None:
        try:
            found = announcement(begin + data)
        except ValueError:
            return
        if isinstance(found, More):
            self.assertTrue(1 <= found.count <= MAX_HEADER)
        else:
            self.assertLessEqual(found.length, len(begin + data))
