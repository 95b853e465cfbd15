"""Whether a local service answers, as visitors and probes show."""

from __future__ import annotations

import errno
import socket

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.client.localhealth import LocalHealth, LocalState
from tests.client.case import FakeDialer


class HealthTests(SynchronousTestCase):
    """The knowledge of one service."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.service = FakeDialer(self)
        self.health = LocalHealth(self.clock, self.dial, self.foundDown, self.reached)
        self.events: list[str] = []
        self.addCleanup(self.leaveNothing)

    def leaveNothing(self) -> None:
        self.health.allow(False)
        self.assertEqual((self.service.under, self.clock.getDelayedCalls()), ([], []))

    def dial(self) -> socket.socket | Deferred[socket.socket]:
        return self.service.dial()

    def foundDown(self, reason: Failure) -> None:
        self.events.append("down")

    def reached(self) -> None:
        self.events.append(f"reached after {self.health.downFor:g} s")
        self.health.up()

    @property
    def state(self) -> LocalState:
        return self.health.state

    def test_nothingIsKnownAtFirst(self) -> None:
        self.assertIs(self.state, LocalState.UNKNOWN)
        self.assertEqual((self.service.count, self.health.downFor, self.health.turnedAway), (0, 0.0, 0))

    def test_aProbeIsClosedAtOnceAndIsTheLastOfAServiceThatAnswers(self) -> None:
        self.health.allow(True)
        far = self.service.succeed()
        self.assertEqual(far.recv(1), b"")
        self.assertIs(self.state, LocalState.UP)
        self.clock.advance(1000)
        self.assertEqual((self.service.count, self.events), (1, ["reached after 0 s"]))

    def test_whileItIsDownItIsProbedAtGrowingIntervals(self) -> None:
        self.health.allow(True)
        self.service.fail()
        self.assertEqual((self.state, self.events), (LocalState.DOWN, ["down"]))
        pauses = []
        for _ in range(8):
            begin = self.clock.seconds()
            while not self.service.under:
                self.clock.advance(0.5)
            pauses.append(self.clock.seconds() - begin)
            self.service.fail()
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 30, 30, 30])
        self.clock.advance(30)
        self.service.succeed()
        self.assertEqual((self.state, self.events[1:]), (LocalState.UP, ["reached after 151 s"]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_theNextTimeTheIntervalsAreShortAgain(self) -> None:
        for _ in range(2):
            self.health.down()
            self.health.allow(True)
            for _ in range(6):
                self.clock.advance(30)
                self.service.fail()
            self.health.up()
        self.health.down()
        before = self.service.count
        self.clock.advance(1)
        self.assertEqual(self.service.count, before + 1)

    def test_aVisitorThatReachesItEndsTheProbes(self) -> None:
        self.health.allow(True)
        self.health.up()
        self.assertEqual((self.service.under, self.state), ([], LocalState.UP))
        self.health.down()
        self.health.up()
        self.assertEqual((self.clock.getDelayedCalls(), self.events), ([], []))

    def test_aVisitorThatFailsFirstIsNotReportedAgain(self) -> None:
        self.health.allow(True)
        self.health.down()
        self.service.fail()
        self.assertEqual(self.events, [])
        self.assertIs(self.state, LocalState.DOWN)

    def test_withoutProbesOnlyVisitorsShowIt(self) -> None:
        self.health.down()
        self.clock.advance(100)
        self.assertEqual((self.service.count, self.state, self.health.downFor), (0, LocalState.DOWN, 100))
        self.health.up()
        self.assertEqual((self.state, self.health.downFor), (LocalState.UP, 0))

    def test_probesCanBeForbiddenAndAllowedWhileItIsDown(self) -> None:
        self.health.allow(True)
        self.service.fail()
        self.health.allow(False)
        self.clock.advance(100)
        self.assertEqual((self.service.count, self.state), (1, LocalState.DOWN))
        self.health.allow(True)
        self.assertEqual(self.service.count, 2)
        self.health.allow(False)
        self.assertEqual(self.state, LocalState.DOWN)

    def test_aFaultOfThisMachineShowsNothing(self) -> None:
        self.health.allow(True)
        self.service.under.pop().errback(OSError(errno.EMFILE, "Too many open files"))
        self.assertEqual((self.state, self.events), (LocalState.UNKNOWN, []))
        self.clock.advance(1)
        self.service.under.pop().errback(ConnectionRefusedError())
        self.assertEqual((self.state, self.events), (LocalState.DOWN, ["down"]))

    def test_ofAnotherServiceNothingIsKnown(self) -> None:
        self.health.allow(True)
        self.service.fail()
        self.health.turnedAway = 7
        self.health.forget()
        self.assertEqual(
            (self.state, self.health.turnedAway, self.clock.getDelayedCalls()), (LocalState.UNKNOWN, 0, [])
        )
        self.health.allow(True)
        self.assertEqual(len(self.service.under), 1)
