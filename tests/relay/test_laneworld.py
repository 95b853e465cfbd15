"""Visitors on a few lanes, one after another, and everything that can happen to each, by chance."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from twisted.trial.unittest import SynchronousTestCase

from tests.relay.laneworld import World


class WorldTests(SynchronousTestCase):
    """Each world has a seed of its own, which a failure names; what the kernel does is chance as well."""

    def _worlds(self, seeds: range, visitors: int, **how: float) -> None:
        self.made = self.came = 0
        for seed in seeds:
            world = World(seed, visitors, lanes=8, **how)
            try:
                world.run()
            except AssertionError as e:
                raise AssertionError(f"seed {seed}, {how}: {e}") from e
            finally:
                self.made += world.made
                self.came += world.done
                world.close()

    def test_visitorsInOrderCostNoLanes(self) -> None:
        self._worlds(range(6), 200, cuts=0.0, bulk=0.0)
        self.assertEqual(self.came, 1200)
        self.assertLess(self.made, self.came / 8)  # some are given up, on which much was still under way

    def test_visitorsThatAreCutGetNoByteOfEachOther(self) -> None:
        self._worlds(range(100, 110), 100, cuts=0.6, bulk=0.0)
        self.assertLess(self.made, self.came / 2)

    def test_visitorsOnLanesThatDieAreServedOrCut(self) -> None:
        self._worlds(range(200, 210), 60, kills=0.005)

    def test_visitorsWithMuchToSayAreServedOrCut(self) -> None:
        self._worlds(range(300, 304), 50, bulk=0.4, cuts=0.2, kills=0.001)
