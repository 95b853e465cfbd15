"""What the clients of a worker get to show: its number, in the hint, the tokens of lanes and the ids of visitors."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from bore.server import visitorids
from bore.server.core import ServerCore
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor
from bore.wire.extension import Extended
from bore.wire.workernumbers import workerOfId, workerOfToken
from tests.fakes import FakeReactor
from tests.server.case import SessionCase
from tests.server.lanecase import FakeLaneRelay


class WorkerTests(SessionCase):
    """A server that is one of several workers."""

    def start(self, worker: int) -> Extended:
        self.server.shutDown()
        reactor = cast(IReactor, self.reactor)
        settings = ServerSettings(bindTunnels=self.host)
        self.server = Server(reactor, self.sink, settings, FakeLaneRelay(reactor), worker=worker)
        self.begin()
        assert isinstance(self.agreed, Extended)
        return self.agreed

    def test_itsNumberIsInTheHintAndInTheToken(self) -> None:
        agreed = self.start(77)
        assert agreed.lane is not None
        self.assertEqual((agreed.hint, workerOfToken(agreed.lane)), (77, 77))

    def test_aLaneIsFoundByItsTokenWithTheNumber(self) -> None:
        agreed = self.start(77)
        assert agreed.lane is not None
        self.assertIsNotNone(self.server.pools.find(agreed.lane))
        for other in (agreed.lane.removeprefix("77."), f"7{agreed.lane}", agreed.lane.replace("77.", "78.")):
            self.assertIsNone(self.server.pools.find(other))

    def test_aServerWithoutWorkersShowsNone(self) -> None:
        agreed = self.start(0)
        assert agreed.lane is not None
        self.assertEqual(agreed.hint, 0)
        self.assertRegex(agreed.lane, r"\A[0-9a-f]{32}\Z")


class ProcessTests(SynchronousTestCase):
    """The process of a worker."""

    def test_theIdsOfItsVisitorsHaveItsNumber(self) -> None:
        for name in ("_ids", "_draw"):
            self.patch(visitorids, name, getattr(visitorids, name))
        reactor = cast(IReactor, FakeReactor())
        ServerCore(reactor, ServerSettings())
        self.assertFalse(all(workerOfId(UUID(visitorids.newId())) == 77 for _ in range(3)))
        ServerCore(reactor, ServerSettings(), worker=77)
        self.assertTrue(all(workerOfId(UUID(visitorids.newId())) == 77 for _ in range(3)))
