"""Visitors of a local service that is down, without a network: tests/test_errorpages.py has them with one."""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import IReadDescriptor

from bore.system.descriptors import Descriptors, OpenCount
from tests.client.lanecase import LaneCase
from tests.client.test_visitors import VisitorCase


class OwnConnectionTests(VisitorCase):
    """Visitors on connections of their own."""

    errorPage = True

    def test_theVisitorIsJoinedWithAPageWhenBothEndsAreKnown(self) -> None:
        for failsFirst in (True, False):
            self.announce()
            if failsFirst:
                self.local.fail()
            far = self.server.succeed()
            if not failsFirst:
                self.local.fail()
            server, page = self.relay.joined[-1]
            self.assertIn(b"Accept", far.recv(1000))
            page.socket.send(b"GET / HTTP/1.1\r\n\r\n")
            for reader in self.reactor.getReaders():
                cast(IReadDescriptor, reader).doRead()
            self.assertIn(b"502 Bad Gateway", page.socket.recv(10000))
            self.assertEqual((server.early, self.visitors.count), (b"", 1))
            self.leave(1)
            self.assertEqual((self.visitors.count, self.visitors._dialling), (0, {}))

    def test_itTakesTwoDescriptorsOrIsNone(self) -> None:
        self.visitors.descriptors = Descriptors(self.reactor, 30, OpenCount(lambda: 28))
        self.announce()
        self.local.fail()
        self.visitors.descriptors = Descriptors(self.reactor, 30, OpenCount(lambda: 29))
        far = self.server.succeed()
        self.assertIn(b"Accept", far.recv(1000))
        self.assertEqual((far.recv(1), len(self.relay)), (b"", 0))


class LaneTests(LaneCase):
    """Visitors on lanes."""

    errorPage = True

    def test_theVisitorIsJoinedWithAPageAndTheLaneGoesOn(self) -> None:
        self.settle()
        lane = self.open[0]
        for _ in range(2):
            self.visit(lane)
            self.local.fail()
            [one] = self.relay.carried
            self.assertEqual((one.header, one.last, lane.refused), (b"", False, False))
            self.assertEqual(self.visitors.count, 1)
            self.relay.leave(lane)
            self.assertEqual(self.visitors.count, 0)

    def test_withoutALaneThereIsNone(self) -> None:
        self.settle()
        self.visit(self.open[0])
        self.open[0].end(reset=True)
        self.local.fail()
        self.assertEqual(self.relay.carried, [])
