"""Bytes arrive in any portions, and what follows from them does not depend on which."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.clientsession import ControlSession
from bore.wire.extension import Lane, markedHello
from bore.wire.messages import Accept, Hello, encode
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import LaneOffered, VisitorTaken
from tests.wire.sessions import (
    CLIENT_STATES,
    ID,
    LANE,
    SECRET,
    SERVER_STATES,
    ServerOutcomes,
    outcomesOf,
    rightProof,
    serverSession,
)
from tests.wire.strategies import (
    EXTENDED_CLIENT_MESSAGES,
    EXTENDED_SERVER_MESSAGES,
    SERVER_MESSAGES,
    STREAMS,
    UNHURRIED,
    frameOf,
    inPortions,
    portions,
)


def receivesAll(session: ServerSession, arriving: Iterable[bytes]) -> ServerOutcomes:
    """What follows from all these portions; those behind Accept and Lane go where the rest went."""
    outcomes: ServerOutcomes = []
    unread = iter(arriving)
    for portion in unread:
        outcomes += outcomesOf(session, portion)
        match outcomes:
            case [*before, VisitorTaken(id, rest)]:
                return [*before, VisitorTaken(id, rest + b"".join(unread))]
            case [*before, LaneOffered(token, rest)]:
                return [*before, LaneOffered(token, rest + b"".join(unread))]
    return outcomes


class PortionsTests(SynchronousTestCase):
    """Arbitrary bytes give events or a WireError; any other error fails the test."""

    @UNHURRIED
    @given(
        st.sampled_from(list(SERVER_STATES.values())),
        inPortions(st.lists(EXTENDED_CLIENT_MESSAGES.map(frameOf), max_size=5).map(b"".join) | STREAMS),
    )
    def test_aClientsBytesMayArriveInAnyPortions(
        self, state: Callable[[], ServerSession], sent: tuple[bytes, list[bytes]]
    ) -> None:
        stream, arriving = sent
        self.assertEqual(receivesAll(state(), arriving), outcomesOf(state(), stream))

    @UNHURRIED
    @given(
        st.booleans(),
        st.sampled_from([encode(Hello(1)), encode(Accept(ID)), frameOf(Lane(LANE)), markedHello(1), b""]),
        st.lists(EXTENDED_CLIENT_MESSAGES.map(frameOf), max_size=3).map(b"".join) | STREAMS,
        st.data(),
    )
    def test_soMayTheProofAndTheRequest(self, secret: bool, request: bytes, behind: bytes, data: st.DataObject) -> None:
        shared = SECRET if secret else None
        whole, session = serverSession(shared), serverSession(shared)
        arriving = data.draw(portions(rightProof(session) + request + behind))
        self.assertEqual(receivesAll(session, arriving), outcomesOf(whole, rightProof(whole) + request + behind))

    @UNHURRIED
    @given(
        st.sampled_from(list(CLIENT_STATES.values())),
        inPortions(
            st.one_of(
                st.lists(SERVER_MESSAGES.map(frameOf), max_size=5).map(b"".join),
                st.lists(EXTENDED_SERVER_MESSAGES.map(frameOf), max_size=5).map(b"".join),
                STREAMS,
            )
        ),
    )
    def test_aServersBytesMayArriveInAnyPortions(
        self, state: Callable[[], ControlSession], sent: tuple[bytes, list[bytes]]
    ) -> None:
        stream, arriving = sent
        self.assertEqual(outcomesOf(state(), *arriving), outcomesOf(state(), stream))
