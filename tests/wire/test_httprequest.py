"""The first bytes of visitors: which of them are a request of HTTP/1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.httprequest import MAX_HEAD, RequestReader, Start
from fuzz.inputs import portions
from tests.wire.strategies import UNHURRIED

#: What clients of HTTP/1 send, and their methods.
REQUESTS: Final = (
    (b"GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n", b"GET"),
    (b"HEAD /x?y=%20 HTTP/1.0\r\n\r\n", b"HEAD"),
    (b"GET / HTTP/1.0\r\nHost: x\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n", b"GET"),
    (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS"),
    (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", b"CONNECT"),
    (b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", b"GET"),
    (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"POST"),
    (b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", b"M-SEARCH"),
    (b"\r\nGET / HTTP/1.1\r\n\r\n", b"GET"),
    (b"GET / HTTP/1.1\nHost: x\n\n", b"GET"),
    (b"GET /b\xc3\xbccher HTTP/1.1\r\n\r\n", b"GET"),
    (b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b"GET"),
)

#: What clients of other protocols send first.
OTHERS: Final = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    b"EHLO example.com\r\n",
    b"HELO x\n",
    b"USER anonymous\r\n",
    b"NICK x\r\nUSER x 0 * :x\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",  # PostgreSQL, a request for TLS
    b"\x10\x25\x00\x04MQTT\x04\xc2",
    b"\x03\x00\x00\x13\x0e\xe0\x00\x00",  # RDP
    b"RFB 003.008\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
    b"RTSP / RTSP/1.0\r\n\r\n",
    b"OPTIONS sip:x SIP/2.0\r\n\r\n",
    b"GET /\r\n",  # HTTP/0.9
    b"GET  / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1 \r\n\r\n",
    b" GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.\r\n\r\n",
    b"GET / http/1.1\r\n\r\n",
    b"GET /a b HTTP/1.1\r\n\r\n",
    b"GET /\r\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"GET /\x7f HTTP/1.1\r\n\r\n",
    b"x" * MAX_HEAD,
    b"GET /" + b"x" * MAX_HEAD,
    b"A" * 33 + b" / HTTP/1.1\r\n\r\n",
)

#: Values of Accept, and whether they name HTML.
ACCEPTS: Final = (
    (b"*/*", False),
    (b"text/html", True),
    (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
    (b" TEXT/HTML ; q=0.1", True),
    (b"application/json, text/html;q=0", False),
    (b"text/html; q=0.000", False),
    (b"text/plain", False),
    (b"text/html5", False),
    (b"", False),
    (b",;,=,", False),
    (b"application/xhtml+xml", True),
)


def read(parts: Iterable[bytes]) -> RequestReader:
    reader = RequestReader()
    for part in parts:
        reader.feed(part)
    return reader


def result(reader: RequestReader) -> tuple[Start, bytes, bool]:
    return reader.start, reader.method, reader.acceptsHtml


class RequestTests(SynchronousTestCase):
    """Requests, and what is none."""

    def test_aRequestIsRecognizedWithItsMethod(self) -> None:
        for request, method in REQUESTS:
            self.assertEqual(result(read([request])), (Start.REQUEST, method, False), request)

    def test_otherProtocolsAreRecognizedAsOthers(self) -> None:
        for other in OTHERS:
            self.assertEqual(read([other]).start, Start.OTHER, other)

    def test_ofMostOfThemTheFirstByteIsEnough(self) -> None:
        for other in (b"\x16", b"\x00", b"\x10", b"\x03"):
            self.assertEqual(read([other]).start, Start.OTHER)

    def test_beforeTheEndOfItsHeadARequestIsUndecided(self) -> None:
        for request, method in REQUESTS:
            head = request[: request.replace(b"\r", b"").index(b"\n\n")]
            for size in range(len(head)):
                reader = read([request[:size]])
                self.assertIs(reader.start, Start.UNDECIDED, request[:size])
                self.assertIn(reader.method, (b"", method))

    def test_aRequestLineIsEnoughForTheMethod(self) -> None:
        reader = read([b"HEAD / HTTP/1.1\r\nHo"])
        self.assertEqual(result(reader), (Start.UNDECIDED, b"HEAD", False))

    def test_aHeadThatDoesNotEndIsARequestNevertheless(self) -> None:
        reader = read([b"GET / HTTP/1.1\r\nAccept: text/html\r\n", *[b"X: " + b"x" * 1000] * 9])
        self.assertEqual(result(reader), (Start.REQUEST, b"GET", True))

    def test_htmlIsForThoseThatNameIt(self) -> None:
        for accept, html in ACCEPTS:
            request = b"GET / HTTP/1.1\r\nHost: x\r\naCCept:%s\r\n\r\n" % accept
            self.assertIs(read([request]).acceptsHtml, html, accept)
        self.assertTrue(read([b"GET / HTTP/1.1\r\nAccept: a/b\r\nAccept: text/html\r\n\r\n"]).acceptsHtml)
        self.assertFalse(read([b"POST / HTTP/1.1\r\n\r\nAccept: text/html\r\n\r\n"]).acceptsHtml)


#: Pieces of requests, in any order.
PIECES: Final = (b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\n", b"\r", b"Accept:", b"text/html", b";q=0", b",", b"\0")


class PortionTests(SynchronousTestCase):
    """Bytes come in any portions."""

    def assertSame(self, data: bytes, seed: int) -> None:
        whole, parts = read([data]), read(portions(data, seed))
        self.assertEqual(result(whole), result(parts))
        self.assertLessEqual(len(parts._line), MAX_HEAD)

    @UNHURRIED
    @given(st.binary(max_size=200), st.integers(0, 255))
    def test_ofAnyBytes(self, data: bytes, seed: int) -> None:
        self.assertSame(data, seed)

    @UNHURRIED
    @given(st.lists(st.sampled_from((*PIECES, b"x" * 4000)), max_size=20).map(b"".join), st.integers(1, 255))
    def test_ofPiecesOfRequests(self, data: bytes, seed: int) -> None:
        self.assertSame(data, seed)

    def test_ofRequestsAndOfWhatIsNone(self) -> None:
        for data in (*OTHERS, *(request for request, _ in REQUESTS)):
            for seed in range(8):
                self.assertSame(data, seed)

    @UNHURRIED
    @given(st.sampled_from((*OTHERS, *(request for request, _ in REQUESTS))), st.binary(max_size=20))
    def test_whatIsDecidedStaysSo(self, data: bytes, more: bytes) -> None:
        reader = read([data])
        before = result(reader)
        reader.feed(more)
        self.assertEqual(result(reader), before)
