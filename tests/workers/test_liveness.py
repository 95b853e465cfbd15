"""Workers that do not answer."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.workers.liveness import INTERVAL, PATIENCE, Liveness


class Patient:
    """A worker that answers, or does not."""

    def __init__(self, answers: bool = True) -> None:
        self.answers = answers
        self.unanswered = 0
        self.pings = self.hangs = 0

    def ping(self) -> None:
        self.pings += 1

    def hung(self) -> None:
        self.hangs += 1

    def read(self) -> None:
        """What it has sent is read."""
        if self.answers:
            self.unanswered = 0


class LivenessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.patients: list[Patient] = []
        self.liveness = Liveness(self.clock, lambda: self.patients)
        self.liveness.start()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.liveness.stop)

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(INTERVAL)
            for each in self.patients:
                each.read()

    def test_oneThatAnswersIsAskedEachTime(self) -> None:
        self.patients = [Patient()]
        self.turns(20)
        self.assertEqual((self.patients[0].pings, self.patients[0].hangs), (20, 0))

    def test_oneThatDoesNotAnswerIsAskedOnceAndHasHungAfterAWhile(self) -> None:
        good, bad = self.patients = [Patient(), Patient(answers=False)]
        self.turns(PATIENCE)
        self.assertEqual((bad.pings, bad.hangs), (1, 0))
        self.turns(1)
        self.clock.advance(0.1)
        self.assertEqual((bad.pings, bad.hangs), (1, 1))
        self.assertEqual(good.hangs, 0)

    def test_afterAStallOfTheSupervisorOneIntervalHasPassed(self) -> None:
        self.patients = [Patient(answers=False)]
        self.turns(1)
        self.clock.advance(3600)
        self.clock.advance(0.1)
        self.assertEqual(self.patients[0].unanswered, 2)
        self.assertEqual(self.patients[0].hangs, 0)

    def test_whatHasArrivedIsReadBeforeOneIsJudged(self) -> None:
        (late,) = self.patients = [Patient(answers=False)]
        self.turns(PATIENCE)
        self.clock.advance(INTERVAL)
        late.unanswered = 0  # its answer has been read in the same turn
        self.clock.advance(0.1)
        self.assertEqual(late.hangs, 0)
