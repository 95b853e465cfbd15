"""The lanes of a session, as the client sees them."""

from __future__ import annotations

import socket
from typing import Any, cast
from uuid import UUID, uuid4

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.client.dataconnections import DataConnections
from bore.client.lanes import SessionLanes
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.visitors import Visitors
from bore.streams.dial import Dialer
from bore.streams.reactor import IReactor
from bore.system.descriptors import Count, Descriptors
from bore.wire.extension import Extended, Lane, Opened, Source, Visitor, encode
from bore.wire.secret import Secret
from tests.client.case import ControlCase
from tests.fakes import FakeReactor, captureLog
from tests.server.test_lanepool import FakeLane, FakeLaneRelay

TOKEN = "0123456789abcdef0123456789abcdef"


class FakeDialer:
    """
    Dials nobody.

    :ivar under: the dials that are under way, the oldest first.
    :ivar count: how many there were.
    """

    patience = 0.0

    def __init__(self, case: SynchronousTestCase) -> None:
        self._case = case
        self.under: list[Deferred[socket.socket]] = []
        self.count = 0

    def dial(self) -> Deferred[socket.socket]:
        self.count += 1
        self.under.append(Deferred(lambda dial: self.under.remove(dial)))
        return self.under[-1]

    def succeed(self) -> socket.socket:
        """The oldest dial has succeeded; gives the other side."""
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        self._case.addCleanup(near.close)
        self._case.addCleanup(far.close)
        self.under.pop(0).callback(near)
        return far

    def fail(self) -> None:
        """The oldest dial has failed."""
        self.under.pop(0).errback(ConnectionRefusedError())


class LaneCase(SynchronousTestCase):
    """A session's lanes, without a server."""

    keep = 4
    maxVisitors = 100
    secret: Secret | None = None

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        reactor = cast(IReactor, self.reactor)
        self.relay = FakeLaneRelay(reactor)
        settings = ClientSettings(
            8000, (ServerAddress("example.com"),), maxVisitors=self.maxVisitors, secret=self.secret
        )
        self.visitors = Visitors(reactor, self.relay, settings)
        self.local, self.server = FakeDialer(self), FakeDialer(self)
        self.visitors.local = cast(Dialer, self.local)
        self._events = captureLog(self)
        self.make(self.keep)
        self.addCleanup(self._leaveNothing)

    def make(self, keep: int) -> None:
        relay, server = self.relay.lanes, cast(Dialer, self.server)
        self.lanes = SessionLanes(cast(IReactor, self.reactor), relay, self.visitors, server, TOKEN, keep, self.header)

    def header(self, source: Source | None) -> bytes:
        return b"" if source is None else f"from {source[0]}\n".encode()

    def _leaveNothing(self) -> None:
        if self.lanes._open:
            self.lanes.close()
        self.relay.finishAll()
        self.assertEqual(self.server.under, [], "dials were left")
        self.reactor.advance(20)
        self.assertEqual(self.reactor.getDelayedCalls(), [], "timers were left")

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
            self.lanes.came(id)
        return ids

    def visit(self, lane: FakeLane, id: UUID | None = None, source: Source | None = None) -> None:
        """The server puts a visitor on a lane, which was announced if it has an id."""
        lane.open(Visitor(id or uuid4(), source, id is not None))

    def serve(self, lane: FakeLane, seconds: float = 0.0) -> None:
        """A visitor comes on a lane, is served for a while, and leaves."""
        self.visit(lane)
        self.local.succeed()
        self.reactor.advance(seconds)
        self.relay.leave(lane)


class OpeningTests(LaneCase):
    """How many lanes there are."""

    def test_soManyAsAreKeptAreOpenedAtTheStart(self) -> None:
        self.assertEqual(len(self.server.under), 4)
        self.assertEqual(self.server.succeed().recv(1000), encode(Lane(TOKEN)))
        self.settle()
        self.reactor.advance(300)
        self.assertEqual((self.server.count, len(self.open)), (4, 4))

    def test_soManyIdleOnesAreKept(self) -> None:
        self.settle()
        first, second, *_ = self.open
        self.visit(first)
        self.visit(second)
        self.assertEqual(len(self.server.under), 2)
        self.settle()
        self.assertEqual((self.server.count, len(self.open)), (6, 6))

    def test_oneVisitorAfterAnotherNeedsNoFurtherDial(self) -> None:
        self.settle()
        lane = self.open[0]
        for _ in range(100):
            self.serve(lane)
            self.settle()
        self.assertLessEqual(self.server.count, 5)

    def test_aBurstOpensOneForEachButNeverManyAtOnce(self) -> None:
        self.settle()
        self.reactor.advance(10)
        ids = self.announce(200)
        self.assertEqual(len(self.server.under), 32)
        most = 0
        for id in ids:
            most = max(most, len(self.server.under))
            self.server.succeed()
            self.visit(self.open[-1], id)
        self.assertEqual(most, 32)
        self.settle()
        self.assertEqual(len(self.open), 204)

    def test_aVisitorThatIsAnnouncedAgainIsTheSame(self) -> None:
        self.settle()
        self.reactor.advance(10)
        [id] = self.announce()
        for _ in range(5):
            self.lanes.came(id)
        self.assertEqual(len(self.server.under), 1)

    def test_aLaneOfWhichTheServerHasNotHeardYetIsForWhoIsAnnounced(self) -> None:
        self.announce(3)
        self.assertEqual(len(self.server.under), 4)
        self.settle()
        self.announce(1)
        self.assertEqual(self.server.count, 4)

    def test_deadOnesDoNotCountForWhoIsAnnounced(self) -> None:
        self.settle()
        self.reactor.advance(10)
        self.announce(3)
        self.assertEqual(len(self.server.under), 3)

    def test_oneThatHasJustDiedDoesNotLeaveAVisitorWithoutALane(self) -> None:
        self.settle()
        self.announce()
        self.assertEqual(len(self.server.under), 0)
        self.reactor.pump([0.5] * 10)
        self.assertEqual(len(self.server.under), 1)

    def test_whoWasOnALaneBeforeItIsAnnouncedIsNotExpected(self) -> None:
        """What is said on a lane may be faster than what is said on the control connection."""
        self.settle()
        self.reactor.advance(10)
        id = uuid4()
        self.visit(self.open[0], id)
        self.settle()
        before = self.server.count
        self.lanes.came(id)
        self.reactor.pump([0.5] * 30)
        self.assertEqual(self.server.count, before)

    def test_whoWasNeverAnnouncedIsNotRemembered(self) -> None:
        self.settle()
        for _ in range(3):
            self.serve(self.open[0])
        self.assertEqual(len(self.lanes._overtaken), 0)
        self.visit(self.open[0], uuid4())
        self.assertEqual(len(self.lanes._overtaken), 1)

    def test_whereADialIsDearALaneThatBecomesFreeIsWaitedFor(self) -> None:
        self.settle()
        self.reactor.advance(10)
        self.server.patience = 0.02
        ids = self.announce(3)
        self.assertEqual(len(self.server.under), 0)
        self.reactor.advance(0.01)
        self.visit(self.open[0], ids[0])
        self.settle()
        before = self.server.count
        self.reactor.advance(0.01)
        self.assertEqual(self.server.count, before + 1, "and one was opened ahead")

    def test_whereADialIsDearEveryoneHasALaneInTheEnd(self) -> None:
        self.settle()
        self.reactor.advance(10)
        self.server.patience = 0.02
        before = self.server.count
        for _ in range(3):
            self.announce(1)
            self.reactor.advance(0.015)
        self.reactor.pump([0.005] * 5)
        self.assertEqual(self.server.count, before + 3)

    def test_visitorsThatHaveGoneDoNotHaveLanesOpenedOverAndOver(self) -> None:
        """The server does not say that they have gone, and closes lanes that it has nobody for."""
        self.settle()
        self.reactor.advance(10)
        before = self.server.count
        self.announce(300)
        for _ in range(600):
            self.settle()
            for lane in self.open[:-256]:
                lane.end(reset=False)
            self.reactor.advance(0.02)
        self.assertGreaterEqual(self.server.count - before, 300)
        self.assertLess(self.server.count - before, 300 + 6 * 32)

    def test_whoHasGivenUpWaitingIsNotExpectedAnyMore(self) -> None:
        self.settle()
        self.reactor.advance(10)
        self.announce(3)
        self.settle()
        self.reactor.advance(10)
        before = self.server.count
        [_] = self.announce()
        self.assertLessEqual(self.server.count, before + 1)


class QuietTests(LaneCase):
    """Fewer lanes after a burst."""

    def setUp(self) -> None:
        super().setUp()
        self.settle()
        self.reactor.advance(10)
        for id in self.announce(20):
            self.server.succeed()
            self.visit(self.open[-1], id)
            self.local.succeed()
        self.settle()
        self.relay.finishAll()
        self.burst = self.open

    def test_afterAMinuteOfQuietOnlyThoseThatAreKeptAreLeft(self) -> None:
        self.reactor.pump([1] * 59)
        self.assertEqual(self.open, self.burst)
        self.reactor.pump([1] * 70)
        self.assertEqual(len(self.open), 4)
        self.assertFalse(any(lane.reset for lane in self.burst))
        self.reactor.pump([1] * 300)
        self.assertEqual((len(self.open), len(self.server.under)), (4, 0))

    def test_thoseThatWereIdleForTheShortestTimeAreLeft(self) -> None:
        used = self.burst[2:4]
        for _ in range(13):
            self.reactor.pump([1] * 10)
            for lane in used:
                self.serve(lane)
        self.assertEqual(len(self.open), 5, "four, beside the one that was in use")
        self.assertLessEqual(set(map(id, used)), set(map(id, self.open)))

    def test_thoseThatAreNeededAtTimesAreLeft(self) -> None:
        for _ in range(13):
            self.reactor.pump([1] * 10)
            for lane in self.burst[-10:]:
                self.visit(lane)
                self.local.succeed()
            self.relay.finishAll()
        self.assertEqual(len(self.open), 14)

    def test_aFaultOfOursIsLogged(self) -> None:
        self.lanes._leastIdle = cast(int, None)
        self.reactor.advance(60)
        self.lanes._leastIdle = 0
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        said = "lanes that are not needed stay open from now on"
        self.assertIn(said, [event["log_format"] for event in self._events])


class LossTests(LaneCase):
    """Lanes that are lost, or cannot be had."""

    def setUp(self) -> None:
        super().setUp()
        self.settle()
        self.reactor.advance(10)

    def test_whatIsLostIsReplacedAfterARest(self) -> None:
        for lane in self.open:
            lane.end(reset=True)
        self.assertEqual(len(self.server.under), 0)
        self.reactor.advance(1)
        self.assertEqual(len(self.server.under), 4)
        self.settle()
        self.assertEqual(len(self.open), 4)

    def test_whateverClosesAllOfThemIsNotAskedInAHotLoop(self) -> None:
        for _ in range(60):
            for lane in self.open:
                lane.end(reset=False)
            self.settle()
            self.reactor.advance(0.5)
        self.assertLessEqual(self.server.count, 4 * 32)

    def test_whatCannotBeOpenedIsTriedAgainAfterARestAndSaidOnce(self) -> None:
        self.announce(2)
        for _ in range(20):
            while self.server.under:
                self.server.fail()
            self.reactor.advance(0.5)
        self.assertLessEqual(self.server.count, 4 + 2 * 11)
        self.assertEqual(self.warnings, ["a lane could not be opened: connection refused"])

    def test_whoComesAfterManyFailuresDoesNotWaitForLong(self) -> None:
        for _ in range(200):
            for lane in self.open:
                lane.end(reset=True)
            while self.server.under:
                self.server.fail()
            self.reactor.advance(0.5)
        before = self.server.count
        self.reactor.advance(1)
        self.announce()
        self.reactor.advance(1)
        self.assertGreater(self.server.count, before)

    def test_theLossOfIdleOnesDoesNotKeepVisitorsWaiting(self) -> None:
        self.open[0].end(reset=True)
        self.announce()
        self.assertEqual(len(self.server.under), 1)

    def test_aRelayWithoutRoomIsTriedAgainAfterARest(self) -> None:
        def refuse(*_: object) -> None:
            raise OSError("no room")

        self.relay.adopt = refuse  # type: ignore[assignment,method-assign]
        self.announce()
        far = self.server.succeed()
        self.assertEqual((far.recv(1000), far.recv(1000)), (encode(Lane(TOKEN)), b""))
        self.assertEqual(self.server.under, [])
        self.reactor.advance(1)
        self.assertEqual(len(self.server.under), 1)


class DescriptorTests(LaneCase):
    """Few descriptors."""

    def setUp(self) -> None:
        self.others = 0
        super().setUp()
        self.settle()
        self.reactor.advance(10)
        self.visitors.descriptors = Descriptors(self.reactor, 80, Count(self.descriptors))

    def descriptors(self) -> int:
        return self.others + len(self.open) + len(self.server.under) + len(self.local.under) + len(self.relay)

    def use(self, others: int) -> None:
        """So many are in use for other things."""
        self.others = others
        self.visitors.descriptors.renew()

    def burst(self, count: int) -> None:
        """Visitors come, as far as there are lanes for them."""
        for id in self.announce(count):
            if not self.server.under:
                return
            self.server.succeed()
            self.visit(self.open[-1], id)
            self.local.succeed()

    def test_thereIsRoomForTheVisitorOfEachLane(self) -> None:
        self.burst(100)
        self.assertLessEqual(len(self.open) + len(self.relay) + len([1 for lane in self.lanes._idle]), 80)
        self.assertGreater(len(self.relay), 30)
        self.assertIn("no descriptors are left for visitors", self.warnings[0])

    def test_whenThereAreSomeAgainThoseWhoWaitGetTheirLanes(self) -> None:
        self.use(80)
        self.announce(3)
        self.assertEqual(len(self.server.under), 0)
        self.use(0)
        self.reactor.advance(0.25)
        self.assertEqual(len(self.server.under), 3)

    def test_noneIsOpenedInCaseOfNeedOfTheLast(self) -> None:
        self.use(68)
        self.visit(self.open[0])
        self.reactor.pump([1] * 120)
        self.assertEqual(len(self.server.under), 0)
        self.announce()
        self.assertEqual(len(self.server.under), 1)
        self.server.fail()
        self.use(0)
        self.reactor.pump([1] * 61)
        self.assertEqual(len(self.server.under), 1)

    def test_anIdleOneGivesWay(self) -> None:
        first = self.open[0]
        self.assertTrue(self.visitors.patience._giveWay())
        self.assertTrue(first.closed)
        for lane in self.open:
            lane.looksAlive = False  # a visitor has just come
        self.assertFalse(self.visitors.patience._giveWay())

    def test_oneThatWasOpenedForAVisitorWhoWaitsDoesNotGiveWay(self) -> None:
        old = self.open
        self.announce()
        self.settle()
        while self.visitors.patience._giveWay():
            pass
        self.assertEqual([lane.closed for lane in [*old, *self.relay.adopted[4:]]], [True] * 4 + [False])

    def test_idleOnesGiveWayBeforeAStreamThatMayStillHaveAnAnswerToPassOn(self) -> None:
        relieved: list[list[FakeLane]] = []
        self.relay.relieve = lambda: bool(relieved.append(self.open))  # type: ignore[method-assign,func-returns-value]
        self.use(75)
        self.assertTrue(self.visitors.hasDescriptors(2))
        self.assertEqual((len(self.open), relieved), (3, []))
        self.use(80)
        self.assertFalse(self.visitors.hasDescriptors(2))
        self.assertEqual(relieved, [[]])


class ServingTests(LaneCase):
    """Visitors on lanes."""

    def setUp(self) -> None:
        super().setUp()
        self.settle()
        self.lane = self.open[0]

    def test_theLocalServiceIsDialledAndTheHeaderGoesFirst(self) -> None:
        self.visit(self.lane, source=("203.0.113.9", 50123))
        self.assertEqual(self.relay.carried, [])
        self.local.succeed()
        [one] = self.relay.carried
        self.assertEqual((one.header, one.lane, one.plain.early), (b"from 203.0.113.9\n", self.lane, b""))

    def test_theCheckIsToldThatAVisitorHasComeThrough(self) -> None:
        came: list[bool] = []
        self.visitors.witness = lambda: came.append(True)
        self.visit(self.lane)
        self.assertEqual(came, [True])

    def test_withoutALocalServiceTheVisitorIsRefusedAndTheLaneGoesOn(self) -> None:
        self.visit(self.lane)
        self.local.fail()
        self.assertTrue(self.lane.refused)
        self.assertFalse(self.lane.closed)
        self.assertEqual(len(self.warnings), 1)
        self.lane.turnIdle()
        self.serve(self.lane)

    def test_aLaneThatIsLostMeanwhileLeavesNothingOpen(self) -> None:
        for done in (self.local.succeed, self.local.fail):
            self.visit(self.lane)
            self.lane.end(reset=True)
            far = done()
            if far is not None:
                self.assertEqual(far.recv(1), b"")
            self.lane = self.open[0]
        self.assertEqual(self.relay.carried, [])

    def test_aVisitorThatIsNoneIsRefused(self) -> None:
        for nonsense in (b"", b"null", b'{"id":"x","from":null}'):
            self.lanes.opened(self.lane, nonsense)
            self.assertTrue(self.lane.refused)
            self.lane.refused = False
        self.assertEqual((self.local.under, len(self.warnings)), ([], 1))


class MaxVisitorsTests(LaneCase):
    """--max-visitors."""

    maxVisitors = 2

    def test_moreAreRefused(self) -> None:
        self.settle()
        lanes = self.open
        for lane in lanes:
            self.visit(lane)
            if self.local.under:
                self.local.succeed()
        self.assertEqual([lane.refused for lane in lanes], [False, False, True, True])
        self.assertEqual(self.warnings, ["2 visitors may be there, more are turned away"])
        self.reactor.advance(20)

    def test_thoseOnTheirWayToTheLocalServiceCount(self) -> None:
        self.settle()
        lanes = self.open
        for lane in lanes:
            self.visit(lane)
        self.assertEqual([lane.refused for lane in lanes], [False, False, True, True])
        self.reactor.advance(20)


class EndTests(LaneCase):
    """The session is over."""

    def test_idleOnesAreClosedAndBusyOnesWhenTheirVisitorsLeave(self) -> None:
        self.settle()
        busy, *idle = self.open
        self.visit(busy)
        self.local.succeed()
        self.settle()
        self.lanes.close()
        self.assertEqual([lane.reset for lane in idle], [False] * 3)
        self.assertFalse(busy.closed)
        self.relay.leave(busy)
        self.assertIs(busy.reset, False)
        self.reactor.advance(100)
        self.assertEqual(self.open, [])

    def test_dialsAreCancelled(self) -> None:
        self.server.succeed()
        self.lanes.close()
        self.assertEqual(self.server.under, [])
        self.assertEqual((self.open, self.warnings), ([], []))

    def test_whoIsOnTheWayToTheLocalServiceIsServed(self) -> None:
        self.settle()
        busy = self.open[0]
        self.visit(busy)
        self.settle()
        self.lanes.close()
        self.local.succeed()
        self.assertEqual([one.lane for one in self.relay.carried], [busy])

    def test_aRestDoesNotOutliveIt(self) -> None:
        self.settle()
        for lane in self.open:
            lane.end(reset=True)
        self.lanes.close()
        self.reactor.advance(10)
        self.assertEqual(self.server.under, [])


class SecretTests(LaneCase):
    """With a secret each lane begins with its proof."""

    secret = Secret("hush")

    def test_aServerThatDoesNotAskForItIsSilentAndCostsNoMoreThanItsTime(self) -> None:
        far = self.server.succeed()
        self.assertRaises(BlockingIOError, far.recv, 1)
        self.assertEqual(len(self.reactor.getReaders()), 1)
        self.lanes.close()
        self.assertEqual((self.reactor.getReaders(), far.recv(1)), ([], b""))

    def test_theProofGoesFirst(self) -> None:
        far = self.server.succeed()
        far.send(b'{"Challenge":"%s"}\0' % str(uuid4()).encode())
        [reader] = self.reactor.getReaders()
        reader.doRead()
        proof, lane, rest = far.recv(1000).split(b"\0")
        self.assertIn(b"Authenticate", proof)
        self.assertEqual((lane + b"\0", rest, len(self.open)), (encode(Lane(TOKEN)), b"", 1))


class ControlTests(ControlCase):
    """When a session has lanes."""

    def begin(self, token: str | None = TOKEN, most: int = 0, **settings: int) -> tuple[int, bool]:
        """A session, and a visitor; gives how many lanes there are, and whether the visitor is accepted."""
        self.make(**settings)
        reactor = cast(IReactor, self.reactor)
        self.relay = FakeLaneRelay(reactor)
        visitors = cast(Any, self.visitors)
        visitors.relay, visitors.connections = self.relay, DataConnections(reactor, None)
        protocol, self.transport = self.connect()
        self.addCleanup(self.lose, protocol)
        self.hear(protocol, Extended(1), Opened(20001, TOKEN, 60, token, most), Visitor(uuid4(), None))
        return len(self.relay.adopted), bool(self.visitors.ids)

    def test_theyCarryTheVisitors(self) -> None:
        self.assertEqual(self.begin(), (4, False))
        self.assertEqual(self.begin(lanes=7), (7, False))

    def test_noMoreAreOpenedThanTheServerKeeps(self) -> None:
        self.assertEqual(self.begin(most=3, lanes=7), (3, False))
        self.assertEqual(self.begin(most=256, lanes=7), (7, False))

    def test_withoutThemVisitorsAreAccepted(self) -> None:
        self.assertEqual(self.begin(lanes=0), (0, True))
        self.assertEqual(self.begin(token=None), (0, True))

    def test_idleOnesAreClosedWithTheSession(self) -> None:
        self.begin()
        self.doCleanups()
        self.assertTrue(all(lane.closed for lane in self.relay.adopted))
