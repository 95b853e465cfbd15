"""A supervisor and workers that report to it, without processes."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.status.report import ServerReport, TunnelReport, Visited, VisitorReport
from bore.wire.workermessages import Report, Reported, SupervisorMessage, WorkerMessage
from bore.workers.reporter import Reporter
from bore.workers.reports import TIMEOUT, Reports
from tests.status.reports import SINCE, server

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
