"""Bursts of the same problem."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.timing.bursts import Burst, Overflow
from tests.fakes import captureLog


class BurstTests(SynchronousTestCase):
    """One line for many."""

    def test_onlyTheFirstOccurrenceBeginsABurst(self) -> None:
        clock = Clock()
        burst = Burst(clock)
        begins = []
        for pause in (0, 0, 9, 9, 9, 10, 0, 100):
            clock.advance(pause)
            begins.append(burst.begins())
        self.assertEqual(begins, [True, False, False, False, False, True, False, True])


class OverflowTests(SynchronousTestCase):
    """Two lines for a burst, however long it is."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events = captureLog(self)
        self.overflow = Overflow(self.clock, "{limit} is too much for {whom}")

    @property
    def logged(self) -> list[str]:
        return [formatEvent(event) for event in self.events]

    def test_theBeginIsLoggedAtOnceAndTheNumberAtTheEnd(self) -> None:
        for _ in range(50):
            self.overflow.happened(limit=3, whom="us")
            self.clock.advance(1)
        self.assertEqual(self.logged, ["3 is too much for us"])
        self.clock.pump([1] * 10)
        self.assertEqual(self.logged, ["3 is too much for us", "3 is too much for us (50 times)"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_onceIsLoggedOnce(self) -> None:
        self.overflow.happened(limit=3, whom="us")
        self.clock.advance(10)
        self.assertEqual((self.logged, self.clock.getDelayedCalls()), (["3 is too much for us"], []))

    def test_atTheEndTheNumberIsLoggedAndNothingAfterIt(self) -> None:
        for _ in range(3):
            self.overflow.happened(limit=3, whom="us")
        self.overflow.end()
        self.overflow.happened(limit=3, whom="us")
        self.assertEqual(self.logged, ["3 is too much for us", "3 is too much for us (3 times)"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_eachBurstHasItsOwnNumber(self) -> None:
        for _ in range(2):
            for _ in range(3):
                self.overflow.happened(limit=3, whom="us")
            self.clock.pump([1] * 11)
        self.assertEqual(self.logged, ["3 is too much for us", "3 is too much for us (3 times)"] * 2)
