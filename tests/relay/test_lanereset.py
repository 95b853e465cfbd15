"""A RESET that was sent, and what comes back."""

from __future__ import annotations

import sys
import time

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay import lane as relayLane
from bore.relay.interface import Reason
from bore.relay.lane import Lane
from bore.wire.lane import DATA, END_FRAME, RAW_FRAME, RESET, RESET_FRAME, RESET_TIMEOUT
from tests.relay.lanecase import Hand, LaneCase, data
from tests.relay.plugs import SMALL, TINY, fill, reset, take, wasReset


class UnansweredTests(LaneCase):
    """A RESET, and what comes back."""

    def _cut(self, size: int = 0) -> tuple[Lane, Hand]:
        visitor, lane, hand = self.visit(proved=True, size=size)
        reset(visitor)
        self.turn()
        self.assertEqual([e.reason for e in self.endings], [Reason.LEFT_CUT])
        return lane, hand

    def test_whoNeverAnswersLosesTheLane(self) -> None:
        lane, hand = self._cut()
        self.reactor.advance(9.9)
        self.assertFalse(lane.closed)
        self.reactor.advance(0.2)
        self.assertTrue(lane.closed)
        self.assertEqual(self.user.log, ["gone"])
        self.assertTrue(wasReset(hand.socket))

    def test_whoTakesWhatWasSentBeforeItHasMoreTime(self) -> None:
        """A visitor that reads slowly holds up a lane, and the RESET in it."""
        left = 3_000_000
        self.patch(relayLane, "unacknowledged", lambda fd: left)
        lane, _ = self._cut()
        for _ in range(5):
            self.reactor.advance(RESET_TIMEOUT * 0.99)
            self.assertFalse(lane.closed)
            left -= 500_000
            self.reactor.advance(RESET_TIMEOUT * 0.02)
        self.assertFalse(lane.closed)
        self.reactor.advance(RESET_TIMEOUT)
        self.assertTrue(lane.closed)

    def test_whoOnlyTalksOnLosesTheLane(self) -> None:
        lane, hand = self._cut()
        for _ in range(10):
            self.reactor.advance(1.01)
            if not lane.closed:
                hand.send(data(bytes(10_000)) * 10)
                self.turn()
        self.assertTrue(lane.closed)

    def test_aLateAnswerIsAnAnswer(self) -> None:
        for answer in (RESET_FRAME, END_FRAME):
            lane, hand = self._cut()
            self.reactor.advance(9.5)
            hand.send(data(b"thrown away"), answer)
            self.turn()
            self.assertEqual((self.user.log, lane.closed), (["idle"], False))
            self.reactor.advance(30)
            self.assertFalse(lane.closed)
            self.assertEqual(len(self.relay.deadlines.unanswered), 0)
            self.user.ready.clear()
            self.user.log.clear()
            self.endings.clear()

    def test_whatComesBehindAResetIsThrownAway(self) -> None:
        lane, hand = self._cut()
        self.endings.clear()
        hand.send(data(b"for the one who has left"))
        self.turn()
        self.assertFalse(lane.session.idle)
        hand.send(data(b"still for him"), RESET_FRAME)
        self.turn()
        self.assertTrue(lane.session.idle)
        visitor, inner = self.stream()
        self.join(inner, lane, proved=True)
        hand.send(data(b"for the next"), END_FRAME)
        self.turn()
        self.assertEqual(take(visitor), b"for the next")

    def test_whatBecomesRawBehindAResetIsThrownAwayUpToTheLanesEnd(self) -> None:
        """A reset from here could overtake RESET, and what was sent before it."""
        for ends in (True, False):
            lane, hand = self._cut()
            self.endings.clear()
            hand.send(data(b"more"), RAW_FRAME)
            for _ in range(20):
                hand.send(bytes(50_000))
                self.turn()
                self.assertFalse(lane.closed)
            self.assertEqual(hand.receiveKinds()[-1], RESET)
            if ends:
                hand.socket.close()
                self.turn()
            else:
                self.reactor.advance(RESET_TIMEOUT)
            self.assertEqual((lane.closed, self.user.log), (True, ["gone"]))
            self.user.log.clear()

    def test_aResetBehindBytesThatAreNotReadIsGivenUp(self) -> None:
        for size in (TINY, SMALL):
            lane, hand = self.held(size)
            self.reactor.advance(10.1)
            self.assertTrue(lane.closed)
            hand.socket.close()

    def test_aFrameThatWasSentInPartIsSentToItsEndBeforeTheReset(self) -> None:
        visitor, _, hand = self.visit(proved=True, size=TINY)
        sent = fill(visitor, b"\x04")  # what would be a RESET, were it no DATA
        self.turn()
        reset(visitor)
        self.turn()
        frames = []
        for _ in range(400):
            frames += hand.receive()
            self.turn(1)
            if frames and frames[-1][0] == RESET:
                break
            time.sleep(0.001)
        self.assertEqual({kind for kind, _ in frames[:-1]}, {DATA})
        self.assertEqual(frames[-1][0], RESET)
        body = b"".join(payload for _, payload in frames)
        self.assertEqual((set(body), len(body) <= sent), ({4}, True))
        hand.send(RESET_FRAME)
        self.turn()
        self.assertEqual(self.user.log, ["idle"])
