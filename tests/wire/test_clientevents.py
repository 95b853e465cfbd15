"""What a client's session does with what its server sends, beyond the tables of states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import (
    MalformedMessage,
    Refusal,
)
from bore.wire.extension import Alive, Opened, Refused, Visitor, markedHello
from bore.wire.messages import Authenticate, Challenge, Connection, Error, Heartbeat, Hello, ServerMessage, encode
from bore.wire.proof import proveBase
from bore.wire.sessionevents import SendData, ServerAlive, TunnelOpened, Unexpected, VisitorCame
from tests.wire.sessions import (
    CLIENT_STATES,
    ID,
    OTHER,
    SECRET,
    TOKEN,
    outcomesOf,
)
from tests.wire.strategies import SERVER_MESSAGES, TEXTS, UNHURRIED, AnyMessage, frameOf


class ListeningTests(SynchronousTestCase):
    """A client understands what its server sends."""

    def test_anOpenTunnelStaysOpenBehindIgnoredMessages(self) -> None:
        session = CLIENT_STATES["OPEN"]()
        ignored: list[ServerMessage] = [Challenge(ID), Hello(1)]
        self.assertEqual(outcomesOf(session, *map(encode, ignored)), [Unexpected(message) for message in ignored])
        self.assertEqual(
            outcomesOf(session, encode(Connection(ID)), encode(Heartbeat())), [VisitorCame(1, ID), ServerAlive()]
        )

    @UNHURRIED
    @given(st.lists(SERVER_MESSAGES.filter(lambda message: not isinstance(message, Error)), max_size=8))
    def test_anOpenTunnelLivesThroughAnyMessagesButError(
        self, sent: list[Challenge | Hello | Heartbeat | Connection]
    ) -> None:
        events = outcomesOf(CLIENT_STATES["OPEN"](), b"".join(map(encode, sent)))
        self.assertEqual(len(events), len(sent))
        for event in events:
            self.assertIsInstance(event, ServerAlive | VisitorCame | Unexpected)

    def test_manyMessagesMayComeInOneSegment(self) -> None:
        proof = SendData(encode(Authenticate(proveBase(SECRET, ID))) + markedHello(8000))
        base: list[AnyMessage] = [Challenge(ID), Hello(7), Heartbeat(), Connection(ID), Connection(OTHER)]
        self.assertEqual(
            outcomesOf(CLIENT_STATES["CHALLENGE"](), b"".join(map(frameOf, base))),
            [proof, TunnelOpened(1, 7), ServerAlive(), VisitorCame(1, ID), VisitorCame(1, OTHER)],
        )
        extended: list[AnyMessage] = [Opened(1, 7, TOKEN, 60), Visitor(1, ID, None), Heartbeat()]
        self.assertEqual(
            outcomesOf(CLIENT_STATES["EXTENDED, asked"](), b"".join(map(frameOf, extended))),
            [TunnelOpened(1, 7, TOKEN), VisitorCame(1, ID), SendData(frameOf(Alive())), ServerAlive()],
        )

    def test_eventsAreGivenOneByOneAndErrorsInTheirTurn(self) -> None:
        events = CLIENT_STATES["ANSWER"]().feed(
            encode(Hello(7)) + encode(Heartbeat()) + b"junk\0" + encode(Heartbeat())
        )
        self.assertEqual(next(events), TunnelOpened(1, 7))
        self.assertEqual(next(events), ServerAlive())
        self.assertRaises(MalformedMessage, next, events)

    def test_aServerThatKnowsTheExtensionIsSentGoodbyeAndNoOther(self) -> None:
        for state in CLIENT_STATES:
            extended = state.startswith("EXTENDED")
            self.assertIs(CLIENT_STATES[state]().extended, extended, state)
            self.assertEqual(CLIENT_STATES[state]().goodbye(), b'"Goodbye"\0' if extended else b"", state)


class RefusedTests(SynchronousTestCase):
    """A client is refused."""

    @UNHURRIED
    @given(TEXTS)
    def test_aRefusalCarriesTheServersTexts(self, text: str) -> None:
        for state in ("CHALLENGE", "ANSWER", "OPEN"):
            error = self.assertRaises(Refusal, list, CLIENT_STATES[state]().feed(encode(Error(text))))
            self.assertEqual(str(error), text)

    @UNHURRIED
    @given(TEXTS, TEXTS, st.booleans())
    def test_inTheExtensionItCarriesACodeAndWhetherToTryAgain(self, code: str, text: str, retry: bool) -> None:
        for state in ("EXTENDED", "EXTENDED, open"):
            error = self.assertRaises(Refusal, list, CLIENT_STATES[state]().feed(frameOf(Refused(code, text, retry))))
            self.assertEqual((error.code, str(error), error.retry), (code, text, retry))

    def test_whatAClientFindsOutForItselfIsSentInTheOriginalsTexts(self) -> None:
        error = self.assertRaises(Refusal, list, CLIENT_STATES["ANSWER"]().feed(encode(Challenge(ID))))
        self.assertEqual(str(error), "server requires authentication, but no client secret was provided")
        error = self.assertRaises(Refusal, list, CLIENT_STATES["CHALLENGE"]().feed(encode(Hello(1))))
        self.assertEqual(str(error), "expected authentication challenge, but no secret was required")
