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

    def test_theyGrowByWhatEachHasGrown(self) -> None:
        counter: OthersCounter[str] = OthersCounter()
        self.assertEqual(counter.add({}), ())
        self.assertEqual(counter.add({"a": (1, 10), "b": (2, 20)}), (3, 30))
        self.assertEqual(counter.add({"a": (2, 10), "b": (2, 25)}), (4, 35))

    def test_oneThatIsGoneStaysInThem(self) -> None:
        counter: OthersCounter[str] = OthersCounter()
        counter.add({"a": (5,), "b": (1,)})
        self.assertEqual(counter.add({"b": (1,)}), (6,))
        self.assertEqual(counter.add({}), (6,))

    def test_aNewOneUnderAnOldNameBeginsAtNothing(self) -> None:
        counter: OthersCounter[str] = OthersCounter()
        counter.add({"a": (5, 5)})
        self.assertEqual(counter.add({"a": (2, 7)}), (7, 12))

    def test_theyNeverGoDown(self) -> None:
        source = random.Random(4)
        counter: OthersCounter[int] = OthersCounter()
        before = 0
        for _ in range(500):
            (now,) = counter.add({key: (source.randrange(9),) for key in source.sample(range(9), 4)})
            self.assertGreaterEqual(now, before)
            before = now
