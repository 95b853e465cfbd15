"""The server's side of a connection to its control port, without a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import (
    FrameTooLong,
    InvalidSecret,
    MalformedMessage,
    OverlongProof,
    ProtocolViolation,
    Refusal,
    SecretMissing,
    UnknownMessage,
    UnreadableProof,
)
from bore.wire.extension import Closed, Goodbye, Lane, markedHello
from bore.wire.messages import Accept, Authenticate, Hello, encode
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from bore.wire.serverproof import Identity
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
    COLUMNS,
    ID,
    LANE,
    MOST_RULES,
    OTHER,
    SECRET,
    SERVER_STATES,
    TOKEN,
    ServerOutcomes,
    ServerRow,
    challengeOf,
    isEnd,
    outcomesOf,
    rightProof,
    row,
    serverSession,
)
from tests.wire.strategies import frameOf

_PROOF_ROW: Final[ServerRow] = row(
    [UnreadableProof],
    {
        "Authenticate": [InvalidSecret],
        "Accept": [SecretMissing],
        "Hello": [SecretMissing],
        "marked Hello": [SecretMissing],
        "Lane": [SecretMissing],
        "257 bytes": [OverlongProof],
        "257 bytes without an end": [OverlongProof],
        "4097 bytes": [OverlongProof],
        "no end": [],
    },
)
_REQUEST_ROW: Final[ServerRow] = row(
    [UnknownMessage],
    {
        "Authenticate": [ProtocolViolation],
        "Accept": [VisitorTaken(ID, b"")],
        "Hello": [TunnelAsked(1, 20001)],
        "marked Hello": [SessionAsked()],
        "bad JSON": [MalformedMessage],
        "wrong Hello": [MalformedMessage],
        "Lane": [LaneOffered(LANE, b"")],
        "wrong Lane": [MalformedMessage],
        "257 bytes": [FrameTooLong],
        "257 bytes without an end": [FrameTooLong],
        "4097 bytes": [FrameTooLong],
        "no end": [],
    },
)
_OPENING_ROW: Final[ServerRow] = row(
    ["unknown-message"],
    {
        "Rules": [],
        "Open": [TunnelAsked(2, 20001, TOKEN)],
        "Close": ["unexpected-message"],
        "Alive": ["unexpected-message"],
        "Goodbye": [ClientLeft()],
        "bad JSON": ["malformed-message"],
        "257 bytes": ["malformed-message"],
        "257 bytes without an end": [],
        "4097 bytes": ["frame-too-long"],
        "no end": [],
    },
)
_FULL_ROW: Final[ServerRow] = {
    **_OPENING_ROW,
    "Rules": ["too-many-rules"],
    "Open": [TunnelAsked(2, 20001, TOKEN, MOST_RULES)],
}
_EXTENDED_ROW: Final[ServerRow] = {
    **_OPENING_ROW,
    "Close": [TunnelLeft(1), SendData(frameOf(Closed(1)))],
}

#: The cells of the table of :mod:`bore.wire.serversession`.
TABLE: Final[dict[str, ServerRow]] = {
    "PROOF": _PROOF_ROW,
    "REQUEST": _REQUEST_ROW,
    "REQUEST after the proof": _REQUEST_ROW,
    "REQUEST after a wrong proof, of a user's visitors and sessions": {
        **_REQUEST_ROW,
        **{name: [InvalidSecret] for name in ("Accept", "Hello", "marked Hello", "Lane")},
    },
    "REQUEST after a proof, without visitors and sessions": {
        **_REQUEST_ROW,
        **{name: [ProtocolViolation] for name in ("Accept", "Lane")},
    },
    "OPENING": _OPENING_ROW,
    "OPENING after the proof": _OPENING_ROW,
    "OPENING, with all rules": _FULL_ROW,
    "BASE_CLAIMING": row([], {}),
    "EXTENDED, claiming": _EXTENDED_ROW,
    "EXTENDED, claiming after the proof": _EXTENDED_ROW,
    "EXTENDED, open": _EXTENDED_ROW,
    "EXTENDED, open, asked": {**_EXTENDED_ROW, "Alive": [ClientAlive()]},
    "EXTENDED, gone": {**_EXTENDED_ROW, "Close": []},
    "EXTENDED, with all rules": {**_FULL_ROW, "Close": _EXTENDED_ROW["Close"]},
    "SETTLED by Hello": row([], {}),
    "SETTLED by a refused claim": row([], {}),
    "SETTLED by a refused base claim": row([], {}),
    "SETTLED by Accept": row([], {}),
    "SETTLED by Lane": row([], {}),
    "SETTLED by Goodbye": row([], {}),
    "SETTLED by Moved": row([], {}),
    "SETTLED by a refusal": row([], {}),
}


def inState(name: str) -> ServerSession:
    """A session in this state."""
    return SERVER_STATES[name]()


class TableTests(SynchronousTestCase):
    """Every state answers every message."""

    def test_everyStateAnswersEveryMessageAsTheTableSays(self) -> None:
        self.assertEqual(list(TABLE), list(SERVER_STATES))
        for state, cells in TABLE.items():
            for column, expected in cells.items():
                for data in COLUMNS[column]:
                    self.assertEqual(outcomesOf(inState(state), data), expected, f"{state}: {column} {data[:80]!r}")

    def test_afterAnErrorNothingIsRead(self) -> None:
        for state, cells in TABLE.items():
            for column in [column for column, outcomes in cells.items() if outcomes and isEnd(outcomes[-1])]:
                session = inState(state)
                outcomesOf(session, COLUMNS[column][0])
                more = b"\0" + rightProof(session) + encode(Hello(1)) + frameOf(Goodbye())
                self.assertEqual(outcomesOf(session, more, b"x" * 5000), [], f"{state}: {column}")

    def test_aWrongValueOfAMessageOfTheExtensionIsMalformedAndNotUnknown(self) -> None:
        for frame in (
            b'"Open"\0',
            b'{"Open":8000}\0',
            b'{"Open":{"tunnel":0,"port":1}}\0',
            b'{"Open":{"port":1}}\0',
            b'{"Close":{"tunnel":-1}}\0',
            b'{"Open":{"tunnel":1,"port":70000,"resume":null}}\0',
            b'{"Open":{"tunnel":1,"port":1,"resume":"short"}}\0',
            b'{"Alive":1}\0',
            b'{"Goodbye":{}}\0',
        ):
            for state in ("OPENING", "EXTENDED, open"):
                self.assertEqual(outcomesOf(inState(state), frame), ["malformed-message"], frame)
            self.assertEqual(outcomesOf(inState("REQUEST"), frame), [UnknownMessage])


class ProofTests(SynchronousTestCase):
    """A server with a secret accepts the clients that know it."""

    def test_aServerWithASecretGreetsWithAChallengeAndOneWithoutSendsNothing(self) -> None:
        self.assertRegex(
            inState("PROOF").greeting(), rb'\A\{"Challenge":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"\}\0\Z'
        )
        self.assertEqual(inState("REQUEST").greeting(), b"")

    def test_everySessionHasAChallengeOfItsOwnAndKeepsIt(self) -> None:
        sessions = [serverSession(SECRET) for _ in range(100)]
        self.assertEqual(len({challengeOf(session) for session in sessions}), 100)
        self.assertEqual(sessions[0].greeting(), sessions[0].greeting())
        self.assertEqual(challengeOf(sessions[0]).version, 4)

    def test_aProofIsRightInEitherCase(self) -> None:
        session = serverSession(SECRET)
        proof = encode(Authenticate(proveBase(SECRET, challengeOf(session)).upper()))
        self.assertEqual(outcomesOf(session, proof + encode(Hello(1))), [TunnelAsked(1, 1)])

    def test_aProofCanBeWrongInEveryWay(self) -> None:
        wrongs: list[Callable[[UUID], str]] = [
            lambda challenge: proveBase(SECRET, OTHER),
            lambda challenge: proveBase(Secret(""), challenge),
            lambda challenge: proveBase(SECRET, challenge)[:-1],
            lambda challenge: "",
            lambda challenge: "no hex",
            lambda challenge: "é",
        ]
        for wrong in wrongs:
            session = serverSession(SECRET)
            self.assertEqual(outcomesOf(session, encode(Authenticate(wrong(challengeOf(session))))), [InvalidSecret])

    def test_aProofForAnotherConnectionIsWrong(self) -> None:
        self.assertEqual(outcomesOf(serverSession(SECRET), rightProof(serverSession(SECRET))), [InvalidSecret])

    def test_anEmptySecretHasToBeProvenToo(self) -> None:
        self.assertEqual(outcomesOf(serverSession(Secret("")), encode(Hello(1))), [SecretMissing])
        session = serverSession(Secret(""))
        proof = encode(Authenticate(proveBase(Secret(""), challengeOf(session))))
        self.assertEqual(outcomesOf(session, proof + encode(Hello(1))), [TunnelAsked(1, 1)])

    def test_proofAndRequestMayComeInOneSegment(self) -> None:
        for request, event in (
            (encode(Hello(8000)), TunnelAsked(1, 8000)),
            (encode(Accept(ID)), VisitorTaken(ID, b"")),
            (frameOf(Lane(LANE)), LaneOffered(LANE, b"")),
            (markedHello(8000), SessionAsked()),
        ):
            session = serverSession(SECRET)
            self.assertEqual(outcomesOf(session, rightProof(session) + request), [event])

    def test_afterTheProofASessionKnowsWhoseSecretItWas(self) -> None:
        session = serverSession(SECRET)
        self.assertIsNone(session.identity)
        outcomesOf(session, rightProof(session))
        self.assertEqual(session.identity, Identity("", SECRET))
        for wrong in (encode(Authenticate("00" * 32)), encode(Hello(1))):
            session = serverSession(SECRET)
            outcomesOf(session, wrong)
            self.assertIsNone(session.identity)

    def test_theProofIsAskedForOnce(self) -> None:
        session = serverSession(SECRET)
        self.assertEqual(outcomesOf(session, rightProof(session) * 2), [ProtocolViolation])

    def test_whatFollowsAWrongProofIsNotRead(self) -> None:
        session = serverSession(SECRET)
        wrong = encode(Authenticate("00" * 32))
        self.assertEqual(outcomesOf(session, wrong + rightProof(session) + encode(Hello(1))), [InvalidSecret])

    def test_whatFollowsTheProofIsReadByTheRulesOfTheRequest(self) -> None:
        cases: list[tuple[bytes, ServerOutcomes]] = [
            (b"junk\0", [MalformedMessage]),
            (b"x" * 257, [FrameTooLong]),
            (b"x" * 256, []),
        ]
        for data, outcomes in cases:
            session = serverSession(SECRET)
            self.assertEqual(outcomesOf(session, rightProof(session) + data), outcomes)

    def test_refusalsHaveTheOriginalsTexts(self) -> None:
        for data, text in (
            (encode(Authenticate("00" * 32)), "invalid secret"),
            (encode(Hello(1)), "server requires secret, but no secret was provided"),
            (encode(Accept(ID)), "server requires secret, but no secret was provided"),
            (frameOf(Lane(LANE)), "server requires secret, but no secret was provided"),
            (b"junk\0", "unable to parse message"),
            (b"x" * 257, "frame error, invalid byte length"),
        ):
            self.assertEqual(str(self.assertRaises(Refusal, list, serverSession(SECRET).feed(data))), text)

    def test_violationsAreNoRefusals(self) -> None:
        for data in (b"junk\0", b"x" * 257, encode(Authenticate("00" * 32))):
            self.assertNotIsInstance(
                self.assertRaises(ProtocolViolation, list, serverSession(None).feed(data)), Refusal
            )
