"""Which tunnels have series of their own, and the sums of the others."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from bore.status.series import OTHER, Named, OthersCounter


class NamedTests(SynchronousTestCase):
    """The choice."""

    def test_theFirstOnesHaveSeriesForAsLongAsTheyAreThere(self) -> None:
        named: Named[str] = Named(2)
        self.assertEqual(named.choose(["b", "c", "a"]), {"b", "c"})
        self.assertEqual(named.choose(["a", "b", "c"]), {"b", "c"})
        self.assertEqual(named.choose(["a", "c"]), {"a", "c"})
        self.assertEqual(named.choose([]), set())

    def test_oneThatIsCalledAsTheSumOfAllOthersIsOneOfThem(self) -> None:
        named: Named[str] = Named(2)
        self.assertEqual(named.choose([OTHER, "a"]), {"a"})


class OthersCounterTests(SynchronousTestCase):
    """The sums."""

    def setUp(self) -> None:
        self.counter: OthersCounter[str] = OthersCounter()

    def test_theyGrowByWhatEachHasGrown(self) -> None:
        sums = [self.counter.add(each) for each in ({}, {"a": 1, "b": 2}, {"a": 2, "b": 2}, {"a": 2, "b": 7})]
        self.assertEqual(sums, [0, 3, 4, 9])

    def test_oneThatIsGoneStaysInThem(self) -> None:
        sums = [self.counter.add(each) for each in ({"a": 5, "b": 1}, {"b": 1}, {})]
        self.assertEqual(sums, [6, 6, 6])

    def test_aNewOneUnderAnOldNameBeginsAtNothing(self) -> None:
        sums = [self.counter.add(each) for each in ({"a": 5}, {"a": 2}, {"a": 3})]
        self.assertEqual(sums, [5, 7, 8])

    def test_theyNeverGoDown(self) -> None:
        source = random.Random(4)
        before = 0
        for _ in range(500):
            now = self.counter.add({key: source.randrange(9) for key in source.sample("abcdefghi", 4)})
            self.assertGreaterEqual(now, before)
            before = now
