"""One report of a server, made of what its workers report."""

from __future__ import annotations

from dataclasses import replace

from bore.status.report import EventReport, ServerTotals, TunnelReport, Visited, VisitorReport
from bore.wire.workermessages import Reported
from bore.workers.reports import Reports
from tests.status.pagereports import busyServer
from tests.status.reports import server, session, tunnel
from tests.workers.reportscase import VISITORS, ReportsCase, Worker


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

    def test_answersToTheSupervisorBeforeAnUpgradeAreNoneToThisOne(self) -> None:
        worker = self.add(server(totals=(5, 6, 7)))
        self.reports.take()
        before, worker.sent = worker.sent, []
        self.clock.advance(1)
        self.reports = Reports(self.clock, lambda: self.own, lambda: self.workers)
        asked = self.reports.take()
        for each in before:
            self.reports.reported(1, each)
        self.assertNoResult(asked)
        self.deliver()
        self.assertEqual(self.successResultOf(asked).totals.visitors, 5)


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


class LoadTests(ReportsCase):
    """Who asks again and again."""

    def test_nothingIsKeptOfQuestions(self) -> None:
        self.add(server(sessions=[session()]))
        for _ in range(5):
            self.take()
        self.assertEqual(self.reports._questions, {})
