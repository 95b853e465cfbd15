"""When heartbeats are sent, and how long a client may leave them unanswered."""

from __future__ import annotations

import math
from itertools import pairwise

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.server.heartbeats import BaseHeartbeats, ExtendedHeartbeats, Rhythms
from bore.wire.limits import BUSY_SILENCE, BUSY_TIME, HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL, IDLE_SILENCE


class FakeSession:
    """Records the times of heartbeats, and when the client is lost."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.sentAt: list[float] = []
        self.visitors = False
        self.streamAge = math.inf
        self.lostAt: float | None = None
        self.fault: Exception | None = None
        self.failures: list[Failure] = []

    def sendHeartbeat(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.sentAt.append(self.clock.seconds())

    def hasVisitors(self) -> bool:
        return self.visitors

    def sinceReceived(self) -> float:
        return self.streamAge

    def unanswered(self) -> None:
        self.lostAt = self.clock.seconds()

    def failed(self, reason: Failure) -> None:
        self.failures.append(reason)


class HeartbeatsCase(SynchronousTestCase):
    """Heartbeats by a clock that is moved in steps of a sixteenth of a second, which have no rounding errors."""

    kind: type[BaseHeartbeats | ExtendedHeartbeats] = ExtendedHeartbeats
    step = 1 / 16

    def setUp(self) -> None:
        self.clock = Clock()
        self.session = FakeSession(self.clock)
        self.rhythms = Rhythms(self.clock)
        self.heartbeats = self.kind(self.rhythms, self.session)
        self.heartbeats.start()

    def pass_(self, seconds: float, answered: bool = True) -> None:
        """Let time pass; each heartbeat is answered in the next step, or none is."""
        for _ in range(round(seconds / self.step)):
            before = len(self.session.sentAt)
            self.clock.advance(self.step)
            if answered and len(self.session.sentAt) > before:
                self.heartbeats.received()

    def sent(self) -> list[float]:
        """When heartbeats were sent since the last call."""
        times, self.session.sentAt = self.session.sentAt, []
        return times

    def come(self) -> None:
        """A visitor comes, and stays."""
        self.session.visitors = True
        if not self.heartbeats.visited:
            self.heartbeats.visitorCame()


class IntervalTests(HeartbeatsCase):
    """They are frequent only while there are visitors."""

    def test_withoutVisitorsOneComesEveryThreeSeconds(self) -> None:
        self.pass_(30)
        self.assertEqual(self.sent(), [3.0 * n for n in range(11)])

    def test_aVisitorBringsTheNextOneAtOnceAndThenTheyAreFrequent(self) -> None:
        self.pass_(4)
        self.sent()
        self.come()
        self.pass_(20)
        times = self.sent()
        self.assertEqual(times[0], 4 + self.step)
        self.assertEqual(times, [times[0] + HEARTBEAT_INTERVAL * n for n in range(40)])

    def test_visitorsThatHaveLeftBetweenTwoHeartbeatsCount(self) -> None:
        self.pass_(4)
        self.sent()
        self.heartbeats.visitorCame()
        self.pass_(BUSY_TIME + 12)
        times = self.sent()
        gaps = [after - before for before, after in pairwise(times)]
        self.assertEqual(gaps, [HEARTBEAT_INTERVAL] * 20 + [IDLE_HEARTBEAT_INTERVAL] * 3)

    def test_whenTheLastVisitorHasLeftTheyStayFrequentForAWhile(self) -> None:
        self.come()
        self.pass_(6)
        self.session.visitors = False
        self.sent()
        self.pass_(BUSY_TIME + 6)
        gaps = [after - before for before, after in pairwise(self.sent())]
        self.assertEqual(set(gaps), {HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL})
        self.assertEqual(sorted(gaps), gaps)
        self.assertLessEqual(abs(sum(gap for gap in gaps if gap == HEARTBEAT_INTERVAL) - (BUSY_TIME)), 0.5)

    def test_manyVisitorsBringOne(self) -> None:
        self.pass_(4)
        self.sent()
        for _ in range(100):
            self.come()
        self.clock.advance(0)
        self.assertEqual(len(self.sent()), 1)

    def test_afterTheEndNoneComes(self) -> None:
        self.come()
        self.heartbeats.stop()
        self.sent()
        self.clock.advance(60)
        self.heartbeats.visitorCame()
        self.assertEqual((self.sent(), self.clock.getDelayedCalls()), ([], []))

    def test_aFaultIsReportedAndEndsThem(self) -> None:
        self.session.fault = fault = ValueError()
        self.clock.advance(3)
        [failure] = self.session.failures
        self.assertIs(failure.value, fault)


class BaseTests(HeartbeatsCase):
    """A client of the base protocol gets them all the time, and need not answer."""

    kind = BaseHeartbeats

    def test_theyComeEveryHalfSecond(self) -> None:
        self.pass_(60, answered=False)
        self.assertEqual(self.sent(), [0.5 * n for n in range(121)])
        self.assertIsNone(self.session.lostAt)


class LossTests(HeartbeatsCase):
    """A client that does not answer is lost, sooner while it has visitors."""

    def test_withoutVisitorsAfterTenSeconds(self) -> None:
        self.pass_(30)
        self.pass_(20, answered=False)
        self.assertEqual(self.session.lostAt, 30 + self.step + IDLE_SILENCE - self.step)

    def test_withVisitorsAfterFour(self) -> None:
        self.come()
        self.pass_(30)
        lastSign = 30.0
        self.pass_(20, answered=False)
        assert self.session.lostAt is not None
        self.assertLessEqual(abs(self.session.lostAt - (lastSign + BUSY_SILENCE)), HEARTBEAT_INTERVAL)

    def test_theFourSecondsBeginWithTheVisitor(self) -> None:
        """Before, the client had nothing to answer."""
        self.pass_(3)
        self.pass_(2.9, answered=False)
        self.come()
        self.pass_(3.9, answered=False)
        self.assertIsNone(self.session.lostAt)
        self.pass_(0.5, answered=False)
        self.assertIsNotNone(self.session.lostAt)

    def test_aVisitorDoesNotPutOffTheLossOfADeadClient(self) -> None:
        self.pass_(3)
        self.pass_(8, answered=False)
        self.come()
        self.pass_(2.5, answered=False)
        assert self.session.lostAt is not None
        self.assertLessEqual(abs(self.session.lostAt - (3 + IDLE_SILENCE)), HEARTBEAT_INTERVAL)

    def test_bytesOfItsVisitorsAreSignsOfLife(self) -> None:
        self.come()
        for _ in range(60):
            self.session.streamAge = 0.0
            self.pass_(1, answered=False)
        self.assertIsNone(self.session.lostAt)
        self.session.streamAge = math.inf
        self.pass_(5, answered=False)
        self.assertIsNotNone(self.session.lostAt)

    def test_aClientIsNotLostBeforeItsInputWasRead(self) -> None:
        """Its answer may have waited in the socket while the server was stopped."""
        for visitors, silence in ((False, 9.75), (True, 3.375)):
            self.setUp()
            if visitors:
                self.come()
            self.pass_(3)
            self.pass_(silence, answered=False)
            self.clock.advance(60)
            self.assertIsNone(self.session.lostAt)
            self.heartbeats.received()
            self.pass_(3)
            self.assertIsNone(self.session.lostAt)

    def test_timeInWhichTheServerWasStoppedDoesNotCount(self) -> None:
        for visitors in (False, True):
            self.setUp()
            if visitors:
                self.come()
            self.pass_(3)
            for _ in range(3):
                self.clock.advance(60)
                self.pass_(0.5, answered=False)
            self.assertIsNone(self.session.lostAt)
            self.pass_(20, answered=False)
            self.assertIsNotNone(self.session.lostAt)
