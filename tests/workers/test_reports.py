"""What workers report, and what the supervisor makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.status.parts import MAX_PART
from bore.status.report import EventReport, ServerReport, ServerTotals, TunnelReport, Visited, VisitorReport
from bore.wire.workermessages import Report, Reported, SupervisorMessage, WorkerMessage
from bore.workers.reporter import Reporter
from bore.workers.reports import TIMEOUT, Reports
from tests.status.pagereports import busyServer
from tests.status.reports import SINCE, server, session, tunnel

VISITORS = [VisitorReport(str(n), f"198.51.100.1:{n}", SINCE, 1.0, "served", None, 1, 2) for n in range(3)]


class Worker:
    """
    A worker whose channel the test delivers.

    :ivar report: its snapshot; an exception: taking one fails.
    :ivar sent: the messages that the supervisor has not got yet.
    :ivar asked: what was asked.
    """

    generation = 1
    state = "serving"
    since = 0.0

    def __init__(self, clock: Clock, number: int, report: ServerReport | Exception) -> None:
        self.number = number
        self.pid = 4000 + number
        self.report = report
        self.asked: list[str] = []
        self.sent: list[Reported] = []
        self.isFull = self.isNew = False
        self.reporter = Reporter(clock, self.take, self.tunnel, self.give, lambda: self.isFull)

    def give(self, message: WorkerMessage) -> None:
        assert isinstance(message, Reported)
        self.sent.append(message)

    def take(self) -> Deferred[ServerReport]:
        return fail(self.report) if isinstance(self.report, Exception) else succeed(self.report)

    def tunnel(self, name: str, most: int | None) -> Deferred[Visited[TunnelReport, VisitorReport]]:
        assert isinstance(self.report, ServerReport)
        found = [each for each in self.report.tunnels if str(each.address) == name]
        return succeed((found[0], VISITORS[:most]) if found else None)

    def maySend(self, kind: type) -> bool:
        return not self.isNew

    def send(self, message: SupervisorMessage) -> None:
        assert isinstance(message, Report)
        self.asked.append(message.question)
        self.reporter.ask(message)


class ReportsCase(SynchronousTestCase):
    """A supervisor with workers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.own = server(totals=(0, 0, 0))
        self.workers: list[Worker] = []
        self.reports = Reports(self.clock, lambda: self.own, lambda: self.workers, wallClock=lambda: 1e9)

    def add(self, report: ServerReport | Exception) -> Worker:
        worker = Worker(self.clock, len(self.workers) + 1, report)
        self.workers.append(worker)
        return worker

    def deliver(self, *silent: Worker) -> None:
        """Have all messages come, apart from those of silent workers."""
        for _ in range(200):
            for worker in self.workers:
                if worker not in silent:
                    sent, worker.sent = worker.sent, []
                    for message in sent:
                        self.reports.reported(worker.number, message)
            self.clock.advance(0)

    def take(self, *silent: Worker) -> ServerReport:
        asked = self.reports.take()
        self.deliver(*silent)
        if silent:
            self.assertNoResult(asked)
            self.clock.advance(TIMEOUT)
            self.deliver(*silent)
        return self.successResultOf(asked)

    def answers(self, report: ServerReport) -> list[bool]:
        assert report.workers is not None
        return [each.answers for each in report.workers]


class StatusTests(ReportsCase):
    """The report of the server."""

    def test_whatAllWorkersHave(self) -> None:
        self.add(busyServer(600))
        self.add(server(tunnel(10), totals=(1, 2, 3)))
        found = self.take()
        self.assertEqual(len(found.tunnels), 601)
        self.assertEqual(found.totals.visitors, busyServer(600).totals.visitors + 1)
        self.assertEqual({each.worker for each in found.tunnels}, {1, 2})

    def test_withoutWorkersItIsTheSupervisorsOwn(self) -> None:
        self.assertEqual(self.successResultOf(self.reports.take()).workers, [])

    def test_whoeverAsksMeanwhileSharesTheNextOne(self) -> None:
        worker = self.add(server())
        asked = [self.reports.take() for _ in range(5)]
        self.deliver()
        for each in asked:
            self.successResultOf(each)
        self.assertEqual(worker.asked, ["status"] * 2)

    def test_oneThatStartsIsNotAsked(self) -> None:
        worker = self.add(server())
        worker.isNew = True
        found = self.take()
        self.assertEqual((worker.asked, self.answers(found)), ([], [True]))

    def test_oneThatDoesNotAnswerKeepsItsLastReportAndIsNotAskedAgain(self) -> None:
        first, second = self.add(server(totals=(5, 0, 0))), self.add(server(totals=(1, 0, 0)))
        self.take()
        first.report = server(totals=(6, 0, 0))
        second.report = server(totals=(2, 0, 0))
        found = self.take(first)
        self.assertEqual((found.totals.visitors, self.answers(found)), (5 + 2, [False, True]))
        again = self.reports.take()
        self.deliver(first)
        self.assertEqual(self.answers(self.successResultOf(again)), [False, True])  # nobody waits for it once more
        self.assertEqual(len(first.asked), 2)
        self.deliver()  # its answer comes after all
        found = self.take()
        self.assertEqual((found.totals.visitors, self.answers(found), len(first.asked)), (6 + 2, [True, True], 3))

    def test_aReportThatCannotBeMadeLeavesTheLastOne(self) -> None:
        worker = self.add(server(totals=(5, 0, 0)))
        self.take()
        worker.report = RuntimeError("a fault")
        found = self.take()
        self.assertEqual((found.totals.visitors, self.answers(found)), (5, [True]))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_partsThatAreNoneLeaveTheLastOne(self) -> None:
        worker = self.add(server(totals=(5, 0, 0)))
        self.take()
        asked = self.reports.take()
        worker.sent = [replace(each, part=b"{") for each in worker.sent]
        self.deliver()
        self.assertEqual(self.successResultOf(asked).totals.visitors, 5)

    def test_answersToNoQuestionAndOfOtherWorkersAreIgnored(self) -> None:
        first, second = self.add(server(totals=(5, 0, 0))), self.add(server())
        asked = self.reports.take()
        self.reports.reported(2, Reported(1, b'[["pid", 1]]', True))
        self.reports.reported(1, Reported(99, b"[]", True))
        self.deliver()
        self.assertEqual(self.successResultOf(asked).totals.visitors, 5)
        del first, second


class EndTests(ReportsCase):
    """Workers that end."""

    def end(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.reports.ended(worker)

    def test_whatItHasReportedLastStays(self) -> None:
        event = EventReport("T", "x", "x", {})
        worker = self.add(replace(server(tunnel(1), totals=(5, 6, 7)), recent=[event]))
        other = self.add(server(totals=(1, 1, 1)))
        self.take()
        worker.report = server(totals=(50, 60, 70))  # is killed before it reports that
        self.end(worker)
        found = self.take()
        self.assertEqual(found.totals, ServerTotals(6, 7, 8, {}, {}, 0))
        self.assertEqual(([each.worker for each in found.recent], found.tunnels), ([1], []))
        del other

    def test_inOrderItReportsEverythingBefore(self) -> None:
        worker = self.add(server(totals=(5, 6, 7)))
        self.take()
        worker.report = server(totals=(50, 60, 70))
        self.successResultOf(worker.reporter.sendFinal())
        self.deliver()
        self.end(worker)
        self.assertEqual(self.take().totals.visitors, 50)

    def test_nobodyWaitsForOneThatHasEnded(self) -> None:
        worker = self.add(server(totals=(5, 6, 7)))
        self.take()
        asked = self.reports.take()
        self.end(worker)
        self.deliver()
        found = self.successResultOf(asked)
        self.assertEqual((found.totals.visitors, found.workers), (5, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whatHasEndedBeforeAnUpgradeCounts(self) -> None:
        worker = self.add(server(totals=(5, 6, 7)))
        self.take()
        self.end(worker)
        successor = Reports(self.clock, lambda: self.own, list, closed=self.reports.closed)
        self.assertEqual(self.successResultOf(successor.take()).totals.visitors, 5)


class TunnelTests(ReportsCase):
    """A tunnel and its visitors."""

    def ask(self, name: str, most: int | None = None) -> Visited[TunnelReport, VisitorReport]:
        asked = self.reports.tunnel(name, most)
        self.deliver()
        return self.successResultOf(asked)

    def test_ofTheWorkerThatHasIt(self) -> None:
        self.add(server(tunnel(1)))
        self.add(server(tunnel("unix:/run/a b")))
        found = self.ask("unix:/run/a b", 2)
        assert found is not None
        self.assertEqual((found[0].address, found[0].worker, found[1]), ("unix:/run/a b", 2, VISITORS[:2]))
        self.assertIsNone(self.ask("3"))

    def test_whileItMovesTheVisitorsOfBoth(self) -> None:
        self.add(server(tunnel(1, "away", (1, 0, 1, 0))))
        self.add(server(tunnel(1, "up", (2, 0, 2, 0))))
        found = self.ask("1")
        assert found is not None
        self.assertEqual((found[0].worker, found[0].visitors.open, len(found[1])), (2, 3, 6))
        found = self.ask("1", 4)
        assert found is not None
        self.assertEqual(len(found[1]), 4)

    def test_oneThatWaitsForItsClientAtNoWorker(self) -> None:
        self.add(server())
        self.own = server(tunnel(1, "away"))
        self.assertEqual(self.ask("1"), (tunnel(1, "away"), []))


class ReporterTests(ReportsCase):
    """The worker's end."""

    def ids(self, worker: Worker) -> Sequence[tuple[int, bool]]:
        return [(each.id, each.last) for each in worker.sent]

    def test_onePartInATurn(self) -> None:
        worker = self.add(busyServer(600))
        worker.reporter.ask(Report(1, "status"))
        self.assertEqual(len(worker.sent), 1)
        [further] = self.clock.getDelayedCalls()
        further.func(*further.args)
        self.assertEqual(len(worker.sent), 2)
        self.assertLessEqual(max(len(each.part) for each in worker.sent), MAX_PART)

    def test_itWaitsWhileTheChannelIsFull(self) -> None:
        worker = self.add(server())
        worker.isFull = True
        worker.reporter.ask(Report(1, "status"))
        self.clock.pump([0.02] * 50)
        self.assertEqual(worker.sent, [])
        worker.isFull = False
        self.clock.pump([0.02] * 3)
        self.assertEqual(self.ids(worker)[-1], (1, True))

    def test_questionsAreAnsweredInTheirOrder(self) -> None:
        worker = self.add(server())
        for number in (1, 2, 3):
            worker.reporter.ask(Report(number, "status"))
        self.clock.pump([0] * 20)
        self.assertEqual([number for number, last in self.ids(worker) if last], [1, 2, 3])

    def test_tooManyQuestionsAreNotAnswered(self) -> None:
        worker = self.add(server())
        for number in range(1, 100):
            worker.reporter.ask(Report(number, "status"))
        self.assertIn((99, True), self.ids(worker))

    def test_nothingIsSentWhenTheChannelIsClosed(self) -> None:
        for stop in (lambda each: None, lambda each: setattr(each, "isFull", True)):
            self.assertStops(stop)

    def assertStops(self, prepare: Callable[[Worker], object]) -> None:
        worker = self.add(busyServer(600))
        prepare(worker)
        worker.reporter.ask(Report(1, "status"))
        worker.reporter.close()
        sent = len(worker.sent)
        worker.reporter.ask(Report(2, "status"))
        self.assertEqual(len(worker.sent), sent)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LoadTests(ReportsCase):
    """Who asks again and again."""

    def test_nothingIsKeptOfQuestions(self) -> None:
        self.add(server(sessions=[session()]))
        for _ in range(5):
            self.take()
        self.assertEqual(self.reports._questions, {})
