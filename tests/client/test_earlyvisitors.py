"""Visitors on lanes that come before the client knows that their tunnel is up."""

from __future__ import annotations

from typing import cast
from uuid import uuid4

from bore.client.session import MAX_EARLY
from bore.streams.dial import Dialer
from bore.wire.laneopen import LaneVisitor
from bore.wire.limits import MAX_TUNNELS
from tests.client.case import FakeDialer, makeTunnel
from tests.client.lanecase import LaneCase
from tests.server.lanecase import FakeLane


class EarlyTests(LaneCase):
    """A lane's visitor can be faster than the answer on the control connection that its tunnel is up."""

    def setUp(self) -> None:
        super().setUp()
        self.settle()
        self.asked.add(2)
        self.second = makeTunnel(self.reactor, self.visitors.sink)
        self.local2 = FakeDialer(self)
        self.second.local = cast(Dialer, self.local2)

    def come(self, tunnel: int = 2) -> FakeLane:
        """A visitor of a tunnel comes on a lane."""
        lane = cast(FakeLane, next(iter(self.lanes._idle)))
        lane.open(LaneVisitor(tunnel, str(uuid4()), None))
        return lane

    def up(self) -> None:
        """The tunnel is up."""
        self.asked.clear()
        self.session.opened(2, self.second, 20002)

    def test_itIsServedWhenTheTunnelIsUp(self) -> None:
        lane = self.come()
        self.assertEqual((lane.refused, self.local2.count), (False, 0))
        self.up()
        self.local2.succeed()
        self.assertIs(self.relay.carried[-1].lane, lane)
        self.assertEqual((lane.refused, self.second.visitors), (False, 1))

    def test_itIsRefusedWithItsTunnel(self) -> None:
        lane = self.come()
        self.asked.clear()
        self.session.closed(2)
        self.assertTrue(lane.refused)

    def test_itIsServedThoughAnotherSessionHasTakenTheTunnelOver(self) -> None:
        """The server had put it on the lane before."""
        self.up()
        self.session.closed(2, taken=True)
        lane = self.come()
        self.local2.succeed()
        self.assertIs(self.relay.carried[-1].lane, lane)
        self.assertEqual((lane.refused, self.session.numbers), (False, [1]))

    def test_ofTunnelsThatWereTakenOverTheLatestAreKnown(self) -> None:
        self.asked.clear()
        for number in range(2, MAX_TUNNELS + 3):
            self.session.opened(number, self.second, 20000 + number)
            self.session.closed(number, taken=True)
        self.assertEqual([self.come(number).refused for number in (2, 3)], [True, False])
        self.local2.succeed()

    def test_itIsRefusedWhenTheSessionEnds(self) -> None:
        lane = self.come()
        self.session.close()
        self.assertTrue(lane.refused)

    def test_oneThatHasLeftIsForgotten(self) -> None:
        self.come().end(reset=True)
        self.up()
        self.assertEqual(self.local2.count, 0)

    def test_oneOfAnotherTunnelIsRefused(self) -> None:
        self.assertTrue(self.come(3).refused)

    def test_ofAServerThatDoesNotAnswerOnlySomeWait(self) -> None:
        lanes = []
        for _ in range(MAX_EARLY + 2):
            lanes.append(self.come())
            while self.server.under:
                self.server.succeed()
        self.assertEqual([lane.refused for lane in lanes], [False] * MAX_EARLY + [True] * 2)
        self.session.close()
