"""A server and a client talk on a lane, in bytes that arrive in any portions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Final, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import ProtocolViolation
from bore.wire.lane import BARE, DATA, END, FIN, OPEN, RAW, RESET, LaneDecoder, LaneSession
from tests.wire.lanes import FRAMES, KINDS, State, frame, framesOf, written
from tests.wire.strategies import UNHURRIED

#: Who does it, what (to say something of this kind, or None: to hear what was said), and of how many bytes.
Move: TypeAlias = tuple[bool, int | None, int]


def moves(kinds: list[int]) -> SearchStrategy[list[Move]]:
    """Moves of both sides. Whoever must not say it when its time comes hears what was said instead."""
    said = st.sampled_from([*kinds, None])
    # Without a least number most talks would be over before the second visitor.
    return st.lists(st.tuples(st.booleans(), said, st.integers(0, 20)), min_size=25, max_size=100)


#: Visitors that come and go, and those of which one goes RAW.
_VISITS: Final = [OPEN, OPEN, DATA, END, RESET]
MOVES: Final = moves(_VISITS) | moves([*_VISITS, *_VISITS, RAW, BARE, FIN])


class Side:
    """
    One side of a lane.

    :ivar state: its state by the book.
    :ivar visitor: which visitor is on the lane, or was the last, as far as this side knows.
    :ivar unheard: what it has said and the other side has not heard.
    :ivar ended: whether the end of the connection is behind that, and not heard either.
    """

    def __init__(self, serves: bool) -> None:
        self.session = LaneSession(serves)
        self.state = State(serves)
        self.visitor = 0
        self.unheard = b""
        self.ended = False
        self._decoder = LaneDecoder()

    def say(self, kind: int, size: int) -> None:
        """Say something of this kind; all bytes of a stream say whose it is."""
        self.state = self.state.saying()[kind]
        if kind == FIN:
            self.session.sentEnd()
            self.ended = True
            return
        self.session.sent(kind)
        self.visitor += kind == OPEN
        size = max(1, size) if kind == DATA else size
        self.unheard += frame(kind, bytes([self.visitor]) * size if kind in (OPEN, DATA, BARE) else b"")

    def hear(self, other: Side, size: int) -> None:
        """Hear so many bytes of what the other side has said, and the end if it is right behind them."""
        portion, other.unheard = other.unheard[:size], other.unheard[size:]
        self.take(portion)
        if other.ended and not other.unheard and FIN in self.state.hearing():
            self.state = self.state.hearing()[FIN]
            assert self.session.ended()
            other.ended = False

    def take(self, portion: bytes) -> None:
        """Hear these bytes."""
        self._decoder.feed(portion)
        while (taken := self._decoder.next()) is not None:
            kind, payload = taken
            self.session.received(kind)
            self.state = self.state.hearing()[kind]
            self.visitor += kind == OPEN
            assert {*payload} <= {self.visitor}, "bytes of another visitor"


class LaneTalkTests(SynchronousTestCase):
    """Two sides that keep to the rules understand each other, and notice who does not."""

    def talk(self, said: Iterable[Move], check: Callable[[Side, Side], None]) -> tuple[Side, Side]:
        """
        Two sides make these moves.

        :param check: is done behind each move.
        """
        server, client = Side(True), Side(False)
        for serves, kind, size in said:
            side, other = (server, client) if serves else (client, server)
            if kind in side.state.saying():
                side.say(kind, size)
            else:
                side.hear(other, size)
            check(server, client)
        return server, client

    def assertAgreed(self, server: Side, client: Side) -> None:
        """Both know what the book knows; what one of them does not know yet, is on its way."""
        for side in (server, client):
            self.assertEqual((side.session.idle, side.session.over), (side.state.idle, side.state.over))
        if server.session.idle:
            # Whoever is to be told of the next visitor has said its last word on the one before.
            self.assertTrue(client.state.said in ("NONE", "ENDED", "RESET"))
        self.assertIn(server.visitor - client.visitor, (0, 1))
        if not any(side.unheard or side.ended for side in (server, client)):
            self.assertEqual(server.visitor, client.visitor)
            self.assertEqual(server.session.idle, client.session.idle)
            self.assertEqual(server.session.over, client.session.over)
            self.assertEqual((server.state.said, client.state.said), (client.state.heard, server.state.heard))

    @settings(deadline=None, max_examples=300)
    @given(MOVES)
    def test_theyAlwaysAgreeWhoIsOnTheLaneAndWhetherItIsIdle(self, said: list[Move]) -> None:
        server, client = self.talk(said, self.assertAgreed)
        server.hear(client, len(client.unheard))
        client.hear(server, len(server.unheard))
        self.assertAgreed(server, client)

    @UNHURRIED
    @given(MOVES)
    def test_whoeverHearsWhatTheBookDoesNotHaveSaysSo(self, said: list[Move]) -> None:
        def check(server: Side, client: Side) -> None:
            for side in (server, client):
                for kind in KINDS:
                    if kind not in (*side.state.hearing(), FIN):
                        self.assertRaises(ProtocolViolation, deepcopy(side.session).received, kind)

        self.talk(said, check)

    @settings(deadline=None, max_examples=300)
    @given(MOVES, st.booleans(), st.sampled_from([OPEN, DATA, END, RESET, RAW, 6]), st.integers(0, 4))
    def test_anIllegalFrameBehindLegalOnesIsAViolationWhenItsTurnComes(
        self, said: list[Move], serves: bool, kind: int, size: int
    ) -> None:
        server, client = self.talk(said, lambda server, client: None)
        liar, victim = (server, client) if serves else (client, server)
        # An OPEN before the other side's last word has arrived is too early, and nobody can tell.
        liar.hear(victim, len(victim.unheard))
        if kind in liar.state.saying() or liar.state.said in ("RAW", "ENDED behind RAW"):
            return
        victim.hear(liar, len(liar.unheard))
        lie = frame(kind, b"x" if kind in (OPEN, DATA) else b"")
        victim.take(lie[:size])
        self.assertRaises(ProtocolViolation, victim.take, lie[size:])

    @UNHURRIED
    @given(MOVES, st.booleans(), st.binary(max_size=40) | FRAMES.map(written))
    def test_whateverIsSaidThenNothingButAViolationIsRaised(self, said: list[Move], serves: bool, lie: bytes) -> None:
        session, decoder = self.talk(said, lambda server, client: None)[serves].session, LaneDecoder()
        decoder.feed(lie)
        try:
            for kind, _ in framesOf(decoder):
                session.received(kind)
        except ProtocolViolation:
            pass

    def test_aTalkMayHaveManyVisitors(self) -> None:
        visit: list[Move] = [
            (True, OPEN, 3),
            (True, DATA, 5),
            (False, None, 99),
            (False, DATA, 5),
            (False, END, 0),
            (True, RESET, 0),
            (True, None, 99),
            (True, OPEN, 3),
            (True, DATA, 5),
            (False, None, 20),
            (False, None, 99),
            (False, RESET, 0),
            (True, END, 0),
            (True, None, 99),
        ]
        server, client = self.talk(visit * 20, self.assertAgreed)
        self.assertEqual((server.visitor, client.visitor), (40, 40))
        self.assertEqual((server.session.idle, client.session.idle), (True, False))
        client.hear(server, 99)
        self.assertTrue(client.session.idle)
