"""What a worker reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bore.wire.workermessages import MAX_PART, Report
from tests.status.pagereports import busyServer
from tests.status.reports import server
from tests.workers.reportscase import ReportsCase, Worker


class ReporterTests(ReportsCase):
    """The worker's end."""

    def ids(self, worker: Worker) -> Sequence[tuple[int, bool]]:
        return [(each.id, each.last) for each in worker.sent]

    def test_onePartInATurn(self) -> None:
        worker = self.add(busyServer(600))
        worker.reporter.ask(Report(1, "status"))
        self.assertEqual(len(worker.sent), 1)
        [further] = self.clock.calls
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
