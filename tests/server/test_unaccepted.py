"""Visitors that wait: how many are accepted, whom the client is told of, and who is served first."""

from __future__ import annotations

import socket
from typing import cast
from uuid import UUID

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Sink
from bore.server import tunnel
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.visitor import VisitorOwner
from bore.system.descriptors import Descriptors, OpenCount
from bore.wire import messages
from bore.wire.extension import Goodbye, Open, encode
from bore.wire.extension import Visitor as VisitorMessage
from bore.wire.messages import Accept
from tests.fakes import FakeTransport
from tests.relay.plugs import reset
from tests.server.case import Granted, SessionCase
from tests.server.lanecase import LaneCase


class AnnouncedTests(SessionCase):
    """How many visitors the client is told of."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(tunnel, "MAX_ANNOUNCED", 3)
        self.protocol, self.transport, self.opened = self.session()

    def told(self, transport: FakeTransport | None = None) -> list[tuple[str, int]]:
        """Where those come from whom the client was told of since the last call."""
        self.messages = [m for m in self.said(transport or self.transport) if isinstance(m, VisitorMessage)]
        return [message.source for message in self.messages if message.source is not None]

    def come(self, count: int) -> list[socket.socket]:
        return [self.visit(self.opened.port) for _ in range(count)]

    def take(self, id: UUID) -> None:
        data, _ = self.connect()
        data.dataReceived(messages.encode(Accept(id)))

    def names(self, visitors: list[socket.socket]) -> list[tuple[str, int]]:
        return [visitor.getsockname() for visitor in visitors]

    def test_moreAreAcceptedAndToldOfWhenOthersWereTaken(self) -> None:
        visitors = self.come(8)
        told = self.told()
        self.assertEqual(len(self.server.unaccepted), 8)
        self.assertEqual(len(told), 3)
        while self.messages:
            self.take(self.messages[-1].id)
            told += self.told()
        self.assertEqual(told, self.names(visitors[: len(told)]))
        self.assertEqual(len(self.relay.joined), len(told) - 2)

    def test_allAreTakenInTheOrderInWhichTheyCame(self) -> None:
        visitors = self.come(8)
        self.told()
        queue = self.messages
        while queue:
            self.take(queue.pop(0).id)
            self.told()
            queue += self.messages
        self.assertEqual([left.socket.getpeername() for left, _ in self.relay.joined], self.names(visitors))

    def test_whoComesBehindThoseThatWaitUnannouncedWaitsBehindThem(self) -> None:
        self.come(4)
        self.told()
        [last] = self.come(1)
        for message in self.messages[:]:
            self.take(message.id)
        self.assertEqual(self.told()[-1], last.getsockname())

    def test_moreAreToldOfWhenOthersHaveWaitedForTooLong(self) -> None:
        self.come(3)
        self.told()
        self.live(self.protocol, 5)
        visitors = self.come(2)
        self.assertEqual(self.told(), [])
        self.live(self.protocol, 5)
        self.assertEqual(self.told(), self.names(visitors))

    def test_whoHasGoneIsNotToldOfAndDoesNotWait(self) -> None:
        visitors = self.come(8)
        self.told()
        for visitor in visitors[3:7]:
            reset(visitor)
        self.take(self.messages[0].id)
        self.assertEqual(self.told(), self.names(visitors[7:]))
        self.assertEqual(len(self.server.unaccepted), 3)

    def test_whoHasEndedItsStreamStillWaitsForItsAnswer(self) -> None:
        visitors = self.come(4)
        self.told()
        visitors[3].sendall(b"a question")
        visitors[3].shutdown(socket.SHUT_WR)
        self.take(self.messages[0].id)
        self.assertEqual(self.told(), self.names(visitors[3:]))

    def test_aClientThatComesBackIsToldOfTheOldest(self) -> None:
        visitors = self.come(6)
        self.told()
        self.take(self.messages[1].id)
        self.told()
        self.lose(self.protocol)
        reset(visitors[2])
        again, transport = self.begin()
        again.dataReceived(encode(Open(1, 0, self.opened.resume)))
        self.assertEqual(self.told(transport), self.names([visitors[0], visitors[3], visitors[4]]))
        for message in self.messages[:]:
            self.take(message.id)
        self.assertEqual(self.told(transport), self.names(visitors[5:]))

    def test_nobodyIsToldOfAfterTheEnd(self) -> None:
        visitors = self.come(6)
        self.told()
        self.protocol.dataReceived(encode(Goodbye()))
        self.assertEqual(self.told(), [])
        self.assertEqual([visitor.recv(1) for visitor in visitors], [b""] * 6)


class OrderTests(LaneCase):
    """Who gets a lane."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(tunnel, "MAX_ANNOUNCED", 3)

    def test_thoseWhoWaitAreServedInTheOrderInWhichTheyCame(self) -> None:
        visitors = [self.come() for _ in range(8)]
        lane = self.lane()
        served = []
        while self.relay.carried:
            served.append(self.relay.carried[0].who.source)
            self.relay.leave(lane)
        self.assertEqual(served, [visitor.getsockname() for visitor in visitors])

    def test_theClientIsToldOfTheNextWhenOneHasGotALane(self) -> None:
        for _ in range(5):
            self.come()
        self.assertEqual(len(self.waiting()), 3)
        self.lane()
        self.assertEqual(len(self.waiting()), 1)

    def test_whoseLaneWasDeadIsServedNext(self) -> None:
        dead = self.lane()
        first = self.come()
        for _ in range(5):
            self.come()
        self.waiting()
        self.relay.giveBack(dead, b"", True)
        self.assertEqual([message.source for message in self.waiting()], [first.getsockname()])
        self.lane()
        self.assertEqual(self.relay.carried[0].who.source, first.getsockname())


class ShareTests(LaneCase):
    """How many are accepted, when there are so many descriptors."""

    def setUp(self) -> None:
        super().setUp()
        self.others = 0
        # FakeLanes, and what else belongs to a test, are no descriptors of a server.
        self.server.descriptors.__init__(self.reactor, 120, OpenCount(self.open))  # type: ignore[misc]

    def open(self) -> int:
        """Two for each tunnel, and one for each connection of a visitor and of a client."""
        lanes = sum(not lane.closed for lane in self.relay.adopted)
        streams = lanes + len(self.relay.carried) + len(self.server.unaccepted)
        return self.others + 2 * len(self.server.tunnels) + streams

    def use(self, others: int) -> None:
        """So many are in use for other things."""
        self.others = others
        self.server.descriptors.renew()

    def accepted(self, port: int) -> int:
        return len(self.server.tunnels._byAddress[port].waiting)

    def flood(self, opened: Granted, count: int = 100) -> list[socket.socket]:
        return [self.visit(opened.port) for _ in range(count)]

    def test_oneTunnelMayHaveHalf(self) -> None:
        visitors = self.flood(self.opened)
        self.assertEqual(self.accepted(self.opened.port), 30)
        text = f"port {self.opened.port}: visitors that wait for the client: 30; more are not accepted yet"
        self.assertEqual(self.warnings, [text])
        for visitor in visitors:
            visitor.setblocking(False)
            self.assertRaises(BlockingIOError, visitor.recv, 1)

    def test_twoMayHaveAThirdEach(self) -> None:
        _, _, other = self.session()
        for _ in range(100):
            self.visit(self.opened.port)
            self.visit(other.port)
        self.assertEqual((self.accepted(self.opened.port), self.accepted(other.port)), (20, 19))

    def test_aFloodDoesNotKeepTheVisitorsOfAnotherTunnelOut(self) -> None:
        self.flood(self.opened)
        _, transport, other = self.session()
        for _ in range(10):
            self.visit(other.port)
            self.assertEqual(len(self.waiting(transport)), 1)
            self.lane(other.lane)
        self.assertEqual(len(self.busy), 10)

    def test_allAreAcceptedInTheEnd(self) -> None:
        visitors = self.flood(self.opened)
        lane = self.lane()
        served = []
        while self.relay.carried:
            served.append(self.relay.carried[0].who.source)
            self.relay.leave(lane)
            self.turn()
        self.assertEqual(served, [visitor.getsockname() for visitor in visitors])

    def test_whereThereIsNothingLeftTheKernelHoldsThemUntilThereIs(self) -> None:
        self.use(117)
        self.flood(self.opened, 5)
        self.assertEqual(self.accepted(self.opened.port), 0)
        self.assertIn("no descriptors are left for visitors", self.warnings[0])
        self.live(self.protocol, 2)
        self.turn()
        self.assertEqual(self.accepted(self.opened.port), 0)
        self.use(104)
        self.live(self.protocol, 0.5)
        self.turn()
        self.assertEqual(self.accepted(self.opened.port), 4)

    def test_whenSomeAreFoundAllTunnelsGetTheirs(self) -> None:
        others = [self.session()[2] for _ in range(5)]
        self.use(112)
        for opened in others:
            self.flood(opened, 2)
        self.use(0)
        self.live(self.protocol, 0.5)
        self.turn()
        self.assertEqual([self.accepted(opened.port) for opened in others], [2] * 5)

    def test_idleLanesGiveWay(self) -> None:
        _, _, other = self.session()
        lanes = [self.lane(other.lane) for _ in range(16)]
        self.use(94)
        self.flood(self.opened, 5)
        self.assertEqual(self.accepted(self.opened.port), 5)
        self.assertTrue(any(lane.closed for lane in lanes))
        self.assertEqual(self.warnings, [])

    def test_idleLanesThatNobodyNeedsAreLeftAlone(self) -> None:
        _, _, other = self.session()
        lanes = [self.lane(other.lane) for _ in range(20)]
        self.flood(self.opened, 20)
        self.assertEqual(self.accepted(self.opened.port), 20)
        self.assertFalse(any(lane.closed for lane in lanes))

    def test_noLaneIsKeptOfTheLast(self) -> None:
        self.use(105)
        lane = self.lane()
        self.assertTrue(lane.closed)
        self.use(0)
        self.assertFalse(self.lane().closed)


class FakeTunnel:
    """A tunnel that only counts how often it is resumed."""

    def __init__(self) -> None:
        self.resumed = 0

    def acceptAgain(self) -> None:
        self.resumed += 1


class ResumeTests(SynchronousTestCase):
    """Tunnels that are paused, as there are no descriptors."""

    def test_theyAreResumedInTheirOrderAndOnlyWhenThereAreDescriptors(self) -> None:
        clock, used = Clock(), 100
        unaccepted = UnacceptedVisitors(
            clock, Sink(), Descriptors(clock, 100, OpenCount(lambda: used)), lambda: 0, lambda: False
        )
        tunnels = [FakeTunnel() for _ in range(3)]
        for one in tunnels:
            unaccepted.resumeLater(cast(VisitorOwner, one))
        clock.pump([0.25] * 8)
        self.assertEqual([one.resumed for one in tunnels], [0, 0, 0])
        used = 50
        clock.pump([0.25] * 8)
        self.assertEqual([one.resumed for one in tunnels], [1, 1, 1])
        self.assertEqual(clock.getDelayedCalls(), [])
