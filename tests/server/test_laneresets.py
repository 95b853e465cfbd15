"""Visitors that connect, and reset while they wait for a lane, leave nothing behind at the server."""

from __future__ import annotations

import gc
import os
import sys
from typing import cast

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.lanes import LaneRelay
from bore.server.server import Server
from bore.server.settings import Bounds, ServerSettings
from bore.streams.reactor import IReactor
from bore.wire.lane import OPEN, RESET_FRAME
from tests.relay.lanecase import Hand
from tests.relay.plugs import Plugs, reset
from tests.server.case import SessionCase

#: More than Python's stack has room for, were each served inside the one before.
MANY = 900


class ResetTests(SessionCase):
    """A server with the real relay, and a client that is slow to open lanes."""

    def setUp(self) -> None:
        super().setUp()
        self.lanes = LaneRelay(cast(IReactor, self.reactor), 600)
        settings = ServerSettings(bindTunnels=self.host, bounds=Bounds(visitors=0))
        self.server = Server(cast(IReactor, self.reactor), self.sink, settings, self.lanes)
        self.plugs = Plugs()
        for sock in self.plugs.pair():  # from here on it has its listener
            sock.close()
        self.protocol, self.transport, self.opened = self.session()
        [self.tunnel] = self.server.tunnels._byAddress.values()
        gc.collect()  # what other tests have left would be closed at any time
        self.descriptors = len(os.listdir("/proc/self/fd"))

    def _leaveNothing(self) -> None:
        self.server.shutDown()
        self.lanes.drain(0)
        self.plugs.close()
        super()._leaveNothing()

    def work(self) -> None:
        """Have everything done that is to be done."""
        for _ in range(MANY):
            self.lanes.loop.doRead()
            self.reactor.advance(0)

    def lane(self) -> Hand:
        """The client opens a lane."""
        far, near = self.plugs.pair()
        self.addCleanup(far.close)
        self.descriptors += 2
        assert self.opened.lane is not None
        pool = self.server.pools.find(self.opened.lane)
        assert pool is not None
        pool.arrived(near, b"")
        self.work()
        return Hand(far)

    def resets(self) -> None:
        """Many come, and reset."""
        for _ in range(MANY):
            reset(self.visit(self.opened.port))

    def assertNothingIsLeft(self, running: int = 0) -> None:
        """Everything is as before, but for those who are there."""
        self.work()
        self.assertEqual(
            (len(self.tunnel.serving), len(self.tunnel.waiting), len(self.server.unaccepted)), (running, 0, 0)
        )
        self.assertEqual((len(self.lanes), len(self.lanes.deadlines.unproven)), (running, running))
        self.assertEqual(len(os.listdir("/proc/self/fd")), self.descriptors + 2 * running)
        self.assertEqual([event for event in self.logged if event["log_level"].name in ("critical", "error")], [])

    def test_whenALaneArrives(self) -> None:
        self.resets()
        self.lane()
        self.assertNothingIsLeft()

    def test_whenALaneTurnsIdle(self) -> None:
        hand = self.lane()
        first = self.visit(self.opened.port)
        self.resets()
        hand.send(RESET_FRAME)
        reset(first)
        self.assertNothingIsLeft()

    def test_theOneBehindThemIsServed(self) -> None:
        self.resets()
        self.visit(self.opened.port)
        hand = self.lane()
        self.assertNothingIsLeft(1)
        self.assertEqual(hand.receiveKinds(), [OPEN])
