"""One report of a server with workers."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.status.history import RECENT
from bore.status.merging import Closed, Worker, merged
from bore.status.report import (
    ControlReport,
    EventReport,
    LimitReport,
    ProcessReport,
    ServerReport,
    ServerTotals,
    UserReport,
    fieldsIn,
    toJson,
)
from bore.status.slices import SLICE, atOnce
from bore.status.totals import NOTHING
from tests.status.reports import server, session, tunnel, user

NONE = Closed(NOTHING, [])


def worker(number: int, report: ServerReport | None, answers: bool = True, state: str = "serving") -> Worker:
    return Worker(number, 1, 4000 + number, state, "2026-11-26T20:00:00.000Z", 5.0, answers, report)


def merge(*workers: Worker, own: ServerReport | None = None, closed: Closed = NONE, perSource: int = 0) -> ServerReport:
    return atOnce(merged(server() if own is None else own, workers, closed, perSource))


def event(at: str, text: str) -> EventReport:
    return EventReport(at, "tunnel-opened", text, {})


class MergingTests(SynchronousTestCase):
    """Several reports become one."""

    def test_tunnelsAndSessionsHaveTheirWorker(self) -> None:
        found = merge(
            worker(1, server(tunnel(20000), sessions=[session()])),
            worker(7, server(tunnel(20001), sessions=[session(), session()]))._replace(generation=2),
        )
        self.assertEqual([(each.address, each.worker, each.generation) for each in found.tunnels],
                         [(20000, 1, 1), (20001, 7, 2)])  # fmt: skip
        self.assertEqual([each.worker for each in found.sessions], [1, 7, 7])

    def test_whatIsCountedIsSummed(self) -> None:
        reports = [
            server(totals=(1, 10, 100), refused={"a": 1}, events={"x": 1}),
            server(totals=(2, 20, 200), refused={"a": 2, "b": 5}, events={"y": 1}),
        ]
        own = server(refused={"c": 1}, events={"x": 3})
        closed = Closed(ServerTotals(4, 40, 400, {"b": 1}, {"y": 2}), [])
        found = merge(worker(1, reports[0]), worker(2, reports[1]), own=own, closed=closed).totals
        self.assertEqual(found, ServerTotals(7, 70, 700, {"c": 1, "b": 6, "a": 3}, {"x": 4, "y": 3}, 0))

    def test_aTunnelThatMovesIsWhereItsClientIsAndHasTheVisitorsOfBothWorkers(self) -> None:
        before, after = tunnel(20000, "away", (2, 1, 9, 4), (10, 20)), tunnel(20000, "up", (1, 0, 1, 0), (1, 2))
        for first, second in ((before, after), (after, before)):
            number = 2 if second is after else 1
            found = merge(worker(1, server(first)), worker(2, server(second)))
            [one] = found.tunnels
            self.assertEqual((one.state, one.worker), ("up", number))
            self.assertEqual((tuple(one.visitors), tuple(one.bytes)), ((3, 1, 10, 4), (11, 22)))

    def test_visitorsThatHaveStayedAtTheFormerWorkerAreThoseOfTheTunnel(self) -> None:
        moved = tunnel(20000, "moved", (2, 0, 2, 0), (1, 2))
        [one] = merge(worker(1, server(moved)), worker(2, server(tunnel(20000, "up", (1, 0, 1, 0))))).tunnels
        self.assertEqual((one.state, one.worker, one.visitors.open, one.bytes.toVisitors), ("up", 2, 3, 2))
        own = server(tunnel(20000, "away"))
        [one] = merge(worker(1, server(moved)), own=own).tunnels
        self.assertEqual((one.state, one.visitors.open), ("away", 2))
        self.assertEqual(merge(worker(1, server(moved))).tunnels, [])  # it is closed

    def test_tunnelsWithoutAWorkerWaitForTheirClients(self) -> None:
        own = server(tunnel(20000, "away"), tunnel(20001, "away"))
        found = merge(worker(1, server(tunnel(20001))), own=own)
        self.assertEqual({(each.address, each.state, each.worker) for each in found.tunnels},
                         {(20000, "away", None), (20001, "up", 1)})  # fmt: skip

    def test_whatUsersHaveIsSummedAndTheirRightsAreNot(self) -> None:
        one = UserReport("alice", 1, 2, 3, 10, 20, None)
        found = merge(
            worker(1, server(users=[one])),
            worker(2, server(users=[UserReport("alice", 1, 1, 1, 8, 20, "2027"), user("bob")])),
        )
        self.assertEqual(list(found.users), [UserReport("alice", 2, 3, 4, 8, 20, "2027"), user("bob")])

    def test_limitsOfTheServerAreOfTheSumsThoseOfProcessesOfTheFullest(self) -> None:
        own = server(
            tunnel(20009, "away"),
            limits=[
                LimitReport("tunnels", None, 0, 8),
                LimitReport("connections without a first message", None, 3, 1000),
                LimitReport("descriptors", None, 10, 1000),
            ],
        )
        reports = [
            server(
                tunnel(20000),
                limits=[
                    LimitReport("tunnels", None, 1, 8),
                    LimitReport("connections without a first message", None, 5, 1000),
                    LimitReport("descriptors", None, used, 1000),
                    LimitReport("visitors of one tunnel", "20000", used, 400),
                ],
            )
            for used in (400, 390)
        ]
        found = merge(worker(1, reports[0]), worker(2, replace(reports[1], tunnels=[tunnel(20001)])), own=own)
        self.assertEqual(
            {(each.what, each.whose, each.used, each.limit) for each in found.limits},
            {
                ("tunnels", None, 3, 8),
                ("connections without a first message", None, 13, 1000),
                ("descriptors", "worker 1", 400, 1000),
                ("visitors of one tunnel", "20000", 400, 400),
            },
        )

    def test_theSupervisorMayBeTheFullestProcess(self) -> None:
        own = server(limits=[LimitReport("descriptors", None, 900, 1000)])
        found = merge(worker(1, server(limits=[LimitReport("descriptors", None, 800, 1000)])), own=own)
        self.assertEqual(list(found.limits), [LimitReport("descriptors", None, 900, 1000)])

    def test_limitsOfUsersAndAddressesThatAreReachedAtNoWorkerAlone(self) -> None:
        half = [UserReport("alice", 1, 2, 5, 5, 10, None)]
        found = merge(
            worker(1, server(tunnel(20000), tunnel(20001), users=half)),
            worker(2, server(tunnel(20002), tunnel(20003), users=half)),
            perSource=5,
        )
        self.assertEqual(
            {(each.what, each.whose, each.used, each.limit) for each in found.limits},
            {
                ("tunnels from one address", "192.0.2.1", 4, 5),
                ("tunnels of one user", "alice", 4, 5),
                ("visitors of one user", "alice", 10, 10),
            },
        )

    def test_eventsAreInTheOrderOfTheirTimesWithTheirWorkers(self) -> None:
        reports = [
            replace(server(), recent=[event(f"T{n:03}", str(n)) for n in range(first, 120, 2)]) for first in (0, 1)
        ]
        own = replace(server(), recent=[event("T200", "own")])
        found = merge(worker(1, reports[0]), worker(2, reports[1]), own=own)
        self.assertEqual(len(found.recent), RECENT)
        self.assertEqual(
            [(each.text, each.worker) for each in found.recent[-3:]], [("118", 1), ("119", 2), ("own", None)]
        )
        self.assertEqual(list(found.recent), sorted(found.recent, key=lambda each: each.at))

    def test_theKeyIsThatOfTheLatestWorker(self) -> None:
        own = server()
        own = replace(own, control=[ControlReport("a:1", False, None), ControlReport("a:2", True, None)])
        shown = [replace(server(), control=[ControlReport("", True, key)]) for key in ("old", "new")]
        found = merge(worker(1, shown[0]), worker(2, shown[1]), worker(3, None), own=own)
        self.assertEqual([each.fingerprint for each in found.control], [None, "new"])

    def test_workers(self) -> None:
        report = server(tunnel(20000, counts=(4, 1, 6, 0)), sessions=[session()])
        report = replace(report, supervisor=ProcessReport(1.5, 2048, 9))
        found = merge(worker(1, report, answers=False, state="hung"), worker(2, None, state="starting"))
        assert found.workers is not None
        first, second = found.workers
        self.assertEqual((first.worker, first.state, first.answers, first.pid), (1, "hung", False, 4001))
        self.assertEqual((first.sessions, first.tunnels, first.visitors, first.process), (1, 1, 4, report.supervisor))
        self.assertEqual((second.state, second.sessions, second.visitors, second.process), ("starting", 0, 0, None))

    def test_itIsMadeInSteps(self) -> None:
        many = [worker(n, server(*(tunnel(20000 + SLICE * 4 * n + k) for k in range(4 * SLICE)))) for n in range(2)]
        self.assertGreaterEqual(len(list(merged(server(), many, NONE))), 8)


class KeysTests(SynchronousTestCase):
    """What a server without workers reports is as if there were none."""

    def test_aServerOfOneProcessHasNoKeysOfWorkers(self) -> None:
        report = server(tunnel(20000), sessions=[session()])
        found = toJson(replace(report, recent=[event("T", "x")]))
        text = str(found)
        for key in ("worker", "generation", "supervisor"):
            self.assertNotIn(f"'{key}", text)

    def test_oneWithWorkersHas(self) -> None:
        found = dict(fieldsIn(merge(worker(1, server(tunnel(20000))))))
        self.assertIn("workers", found)
        self.assertEqual(dict(fieldsIn(found["tunnels"][0]))["worker"], 1)  # type: ignore[index]


COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3)
TOTALS = st.builds(ServerTotals, *[st.integers(0, 99)] * 3, COUNTS, COUNTS, st.integers(0, 9))


class ClosedTests(SynchronousTestCase):
    """What ended workers have done."""

    @given(st.lists(TOTALS, max_size=5), st.lists(st.integers(0, 4), max_size=5))
    def test_noSumGoesDownWhenAWorkerEnds(self, totals: list[ServerTotals], ends: list[int]) -> None:
        workers = [worker(n, replace(server(), totals=each)) for n, each in enumerate(totals)]
        closed, before = NONE, merge(*workers).totals
        for each in ends:
            if each < len(workers):
                closed = closed.plus(workers.pop(each))
                found = merge(*workers, closed=closed).totals
                self.assertEqual(
                    (found.visitors, found.toClient, found.toVisitors, found.refused, found.events),
                    (before.visitors, before.toClient, before.toVisitors, before.refused, before.events),
                )
                self.assertEqual(found.open, sum(each.report.totals.open for each in workers if each.report))

    def test_thoseThatShouldNotHaveEndedAreCounted(self) -> None:
        closed = NONE
        for state in ("serving", "retired", "starting", "ending", "hung"):
            closed = closed.plus(worker(1, None, state=state))
        self.assertEqual((closed.deaths, merge(closed=closed).deaths), (3, 3))

    def test_itsLastEventsStay(self) -> None:
        ended = worker(3, replace(server(), recent=[event(f"T{n:03}", str(n)) for n in range(150)]))
        closed = NONE.plus(ended).plus(worker(4, None))
        self.assertEqual(len(closed.recent), RECENT)
        [last] = merge(closed=closed).recent[-1:]
        self.assertEqual((last.text, last.worker), ("149", 3))
