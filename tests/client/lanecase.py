"""What the tests of a session's lanes have in common."""

from __future__ import annotations

from typing import cast
from uuid import UUID, uuid4

from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.client.dataconnections import DataConnections
from bore.client.session import Session
from bore.client.visitors import Visitors
from bore.streams.dial import Dialer, ServerDialer
from bore.streams.reactor import IReactor
from bore.wire.extension import Source
from bore.wire.laneopen import LaneVisitor
from bore.wire.proxyprotocol import Version
from bore.wire.secret import Secret
from tests.client.case import FakeDialer, loggingSink, makeTunnel
from tests.fakes import FakeReactor, captureLog
from tests.server.lanecase import FakeLane, FakeLaneRelay

TOKEN = "0123456789abcdef0123456789abcdef"


class LaneCase(SynchronousTestCase):
    """A session's lanes, without a server."""

    keep = 4
    atOnce = False
    maxVisitors = 100
    bandwidth = 0
    errorPage = False
    secret: Secret | None = None

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        reactor = cast(IReactor, self.reactor)
        self.relay = FakeLaneRelay(reactor)
        sink = loggingSink(self.reactor)
        self.visitors = Visitors(reactor, self.relay, 0, sink)
        self.local, self.server = FakeDialer(self), FakeDialer(self)
        self.server.atOnce = self.atOnce
        self.tunnel = makeTunnel(
            self.reactor,
            sink,
            proxyProtocol=Version.V1,
            maxVisitors=self.maxVisitors,
            bandwidth=self.bandwidth,
            errorPage=self.errorPage,
        )
        self.tunnel.local = cast(Dialer, self.local)
        self._events = captureLog(self)
        connections = DataConnections(reactor, cast(ServerDialer, self.server), self.secret)
        self.asked: set[int] = set()
        asks = self.asked.__contains__
        self.session = Session(reactor, self.visitors, connections, "example.com:7835", "192.0.2.1", asks)
        self.session.opened(1, self.tunnel, 20001)
        self.session.keepLanes(TOKEN, self.keep)
        assert self.session._lanes is not None
        self.lanes = self.session._lanes
        self.addCleanup(self._leaveNothing)

    def _leaveNothing(self) -> None:
        if self.lanes._open:
            self.session.close()
        self.relay.finishAll()
        self.assertEqual(self.server.under, [], "dials were left")
        self.reactor.pump([20] * 3)  # the log sums up until nobody comes
        self.assertEqual(self.reactor.getDelayedCalls(), [], "timers were left")
        self.assertEqual((self.visitors.count, self.tunnel.visitors), (len(self.local.under),) * 2)

    @property
    def warnings(self) -> list[str]:
        return [formatEvent(e) for e in self._events if e["log_level"].name == "warn"]

    @property
    def open(self) -> list[FakeLane]:
        return [lane for lane in self.relay.adopted if not lane.closed]

    def settle(self) -> None:
        """All dials succeed."""
        while self.server.under:
            self.server.succeed()

    def announce(self, count: int = 1) -> list[UUID]:
        """The server has no lane for some visitors."""
        ids = [uuid4() for _ in range(count)]
        for id in ids:
            self.session.announced(1, id, None)
        return ids

    def visit(self, lane: FakeLane, id: UUID | None = None, source: Source | None = None) -> None:
        """The server puts a visitor on a lane, which was announced if it has an id."""
        lane.open(LaneVisitor(1, str(id or uuid4()), source, id is not None))

    def serve(self, lane: FakeLane, seconds: float = 0.0) -> None:
        """A visitor comes on a lane, is served for a while, and leaves."""
        self.visit(lane)
        self.local.succeed()
        self.reactor.advance(seconds)
        self.relay.leave(lane)
