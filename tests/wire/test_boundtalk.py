"""Client and server talk inside TLS, alone or with somebody in between; and what is said on data connections there."""

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
from bore.wire.extension import Lane, Visitor
from bore.wire.messages import Accept, Challenge, Error, Heartbeat, encode
from bore.wire.secret import Secret
from bore.wire.sessionevents import (
    ClientAlive,
    LaneOffered,
    SendData,
    ServerAlive,
    ServerProven,
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
    saidBy,
    saidProof,
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
    hears,
    row,
    serverSession,
)
from tests.wire.strategies import PORTS, TOKENS, UNHURRIED, UUIDS, frameOf, inPortions, portions
from tests.wire.test_conversation import NEWS, OPEN_PORTS, SEGMENTS, News, Script, Talk


class OurTwoEndsTests(SynchronousTestCase):
    """Two ends of one TLS connection."""

    @UNHURRIED
    @given(st.text(), PORTS, st.none() | TOKENS, OPEN_PORTS, NEWS, SEGMENTS)
    def test_aTunnelIsOpenedAndToldOfWhateverTheNetworkDoes(
        self, secret: str, port: int, resume: str | None, opened: int, news: list[News], segments: list[int]
    ) -> None:
        client = controlSession(port, Secret(secret), resume, BINDING)
        talk = Talk(client, serverSession(Secret(secret), BINDING), Script(opened, TOKEN, LANE, news), segments)
        talk.untilSilence()
        told = [VisitorCame(said.id, said.source) if isinstance(said, Visitor) else ServerAlive() for said in news]
        self.assertEqual(talk.clientHeard, [ServerProven(), TunnelOpened(opened, TOKEN, LANE), *told])
        alive = [ClientAlive() for said in news if isinstance(said, Heartbeat)]
        self.assertEqual(talk.serverHeard, [TunnelAsked(port, resume), *alive])

    @UNHURRIED
    @given(st.text(), st.text(), SEGMENTS)
    def test_theyComeToTermsIfTheyShareASecret(self, ours: str, theirs: str, segments: list[int]) -> None:
        client, server = controlSession(0, Secret(ours), TOKEN, BINDING), serverSession(Secret(theirs), BINDING)
        talk = Talk(client, server, Script(8000, TOKEN, LANE, []), segments)
        if ours == theirs:
            talk.untilSilence()
            self.assertEqual(talk.clientHeard, [ServerProven(), TunnelOpened(8000, TOKEN, LANE)])
        else:
            self.assertRaises(InvalidSecret, talk.untilSilence)
            self.assertEqual((talk.serverHeard, talk.clientHeard), ([], []))


class InBetweenTests(SynchronousTestCase):
    """Somebody has a TLS connection to the client, and another to the server."""

    def setUp(self) -> None:
        self.client = controlSession(8000, SECRET, TOKEN, BINDING)
        self.server = serverSession(SECRET, ELSEWHERE)

    def test_whoPassesEverythingOnComesToNothingOnEitherSide(self) -> None:
        said = saidBy(self.client, self.server.greeting())
        refusal = self.assertRaises(InvalidSecret, list, self.server.feed(said))
        self.assertEqual(hears(self.client, self.server.refusal(refusal)), [InvalidSecret])
        self.assertEqual([list(frame) for frame in framesOf(said) if isinstance(frame, dict)], [["BindingProof"]])
        self.assertNotIn(TOKEN.encode(), said)

    def test_theSameOnADataConnection(self) -> None:
        session = dataSession(Accept(ID), SECRET, BINDING)
        said = session.feed(self.server.greeting())
        refusal = self.assertRaises(InvalidSecret, list, self.server.feed(said))
        self.assertRaises(InvalidSecret, session.feed, self.server.refusal(refusal))
        self.assertFalse(session.complete)

    def test_whoAsksForTheProofOfTheBaseProtocolInsteadHearsNothing(self) -> None:
        self.assertEqual(hears(self.client, serverSession(SECRET).greeting()), [UnboundChallenge])
        session = dataSession(Accept(ID), SECRET, BINDING)
        self.assertRaises(WireError, session.feed, serverSession(SECRET).greeting())
        self.assertFalse(session.complete)

    def test_whoTookTheProofOfTheBaseProtocolFromAPlainConnectionHearsNothing(self) -> None:
        (said,) = hears(controlSession(8000, SECRET), encode(Challenge(ID)))
        assert isinstance(said, SendData)
        self.assertEqual(hears(self.server, said.data), [UnboundProof])

    def test_whoTakesAwayTheTlsOnOneSideComesToNothingEither(self) -> None:
        plain = serverSession(SECRET)
        self.assertEqual(hears(plain, saidBy(self.client, challengeFrame())), [UnreadableProof])
        outcomes = hears(controlSession(8000, SECRET), self.server.greeting())
        self.assertEqual(outcomes, [UnknownMessage])

    def test_theLastWordsOfWhoeverIsThereAreTaken(self) -> None:
        saidBy(self.client, challengeFrame())
        error = self.assertRaises(Refusal, list, self.client.feed(encode(Error("go away"))))
        self.assertEqual((type(error), str(error)), (Refusal, "go away"))


Outcome: TypeAlias = bytes | End

#: Stands for proof and request.
SAID: Final = b"proof and request"

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


def heard(session: DataSession, *arriving: bytes) -> Outcome:
    """What follows on a data connection: all that is said, or the class of what is raised."""
    try:
        return b"".join(session.feed(portion) for portion in arriving if not session.complete)
    except WireError as e:
        return type(e)


class DataSessionTests(SynchronousTestCase):
    """Challenge, proof and request, and the server's proof; behind it all bytes are the visitor's, or the lane's."""

    def test_everyMessageIsAnsweredAsItShould(self) -> None:
        fresh: dict[str, list[Outcome]] = row([UnknownMessage], {**_WRONG, "BindingChallenge": [SAID]})
        asked: dict[str, list[Outcome]] = row(
            [UnknownMessage], {**_WRONG, "Challenge": [ProtocolViolation], "BindingAnswer": [ServerNotProven]}
        )
        for table, proving in ((fresh, False), (asked, True)):
            for column, expected in table.items():
                for data in COLUMNS[column]:
                    session = provingData(Accept(OTHER))[0] if proving else dataSession(Accept(OTHER), SECRET, BINDING)
                    said = heard(session, data)
                    if isinstance(said, bytes) and said:
                        said = SAID if said.endswith(b"}\0" + encode(Accept(OTHER))) and saidProof(said) else said
                    self.assertEqual([said], expected, f"{proving} {column} {data[:80]!r}")
                    self.assertFalse(session.complete)

    def test_withoutASecretTheRequestIsAllThatIsSaid(self) -> None:
        session = dataSession(Accept(ID), None, BINDING)
        self.assertEqual((session.greeting(), session.complete, session.takeRest()), (encode(Accept(ID)), True, b""))

    def test_itSaysNothingUnasked(self) -> None:
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
        said = b"".join(map(client.feed, data.draw(portions(server.greeting()))))
        self.assertFalse(client.complete)
        answer, taken = hears(server, said + early)
        match request:
            case Accept(id):
                self.assertEqual(taken, VisitorTaken(id, early))
            case Lane(token):
                self.assertEqual(taken, LaneOffered(token, early))
        words: bytes = getattr(answer, "data", b"")
        arrived = 0
        for portion in data.draw(portions(words + later)):
            if client.complete:
                break
            self.assertEqual(client.feed(portion), b"")
            arrived += len(portion)
            self.assertIs(client.complete, arrived >= len(words))
        self.assertEqual(client.takeRest() + (words + later)[arrived:], later)

    def test_bytesBehindTheAnswerAreTheVisitors(self) -> None:
        session, words = provingData(Accept(ID))
        early = encode(Heartbeat()) + b"\0\xff" + challengeFrame() + b"x" * 1000
        self.assertEqual(session.feed(rightAnswer(words) + early), b"")
        self.assertEqual((session.complete, session.takeRest(), session.takeRest()), (True, early, b""))

    @UNHURRIED
    @given(st.booleans(), inPortions(HOSTILE))
    def test_whoDoesNotKnowTheSecretGetsNoVisitor(self, asked: bool, sent: tuple[bytes, list[bytes]]) -> None:
        outcomes = []
        for arriving in ([sent[0]], sent[1]):
            session = provingData(Accept(ID))[0] if asked else dataSession(Accept(ID), SECRET, BINDING)
            said = heard(session, *arriving)
            self.assertFalse(session.complete)
            if isinstance(said, bytes) and said:
                self.assertEqual(said[said.index(b"\0") + 1 :], encode(Accept(ID)))
                said = b"proof"
            outcomes.append(said)
        self.assertEqual(outcomes[0], outcomes[1])

    def test_theProofOfAnotherDataConnectionIsNone(self) -> None:
        words = provingData(Accept(ID))[1]
        session, _ = provingData(Accept(ID))
        self.assertRaises(ServerNotProven, session.feed, rightAnswer(words))
        session, words = provingData(Lane(LANE))
        self.assertRaises(ServerNotProven, session.feed, rightAnswer(words, ELSEWHERE))

    def test_theRequestStandsBehindTheProof(self) -> None:
        for request in (Accept(ID), Lane(LANE)):
            _, words = provingData(request)
            self.assertEqual(words[words.index(b"\0") + 1 :], frameOf(request))
