"""The client's side of a data connection, without a connection."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.datasession import DataSession
from bore.wire.errors import (
    FrameTooLong,
    MalformedMessage,
    PortInUse,
    ProtocolViolation,
    Refusal,
    UnknownMessage,
    WireError,
)
from bore.wire.extension import Lane
from bore.wire.messages import Accept, Authenticate, Challenge, Error, Heartbeat, encode
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from bore.wire.sessionevents import LaneOffered, VisitorTaken
from tests.wire.sessions import COLUMNS, ID, LANE, OTHER, SECRET, dataSession, outcomesOf, row, serverSession
from tests.wire.strategies import STREAMS, TOKENS, UNHURRIED, UUIDS, frameOf, inPortions

Outcome: TypeAlias = bytes | type[WireError]


def received(session: DataSession, data: bytes) -> Outcome:
    """What follows on a data connection: the bytes that are sent, or the class of the error."""
    try:
        return session.feed(data)
    except WireError as e:
        return type(e)


LAST_WORDS = encode(Authenticate(proveBase(SECRET, ID))) + encode(Accept(OTHER))


class DataSessionTests(SynchronousTestCase):
    """Challenge, proof and request; behind them all bytes are the visitor's, or the lane's."""

    def test_withoutASecretAcceptIsAllThatIsSent(self) -> None:
        session = dataSession(Accept(ID), None)
        self.assertEqual(session.greeting(), b'{"Accept":"00000000-0000-4000-8000-000000000001"}\0')
        self.assertEqual(session.takeRest(), b"")

    def test_withoutASecretLaneIsAllThatIsSent(self) -> None:
        session = dataSession(Lane(LANE), None)
        self.assertEqual(session.greeting(), b'{"Lane":"fedcba9876543210fedcba9876543210"}\0')
        self.assertEqual(session.takeRest(), b"")

    def test_withASecretTheChallengeComesFirst(self) -> None:
        self.assertEqual(dataSession(Accept(ID), SECRET).greeting(), b"")
        self.assertEqual(dataSession(Lane(LANE), SECRET).greeting(), b"")
        self.assertEqual(dataSession(Accept(ID), Secret("")).greeting(), b"")

    def test_everyMessageIsAnsweredAsItShould(self) -> None:
        expected: dict[str, list[Outcome]] = row(
            [UnknownMessage],
            {
                "Challenge": [LAST_WORDS],
                "Hello": [ProtocolViolation],
                "marked Hello": [ProtocolViolation],
                "Heartbeat": [ProtocolViolation],
                "Connection": [ProtocolViolation],
                "Error": [PortInUse],
                "bad JSON": [MalformedMessage],
                "wrong Hello": [MalformedMessage],
                "257 bytes": [FrameTooLong],
                "257 bytes without an end": [FrameTooLong],
                "4097 bytes": [FrameTooLong],
                "no end": [b""],
            },
        )
        for column, outcomes in expected.items():
            for data in COLUMNS[column]:
                session = dataSession(Accept(OTHER), SECRET)
                self.assertEqual([received(session, data)], outcomes, f"{column} {data[:80]!r}")
                self.assertIs(session.complete, outcomes == [LAST_WORDS], f"{column} {data[:80]!r}")

    def test_itIsCompleteWhenNothingMoreHasToCome(self) -> None:
        self.assertTrue(dataSession(Accept(ID), None).complete)
        session = dataSession(Accept(ID), SECRET)
        self.assertFalse(session.complete)
        session.feed(encode(Challenge(ID)))
        self.assertTrue(session.complete)

    def test_aRefusalCarriesTheServersTexts(self) -> None:
        error = self.assertRaises(Refusal, dataSession(Accept(ID), SECRET).feed, encode(Error("go away")))
        self.assertEqual((type(error), str(error)), (Refusal, "go away"))

    def test_bytesBehindTheChallengeAreTheVisitors(self) -> None:
        early = encode(Heartbeat()) + b"\0\xff" + b"x" * 1000
        session = dataSession(Accept(OTHER), SECRET)
        self.assertEqual(session.feed(encode(Challenge(ID)) + early), LAST_WORDS)
        self.assertEqual(session.takeRest(), early)
        self.assertEqual(session.takeRest(), b"")

    @UNHURRIED
    @given(st.text(), UUIDS, st.binary())
    def test_aServerWithTheSameSecretHandsTheVisitorOver(self, secret: str, visitor: UUID, early: bytes) -> None:
        client, server = dataSession(Accept(visitor), Secret(secret)), serverSession(Secret(secret))
        sent = client.feed(server.greeting())
        self.assertEqual(outcomesOf(server, sent + early), [VisitorTaken(visitor, early)])

    @UNHURRIED
    @given(st.text(), TOKENS, st.binary())
    def test_aServerWithTheSameSecretTakesTheLane(self, secret: str, token: str, early: bytes) -> None:
        client, server = dataSession(Lane(token), Secret(secret)), serverSession(Secret(secret))
        sent = client.feed(server.greeting())
        self.assertEqual(outcomesOf(server, sent + early), [LaneOffered(token, early)])

    def test_bytesBehindTheChallengeAreTheLanes(self) -> None:
        early = b"\1\0\0\0\2{}\0\xff"
        session = dataSession(Lane(LANE), SECRET)
        self.assertEqual(
            session.feed(encode(Challenge(ID)) + early),
            encode(Authenticate(proveBase(SECRET, ID))) + frameOf(Lane(LANE)),
        )
        self.assertEqual(session.takeRest(), early)

    @UNHURRIED
    @given(inPortions(st.builds(lambda id, behind: encode(Challenge(id)) + behind, UUIDS, st.binary()) | STREAMS))
    def test_aServersBytesMayArriveInAnyPortions(self, sent: tuple[bytes, list[bytes]]) -> None:
        stream, arriving = sent
        whole, session = dataSession(Accept(OTHER), SECRET), dataSession(Accept(OTHER), SECRET)
        taken = 0
        outcome: Outcome = b""
        for portion in arriving:
            taken += len(portion)
            outcome = received(session, portion)
            if outcome:
                break
        self.assertEqual(outcome, received(whole, stream))
        self.assertEqual(session.complete, whole.complete)
        if session.complete:
            self.assertEqual(session.takeRest() + stream[taken:], stream[stream.index(b"\0") + 1 :])
            self.assertEqual(whole.takeRest(), stream[stream.index(b"\0") + 1 :])
