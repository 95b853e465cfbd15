"""What a connection to the control port is for, and what the server sends on it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import messages
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.errors import BrokenRule, PortInUse, PortNotAllowed, ProtocolViolation, Refusal, TakenOver
from bore.wire.extension import (
    Alive,
    Close,
    Closed,
    Extended,
    Goodbye,
    Lane,
    Open,
    Opened,
    Refused,
    Source,
    Visitor,
    decodeServerMessage,
    markedHello,
)
from bore.wire.framing import FrameDecoder
from bore.wire.messages import Accept, Connection, Error, Heartbeat, Hello, encode
from bore.wire.rulesmessage import rulesFrames
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import (
    ClientAlive,
    ClientLeft,
    LaneOffered,
    SendData,
    SessionAsked,
    TunnelAsked,
    TunnelLeft,
    VisitorTaken,
)
from tests.wire.sessions import (
    ID,
    LANE,
    SECRET,
    SERVER_STATES,
    SOURCE,
    TOKEN,
    outcomesOf,
    rightProof,
    serverSession,
)
from tests.wire.strategies import PORTS, SOURCES, STREAMS, TOKENS, UNHURRIED, UUIDS, frameOf, inPortions


class RequestTests(SynchronousTestCase):
    """A connection is for a tunnel or for a visitor."""

    def test_everyPortMayBeAskedFor(self) -> None:
        for port in (0, 1, 1023, 1024, 65535):
            self.assertEqual(outcomesOf(serverSession(None), encode(Hello(port))), [TunnelAsked(1, port)])
            self.assertEqual(outcomesOf(SERVER_STATES["OPENING"](), frameOf(Open(1, port))), [TunnelAsked(1, port)])

    def test_bytesBehindAcceptBelongToTheVisitor(self) -> None:
        early = b'early\0\xff bytes\0{"Hello":1}\0' + b"x" * 10_000
        for session in (serverSession(None), serverSession(SECRET)):
            data = rightProof(session) + encode(Accept(ID)) + early
            self.assertEqual(outcomesOf(session, data), [VisitorTaken(ID, early)])

    def test_bytesBehindLaneAreTheLanes(self) -> None:
        early = b'\1\0\0\0\2{}\0\xff{"Hello":1}\0' + b"x" * 10_000
        for session in (serverSession(None), serverSession(SECRET)):
            data = rightProof(session) + frameOf(Lane(LANE)) + early
            self.assertEqual(outcomesOf(session, data), [LaneOffered(LANE, early)])
            self.assertFalse(session.extended)

    def test_aMarkBehindAnotherMessageThanHelloMeansNothing(self) -> None:
        session = serverSession(SECRET)
        proof = rightProof(session).replace(b"\0", b" \0")
        self.assertEqual(outcomesOf(session, proof, encode(Hello(1))), [TunnelAsked(1, 1)])
        accept = encode(Accept(ID)).replace(b"\0", b" \0")
        self.assertEqual(outcomesOf(serverSession(None), accept), [VisitorTaken(ID, b"")])
        lane = frameOf(Lane(LANE)).replace(b"\0", b" \0")
        self.assertEqual(outcomesOf(serverSession(None), lane), [LaneOffered(LANE, b"")])

    def test_bytesBehindAnUnmarkedHelloAreThrownAway(self) -> None:
        for behind in (encode(Hello(2)), encode(Accept(ID)), markedHello(2), b"junk\0", b"x" * 10_000):
            session = serverSession(None)
            self.assertEqual(outcomesOf(session, encode(Hello(1)) + behind, b"\0"), [TunnelAsked(1, 1)])

    def test_aMarkedHelloOpensNoTunnelByItself(self) -> None:
        session = serverSession(None)
        self.assertEqual(outcomesOf(session, markedHello(8000)), [SessionAsked()])
        self.assertEqual(session.agreed(LANE, 9), frameOf(Extended(1, LANE, 0.5, 3.0, 9)))
        self.assertEqual(outcomesOf(session, frameOf(Open(1, 9000, TOKEN))), [TunnelAsked(1, 9000, TOKEN)])

    def test_aClientOfTheExtensionIsReadToTheEnd(self) -> None:
        session = serverSession(None)
        asked = outcomesOf(session, markedHello(1) + frameOf(Open(1, 1)))
        self.assertEqual(asked, [SessionAsked(), TunnelAsked(1, 1)])
        session.opened(1, 1, TOKEN, 60)
        session.heartbeat()
        session.heartbeat()
        sent = frameOf(Alive()) * 2 + frameOf(Goodbye()) + frameOf(Alive())
        self.assertEqual(outcomesOf(session, sent), [ClientAlive(), ClientAlive(), ClientLeft()])

    @given(st.lists(st.booleans(), max_size=40))
    def test_eachHeartbeatIsAnsweredOnceAtMost(self, steps: list[bool]) -> None:
        """A client that sends Alive without end would keep the server busy, and all others waiting."""
        session = SERVER_STATES["EXTENDED, open"]()
        owed = 0
        for asked in steps:
            if asked:
                session.heartbeat()
                owed += 1
                continue
            received = outcomesOf(session, frameOf(Alive()))
            self.assertEqual(received, [ClientAlive()] if owed else ["unexpected-message"])
            owed -= 1
            if owed < 0:
                break

    @given(st.lists(st.booleans(), max_size=40))
    def test_anAnswerAloneHasTheSameResultInOneStep(self, steps: list[bool]) -> None:
        session = SERVER_STATES["EXTENDED, open"]()
        owed = 0
        for asked in steps:
            if asked:
                session.heartbeat()
                owed += 1
                continue
            self.assertEqual(session.isAnswer(frameOf(Alive())), owed > 0)
            if not owed:
                self.assertEqual(outcomesOf(session, frameOf(Alive())), ["unexpected-message"])
                break
            owed -= 1

    def test_whatIsNotOneWholeAnswerIsNotProcessedInOneStep(self) -> None:
        session = SERVER_STATES["EXTENDED, open"]()
        alive = frameOf(Alive())
        for _ in range(3):
            session.heartbeat()
        for data in (b"", alive[:-1], alive * 2, b" " + alive):
            self.assertFalse(session.isAnswer(data), data)
        self.assertEqual(outcomesOf(session, alive[:3]), [])
        self.assertFalse(session.isAnswer(alive))
        self.assertEqual(outcomesOf(session, alive[3:]), [ClientAlive()])
        self.assertTrue(session.isAnswer(alive))

    def test_inOtherStatesAnAnswerIsNotProcessedInOneStep(self) -> None:
        for name, state in SERVER_STATES.items():
            session = state()
            session.heartbeat()
            self.assertEqual(session.isAnswer(frameOf(Alive())), name.startswith("EXTENDED"), name)

    def test_eventsAreGivenOneByOneAndErrorsInTheirTurn(self) -> None:
        events = SERVER_STATES["EXTENDED, open, asked"]().feed(frameOf(Alive()) + b"junk\0" + frameOf(Alive()))
        self.assertEqual(next(events), ClientAlive())
        self.assertRaises(BrokenRule, next, events)

    @UNHURRIED
    @given(
        st.sampled_from([state for name, state in SERVER_STATES.items() if name.startswith("SETTLED")]),
        inPortions(STREAMS),
    )
    def test_arbitraryBytesMeanNothingToASettledSession(
        self, state: Callable[[], ServerSession], sent: tuple[bytes, list[bytes]]
    ) -> None:
        self.assertEqual(outcomesOf(state(), *sent[1]), [])


class OutputTests(SynchronousTestCase):
    """A server speaks the base protocol, and the extension only with a client that knows it."""

    def setUp(self) -> None:
        self.base = SERVER_STATES["BASE_CLAIMING"]()
        self.extended = SERVER_STATES["EXTENDED, claiming"]()

    def test_onlyAMarkedHelloMakesASessionOfTheExtension(self) -> None:
        extended = {name for name, state in SERVER_STATES.items() if state().extended}
        self.assertEqual(
            extended,
            {
                "OPENING",
                "OPENING after the proof",
                "OPENING, with all rules",
                "EXTENDED, claiming",
                "EXTENDED, claiming after the proof",
                "EXTENDED, open",
                "EXTENDED, open, asked",
                "EXTENDED, gone",
                "EXTENDED, with all rules",
                "SETTLED by Goodbye",
                "SETTLED by Moved",
                "SETTLED by a refusal",
                "SETTLED by a refused claim",
            },
        )

    def test_theTunnelIsSentWithItsTokenOrWithItsPortAlone(self) -> None:
        self.assertEqual(self.base.opened(1, 8000, TOKEN, 60), encode(Hello(8000)))
        self.assertEqual(self.extended.opened(1, 8000, TOKEN, 60), frameOf(Opened(1, 8000, TOKEN, 60)))

    def test_aTunnelIsRefusedOrTakenWithItsNumberInTheExtension(self) -> None:
        self.assertEqual(
            self.extended.refused(1, PortInUse()), frameOf(Refused("port-in-use", "port already in use", True, 1))
        )
        opened, refusal = SERVER_STATES["EXTENDED, open"](), TakenOver()
        self.assertEqual(opened.closed(1, refusal), frameOf(Closed(1, "taken-over", str(refusal), True)))
        self.assertRaises(AssertionError, opened.closed, 1, refusal)

    def test_aClientThatGivesItsTunnelBackIsAnsweredOnce(self) -> None:
        for state in ("EXTENDED, claiming", "EXTENDED, open"):
            session = SERVER_STATES[state]()
            left = [TunnelLeft(1), SendData(frameOf(Closed(1)))]
            self.assertEqual(outcomesOf(session, frameOf(Close(1)) * 2), left)
            self.assertFalse(session.claims(1))
            self.assertEqual(outcomesOf(session, frameOf(Open(1, 1))), ["tunnel-number"])

    def test_theNumberOfATunnelIsGreaterThanAllBefore(self) -> None:
        session = SERVER_STATES["OPENING"]()
        self.assertEqual(
            outcomesOf(session, frameOf(Open(7, 1)), frameOf(Open(9, 2))), [TunnelAsked(7, 1), TunnelAsked(9, 2)]
        )
        self.assertEqual(outcomesOf(session, frameOf(Open(8, 3))), ["tunnel-number"])
        self.assertEqual(outcomesOf(SERVER_STATES["EXTENDED, open"](), frameOf(Close(2))), ["tunnel-number"])

    def test_theRulesInFrontOfAnOpenAreThatTunnels(self) -> None:
        session, rules = SERVER_STATES["EXTENDED, open"](), AddressRules((parseNetwork("192.0.2.0/24"),))
        asked = outcomesOf(session, rulesFrames(rules) + frameOf(Open(2, 1)) + frameOf(Open(3, 1)))
        self.assertEqual(asked, [TunnelAsked(2, 1, None, rules), TunnelAsked(3, 1)])

    def test_aVisitorIsSentWithItsAddressOrWithItsIdAlone(self) -> None:
        self.assertEqual(self.base.visitor(1, ID, SOURCE), encode(Connection(ID)))
        self.assertEqual(self.extended.visitor(1, ID, SOURCE), frameOf(Visitor(1, ID, SOURCE)))

    def test_aRefusalIsSentWithItsCodeOrAsTheOriginalsText(self) -> None:
        for refusal, refused in (
            (PortInUse(), Refused("port-in-use", "port already in use", True)),
            (PortNotAllowed("not that one"), Refused("port-not-allowed", "not that one", False)),
            (Refusal(), Refused("refused", "request refused", True)),
        ):
            self.assertEqual(self.base.refusal(refusal), encode(Error(type(refusal).text)))
            self.assertEqual(self.extended.refusal(refusal), frameOf(refused))

    def test_beforeAnyHelloARefusalIsAnError(self) -> None:
        for state in ("PROOF", "REQUEST", "REQUEST after the proof"):
            self.assertEqual(SERVER_STATES[state]().refusal(PortInUse()), encode(Error("port already in use")))

    @UNHURRIED
    @given(STREAMS)
    def test_everyRefusalFitsAFrameAndInTheExtensionEveryErrorIsOne(self, stream: bytes) -> None:
        for name, state in SERVER_STATES.items():
            session = state()
            try:
                list(session.feed(stream))
            except Refusal as e:
                frame = session.refusal(e).removesuffix(b"\0")
                if session.extended:
                    self.assertEqual(decodeServerMessage(frame), Refused(e.code, str(e), e.retry), name)
                else:
                    self.assertEqual(messages.decodeServerMessage(frame), Error(str(e)), name)
            except ProtocolViolation:
                self.assertFalse(session.extended, name)


class BaseClientTests(SynchronousTestCase):
    """A client of the base protocol never receives a byte of the extension."""

    @UNHURRIED
    @given(st.booleans(), PORTS, STREAMS, UUIDS, SOURCES, TOKENS)
    def test_whoSentAnUnmarkedHelloReceivesTheBaseProtocolOnly(
        self, secret: bool, port: int, behind: bytes, id: UUID, source: Source, token: str
    ) -> None:
        session = serverSession(SECRET if secret else None)
        received = session.greeting()
        events = outcomesOf(session, rightProof(session), encode(Hello(port)) + behind, behind)
        self.assertEqual(events, [TunnelAsked(1, port)])
        received += session.opened(1, port, token, 60) + encode(Heartbeat()) + session.visitor(1, id, source)
        received += session.refusal(PortInUse())
        decoder = FrameDecoder()
        decoder.feed(received)
        sent = [messages.decodeServerMessage(frame) for frame in iter(decoder.nextFrame, None)]
        self.assertEqual(sent[secret:], [Hello(port), Heartbeat(), Connection(id), Error("port already in use")])
        self.assertEqual(decoder.takeRest(), b"")

    @UNHURRIED
    @given(st.booleans(), STREAMS)
    def test_withoutAMarkedHelloNoSessionSendsAnything(self, secret: bool, stream: bytes) -> None:
        # Nothing in a stream without spaces can be a mark.
        session = serverSession(SECRET if secret else None)
        outcomes = outcomesOf(session, rightProof(session), stream.replace(b" ", b""))
        self.assertFalse([outcome for outcome in outcomes if isinstance(outcome, SendData | SessionAsked)])
        self.assertFalse(session.extended)
