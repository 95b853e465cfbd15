"""ClientHello, as far as the protocols in it: of real clients, cut anywhere, and of those that want to do harm."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.clienthello import MAX_HELLO, MAX_LOOKS, MAX_RECORDS, MAX_START, Protocols, protocolsOffered
from bore.wire.more import More
from tests.wire.strategies import UNHURRIED

NAMES: Final = st.lists(st.binary(min_size=1, max_size=20), max_size=5)


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, content)


def alpn(names: Iterable[bytes]) -> bytes:
    return extension(16, vector(2, b"".join(vector(1, name) for name in names)))


def hello(extensions: bytes, ciphers: bytes = b"\x13\x01\x13\x02") -> bytes:
    """A ClientHello with its header."""
    body = b"\x03\x03" + bytes(32) + vector(1, bytes(32)) + vector(2, ciphers) + vector(1, b"\0")
    return b"\x01" + vector(3, body + vector(2, extensions))


def record(data: bytes, kind: int = 22) -> bytes:
    return bytes([kind]) + b"\x03\x01" + vector(2, data)


def records(message: bytes, cuts: Iterable[int] = ()) -> bytes:
    """A message in records, which are cut at these places."""
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(message)}), len(message)]
    return b"".join(record(message[a:b]) for a, b in pairwise(places))


def offering(*names: bytes) -> bytes:
    return records(hello(alpn(names)))


def browserHello(*names: bytes) -> bytes:
    """What a browser sends: unknown values (RFC 8701), many extensions, a key share of 1216 bytes, and padding."""
    share = vector(
        2, b"\x0a\x0a" + vector(2, b"\0") + b"\x11\xec" + vector(2, bytes(1216)) + b"\0\x1d" + vector(2, bytes(32))
    )
    before = [
        extension(0x0A0A, b""),
        extension(0, vector(2, b"\0" + vector(2, b"www.example.com"))),
        extension(23, b""),
        extension(0xFF01, b"\0"),
        extension(10, vector(2, b"\x0a\x0a\x11\xec\0\x1d\0\x17\0\x18")),
        extension(11, b"\x01\0"),
        extension(35, b""),
    ]
    behind = [
        extension(5, b"\x01\0\0\0\0"),
        extension(13, vector(2, bytes(range(16)))),
        extension(18, b""),
        extension(51, share),
        extension(45, b"\x01\x01"),
        extension(43, vector(1, b"\x0a\x0a\x03\x04\x03\x03")),
        extension(27, b"\x02\0\x02"),
        extension(0x4469, vector(2, vector(1, b"h2"))),
        extension(0x1A1A, b"\0"),
        extension(21, bytes(200)),
    ]
    return records(hello(b"".join([*before, alpn(names), *behind]), b"\x0a\x0a" + bytes(range(30))))


def opensslHello(*names: bytes, oldest: int = SSL.TLS1_3_VERSION) -> bytes:
    """What OpenSSL sends."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(oldest)
    if names:
        context.set_alpn_protos(list(names))
    connection = SSL.Connection(context, None)
    connection.set_tlsext_host_name(b"bore.example.com")
    connection.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(1 << 16)


def pythonHello(*names: str) -> bytes:
    """What Python's own module sends, with all that it offers."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(list(names))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="example.com")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def readAsItComes(data: bytes, most: int = MAX_LOOKS) -> Protocols | None:
    """Read as a peer's bytes are read that come one by one: never more than was asked for."""
    at = 0
    for _ in range(most):
        found = protocolsOffered(data[:at])
        if not isinstance(found, More):
            return found
        at += found.count
        assert found.count >= 1
        assert at <= len(data), "more is asked for than there is"
    raise AssertionError("it is looked at too often")


class RealClientTests(SynchronousTestCase):
    """What real clients send."""

    def test_theProtocolsOfOpenSsl(self) -> None:
        for names in ([b"bore/1"], [b"bore/1", b"bore-at/3"], [b"h2", b"http/1.1"], [b"x" * 255] * 3):
            self.assertEqual(protocolsOffered(opensslHello(*names)), tuple(names))
        self.assertEqual(protocolsOffered(opensslHello()), ())

    def test_thoseOfPython(self) -> None:
        self.assertEqual(protocolsOffered(pythonHello("bore/1", "bore-at/65535")), (b"bore/1", b"bore-at/65535"))

    def test_thoseOfABrowser(self) -> None:
        self.assertEqual(protocolsOffered(browserHello(b"h2", b"http/1.1")), (b"h2", b"http/1.1"))

    def test_oldVersionsOfTls(self) -> None:
        self.assertEqual(protocolsOffered(opensslHello(b"bore/1", oldest=SSL.TLS1_2_VERSION)), (b"bore/1",))

    def test_aHelloMayBeCutAnywhere(self) -> None:
        for whole in (opensslHello(b"bore/1", b"bore-at/3"), browserHello(b"bore/1"), pythonHello("bore/1")):
            for end in range(len(whole)):
                found = protocolsOffered(whole[:end])
                assert isinstance(found, More), (end, found)
                self.assertLessEqual(found.count, len(whole) - end)

    def test_itIsLookedAtTwiceAtMostForEachRecord(self) -> None:
        whole = opensslHello(b"bore/1", b"bore-at/3")
        self.assertEqual(readAsItComes(whole, most=4), (b"bore/1", b"bore-at/3"))

    def test_whatComesBehindItIsNotLookedAt(self) -> None:
        whole = opensslHello(b"bore/1")
        for behind in (b"\x16", b"\xff" * 100, whole):
            self.assertEqual(protocolsOffered(whole + behind), (b"bore/1",))


class RecordsTests(SynchronousTestCase):
    """The records, over which a message may be spread."""

    def test_aMessageIsTheSameInTwoRecordsCutAnywhere(self) -> None:
        message = hello(alpn([b"bore/1", b"bore-at/77"]))
        for cut in range(1, len(message)):
            self.assertEqual(readAsItComes(records(message, [cut])), (b"bore/1", b"bore-at/77"))

    @UNHURRIED
    @given(NAMES, st.lists(st.integers(1, 300), max_size=MAX_RECORDS - 1))
    def test_andInAnyNumberOfThem(self, names: list[bytes], cuts: list[int]) -> None:
        self.assertEqual(readAsItComes(records(hello(alpn(names)), cuts)), tuple(names))

    def test_aHelloInMoreRecordsIsNotRead(self) -> None:
        message = hello(alpn([b"bore/1"]))
        self.assertEqual(protocolsOffered(records(message, range(1, MAX_RECORDS))), (b"bore/1",))
        self.assertIsNone(protocolsOffered(records(message, range(1, MAX_RECORDS + 1))))

    def test_anEmptyRecordAndOneThatIsTooLongAreRefused(self) -> None:
        message = hello(alpn([b"bore/1"]))
        self.assertIsNone(protocolsOffered(record(b"") + record(message)))
        self.assertIsNone(protocolsOffered(record(message[:9]) + record(b"") + record(message[9:])))
        self.assertIsNone(protocolsOffered(b"\x16\x03\x01\x40\x01"))
        self.assertEqual(protocolsOffered(b"\x16\x03\x01\x40\x00"), More(4))

    def test_otherRecordsAndOtherProtocolsAreRefusedByTheirFirstBytes(self) -> None:
        message = hello(alpn([b"bore/1"]))
        for other in (b'{"Hello":0}\0', b"GET / HTTP/1.1\r\n", b"\x15", b"\x16\x02", b"\0", b"PROXY ", b"\x80\x2e\x01"):
            self.assertIsNone(protocolsOffered(other))
        self.assertIsNone(protocolsOffered(record(message, 23)))
        self.assertIsNone(protocolsOffered(record(message[:9]) + record(message[9:], 21)))

    def test_otherHandshakeMessagesAreRefusedByTheirFirstByte(self) -> None:
        for kind in (0, 2, 11, 255):
            self.assertIsNone(protocolsOffered(b"\x16\x03\x01\x00\x80" + bytes([kind])))


class LimitTests(SynchronousTestCase):
    """What is too long is not read to its end."""

    def test_theLongestHello(self) -> None:
        room = MAX_HELLO - len(hello(alpn([b"bore/1"]))) + 4
        message = hello(alpn([b"bore/1"]) + extension(21, bytes(room - 4)))
        self.assertEqual(len(message), MAX_HELLO + 4)
        whole = records(message, range(0, len(message), len(message) // (MAX_RECORDS - 1)))
        self.assertEqual(len(whole), MAX_START)
        self.assertEqual(readAsItComes(whole), (b"bore/1",))

    def test_aLongerOneIsRefusedByItsHeader(self) -> None:
        start = b"\x16\x03\x01\x40\x00\x01"
        self.assertEqual(protocolsOffered(start + b"\0\x40\0"), More(MAX_HELLO - 4))
        for length in (b"\0\x40\x01", b"\x01\0\0", b"\xff\xff\xff"):
            self.assertIsNone(protocolsOffered(start + length))

    @UNHURRIED
    @given(st.binary(max_size=64) | st.binary(max_size=64).map(b"\x16\x03\x01\x00\x20\x01\0\0".__add__))
    def test_noBytesAskForMoreThanTheLimit(self, start: bytes) -> None:
        found = protocolsOffered(start)
        if isinstance(found, More):
            self.assertTrue(found.count >= 1 and len(start) + found.count <= MAX_START)


class LengthsTests(SynchronousTestCase):
    """Each length is checked against the bytes that there are."""

    def assertRefused(self, message: bytes) -> None:
        self.assertIsNone(protocolsOffered(records(message)))

    def test_aMessageThatEndsTooEarlyIsRefused(self) -> None:
        body = hello(alpn([b"bore/1", b"bore-at/3"]))[4:]
        complete = len(body)
        for end in range(complete):
            found = protocolsOffered(records(b"\x01" + vector(3, body[:end])))
            noExtensions = 2 + 32 + 33 + 6 + 2
            self.assertEqual(found, () if end == noExtensions else None, end)

    def test_aHelloWithoutExtensionsOffersNothing(self) -> None:
        body = b"\x03\x01" + bytes(32) + b"\0" + vector(2, b"\0\x2f") + vector(1, b"\0")
        self.assertEqual(protocolsOffered(records(b"\x01" + vector(3, body))), ())

    def test_wrongLengthsInTheListAreRefused(self) -> None:
        good = vector(2, b"\x06bore/1")
        self.assertEqual(protocolsOffered(records(hello(extension(16, good)))), (b"bore/1",))
        for content in (b"", b"\0", b"\0\x08\x06bore/1", vector(2, b"\x07bore/1"), vector(2, b"\x06bore/1\x01")):
            self.assertRefused(hello(extension(16, content)))

    def test_anExtensionThatReachesBeyondTheOthersIsRefused(self) -> None:
        self.assertRefused(hello(b"\x12\x34\0\x01"))
        self.assertRefused(hello(b"\x12\x34\0"))
        self.assertRefused(hello(alpn([b"bore/1"])[:-1]))

    def test_theFirstListCounts(self) -> None:
        found = protocolsOffered(records(hello(alpn([b"one"]) + alpn([b"two"]))))
        self.assertEqual(found, (b"one",))

    @UNHURRIED
    @given(st.data())
    def test_noChangedByteRaises(self, data: st.DataObject) -> None:
        whole = bytearray(offering(b"bore/1", b"bore-at/3"))
        changes: Sequence[tuple[int, int]] = data.draw(
            st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=4)
        )
        for at, byte in changes:
            whole[at] = byte
        protocolsOffered(bytes(whole))

    def test_everySingleByteCanHaveEveryValue(self) -> None:
        whole = offering(b"bore/1")
        for at in range(len(whole)):
            for byte in range(256):
                protocolsOffered(whole[:at] + bytes([byte]) + whole[at + 1 :])
