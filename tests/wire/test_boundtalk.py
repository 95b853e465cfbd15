"""Client and server talk inside TLS, alone or with a man in the middle; and what is sent on data connections there."""

from __future__ import annotations

from typing import Final, TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.datasession import DataSession
from bore.wire.errors import (
    FrameTooLong,
    InvalidSecret,
    MalformedMessage,
    PortInUse,
    ProtocolViolation,
    Refusal,
    ServerNotProven,
    UnboundChallenge,
    UnboundProof,
    UnknownMessage,
    UnreadableProof,
    WireError,
)
from bore.wire.extension import Lane, Open, Visitor
from bore.wire.messages import Accept, Challenge, Error, Heartbeat, encode
from bore.wire.secret import Secret
from bore.wire.sessionevents import (
    ClientAlive,
    LaneOffered,
    SendData,
    ServerAlive,
    ServerProven,
    SessionOpened,
    TunnelAsked,
    TunnelOpened,
    VisitorCame,
    VisitorTaken,
)
from tests.wire.bindings import (
    BINDING,
    ELSEWHERE,
    HOSTILE,
    challengeFrame,
    framesOf,
    provingData,
    rightAnswer,
    sentBy,
    sentProof,
)
from tests.wire.sessions import (
    COLUMNS,
    ID,
    LANE,
    OTHER,
    SECRET,
    TOKEN,
    End,
    controlSession,
    dataSession,
    outcomesOf,
    row,
    serverSession,
)
from tests.wire.strategies import PORTS, TOKENS, UNHURRIED, UUIDS, frameOf, inPortions, portions
from tests.wire.test_conversation import NEWS, OPEN_PORTS, SEGMENTS, News, Script, Talk


class OurTwoEndsTests(SynchronousTestCase):
    """Two ends of one TLS connection."""

    @UNHURRIED
    @given(st.text(), PORTS, st.none() | TOKENS, OPEN_PORTS, NEWS, SEGMENTS)
    def test_aTunnelIsOpenedAndAnnouncedWhateverTheNetworkDoes(
        self, secret: str, port: int, resume: str | None, opened: int, news: list[News], segments: list[int]
    ) -> None:
        client = controlSession(port, Secret(secret), BINDING)
        talk = Talk(
            client,
            serverSession(Secret(secret), BINDING),
            Script(opened, TOKEN, LANE, news),
            segments,
            Open(1, port, resume),
        )
        talk.untilSilence()
        reported = [
            VisitorCame(1, sent.id, sent.source) if isinstance(sent, Visitor) else ServerAlive() for sent in news
        ]
        self.assertEqual(
            talk.clientReceived, [ServerProven(), SessionOpened(LANE), TunnelOpened(1, opened, TOKEN), *reported]
        )
        alive = [ClientAlive() for sent in news if isinstance(sent, Heartbeat)]
        self.assertEqual(talk.serverReceived, [TunnelAsked(1, port, resume), *alive])

    @UNHURRIED
    @given(st.text(), st.text(), SEGMENTS)
    def test_theyComeToTermsIfTheyShareASecret(self, ours: str, theirs: str, segments: list[int]) -> None:
        client, server = controlSession(0, Secret(ours), BINDING), serverSession(Secret(theirs), BINDING)
        talk = Talk(client, server, Script(8000, TOKEN, LANE, []), segments, Open(1, 0, TOKEN))
        if ours == theirs:
            talk.untilSilence()
            self.assertEqual(talk.clientReceived, [ServerProven(), SessionOpened(LANE), TunnelOpened(1, 8000, TOKEN)])
        else:
            self.assertRaises(InvalidSecret, talk.untilSilence)
            self.assertEqual((talk.serverReceived, talk.clientReceived), ([], []))


class InBetweenTests(SynchronousTestCase):
    """A man in the middle has a TLS connection to the client, and another to the server."""

    def setUp(self) -> None:
        self.client = controlSession(8000, SECRET, BINDING)
        self.server = serverSession(SECRET, ELSEWHERE)

    def test_whoPassesEverythingOnComesToNothingOnEitherSide(self) -> None:
        sent = sentBy(self.client, self.server.greeting())
        refusal = self.assertRaises(InvalidSecret, list, self.server.feed(sent))
        self.assertEqual(outcomesOf(self.client, self.server.refusal(refusal)), [InvalidSecret])
        self.assertEqual([list(frame) for frame in framesOf(sent) if isinstance(frame, dict)], [["BindingProof"]])
        self.assertNotIn(TOKEN.encode(), sent)

    def test_theSameOnADataConnection(self) -> None:
        session = dataSession(Accept(ID), SECRET, BINDING)
        sent = session.feed(self.server.greeting())
        refusal = self.assertRaises(InvalidSecret, list, self.server.feed(sent))
        self.assertRaises(InvalidSecret, session.feed, self.server.refusal(refusal))
        self.assertFalse(session.complete)

    def test_whoAsksForTheProofOfTheBaseProtocolInsteadReceivesNothing(self) -> None:
        self.assertEqual(outcomesOf(self.client, serverSession(SECRET).greeting()), [UnboundChallenge])
        session = dataSession(Accept(ID), SECRET, BINDING)
        self.assertRaises(WireError, session.feed, serverSession(SECRET).greeting())
        self.assertFalse(session.complete)

    def test_whoTookTheProofOfTheBaseProtocolFromAPlainConnectionReceivesNothing(self) -> None:
        (sent,) = outcomesOf(controlSession(8000, SECRET), encode(Challenge(ID)))
        assert isinstance(sent, SendData)
        self.assertEqual(outcomesOf(self.server, sent.data), [UnboundProof])

    def test_whoTakesAwayTheTlsOnOneSideComesToNothingEither(self) -> None:
        plain = serverSession(SECRET)
        self.assertEqual(outcomesOf(plain, sentBy(self.client, challengeFrame())), [UnreadableProof])
        outcomes = outcomesOf(controlSession(8000, SECRET), self.server.greeting())
        self.assertEqual(outcomes, [UnknownMessage])

    def test_aRefusalInThePlaceOfTheServersProofIsTaken(self) -> None:
        sentBy(self.client, challengeFrame())
        error = self.assertRaises(Refusal, list, self.client.feed(encode(Error("go away"))))
        self.assertEqual((type(error), str(error)), (Refusal, "go away"))


Outcome: TypeAlias = bytes | End

#: Stands for proof and request.
SENT: Final = b"proof and request"

_WRONG: Final[dict[str, list[Outcome]]] = {
    **{
        key: [ProtocolViolation]
        for key in (
            "Hello",
            "marked Hello",
            "Heartbeat",
            "Connection",
            "BindingChallenge",
            "BindingAnswer",
        )
    },
    "Challenge": [UnboundChallenge],
    **{key: [MalformedMessage] for key in ("bad JSON", "wrong Hello")},
    **{key: [FrameTooLong] for key in ("257 bytes", "257 bytes without an end", "4097 bytes")},
    "Error": [PortInUse],
    "no end": [b""],
}


def received(session: DataSession, *arriving: bytes) -> Outcome:
    """What follows on a data connection: the bytes that are sent, or the class of the error."""
    try:
        return b"".join(session.feed(portion) for portion in arriving if not session.complete)
    except WireError as e:
        return type(e)


class DataSessionTests(SynchronousTestCase):
    """Challenge, proof and request, and the server's proof; behind it all bytes are the visitor's, or the lane's."""

    def test_everyMessageIsAnsweredAsItShould(self) -> None:
        fresh: dict[str, list[Outcome]] = row([UnknownMessage], {**_WRONG, "BindingChallenge": [SENT]})
        asked: dict[str, list[Outcome]] = row(
            [UnknownMessage], {**_WRONG, "Challenge": [ProtocolViolation], "BindingAnswer": [ServerNotProven]}
        )
        for table, proving in ((fresh, False), (asked, True)):
            for column, expected in table.items():
                for data in COLUMNS[column]:
                    session = provingData(Accept(OTHER))[0] if proving else dataSession(Accept(OTHER), SECRET, BINDING)
                    sent = received(session, data)
                    if isinstance(sent, bytes) and sent:
                        sent = SENT if sent.endswith(b"}\0" + encode(Accept(OTHER))) and sentProof(sent) else sent
                    self.assertEqual([sent], expected, f"{proving} {column} {data[:80]!r}")
                    self.assertFalse(session.complete)

    def test_withoutASecretTheRequestIsAllThatIsSent(self) -> None:
        session = dataSession(Accept(ID), None, BINDING)
        self.assertEqual((session.greeting(), session.complete, session.takeRest()), (encode(Accept(ID)), True, b""))

    def test_itSendsNothingBeforeTheChallenge(self) -> None:
        session = dataSession(Lane(LANE), SECRET, BINDING)
        self.assertEqual((session.greeting(), session.complete), (b"", False))

    def test_nobodyIsAnsweredTwice(self) -> None:
        session, _ = provingData(Accept(ID))
        self.assertRaises(ProtocolViolation, session.feed, challengeFrame())
        both = dataSession(Accept(ID), SECRET, BINDING)
        self.assertRaises(ProtocolViolation, both.feed, challengeFrame() * 2)

    @UNHURRIED
    @given(st.text(), UUIDS.map(Accept) | TOKENS.map(Lane), st.binary(), st.binary(), st.data())
    def test_aServerWithTheSameSecretHandsTheVisitorOverInAnyPortions(
        self, secret: str, request: Accept | Lane, early: bytes, later: bytes, data: DataObject
    ) -> None:
        client, server = dataSession(request, Secret(secret), BINDING), serverSession(Secret(secret), BINDING)
        sent = b"".join(map(client.feed, data.draw(portions(server.greeting()))))
        self.assertFalse(client.complete)
        answer, taken = outcomesOf(server, sent + early)
        match request:
            case Accept(id):
                self.assertEqual(taken, VisitorTaken(id, early))
            case Lane(token):
                self.assertEqual(taken, LaneOffered(token, early))
        output: bytes = getattr(answer, "data", b"")
        arrived = 0
        for portion in data.draw(portions(output + later)):
            if client.complete:
                break
            self.assertEqual(client.feed(portion), b"")
            arrived += len(portion)
            self.assertIs(client.complete, arrived >= len(output))
        self.assertEqual(client.takeRest() + (output + later)[arrived:], later)

    def test_bytesBehindTheAnswerAreTheVisitors(self) -> None:
        session, output = provingData(Accept(ID))
        early = encode(Heartbeat()) + b"\0\xff" + challengeFrame() + b"x" * 1000
        self.assertEqual(session.feed(rightAnswer(output) + early), b"")
        self.assertEqual((session.complete, session.takeRest(), session.takeRest()), (True, early, b""))

    @UNHURRIED
    @given(st.booleans(), inPortions(HOSTILE))
    def test_whoDoesNotKnowTheSecretGetsNoVisitor(self, asked: bool, sent: tuple[bytes, list[bytes]]) -> None:
        outcomes = []
        for arriving in ([sent[0]], sent[1]):
            session = provingData(Accept(ID))[0] if asked else dataSession(Accept(ID), SECRET, BINDING)
            answer = received(session, *arriving)
            self.assertFalse(session.complete)
            if isinstance(answer, bytes) and answer:
                self.assertEqual(answer[answer.index(b"\0") + 1 :], encode(Accept(ID)))
                answer = b"proof"
            outcomes.append(answer)
        self.assertEqual(outcomes[0], outcomes[1])

    def test_theProofOfAnotherDataConnectionIsNone(self) -> None:
        output = provingData(Accept(ID))[1]
        session, _ = provingData(Accept(ID))
        self.assertRaises(ServerNotProven, session.feed, rightAnswer(output))
        session, output = provingData(Lane(LANE))
        self.assertRaises(ServerNotProven, session.feed, rightAnswer(output, ELSEWHERE))

    def test_theRequestStandsBehindTheProof(self) -> None:
        for request in (Accept(ID), Lane(LANE)):
            _, output = provingData(request)
            self.assertEqual(output[output.index(b"\0") + 1 :], frameOf(request))
