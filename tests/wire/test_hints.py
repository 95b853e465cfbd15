"""The worker that a connection belongs to, by its first bytes."""

from __future__ import annotations

import json
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.extension import Lane, encode, isToken, markedHello
from bore.wire.hints import hintOfPlain, hintOfTls
from bore.wire.limits import MAX_FRAME
from bore.wire.messages import Accept
from bore.wire.messages import encode as encodeBase
from bore.wire.more import More
from bore.wire.token import newToken
from bore.wire.workernumbers import MAX_WORKER, NO_WORKER, hintOf, workerOfHint, workerOfId, workerOfToken
from tests.wire.strategies import CLIENT_MESSAGES, UNHURRIED, UUIDS, WORKERS
from tests.wire.test_clienthello import offering, opensslHello


def escaped(text: str) -> str:
    """A text as JSON, with every character as an escape."""
    return '"' + "".join(f"\\u{ord(each):04x}" for each in text) + '"'


class NumberTests(SynchronousTestCase):
    """A number in a hint, a token and an id."""

    def test_everyNumberIsFoundAgain(self) -> None:
        for worker in range(1, MAX_WORKER + 1):
            self.assertEqual(workerOfHint(hintOf(worker)), worker)
            self.assertEqual(workerOfToken(f"{worker}.0123456789abcdef"), worker)
            self.assertEqual(workerOfId(UUID(f"{worker:04x}0000-0000-4000-8000-000000000000")), worker)

    def test_whatIsNoNumberLeadsNowhere(self) -> None:
        for text in ("", "0", "00001", "65536", "99999", "100000", "-1", "+1", " 1", "1 ", "1_0", "\uff11", "x"):
            self.assertEqual(workerOfHint(f"bore-at/{text}"), NO_WORKER, text)
            self.assertEqual(workerOfToken(f"{text}.0123456789abcdef"), NO_WORKER, text)
        for hint in ("bore-at/", "bore-at", "bore/1", "Bore-at/1", "bore-at/1\n", "xbore-at/1"):
            self.assertEqual(workerOfHint(hint), NO_WORKER, hint)
        self.assertEqual(workerOfToken("0123456789abcdef"), NO_WORKER)

    def test_aTokenWithANumberIsAToken(self) -> None:
        for worker in (1, 77, MAX_WORKER):
            token = newToken(worker)
            self.assertTrue(isToken(token))
            self.assertRegex(token, rf"\A{worker}\.[0-9a-f]{{32}}\Z")
            self.assertEqual(workerOfToken(token), worker)
        for text in (
            ".0123456789abcdef",
            "0.0123456789abcdef",
            "1.short",
            "1.2.0123456789abcdef",
            "123456." + "a" * 32,
        ):
            self.assertFalse(isToken(text), text)


class PlainTests(SynchronousTestCase):
    """The first message of a connection without TLS."""

    @UNHURRIED
    @given(WORKERS)
    def test_theTokenOfALane(self, worker: int) -> None:
        self.assertEqual(hintOfPlain(encode(Lane(newToken(worker))) + b"\x02OPEN"), worker)

    @UNHURRIED
    @given(UUIDS)
    def test_theIdOfAVisitor(self, id: UUID) -> None:
        self.assertEqual(hintOfPlain(encodeBase(Accept(id)) + b"early"), workerOfId(id))

    def test_aHelloAndATokenWithoutANumberLeadNowhere(self) -> None:
        for frame in (b'{"Hello":0}\0', markedHello(8000), encode(Lane(newToken())), b'{"Authenticate":"00"}\0'):
            self.assertEqual(hintOfPlain(frame), NO_WORKER)

    def test_whiteSpaceAndEscapesAreReadAsTheyAreElsewhere(self) -> None:
        token = newToken(7)
        for text in (
            f' {{ "Lane" :\t"{token}"\r\n}} ',
            f"{{{escaped('Lane')}:{escaped(token)}}}",
            f"\n\n{json.dumps({'Accept': '00070000-0000-4000-8000-000000000000'})}",
            '{"Accept":"urn:uuid:00070000-0000-4000-8000-000000000000"}',
            '{"Accept":"{00070000-0000-4000-8000-000000000000}"}',
            '{"Accept":"00070000000040008000000000000000"}',
        ):
            self.assertEqual(hintOfPlain(text.encode() + b"\0"), 7, text)

    def test_aPartAsksForMore(self) -> None:
        for frame in (encode(Lane(newToken(7))), b' \t\n\r{"Hello":0}\0'):
            for end in range(len(frame)):
                self.assertEqual(hintOfPlain(frame[:end]), More(1), frame[:end])

    def test_aFrameThatIsTooLongLeadsNowhere(self) -> None:
        lane = encode(Lane(newToken(7)))[:-1]
        self.assertEqual(hintOfPlain(lane.ljust(MAX_FRAME)), More(1))
        self.assertEqual(hintOfPlain(lane.ljust(MAX_FRAME) + b"\0"), 7)
        self.assertEqual(hintOfPlain(lane.ljust(MAX_FRAME + 1)), NO_WORKER)
        self.assertEqual(hintOfPlain(lane.ljust(MAX_FRAME + 1) + b"\0"), NO_WORKER)

    def test_otherProtocolsLeadNowhereAtOnce(self) -> None:
        for start in (
            b"G",
            b"\x16",
            b"PROXY",
            b"\r\n\r\n\0",
            b"SSH",
            b'"Heartbeat',
            b"[",
            b"\0",
            b"\xff",
            b"1",
            b"  x",
        ):
            self.assertEqual(hintOfPlain(start), NO_WORKER, start)

    def test_malformedMessagesLeadNowhere(self) -> None:
        for text in (
            b"{}",
            b'{"Lane":"7.short"}',
            b'{"Lane":null}',
            b'{"Lane":"7.0123456789abcdef","Lane":"7.0123456789abcdef"}',
            b'{"Accept":"0007"}',
            b'{"Lane":"7.\xff0123456789abcdef"}',
            b"{" * 200,
            b'{"Lane":' + b"[" * 200,
            b'{"Hello":' + b"9" * 200 + b"}",
        ):
            self.assertEqual(hintOfPlain(text + b"\0"), NO_WORKER, text)

    @UNHURRIED
    @given(st.binary(max_size=300))
    def test_anyBytesGiveANumberOrAskForMore(self, start: bytes) -> None:
        found = hintOfPlain(start)
        if isinstance(found, More):
            self.assertLessEqual(len(start), MAX_FRAME)
        else:
            self.assertIn(found, range(MAX_WORKER + 1))
            self.assertEqual(hintOfPlain(start + b"x"), found, "further bytes change a decision")

    @UNHURRIED
    @given(CLIENT_MESSAGES)
    def test_theMessagesOfTheBaseProtocolAreRead(self, message: object) -> None:
        found = hintOfPlain(encodeBase(message))  # type: ignore[arg-type]
        self.assertEqual(found, workerOfId(message.id) if isinstance(message, Accept) else NO_WORKER)


class TlsTests(SynchronousTestCase):
    """The protocols that a client offers."""

    @UNHURRIED
    @given(WORKERS)
    def test_theHintIsOneOfThem(self, worker: int) -> None:
        self.assertEqual(hintOfTls(offering(b"bore/1", hintOf(worker).encode())), worker)

    def test_thatOfOpenSsl(self) -> None:
        self.assertEqual(hintOfTls(opensslHello(b"bore/1", b"bore-at/3")), 3)
        self.assertEqual(hintOfTls(opensslHello(b"bore/1")), NO_WORKER)
        self.assertEqual(hintOfTls(opensslHello()), NO_WORKER)

    def test_theFirstHintCountsAndOtherNamesDoNot(self) -> None:
        self.assertEqual(hintOfTls(offering(b"h2", b"bore-at/0", b"\xff", b"bore-at/5", b"bore-at/6")), 5)

    def test_aPartAsksForMore(self) -> None:
        whole = offering(b"bore/1", b"bore-at/3")
        for end in range(len(whole)):
            self.assertIsInstance(hintOfTls(whole[:end]), More)

    def test_whatIsNotTlsLeadsNowhere(self) -> None:
        for start in (b'{"Hello":0}\0', b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\0"):
            self.assertEqual(hintOfTls(start), NO_WORKER)
