"""--bandwidth, at visitors on lanes."""

from __future__ import annotations

from dataclasses import replace

from tests.client.lanecase import LaneCase
from tests.relay.plugs import rateOf


class BandwidthTests(LaneCase):
    """--bandwidth."""

    bandwidth = 3_000_000

    def test_bothConnectionsOfAVisitorAreLimitedAndTheLaneIsUsedUp(self) -> None:
        self.settle()
        lane = self.open[0]
        self.visit(lane)
        self.local.succeed()
        [carried] = self.relay.carried
        for sock in (carried.plain.socket, lane.socket):
            self.assertEqual(rateOf(sock), 3_000_000)
        self.assertTrue(carried.last)

    def test_anotherLimitIsThatOfTheNextVisitors(self) -> None:
        self.settle()
        first, second, *_ = self.open
        self.visit(first)
        self.local.succeed()
        self.tunnel.spec = replace(self.tunnel.spec, bandwidth=0)
        self.visit(second)
        self.local.succeed()
        self.assertEqual([each.last for each in self.relay.carried], [True, False])
        self.assertEqual(rateOf(first.socket), 3_000_000)
        self.assertNotEqual(rateOf(second.socket), 3_000_000)


class UnlimitedTests(LaneCase):
    """A tunnel without a limit."""

    def test_nothingIsLimitedAndTheLaneIsUsedAgain(self) -> None:
        self.settle()
        lane = self.open[0]
        before = rateOf(lane.socket)
        self.visit(lane)
        self.local.succeed()
        [carried] = self.relay.carried
        self.assertEqual((rateOf(lane.socket), rateOf(carried.plain.socket)), (before, before))
        self.assertFalse(carried.last)
