"""The visitors that come on a session's lanes, and what is left of the lanes."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from bore.events import Event, VisitorEnd
from bore.events.client import VisitorLeft, VisitorUnserved
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors, OpenCount
from bore.wire.extension import Extended, Opened, Visitor
from bore.wire.proxyprotocol import Version, header
from tests.client.case import ControlCase
from tests.client.lanecase import TOKEN, LaneCase
from tests.server.lanecase import FakeLane, FakeLaneRelay


class DescriptorTests(LaneCase):
    """Few descriptors."""

    def setUp(self) -> None:
        self.others = 0
        super().setUp()
        self.settle()
        self.reactor.advance(10)
        self.visitors.descriptors = Descriptors(self.reactor, 80, OpenCount(self.descriptors))

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

    def test_noMoreGiveWayThanNeededWhereCountingIsSlow(self) -> None:
        self.others = 75
        self.visitors.descriptors = Descriptors(self.reactor, 80, OpenCount(lambda: 0, self.descriptors))
        self.assertTrue(self.visitors.hasDescriptors(2))
        self.assertEqual(len(self.open), 3)


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
        expected = header(Version.V1, ("203.0.113.9", 50123), ("192.0.2.1", 20001))
        self.assertEqual((one.header, one.lane, one.plain.early), (expected, self.lane, b""))

    def test_theCheckIsToldThatAVisitorHasComeThrough(self) -> None:
        came: list[bool] = []
        self.tunnel.witness = lambda: came.append(True)
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

    def test_aVisitorWhoseLaneIsLostMeanwhileHasOneEnd(self) -> None:
        events: list[Event] = []
        self.visitors.sink.subscribe(events.append, visitors=True)
        id = uuid4()
        self.visit(self.lane, id)
        self.lane.end(reset=True)
        self.local.succeed()
        ends = [event for event in events if isinstance(event, VisitorUnserved | VisitorLeft)]
        self.assertEqual(ends, [VisitorUnserved(str(id), self.tunnel.name, VisitorEnd.LEFT_EARLY.value)])

    def test_oneThatIsOnItsWayWhenTheClientStopsIsRefused(self) -> None:
        events: list[Event] = []
        self.visitors.sink.subscribe(events.append, visitors=True)
        id = uuid4()
        self.visit(self.lane, id)
        self.visitors.stop()
        self.assertEqual((self.local.under, self.lane.refused, self.warnings), ([], True, []))
        self.assertEqual(events[-1], VisitorUnserved(str(id), self.tunnel.name, VisitorEnd.STOPPED.value))

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
        self.assertEqual(self.warnings, ["the limit of visitors is reached, 2: more are turned away"])
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
        self.session.close()
        self.assertEqual([lane.reset for lane in idle], [False] * 3)
        self.assertFalse(busy.closed)
        self.relay.leave(busy)
        self.assertIs(busy.reset, False)
        self.reactor.advance(100)
        self.assertEqual(self.open, [])

    def test_dialsAreCancelled(self) -> None:
        self.server.succeed()
        self.session.close()
        self.assertEqual(self.server.under, [])
        self.assertEqual((self.open, self.warnings), ([], []))

    def test_whoIsOnTheWayToTheLocalServiceIsServed(self) -> None:
        self.settle()
        busy = self.open[0]
        self.visit(busy)
        self.settle()
        self.session.close()
        self.local.succeed()
        self.assertEqual([one.lane for one in self.relay.carried], [busy])

    def test_aRestDoesNotOutliveIt(self) -> None:
        self.settle()
        for lane in self.open:
            lane.end(reset=True)
        self.session.close()
        self.reactor.advance(10)
        self.assertEqual(self.server.under, [])


class ControlTests(ControlCase):
    """When a session has lanes."""

    def begin(self, token: str | None = TOKEN, most: int = 0, **settings: Any) -> tuple[int, bool]:
        """A session, and a visitor; gives how many lanes there are, and whether the visitor is accepted."""
        self.make(**settings)
        reactor = cast(IReactor, self.reactor)
        self.relay = FakeLaneRelay(reactor)
        cast(Any, self.visitors).relay = self.relay
        protocol, self.transport = self.connect()
        self.addCleanup(self.lose, protocol)
        self.hear(protocol, Extended(1, token, maxLanes=most), Opened(1, 20001, TOKEN, 60), Visitor(1, uuid4(), None))
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
