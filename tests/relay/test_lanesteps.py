"""No step of a lane's life runs inside another, however many follow from one event."""

from __future__ import annotations

import sys
from collections import deque

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

import socket

from bore.relay.interface import LaneHandle, Reason
from bore.relay.lane import Lane
from bore.wire.lane import END_FRAME, MAX_PAYLOAD, OPEN, RESET_FRAME
from tests.fakes import captureLog
from tests.relay.lanecase import OPENING, LaneCase, data
from tests.relay.laneusers import RecordingUser
from tests.relay.plugs import reset, take, wasReset

#: More than Python's stack has room for.
MANY = 1500


def depth() -> int:
    """How many frames are on the stack."""
    count, frame = 0, sys._getframe()
    while frame.f_back is not None:
        count, frame = count + 1, frame.f_back
    return count


class Queue(RecordingUser):
    """
    Gives each lane that is idle to the next visitor, and refuses each visitor that comes on a lane.

    :ivar depths: how deep the stack was each time.
    """

    def __init__(self, case: LaneCase) -> None:
        super().__init__()
        self._case = case
        self.waiting: deque[socket.socket] = deque()
        self.depths: list[int] = []

    def idle(self, lane: LaneHandle) -> None:
        assert isinstance(lane, Lane)
        self.depths.append(depth())
        if self.waiting:
            self._case.join(self.waiting.popleft(), lane)
        else:
            super().idle(lane)

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        assert isinstance(lane, Lane)
        self.depths.append(depth())
        lane.refuse()


class StepCase(LaneCase):
    """Lanes whose user acts as soon as it is called."""

    def setUp(self) -> None:
        super().setUp()
        self.queue = Queue(self)
        self.user = self.queue
        self.logged = captureLog(self)

    def rest(self) -> None:
        """Have everything done that is to be done, and nothing fail."""
        self.turn(MANY)
        self.assertEqual([event for event in self.logged if event["log_level"].name in ("critical", "error")], [])

    def assertFlat(self, times: int) -> None:
        """The user was called this many times, each time from about the same depth of the stack."""
        self.assertEqual(len(self.queue.depths), times)
        self.assertLessEqual(max(self.queue.depths) - min(self.queue.depths), 8)


class OpenedTests(LaneCase):
    """What has come with a visitor."""

    def test_bytesOfTheVisitorMayHaveComeAlong(self) -> None:
        for frames, expected in (
            ([], False),
            ([END_FRAME], False),
            ([RESET_FRAME], False),
            ([data(b"1")], True),
            ([data(bytes(MAX_PAYLOAD))], True),
        ):
            lane, hand = self.lane(serves=False)
            hand.send(OPENING, *frames)
            self.turn()
            self.assertIs(lane.hasBytes, expected, frames)
            lane.end(reset=True)


class ResetTests(StepCase):
    """Visitors that have reset while they waited for a lane."""

    def resets(self, count: int) -> None:
        for _ in range(count):
            outer, inner = self.stream()
            reset(outer)
            self.queue.waiting.append(inner)

    def test_theyDoNotRecurse(self) -> None:
        self.resets(MANY)
        lane, hand = self.lane()
        self.join(self.queue.waiting.popleft(), lane)
        self.rest()
        self.assertFlat(MANY)
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT] * MANY)
        self.assertEqual((self.queue.ready, len(self.relay), hand.receive()), ([lane], 0, []))

    def test_othersHaveTheirTurnMeanwhile(self) -> None:
        visitor, other, hand = self.visit(proved=True)
        self.resets(MANY)
        lane, _ = self.lane()
        self.join(self.queue.waiting.popleft(), lane)
        visitor.send(b"hello")
        self.relay.loop.doRead()
        self.assertTrue(hand.receive())
        self.assertTrue(self.queue.waiting)
        reset(visitor)
        hand.send(RESET_FRAME)
        self.rest()
        self.assertIn(other, self.queue.ready)

    def test_theOneBehindThemIsServed(self) -> None:
        self.resets(MANY)
        visitor, inner = self.stream()
        self.queue.waiting.append(inner)
        lane, hand = self.lane()
        self.join(self.queue.waiting.popleft(), lane)
        self.rest()
        self.assertEqual(hand.receiveKinds(), [OPEN])
        hand.send(END_FRAME)
        self.turn()
        self.assertEqual(take(visitor), b"")
        reset(visitor)
        self.rest()


class HostileServerTests(StepCase):
    """A server that has a great many visitors on a lane in one write."""

    def test_theyDoNotRecurse(self) -> None:
        for last in (END_FRAME, RESET_FRAME):
            self.queue.depths.clear()
            self.queue.log.clear()
            lane, hand = self.lane(False)
            hand.send(*[OPENING + last] * MANY)
            self.rest()
            self.assertFlat(2 * MANY)
            self.assertFalse(lane.closed)
            self.assertEqual(len(take(hand.socket)), MANY * len(RESET_FRAME))

    def test_thatTheLaneEndsIsNoticedBehindThem(self) -> None:
        lane, hand = self.lane(False)
        hand.send(*[OPENING + END_FRAME] * MANY)
        hand.socket.shutdown(socket.SHUT_WR)
        self.rest()
        self.assertTrue(lane.closed)
        self.assertEqual(self.queue.log.count("idle"), MANY)
        self.assertFalse(wasReset(hand.socket))
