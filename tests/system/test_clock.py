"""The clock of the reactor."""

from __future__ import annotations

import time

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from bore.system.clock import sinceBoot, useMonotonicClock


class WallClockReactor(MemoryReactorClock):
    """A reactor that measures time as Twisted's own do."""

    def seconds(self) -> float:
        return time.time() + self.rightNow


class ClockTests(SynchronousTestCase):
    """The clock of a reactor, and the one that goes on while the machine is suspended."""

    def test_theClockSinceBootGoesOnAsTheMonotonicOneDoes(self) -> None:
        before, since = time.monotonic(), sinceBoot()
        self.assertGreaterEqual(sinceBoot() - since, 0)
        self.assertGreaterEqual(since, before - 1)

    def test_pendingCallsKeepTheirDelays(self) -> None:
        reactor = WallClockReactor()
        called: list[int] = []
        reactor.callLater(100.0, called.append, 1)
        useMonotonicClock(reactor)
        reactor.callLater(50.0, called.append, 2)
        self.assertIs(reactor.seconds, time.monotonic)
        times = [call.getTime() - reactor.seconds() for call in reactor.getDelayedCalls()]
        self.assertEqual([round(each, -1) for each in times], [50.0, 100.0])
        for call in reactor.getDelayedCalls():
            call.reset(10.0)
            self.assertEqual(round(call.getTime() - reactor.seconds(), -1), 10.0)
