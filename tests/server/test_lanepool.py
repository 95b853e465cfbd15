"""The lanes of a session, at the server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from bore.relay.interface import Ending, GiveBack, LaneCarrier, LaneHandle, LaneUser, Reason, Stream
from bore.server.server import Server
from bore.server.settings import Bounds, ServerSettings
from bore.streams.reactor import IReactor
from bore.wire import extension, messages
from bore.wire.extension import Goodbye, Open, Opened, Visitor, encode
from bore.wire.lane import HEADER, readOpen
from bore.wire.messages import Accept
from tests.fakes import FakeTransport
from tests.server.case import FakeRelay, SessionCase


class FakeLane:
    """
    A lane without a network.

    :ivar reset: whether it was reset when it was closed; None: it is open.
    :ivar refused: its visitor cannot be served.
    :ivar looksAlive: as the kernel sees it.
    """

    def __init__(self, sock: socket.socket, user: LaneUser) -> None:
        self.socket = sock
        self._user = user
        self.reset: bool | None = None
        self.refused = False
        self.looksAlive = True

    @property
    def closed(self) -> bool:
        return self.reset is not None

    def end(self, reset: bool) -> None:
        if not self.closed:
            self.reset = reset
            self.socket.close()
            self._user.gone(self)

    def dismiss(self) -> None:
        if self.looksAlive:
            self.end(reset=False)

    def refuse(self) -> None:
        self.refused = True

    def open(self, visitor: Visitor) -> None:
        """The server puts a visitor on it."""
        frame = extension.visitorText(visitor.id, visitor.source, visitor.announced).encode()
        self._user.opened(self, frame)

    def turnIdle(self) -> None:
        """It can have the next visitor."""
        self._user.idle(self)


@dataclass
class OnLane:
    """A stream on a lane, and the arguments it was joined with."""

    plain: Stream
    lane: FakeLane
    ended: Callable[[Ending], None]
    opening: bytes
    header: bytes
    giveBack: GiveBack | None

    @property
    def who(self) -> Visitor:
        return replace(readOpen(self.opening[HEADER.size :]), announced=False)

    @property
    def announced(self) -> bool:
        return readOpen(self.opening[HEADER.size :]).announced


class FakeLaneRelay(FakeRelay):
    """
    Keeps what it was asked to carry.

    :ivar adopted: all lanes, the oldest first.
    :ivar carried: the streams that are on lanes, the oldest first.
    """

    def __init__(self, reactor: IReactor) -> None:
        super().__init__(reactor)
        self.adopted: list[FakeLane] = []
        self.carried: list[OnLane] = []

    def __len__(self) -> int:
        return len(self.carried)

    @property
    def lanes(self) -> LaneCarrier:
        return self

    def adopt(self, sock: socket.socket, early: bytes, serves: bool, user: LaneUser) -> LaneHandle:
        self.adopted.append(FakeLane(sock, user))
        return self.adopted[-1]

    def joinWithLane(
        self,
        plain: Stream,
        lane: LaneHandle,
        ended: Callable[[Ending], None],
        opening: bytes = b"",
        header: bytes = b"",
        giveBack: GiveBack | None = None,
    ) -> None:
        self.carried.append(OnLane(plain, cast(FakeLane, lane), ended, opening, header, giveBack))

    def _take(self, lane: FakeLane) -> OnLane:
        [one] = [one for one in self.carried if one.lane is lane]
        self.carried.remove(one)
        return one

    def leave(self, lane: FakeLane) -> None:
        """The visitor on a lane leaves."""
        one = self._take(lane)
        one.plain.socket.close()
        one.ended(Ending(Reason.FINISHED, 0, 0))
        lane.turnIdle()

    def giveBack(self, lane: FakeLane, early: bytes, silent: bool) -> None:
        """A lane turns out to be dead."""
        one = self._take(lane)
        lane.end(reset=True)
        assert one.giveBack is not None
        one.giveBack(early, silent)

    def finishAll(self) -> None:
        """All visitors leave."""
        for one in list(self.carried):
            self.leave(one.lane)


class LaneCase(SessionCase):
    """A server that carries lanes."""

    relay: FakeLaneRelay

    def setUp(self) -> None:
        super().setUp()
        self.relay = FakeLaneRelay(cast(IReactor, self.reactor))
        settings = ServerSettings(bindTunnels=self.host, bounds=self.bounds)
        self.server = Server(cast(IReactor, self.reactor), self.sink, settings, self.relay)
        self.addCleanup(self.relay.finishAll)
        self.protocol, self.transport, self.opened = self.session()

    def lane(self, token: str | None = None) -> FakeLane:
        """The client opens a lane."""
        transport = self.offer(self.opened.lane if token is None else token)
        self.reactor.advance(0)  # many together send more than one turn's share
        self.assertTrue(transport.detached)
        return self.relay.adopted[-1]

    def offer(self, token: str | None) -> FakeTransport:
        assert token is not None
        data, transport = self.connect()
        data.dataReceived(encode(extension.Lane(token)))
        return transport

    def come(self) -> socket.socket:
        """A visitor comes."""
        return self.visit(self.opened.port)

    def waiting(self, transport: FakeTransport | None = None) -> list[Visitor]:
        """The visitors that were announced since the last call."""
        return [message for message in self.said(transport or self.transport) if isinstance(message, Visitor)]

    @property
    def busy(self) -> list[FakeLane]:
        return [one.lane for one in self.relay.carried]


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
        again.dataReceived(encode(Open(0, self.opened.resume)))
        [reopened] = self.said(transport)
        assert isinstance(reopened, Opened)
        self.assertNotEqual(reopened.lane, self.opened.lane)
        fresh = self.lane(reopened.lane)
        self.assertOver()
        self.come()
        self.assertEqual(self.busy, [fresh])

    def test_aVisitorThatWaitsForALaneWaitsForTheNextSession(self) -> None:
        self.come()
        self.come()
        [visitor] = self.waiting()
        self.lose(self.protocol)
        again, transport = self.begin()
        again.dataReceived(encode(Open(0, self.opened.resume)))
        [reopened, told] = self.said(transport)
        assert isinstance(reopened, Opened)
        self.assertEqual(told, visitor)
        self.lane(reopened.lane)
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
        protocol.dataReceived(encode(Open(0, None)))
        [opened] = self.said(transport)
        assert isinstance(opened, Opened)
        self.assertIsNone(opened.lane)


class DeadLaneTests(LaneCase):
    """A visitor was put on a lane that turns out to be dead."""

    def test_itWaitsAgainAndIsAnnounced(self) -> None:
        self.lane()
        self.come()
        who = self.relay.carried[0].who
        self.relay.giveBack(self.busy[0], b"early words", False)
        self.assertEqual(self.waiting(), [who])
        self.lane()
        [one] = self.relay.carried
        self.assertEqual((one.who, one.plain.early), (who, b"early words"))

    def test_silenceClosesTheOthersThatWereIdleForLonger(self) -> None:
        older, used = self.lane(), self.lane()
        self.come()
        self.reactor.advance(2.5)
        self.relay.giveBack(used, b"", True)
        self.assertIs(older.reset, True)
        self.assertEqual((len(self.waiting()), len(self.server.unaccepted)), (1, 1))

    def test_silenceLeavesThoseThatHaveWorkedSince(self) -> None:
        used = self.lane()
        self.come()
        fresh = self.lane()
        self.come()
        self.relay.leave(fresh)
        self.relay.giveBack(used, b"", True)
        self.assertIsNone(fresh.reset)

    def test_anotherIdleOneServesItAtOnce(self) -> None:
        other, used = self.lane(), self.lane()
        self.come()
        self.relay.giveBack(used, b"", False)
        self.assertEqual(self.busy, [other])
        self.assertEqual(self.waiting(), [])

    def test_whenAllHaveDiedTogetherItWaits(self) -> None:
        lanes = [self.lane() for _ in range(8)]
        self.come()
        for lane in lanes:
            lane.looksAlive = False
        self.relay.giveBack(lanes[-1], b"", False)
        self.assertEqual(self.busy, [])
        self.assertEqual((len(self.waiting()), len(self.server.unaccepted)), (1, 1))

    def test_whenTheClientIsAwayItWaitsForTheNextSession(self) -> None:
        used = self.lane()
        self.come()
        who = self.relay.carried[0].who
        self.lose(self.protocol)
        self.relay.giveBack(used, b"early", True)
        again, transport = self.begin()
        again.dataReceived(encode(Open(0, self.opened.resume)))
        self.assertEqual(self.waiting(transport), [who])

    def test_whenTheTunnelIsClosedSoIsTheVisitor(self) -> None:
        used = self.lane()
        visitor = self.come()
        self.protocol.dataReceived(encode(Goodbye()))
        self.relay.giveBack(used, b"", True)
        self.assertEqual(visitor.recv(1), b"")
