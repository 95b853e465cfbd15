"""The lanes of a session, at the server."""

from __future__ import annotations

import gc
import weakref
from typing import cast

from bore.server.server import Server
from bore.server.settings import Bounds, ServerSettings
from bore.streams.reactor import IReactor
from bore.wire import messages
from bore.wire.extension import Extended, Goodbye, Open, Opened, encode
from bore.wire.messages import Accept
from tests.server.case import FakeRelay
from tests.server.lanecase import LaneCase


class HandingOutTests(LaneCase):
    """Which visitor is put on which lane."""

    def test_theFreshestIsFirst(self) -> None:
        first, second, third = self.lane(), self.lane(), self.lane()
        self.come()
        self.come()
        self.assertEqual(self.busy, [third, second])
        self.relay.leave(third)
        self.relay.leave(second)
        for _ in range(3):
            self.come()
        self.assertEqual(self.busy, [second, third, first])
        self.assertEqual(self.waiting(), [])

    def test_anOpenFrameNamesTheVisitor(self) -> None:
        self.lane()
        visitor = self.come()
        self.assertEqual(self.relay.carried[0].who.source, visitor.getsockname())

    def test_aVisitorWithoutAnIdleLaneIsAnnouncedAndWaits(self) -> None:
        self.lane()
        self.come()
        self.come()
        self.assertEqual((len(self.busy), len(self.waiting()), len(self.server.unaccepted)), (1, 1, 1))

    def test_aNewLaneTakesTheVisitorThatHasWaitedLongest(self) -> None:
        for _ in range(2):
            self.come()
        told = self.waiting()
        lanes = [self.lane(), self.lane()]
        self.assertEqual([one.who for one in self.relay.carried], told)
        self.assertEqual(self.busy, lanes)
        self.assertEqual(len(self.server.unaccepted), 0)

    def test_aLaneSaysWhetherItsVisitorWasAnnounced(self) -> None:
        self.lane()
        self.come()
        self.come()
        self.lane()
        self.assertEqual([one.announced for one in self.relay.carried], [False, True])
        self.relay.giveBack(self.busy[0], b"", False)
        self.lane()
        self.assertTrue(self.relay.carried[-1].announced, "it has waited for this lane, as its last one was dead")

    def test_aLaneThatTurnsIdleTakesTheVisitorThatHasWaitedLongest(self) -> None:
        lane = self.lane()
        for _ in range(3):
            self.come()
        for visitor in self.waiting():
            self.relay.leave(lane)
            self.assertEqual([one.who for one in self.relay.carried], [visitor])

    def test_aWaitingVisitorCanBeAccepted(self) -> None:
        self.come()
        [visitor] = self.waiting()
        data, _ = self.connect()
        data.dataReceived(messages.encode(Accept(visitor.id)))
        self.assertEqual((len(self.relay.joined), self.busy), (1, []))
        self.lane()
        self.assertEqual(self.busy, [])

    def test_aVisitorThatHasWaitedForTenSecondsIsClosed(self) -> None:
        visitor = self.come()
        self.live(self.protocol, 10)
        self.assertEqual(visitor.recv(1), b"")
        self.lane()
        self.assertEqual(self.busy, [])

    def test_aLaneThatIsGoneIsNotUsed(self) -> None:
        first, second = self.lane(), self.lane()
        second.end(reset=False)
        self.come()
        self.assertEqual(self.busy, [first])


class BoundTests(LaneCase):
    """--max-lanes."""

    bounds = Bounds(lanes=2)

    def test_theOldestIdleOnesAreClosed(self) -> None:
        lanes = [self.lane() for _ in range(4)]
        self.assertEqual([lane.reset for lane in lanes], [False, False, None, None])

    def test_busyOnesDoNotCount(self) -> None:
        lanes = []
        for _ in range(5):
            lanes.append(self.lane())
            self.come()
        self.assertEqual([lane.reset for lane in lanes], [None] * 5)
        for lane in lanes:
            self.relay.leave(lane)
        self.assertEqual([lane.reset for lane in lanes], [False] * 3 + [None] * 2)


class MaxVisitorsTests(LaneCase):
    """--max-visitors."""

    bounds = Bounds(visitors=2)

    def test_visitorsOnLanesCount(self) -> None:
        lane = self.lane()
        for _ in range(3):
            self.come()
            self.come()
            self.assertEqual(self.come().recv(1), b"")
            self.relay.leave(lane)
            self.relay.leave(lane)

    def test_aVisitorWhoseLaneIsDeadIsCountedOnce(self) -> None:
        self.lane()
        self.come()
        self.relay.giveBack(self.busy[0], b"", True)
        self.lane()
        self.come()
        self.assertEqual(self.come().recv(1), b"")


class NoBoundTests(LaneCase):
    """--max-lanes 0."""

    bounds = Bounds(lanes=0)

    def test_anyNumberIsKept(self) -> None:
        lanes = [self.lane() for _ in range(300)]
        self.assertFalse(any(lane.closed for lane in lanes))


class GiveWayTests(LaneCase):
    """What is closed first when descriptors are short."""

    def test_idleLanesAreClosedBeforeLingeringStreams(self) -> None:
        """An answer on its way is not lost while there is an idle lane to close."""
        lanes = [self.lane() for _ in range(3)]
        lingering = [True]
        self.relay.relieve = lambda: bool(lingering and lingering.pop())  # type: ignore[method-assign]
        for giveWay, open in ((self.server.giveWay, 1), (self.server.relieve, 0)):
            self.assertTrue(giveWay())
            self.assertEqual((sum(not lane.closed for lane in lanes), lingering), (open, [True]))
        self.assertTrue(self.server.relieve())
        self.assertEqual(lingering, [])


class EndTests(LaneCase):
    """The end of a session."""

    def setUp(self) -> None:
        super().setUp()
        self.idle, self.used = self.lane(), self.lane()
        self.come()

    def assertOver(self) -> None:
        """Idle lanes are closed in order, and the others when their visitors have left."""
        self.assertEqual((self.idle.reset, self.used.reset), (False, None))
        self.relay.leave(self.used)
        self.assertIs(self.used.reset, False)
        self.assertFalse(self.offer(self.opened.lane).detached)

    def test_whenTheConnectionIsLost(self) -> None:
        self.lose(self.protocol)
        self.assertOver()

    def test_whenTheClientDoesNotAnswer(self) -> None:
        self.reactor.pump([0.5] * 9)
        self.assertOver()

    def test_whenTheClientSaysGoodbye(self) -> None:
        self.protocol.dataReceived(encode(Goodbye()))
        self.assertOver()

    def test_whenTheServerStops(self) -> None:
        self.server.shutDown()
        self.assertOver()

    def test_whenAnotherSessionTakesOver(self) -> None:
        again, transport = self.begin()
        again.dataReceived(encode(Open(1, 0, self.opened.resume)))
        [reopened] = self.said(transport)
        assert isinstance(reopened, Opened)
        assert isinstance(self.agreed, Extended)
        self.assertNotEqual(self.agreed.lane, self.opened.lane)
        fresh = self.lane(self.agreed.lane)
        self.protocol.dataReceived(encode(Goodbye()))  # the former session goes on without the tunnel until then
        self.assertOver()
        self.come()
        self.assertEqual(self.busy, [fresh])

    def test_itsLanesInUseDoNotKeepItsControlConnection(self) -> None:
        self.lose(self.protocol)
        self.transport.unregisterProducer()  # as a transport does at its end
        gone = weakref.ref(self.protocol)
        gc.disable()
        self.addCleanup(gc.enable)
        del self.protocol
        self.assertIsNone(gone())
        self.assertEqual(self.busy, [self.used])

    def test_aVisitorThatWaitsForALaneWaitsForTheNextSession(self) -> None:
        self.come()
        self.come()
        [visitor] = self.waiting()
        self.lose(self.protocol)
        again, transport = self.begin()
        again.dataReceived(encode(Open(1, 0, self.opened.resume)))
        [reopened, told] = self.said(transport)
        assert isinstance(reopened, Opened)
        self.assertEqual(told, visitor)
        assert isinstance(self.agreed, Extended)
        self.lane(self.agreed.lane)
        self.assertEqual(self.relay.carried[-1].who, visitor)


class TokenTests(LaneCase):
    """The token of a session's lanes."""

    def test_anUnknownTokenClosesTheConnection(self) -> None:
        for token in ("0" * 32, "", self.opened.resume):
            transport = self.offer(token)
            self.assertTrue(transport.disconnecting)
            self.assertEqual(transport.takeWritten(), b"")
        self.assertEqual(self.relay.adopted, [])

    def test_eachSessionHasItsOwnLaneToken(self) -> None:
        _, transport, other = self.session()
        mine, its = self.lane(), self.lane(other.lane)
        self.visit(other.port)
        self.assertEqual(self.busy, [its])
        self.come()
        self.assertEqual(self.busy, [its, mine])
        self.assertEqual(self.waiting() + self.waiting(transport), [])

    def test_anOriginalClientHasNone(self) -> None:
        _, transport, port = self.openTunnel()
        self.visit(port)
        self.assertNotIn(b"lane", transport.value())
        self.assertEqual(len(self.announced(transport)), 1)

    def test_aServerWithoutLanesOffersNone(self) -> None:
        self.server.shutDown()
        reactor = cast(IReactor, self.reactor)
        self.server = Server(reactor, self.sink, ServerSettings(bindTunnels=self.host), FakeRelay(reactor))
        protocol, transport = self.begin()
        protocol.dataReceived(encode(Open(1, 0, None)))
        [opened] = self.said(transport)
        assert isinstance(opened, Opened)
        assert isinstance(self.agreed, Extended)
        self.assertIsNone(self.agreed.lane)
