"""The sessions of both sides inside TLS, without a connection: every state, every message, every portion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import (
    ClientHasNoSecret,
    FrameTooLong,
    InvalidSecret,
    LateChallenge,
    MalformedMessage,
    OverlongProof,
    PortInUse,
    ProofTimeout,
    ProtocolViolation,
    SecretMissing,
    ServerHasNoSecret,
    ServerNotProven,
    UnboundChallenge,
    UnboundProof,
    UnknownMessage,
    UnreadableProof,
)
from bore.wire.extension import Extended, Lane, markedHello
from bore.wire.messages import Accept, Challenge, Hello, encode
from bore.wire.serverproof import Identity
from bore.wire.sessionevents import (
    LaneOffered,
    SendData,
    ServerProven,
    SessionAsked,
    SessionOpened,
    TunnelAsked,
    VisitorTaken,
)
from tests.wire import test_clientsession, test_serversession
from tests.wire.bindings import (
    BINDING,
    CLIENT_STATES,
    HOSTILE,
    NONCE,
    SERVER_STATES,
    answerFrame,
    boundProof,
    challengeFrame,
    framesOf,
    nonceOf,
    proofOf,
    proving,
    rightAnswer,
    sentBy,
    sentProof,
)
from tests.wire.sessions import (
    COLUMNS,
    ID,
    LANE,
    SECRET,
    ClientOutcomes,
    ClientRow,
    ServerOutcomes,
    ServerRow,
    controlSession,
    isEnd,
    outcomesOf,
    row,
    serverSession,
)
from tests.wire.strategies import UNHURRIED, frameOf, inPortions, portions

_OVERLONG: Final = ("257 bytes", "257 bytes without an end", "4097 bytes")

#: The rows of the table of :mod:`bore.wire.serversession`, inside TLS; but for the first they are the plain ones.
SERVER: Final[dict[str, ServerRow]] = {
    "PROOF": row(
        [UnreadableProof],
        {
            "BindingProof": [InvalidSecret],
            "Authenticate": [UnboundProof],
            **{key: [SecretMissing] for key in ("Accept", "Hello", "marked Hello", "Lane", "wrong Lane")},
            **{key: [OverlongProof] for key in _OVERLONG},
            "no end": [],
        },
    ),
    **{
        name: test_serversession.TABLE[name]
        for name in SERVER_STATES
        if name in ("REQUEST", "OPENING", "EXTENDED, claiming")
    },
    **{name: test_serversession.TABLE[name] for name in SERVER_STATES if name.startswith("SETTLED")},
}

#: Stands for the right proof, with a nonce of the client's own.
PROOF_SENT: Final = SendData(b"proof")

_NO_MESSAGE: Final[ClientRow] = {
    "bad JSON": [MalformedMessage],
    "wrong Hello": [MalformedMessage],
    **{key: [FrameTooLong] for key in _OVERLONG},
    "no end": [],
}
_BASE: Final = ("Hello", "marked Hello", "Heartbeat", "Connection")
_CHALLENGE_ROW: Final[ClientRow] = row(
    [UnknownMessage],
    {
        "BindingChallenge": [PROOF_SENT],
        "Challenge": [UnboundChallenge],
        **{key: [ServerHasNoSecret] for key in (*_BASE, "BindingAnswer")},
        "Error": [PortInUse],
        **_NO_MESSAGE,
    },
)
_PROBED_ROW: Final[ClientRow] = {
    **_CHALLENGE_ROW,
    **{key: [ServerHasNoSecret] for key in ("Extended", "Error")},
    "BindingChallenge": [LateChallenge],
    "BindingAnswer": [UnknownMessage],
}
_PROVING_ROW: Final[ClientRow] = {
    **_CHALLENGE_ROW,
    **{key: [ProtocolViolation] for key in (*_BASE, "BindingChallenge", "Challenge")},
    "BindingAnswer": [ServerNotProven],
}

#: The rows of the table of :mod:`bore.wire.clientsession`, inside TLS; behind the proof they are the plain ones.
CLIENT: Final[dict[str, ClientRow]] = {
    "CHALLENGE": _CHALLENGE_ROW,
    "PROBED": _PROBED_ROW,
    "PROVING": _PROVING_ROW,
    **{
        name: test_clientsession.TABLE[f"{name} after the proof"]
        for name in ("ANSWER", "OPEN", "EXTENDED", "EXTENDED, open")
    },
}

#: The nonce of the challenge in COLUMNS.
_ASKED: Final = bytes([0x5A] * 32)

Portions: TypeAlias = tuple[bytes, list[bytes]]


def recognised(outcomes: ClientOutcomes) -> ClientOutcomes:
    """The same, with the right proof recognised."""

    def each(outcome: object) -> bool:
        if not isinstance(outcome, SendData) or not outcome.data.startswith(b'{"BindingProof"'):
            return False
        nonce, proof = sentProof(outcome.data)
        return len(framesOf(outcome.data)) == 1 and proof == proofOf("client", _ASKED, nonce)

    return [PROOF_SENT if each(outcome) else outcome for outcome in outcomes]


def outputOf(outcomes: Iterable[object]) -> bytes:
    """All bytes that were sent."""
    return b"".join(outcome.data for outcome in outcomes if isinstance(outcome, SendData))


class ServerTableTests(SynchronousTestCase):
    """A server inside TLS."""

    def test_everyStateAnswersEveryMessageAsTheTableSays(self) -> None:
        self.assertEqual(list(SERVER), list(SERVER_STATES))
        for state, cells in SERVER.items():
            for column, expected in cells.items():
                for data in COLUMNS[column]:
                    outcomes = outcomesOf(SERVER_STATES[state](), data)
                    self.assertEqual(outcomes, expected, f"{state}: {column} {data[:80]!r}")

    def test_withoutASecretItIsAsWithoutTls(self) -> None:
        for column, expected in test_serversession.TABLE["REQUEST"].items():
            for data in COLUMNS[column]:
                self.assertEqual(outcomesOf(serverSession(None, BINDING), data), expected, f"{column} {data[:80]!r}")
        self.assertEqual(serverSession(None, BINDING).greeting(), b"")

    def test_theProofIsAskedForAndAnsweredOnce(self) -> None:
        session = serverSession(SECRET, BINDING)
        self.assertIsInstance(session.timedOut(), ProofTimeout)
        self.assertIsNone(session.identity)
        outcomes = outcomesOf(session, boundProof(session) * 2)
        self.assertEqual(len(outcomes), 2)
        self.assertEqual(outcomes[1], UnknownMessage)
        self.assertIsNone(session.timedOut())
        self.assertEqual(session.identity, Identity("", SECRET))

    def test_whatFollowsAWrongProofIsNotRead(self) -> None:
        session = serverSession(SECRET, BINDING)
        wrong = COLUMNS["BindingProof"][0]
        self.assertEqual(outcomesOf(session, wrong + boundProof(session) + encode(Hello(1))), [InvalidSecret])

    @UNHURRIED
    @given(inPortions(HOSTILE))
    def test_whoDoesNotKnowTheSecretReceivesNothingButTheChallenge(self, sent: Portions) -> None:
        session, whole = serverSession(SECRET, BINDING), serverSession(SECRET, BINDING)
        outcomes = outcomesOf(session, *sent[1])
        self.assertFalse([outcome for outcome in outcomes if not isEnd(outcome)])
        self.assertEqual(outcomes, outcomesOf(whole, sent[0]))
        self.assertFalse(session.extended)

    @UNHURRIED
    @given(st.data(), st.sampled_from([Accept(ID), Lane(LANE), Hello(8000)]), st.binary())
    def test_proofAndRequestMayArriveInAnyPortions(
        self, data: DataObject, request: Accept | Lane | Hello, early: bytes
    ) -> None:
        session = serverSession(SECRET, BINDING)
        output = boundProof(session) + frameOf(request)
        arriving = data.draw(portions(output + early))
        taken = 0
        outcomes: ServerOutcomes = []
        while taken < len(output):
            portion = arriving.pop(0)
            taken += len(portion)
            outcomes += outcomesOf(session, portion)
        rest = (output + early)[len(output) : taken]
        asked = {Accept: VisitorTaken(ID, rest), Lane: LaneOffered(LANE, rest), Hello: TunnelAsked(1, 8000)}
        answer = answerFrame(proofOf("server", nonceOf(session), NONCE))
        self.assertEqual(outcomes, [SendData(answer), asked[type(request)]])


class ClientTableTests(SynchronousTestCase):
    """A client inside TLS."""

    def test_everyStateAnswersEveryMessageAsTheTablesSay(self) -> None:
        self.assertEqual(list(CLIENT), list(CLIENT_STATES))
        for state, cells in CLIENT.items():
            for column, expected in cells.items():
                for data in COLUMNS[column]:
                    outcomes = recognised(outcomesOf(CLIENT_STATES[state](), data))
                    self.assertEqual(outcomes, expected, f"{state}: {column} {data[:80]!r}")

    def test_withoutASecretItIsAsWithoutTls(self) -> None:
        for column, expected in test_clientsession.TABLE["ANSWER"].items():
            for data in COLUMNS[column]:
                session = controlSession(8000, None, BINDING)
                self.assertEqual(session.greeting(), markedHello(8000))
                self.assertEqual(outcomesOf(session, data), expected, f"{column} {data[:80]!r}")

    def test_itSendsNothingBeforeTheChallengeAndHelloOnlyBehindTheServersProof(self) -> None:
        session, output = proving()
        self.assertEqual((session.greeting(), session.noChallenge(), session.goodbye()), (b"", b"", b""))
        self.assertEqual([next(iter(frame)) for frame in framesOf(output) if isinstance(frame, dict)], ["BindingProof"])
        outcomes = outcomesOf(session, rightAnswer(output), frameOf(Extended(1)))
        self.assertEqual(outcomes, [ServerProven(), SendData(markedHello(8000)), SessionOpened()])

    def test_theChallengeOfTheBaseProtocolIsNotAnswered(self) -> None:
        for state in ("CHALLENGE", "PROBED"):
            outcomes = outcomesOf(CLIENT_STATES[state](), encode(Challenge(ID)), challengeFrame())
            self.assertEqual(outcomes[:1], [UnboundChallenge])

    def test_whoHasNoSecretAndWhoHasNoneIsFoundOut(self) -> None:
        client, server = controlSession(8000, SECRET, BINDING), serverSession(None, BINDING)
        self.assertEqual((client.greeting(), server.greeting()), (b"", b""))
        self.assertEqual(outcomesOf(server, client.noChallenge()), [SessionAsked()])
        self.assertEqual(outcomesOf(client, frameOf(Extended(1))), [ServerHasNoSecret])
        client, server = controlSession(8000, None, BINDING), serverSession(SECRET, BINDING)
        self.assertEqual(outcomesOf(server, client.greeting()), [SecretMissing])
        self.assertEqual(outcomesOf(client, server.greeting()), [ClientHasNoSecret])

    def test_aChallengeBehindTheQuestionIsLateAndIsNotAnswered(self) -> None:
        client, server = controlSession(8000, SECRET, BINDING), serverSession(SECRET, BINDING)
        question = client.noChallenge()
        self.assertEqual(outcomesOf(client, server.greeting()), [LateChallenge])
        self.assertEqual(outcomesOf(server, question), [SecretMissing])

    @UNHURRIED
    @given(st.booleans(), inPortions(HOSTILE))
    def test_whoDoesNotKnowTheSecretReceivesNoMoreThanAProof(self, asked: bool, sent: Portions) -> None:
        session = controlSession(8000, SECRET, BINDING)
        answers = [sentBy(session, challengeFrame())] if asked else []
        outcomes = outcomesOf(session, *sent[1])
        answers += [outputOf([outcome]) for outcome in outcomes if not isEnd(outcome)]
        self.assertFalse([o for o in outcomes if not isEnd(o) and not isinstance(o, SendData)], outcomes)
        self.assertLessEqual(len(answers), 1)
        for output in answers:
            self.assertTrue(sentProof(output) and len(framesOf(output)) == 1)
        self.assertEqual((session.extended, session.goodbye()), (False, b""))

    @UNHURRIED
    @given(inPortions(HOSTILE))
    def test_aServersBytesMayArriveInAnyPortions(self, sent: Portions) -> None:
        whole, cut = controlSession(8000, SECRET, BINDING), controlSession(8000, SECRET, BINDING)
        kinds = [o if isEnd(o) else type(o) for o in outcomesOf(whole, sent[0])]
        self.assertEqual([o if isEnd(o) else type(o) for o in outcomesOf(cut, *sent[1])], kinds)
