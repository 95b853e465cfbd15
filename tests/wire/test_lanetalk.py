"""A server and a client talk on a lane, in bytes that arrive in any portions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Final, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import ProtocolViolation
from bore.wire.lane import BARE, DATA, DONE, END, FIN, OPEN, RAW, RESET, LaneDecoder, LaneSession
from tests.effort import examples
from tests.wire.lanes import FRAMES, KINDS, State, frame, framesOf, written
from tests.wire.strategies import UNHURRIED

#: The side, the kind of frame that it sends (None: it receives), and a number of bytes.
Move: TypeAlias = tuple[bool, int | None, int]


def moves(kinds: list[int]) -> SearchStrategy[list[Move]]:
    """Moves of both sides. A side that must not send its frame when its time comes receives instead."""
    sent = st.sampled_from([*kinds, None])
    # Without a least number most talks would be over before the second visitor.
    return st.lists(st.tuples(st.booleans(), sent, st.integers(0, 20)), min_size=25, max_size=100)


#: Visitors that come and go, and those of which one goes RAW.
_VISITS: Final = [OPEN, OPEN, DATA, END, END, RESET, DONE]
MOVES: Final = moves(_VISITS) | moves([*_VISITS, *_VISITS, RAW, BARE, FIN])


class Side:
    """
    One side of a lane.

    :ivar state: its state by the model.
    :ivar visitor: which visitor is on the lane, or was the last, as far as this side knows.
    :ivar unread: what it has sent and the other side has not received.
    :ivar ended: whether the end of the connection is behind that, and not received either.
    """

    def __init__(self, serves: bool) -> None:
        self.session = LaneSession(serves)
        self.state = State(serves)
        self.visitor = 0
        self.unread = b""
        self.ended = False
        self._decoder = LaneDecoder()

    def send(self, kind: int, size: int) -> None:
        """Send a frame of this kind. All bytes of a stream carry the number of its visitor."""
        self.state = self.state.sending()[kind]
        if kind == FIN:
            self.session.sentEnd()
            self.ended = True
            return
        self.session.sent(kind)
        self.visitor += kind == OPEN
        size = max(1, size) if kind == DATA else size
        self.unread += frame(kind, bytes([self.visitor]) * size if kind in (OPEN, DATA, BARE) else b"")
        self._leave()

    def _leave(self) -> None:
        """The stream has left the lane if it has ended: every other one was long."""
        if self.state.hasEnded:
            self.session.long = bool(self.visitor % 2)
            self.state = replace(self.state, long=self.session.long)

    def hear(self, other: Side, size: int) -> None:
        """Receive this many bytes from the other side, and the end if it is right behind them."""
        portion, other.unread = other.unread[:size], other.unread[size:]
        self.take(portion)
        if other.ended and not other.unread and FIN in self.state.receiving():
            self.state = self.state.receiving()[FIN]
            assert self.session.ended()
            other.ended = False

    def take(self, portion: bytes) -> None:
        """Receive these bytes."""
        self._decoder.feed(portion)
        while (taken := self._decoder.next()) is not None:
            kind, payload = taken
            self.session.received(kind)
            self.state = self.state.receiving()[kind]
            self.visitor += kind == OPEN
            assert {*payload} <= {self.visitor}, "bytes of another visitor"
            self._leave()


class LaneTalkTests(SynchronousTestCase):
    """Two sides that keep to the rules understand each other, and notice a side that does not."""

    def talk(self, sent: Iterable[Move], check: Callable[[Side, Side], None]) -> tuple[Side, Side]:
        """
        Two sides make these moves.

        :param check: is done behind each move.
        """
        server, client = Side(True), Side(False)
        for serves, kind, size in sent:
            side, other = (server, client) if serves else (client, server)
            if kind in side.state.sending():
                side.send(kind, size)
            else:
                side.hear(other, size)
            check(server, client)
        return server, client

    def assertAgreed(self, server: Side, client: Side) -> None:
        """Both sides agree with the model, but for what is still on its way."""
        for side in (server, client):
            self.assertEqual((side.session.idle, side.session.over), (side.state.idle, side.state.over))
        if server.session.idle:
            # A side that receives the next visitor has sent its last frame of the one before.
            self.assertTrue(client.state.sent in ("NONE", "ENDED", "RESET", "DONE"))
        self.assertIn(server.visitor - client.visitor, (0, 1))
        if not any(side.unread or side.ended for side in (server, client)):
            self.assertEqual(server.visitor, client.visitor)
            self.assertEqual(server.session.idle, client.session.idle)
            self.assertEqual(server.session.over, client.session.over)
            self.assertEqual((server.state.sent, client.state.sent), (client.state.received, server.state.received))

    @settings(deadline=None, max_examples=examples(100))
    @given(MOVES)
    def test_theyAlwaysAgreeWhoIsOnTheLaneAndWhetherItIsIdle(self, sent: list[Move]) -> None:
        server, client = self.talk(sent, self.assertAgreed)
        server.hear(client, len(client.unread))
        client.hear(server, len(server.unread))
        self.assertAgreed(server, client)

    @UNHURRIED
    @given(MOVES)
    def test_whatTheModelDoesNotHaveIsAViolation(self, sent: list[Move]) -> None:
        def check(server: Side, client: Side) -> None:
            for side in (server, client):
                for kind in KINDS:
                    if kind not in (*side.state.receiving(), FIN):
                        self.assertRaises(ProtocolViolation, deepcopy(side.session).received, kind)

        self.talk(sent, check)

    @settings(deadline=None, max_examples=examples(100))
    @given(MOVES, st.booleans(), st.sampled_from([OPEN, DATA, END, RESET, RAW, DONE, 7]), st.integers(0, 4))
    def test_anIllegalFrameBehindLegalOnesIsAViolationWhenItsTurnComes(
        self, sent: list[Move], serves: bool, kind: int, size: int
    ) -> None:
        server, client = self.talk(sent, lambda server, client: None)
        liar, victim = (server, client) if serves else (client, server)
        # An OPEN before the other side's last word has arrived is too early, and nobody can tell.
        liar.hear(victim, len(victim.unread))
        if kind in liar.state.sending() or liar.state.sent in ("RAW", "ENDED behind RAW"):
            return
        victim.hear(liar, len(liar.unread))
        if kind == DONE and victim.state.serves and victim.state.hasEnded:
            return  # the server may not know yet whether the stream was long, and takes the DONE of a short one
        lie = frame(kind, b"x" if kind in (OPEN, DATA) else b"")
        victim.take(lie[:size])
        self.assertRaises(ProtocolViolation, victim.take, lie[size:])

    @UNHURRIED
    @given(MOVES, st.booleans(), st.binary(max_size=40) | FRAMES.map(written))
    def test_whateverIsSentThenNothingButAViolationIsRaised(self, sent: list[Move], serves: bool, lie: bytes) -> None:
        session, decoder = self.talk(sent, lambda server, client: None)[serves].session, LaneDecoder()
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
