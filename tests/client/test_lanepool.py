"""How many lanes a session has."""

from __future__ import annotations

from typing import cast
from uuid import uuid4

from bore.wire.extension import Lane, encode
from tests.client.lanecase import TOKEN, LaneCase


class OpenAtOnceTests(LaneCase):
    """Within one machine a TLS handshake may be over before the dial returns."""

    atOnce = True

    def test_noMoreAreOpenedThanAreKept(self) -> None:
        self.assertEqual((self.server.count, len(self.open)), (4, 4))

    def test_aBurstOpensOneForEach(self) -> None:
        self.reactor.advance(10)
        self.announce(20)
        self.assertEqual(len(self.open), 24)


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
            self.session.announced(1, id, None)
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
        """A lane may be faster than the control connection."""
        self.settle()
        self.reactor.advance(10)
        id = uuid4()
        self.visit(self.open[0], id)
        self.settle()
        before = self.server.count
        self.session.announced(1, id, None)
        self.reactor.pump([0.5] * 30)
        self.assertEqual(self.server.count, before)

    def test_whoWasNeverAnnouncedIsNotRemembered(self) -> None:
        self.settle()
        for _ in range(3):
            self.serve(self.open[0])
        self.assertEqual(len(self.lanes._expected._overtaken), 0)
        self.visit(self.open[0], uuid4())
        self.assertEqual(len(self.lanes._expected._overtaken), 1)

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
        """The server does not report that they have gone, and closes lanes without visitors."""
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
        line = "lanes that are not needed stay open from now on"
        self.assertIn(line, [event["log_format"] for event in self._events])


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
