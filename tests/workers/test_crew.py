"""The workers of a supervisor: a crew whose processes are fakes."""

# Longer than 300 lines: what happens to a crew is read together.

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.events.server import GenerationEnded, WorkerEnded, WorkerHung, WorkerRetired, WorkerStarted
from bore.wire.workermessages import Bye, End, Failed, Load, Ping, Ready, Retire, SupervisorMessage
from bore.workers import crew as crews
from bore.workers.crew import DELAYS, END_TIMEOUT, NUMBER_REST, SETTLED, START_TIMEOUT, Crew, Member, Phase
from bore.workers.inside import CannotStart
from bore.workers.liveness import INTERVAL, PATIENCE

KILLED = "killed by SIGKILL"


class FakeProcess:
    """A process that does nothing, and its channel."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.last = ["Traceback", "SyntaxError: invalid syntax"]
        self.killed = False
        self.sent: list[SupervisorMessage] = []

    def kill(self) -> None:
        self.killed = True

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        self.sent.append(message)

    @property
    def full(self) -> bool:
        return False

    def maySend(self, kind: type[SupervisorMessage]) -> bool:
        return True

    def close(self) -> None:
        pass


class CrewCase(SynchronousTestCase):
    """A crew of two."""

    count = 2

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        sink = Sink()
        sink.subscribe(self.events.append)
        self.launched: list[Member] = []
        self.lost: list[Member] = []
        self.broken = False
        self.crew = Crew(self.clock, sink, self.launch, self.lost.append, self.count)

    def tearDown(self) -> None:
        stopped = self.crew.stop(0)
        for each in self.crew.members():
            self.crew.exited(each, "exit code 0")
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def launch(self, member: Member) -> None:
        if self.broken:
            raise OSError(11, "Resource temporarily unavailable")
        fake = FakeProcess(1000 + member.number)
        member.line, member.process = fake, fake
        self.launched.append(member)

    def process(self, number: int) -> FakeProcess:
        found = self.launched[number - 1].process
        assert isinstance(found, FakeProcess)
        return found

    def ready(self, *numbers: int) -> None:
        for number in numbers:
            self.crew.received(self.launched[number - 1], Ready("1", None))

    def up(self) -> None:
        """All are ready, and what has happened until then is forgotten."""
        started = self.crew.start()
        self.ready(1, 2)
        self.successResultOf(started)
        self.events.clear()

    def numbers(self) -> list[int]:
        return [each.number for each in self.crew.members()]


class StartTests(CrewCase):
    def test_allStartAtOnce(self) -> None:
        started = self.crew.start()
        self.assertNoResult(started)
        self.assertEqual(self.numbers(), [1, 2])
        complete = self.crew.whenComplete()
        self.ready(2)
        self.successResultOf(started)
        self.assertEqual([each.number for each in self.crew.ready], [2])
        self.assertNoResult(complete)
        self.ready(1)
        self.successResultOf(complete)
        self.assertEqual(self.events, [WorkerStarted(2, 1, 1002), WorkerStarted(1, 1, 1001)])

    def test_whyOneCannotStartIsSaidAndTheOthersAreEnded(self) -> None:
        started = self.crew.start()
        self.crew.received(self.launched[0], Failed(2, "a.toml:1: wrong\na.toml:2: as well"))
        self.crew.exited(self.launched[0], "exit code 2")
        reason = self.failureResultOf(started, CannotStart).value
        self.assertEqual((reason.code, reason.lines), (2, ("a.toml:1: wrong", "a.toml:2: as well")))
        self.assertTrue(self.process(2).killed)
        self.crew.exited(self.launched[1], KILLED)
        self.assertEqual((self.numbers(), self.events), ([], []))

    def test_theLastLinesOfOneThatDoesNotComeUpAreShown(self) -> None:
        started = self.crew.start()
        self.crew.exited(self.launched[0], "exit code 1")
        reason = self.failureResultOf(started, CannotStart).value
        expected = "a worker process could not start: exit code 1"
        self.assertEqual((reason.code, reason.lines[0], reason.lines[-1]), (1, expected, "SyntaxError: invalid syntax"))

    def test_oneThatCannotBeStartedIsAnErrorAsWell(self) -> None:
        self.broken = True
        started = self.crew.start()
        reason = self.failureResultOf(started, CannotStart).value
        self.assertIn("Resource temporarily unavailable", str(reason))

    def test_oneThatIsNotReadyInTimeIsKilled(self) -> None:
        started = self.crew.start()
        self.clock.advance(START_TIMEOUT)
        self.assertTrue(self.process(1).killed)
        self.crew.exited(self.launched[0], KILLED)
        self.failureResultOf(started, CannotStart)

    def test_oneThatIsReadyWhenItIsKilledIsNotTaken(self) -> None:
        started = self.crew.start()
        self.clock.advance(START_TIMEOUT)
        self.crew.received(self.launched[0], Ready("1", None))
        self.assertEqual(self.crew.ready, [])
        self.crew.exited(self.launched[0], KILLED)
        self.failureResultOf(started, CannotStart)

    def test_aNumberThatClientsMayStillShowIsSkipped(self) -> None:
        self.patch(crews, "MAX_WORKER", 4)
        self.up()
        self.assertEqual([self.die(), self.die(), self.die()], [3, 4, 2])  # 1 lives; the oldest of those that rest

    def test_itIsUsedAgainAfterAWhile(self) -> None:
        self.patch(crews, "MAX_WORKER", 4)
        self.up()
        self.assertEqual(self.die(), 3)
        for _ in range(int(NUMBER_REST) + 1):
            for each in self.crew.members():
                each.unanswered = 0
            self.clock.advance(1)
        self.assertEqual([self.die(), self.die()], [4, 2])

    def die(self) -> int:
        """The last worker dies; return the number of the next one."""
        self.crew.exited(self.launched[-1], KILLED)
        self.clock.advance(DELAYS[-1])
        self.crew.received(self.launched[-1], Ready("1", None))
        return self.launched[-1].number


class DeathTests(CrewCase):
    def test_anotherOneIsStartedAtOnceAndThenLaterAndLater(self) -> None:
        self.up()
        for attempt, delay in enumerate((*DELAYS, DELAYS[-1])):
            self.crew.exited(self.launched[-1], KILLED)
            self.assertEqual(self.events.pop(), WorkerEnded(2 + attempt, 1, KILLED, False))
            if delay:
                self.clock.advance(delay - 0.01)
                self.assertEqual(self.numbers(), [1])
                self.clock.advance(0.01)
            self.clock.advance(0)
            self.assertEqual(self.numbers(), [1, 3 + attempt])

    def test_whatHadBeenWellForLongIsReplacedAtOnce(self) -> None:
        self.up()
        for number in (2, 3):
            self.crew.exited(self.launched[-1], KILLED)
            self.clock.advance(0)
            self.assertEqual(len(self.numbers()), 2, number)
            self.ready(number + 1)
            for _ in range(int(SETTLED / INTERVAL) + 1):
                for each in self.crew.members():
                    each.unanswered = 0
                self.clock.advance(INTERVAL)

    def test_oneThatEndsThoughItWasNotToIsReplaced(self) -> None:
        self.up()
        self.crew.received(self.launched[1], Bye())
        self.crew.exited(self.launched[1], "exit code 0")
        self.assertEqual(self.events, [WorkerEnded(2, 1, "in order", False)])
        self.clock.advance(0)
        self.assertEqual(self.numbers(), [1, 3])

    def test_whatItHadIsKeptBeforeAnotherOneStarts(self) -> None:
        self.up()
        member = self.launched[1]
        self.crew.cut(member)
        self.assertEqual((self.lost, len(self.launched)), ([member], 2))
        self.crew.exited(member, KILLED)
        self.clock.advance(0)
        self.assertEqual((self.lost, len(self.launched)), ([member], 3))

    def test_oneWhoseChannelIsCutAndThatGoesOnIsKilled(self) -> None:
        self.up()
        self.crew.cut(self.launched[1])
        self.clock.advance(END_TIMEOUT)
        self.assertTrue(self.process(2).killed)

    def test_whatHappensMeanwhileDoesNotPutThatOff(self) -> None:
        """Such as an upgrade, which gives a worker hours to end."""
        self.up()
        self.crew.cut(self.launched[1])
        self.clock.advance(1)
        self.crew.retire(self.launched[1], 3600)
        self.crew.end(self.launched[1], 3600)
        self.assertEqual(self.launched[1].deadline, END_TIMEOUT)
        self.clock.advance(END_TIMEOUT - 1)
        self.assertTrue(self.process(2).killed)

    def test_oneWithoutAChannelThatIsTakenOverIsKilledInAnyCase(self) -> None:
        self.up()
        for number, deadline in ((8, None), (9, 2.0)):
            member = Member(number, 1, 0.0)
            self.launch(member)
            member.line = None
            self.crew.adopt(member, Phase.ENDING, deadline)
            self.assertEqual(member.deadline, deadline or END_TIMEOUT)

    def test_oneThatDoesNotAnswerIsKilled(self) -> None:
        self.up()
        for _ in range(PATIENCE + 1):
            self.clock.advance(INTERVAL)
            self.crew.received(self.launched[0], Load(0, 0, 0.0))
        self.clock.advance(0.1)
        self.assertEqual(self.events, [WorkerHung(2, 1, (PATIENCE + 1) * INTERVAL)])
        self.assertEqual((self.process(1).killed, self.process(2).killed), (False, True))
        self.assertEqual(self.process(2).sent, [Ping()])

    def test_theCrewIsAliveAsLongAsOneAnswers(self) -> None:
        self.up()
        self.crew.received(self.launched[0], Load(0, 0, 0.0))
        self.assertTrue(self.crew.alive)
        for _ in range(PATIENCE):
            self.clock.advance(INTERVAL)
        self.assertFalse(self.crew.alive)


class CountTests(CrewCase):
    def test_moreAreStarted(self) -> None:
        self.up()
        self.crew.setCount(4, 60)
        self.assertEqual(self.numbers(), [1, 2, 3, 4])
        self.assertFalse(self.crew.complete)

    def test_theSurplusIsRetired(self) -> None:
        self.up()
        self.crew.setCount(1, 60)
        self.assertEqual(self.events, [WorkerRetired(2, 1, 60)])
        self.assertEqual(self.process(2).sent, [Retire(60)])
        self.assertEqual([each.number for each in self.crew.ready], [1])
        self.crew.received(self.launched[1], Bye())
        self.crew.exited(self.launched[1], "exit code 0")
        self.assertEqual(self.events[1:], [WorkerEnded(2, 1, "in order", True)])
        self.clock.advance(0)
        self.assertEqual(self.numbers(), [1])

    def test_aRetiredOneThatDoesNotEndIsKilled(self) -> None:
        self.up()
        self.crew.setCount(1, 60)
        for _ in range(60 + int(END_TIMEOUT)):
            self.assertFalse(self.process(2).killed)
            for each in self.launched:
                self.crew.received(each, Load(0, 0, 0.0))
            self.clock.advance(1)
        self.assertTrue(self.process(2).killed)

    def test_fewerAreWantedWhileTheyStart(self) -> None:
        self.crew.start()
        complete = self.crew.whenComplete()
        self.ready(2)
        self.crew.setCount(1, 60)
        self.successResultOf(complete)
        self.assertEqual([each.phase for each in self.launched], [Phase.ENDING, Phase.READY])
        self.assertTrue(self.process(1).killed)
        self.crew.exited(self.launched[0], KILLED)
        self.clock.advance(START_TIMEOUT)
        self.assertEqual(self.numbers(), [2])


class GenerationTests(CrewCase):
    def upgrade(self) -> None:
        self.up()
        self.crew.generation = 2
        self.started = self.crew.start()

    def test_aGenerationForWhichThereIsNoProcess(self) -> None:
        self.up()
        self.broken = True
        self.crew.generation = 2
        self.failureResultOf(self.crew.start(), CannotStart)
        self.assertEqual(self.numbers(), [1, 2])

    def test_aNewGenerationStartsBesideTheOld(self) -> None:
        self.upgrade()
        generations = [(each.number, each.generation) for each in self.crew.members()]
        self.assertEqual(generations, [(1, 1), (2, 1), (3, 2), (4, 2)])
        self.ready(4)
        self.successResultOf(self.started)
        self.assertFalse(self.crew.complete)
        self.ready(3)
        self.assertTrue(self.crew.complete)

    def test_theEndOfTheLastOneOfAnEarlierGenerationIsSaid(self) -> None:
        self.upgrade()
        self.ready(3, 4)
        for number in (1, 2):
            self.crew.retire(self.launched[number - 1], 60)
        self.events.clear()
        self.crew.exited(self.launched[0], "exit code 0")
        self.assertEqual(self.events.pop(), WorkerEnded(1, 1, "in order", True))
        self.crew.exited(self.launched[1], "exit code 0")
        self.assertEqual(self.events, [WorkerEnded(2, 1, "in order", True), GenerationEnded(1)])

    def test_aGenerationThatCannotStartIsEndedAndTheOldOneGoesOn(self) -> None:
        self.upgrade()
        self.crew.exited(self.launched[2], "exit code 1")
        self.failureResultOf(self.started, CannotStart)
        self.crew.abandonGeneration(2, 60)
        self.assertTrue(self.crew.complete)
        self.assertTrue(self.process(4).killed)
        self.crew.exited(self.launched[3], KILLED)
        self.assertEqual(self.events, [])
        self.crew.exited(self.launched[0], KILLED)
        self.clock.advance(0)
        self.assertEqual([each.generation for each in self.crew.members()], [1, 1])

    def test_thoseThatAreReadyGiveTheirSessionsAway(self) -> None:
        """Clients may have come to them by then."""
        self.upgrade()
        self.ready(3)
        self.crew.abandonGeneration(2, 60)
        self.assertTrue(self.process(4).killed)
        self.assertEqual(self.process(3).sent, [Retire(60)])
        self.crew.exited(self.launched[3], KILLED)
        self.clock.advance(60)
        self.assertFalse(self.process(3).killed)
        self.assertEqual([each.number for each in self.crew.ready], [1, 2])

    def test_whatHasDiedMeanwhileIsReplaced(self) -> None:
        self.upgrade()
        self.crew.exited(self.launched[0], KILLED)
        self.clock.advance(0)
        self.crew.exited(self.launched[2], "exit code 1")
        self.failureResultOf(self.started, CannotStart)
        self.crew.abandonGeneration(2, 60)
        self.crew.exited(self.launched[3], KILLED)
        self.assertEqual([(each.number, each.generation) for each in self.crew.members()], [(2, 1), (5, 1)])

    def test_anotherNumberThatWasSetMeanwhileHolds(self) -> None:
        self.upgrade()
        self.crew.setCount(1, 60)
        self.crew.exited(self.launched[2], "exit code 1")
        self.failureResultOf(self.started, CannotStart)
        self.crew.abandonGeneration(2, 60)
        self.assertEqual([each.number for each in self.crew.ready], [1])
        self.assertEqual(self.process(2).sent, [Retire(60)])

    def test_oneOfTheOldThatStartedStillIsNotTheNewCode(self) -> None:
        """It had been started instead of one that has died."""
        self.up()
        self.crew.exited(self.launched[0], KILLED)
        self.clock.advance(0)
        self.crew.generation = 2
        started = self.crew.start()
        self.crew.exited(self.launched[2], KILLED)
        self.assertNoResult(started)
        self.ready(4)
        self.successResultOf(started)


class StopTests(CrewCase):
    def test_allEndInOrderAndOneThatDoesNotIsKilled(self) -> None:
        self.up()
        stopped = self.crew.stop(5)
        self.assertEqual([self.process(number).sent for number in (1, 2)], [[End()], [End()]])
        self.crew.exited(self.launched[0], "exit code 0")
        self.clock.advance(5 + END_TIMEOUT)
        self.assertTrue(self.process(2).killed)
        self.assertNoResult(stopped)
        self.crew.exited(self.launched[1], KILLED)
        self.successResultOf(stopped)
        self.crew.stop(0)

    def test_oneThatStartsIsKilled(self) -> None:
        self.crew.start()
        self.crew.stop(5)
        self.assertTrue(self.process(1).killed)
        self.assertIs(self.launched[0].phase, Phase.ENDING)
        self.crew.exited(self.launched[0], KILLED)
