"""Trouble that comes by the thousand."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.bursts import Burst


class BurstTests(SynchronousTestCase):
    """One line for many."""

    def test_onlyTheFirstOfABurstIsTold(self) -> None:
        clock = Clock()
        burst = Burst(clock)
        told = []
        for pause in (0, 0, 9, 9, 9, 10, 0, 100):
            clock.advance(pause)
            told.append(burst.begins())
        self.assertEqual(told, [True, False, False, False, False, True, False, True])
