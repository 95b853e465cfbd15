"""What viewers are shown, and what has changed of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from bore.status.report import ProcessReport, UserReport, WorkerReport, toJson
from bore.status.slices import SLICE, atOnce
from bore.status.traffic import Report
from bore.status.views import View, changesBetween, makeView
from tests.status.pagereports import clientReport, nodeReport, serverReport, tunnelReport


def viewOf(report: Report) -> View:
    return atOnce(makeView(report))


class ViewTests(SynchronousTestCase):
    """Views of servers and clients."""

    def test_rowsHaveKeys(self) -> None:
        view = viewOf(
            serverReport(
                tunnelReport(20000), tunnelReport("unix:/run/a"), users=[UserReport("alice", 1, 1, 0, None, None, None)]
            )
        )
        self.assertEqual(set(view), {"", "tunnels", "sessions", "users"})
        self.assertEqual(set(view["tunnels"]), {"20000", "unix:/run/a"})
        self.assertEqual(set(view["users"]), {"alice"})
        self.assertEqual(set(viewOf(clientReport())["tunnels"]), {"web", "postgres"})

    def test_whatOnlyRepeatsTheClockIsNotThere(self) -> None:
        self.assertNotIn("uptime", viewOf(serverReport())[""])
        (session,) = cast("dict[str, dict[str, object]]", viewOf(serverReport(tunnelReport(1)))["sessions"]).values()
        self.assertEqual((list(session), session["roundTrip"]), (["user", "network", "since", "roundTrip"], 0.021))

    def test_workersAreATable(self) -> None:
        process = ProcessReport(12.34, 1 << 20, 9)
        workers = [WorkerReport(7, 2, 1, "serving", "T", 5.5, True, 1, 2, 3, process)]
        view = viewOf(replace(serverReport(), workers=workers, supervisor=process))
        self.assertNotIn("supervisor", view[""])
        (row,) = cast("dict[str, dict[str, object]]", view["workers"]).values()
        self.assertEqual((list(view["workers"]), row["generation"]), (["7"], 2))
        self.assertEqual(row["process"], {"cpu": 12.0, "memory": 1 << 20, "descriptors": 9})
        self.assertNotIn("uptime", row)

    def test_aNodeOfAClusterHasTheOtherNodesAndWhatItPassesOn(self) -> None:
        view = viewOf(nodeReport(beat=75.26, engineAway=58.44, recovering=True, recoversIn=12.6))
        self.assertEqual(set(view), {"", "tunnels", "sessions", "users", "forwards", "nodes"})
        cluster = cast("dict[str, object]", view[""]["cluster"])
        self.assertNotIn("nodes", cluster)
        self.assertEqual((cluster["engineAway"], cluster["recoversIn"]), (58.0, 13.0))
        nodes = cast("dict[str, dict[str, object]]", view["nodes"])
        self.assertEqual([(name, row["beat"]) for name, row in nodes.items()], [("node2", 0.0), ("node3", 75.0)])
        forwards = cast("dict[str, dict[str, object]]", view["forwards"])
        self.assertEqual(forwards["20100"]["nodes"], ["node2", "node3"])

    def test_beatsOfNodesThatAreUpAreNoChanges(self) -> None:
        self.assertEqual(changesBetween(viewOf(nodeReport(beat=0.3)), viewOf(nodeReport(beat=1.9))), {})

    def test_aServerWithoutAClusterHasNothingOfIt(self) -> None:
        text = json.dumps(toJson(serverReport(tunnelReport(1)))) + json.dumps(viewOf(serverReport(tunnelReport(1))))
        for word in ("cluster", "forward", "node"):
            self.assertNotIn(word, text)

    def test_itIsMadeInSteps(self) -> None:
        self.assertEqual(len(list(makeView(serverReport(*map(tunnelReport, range(3 * SLICE)))))), 1 + 2 * 4 + 1)


class ChangesTests(SynchronousTestCase):
    """The difference between two views."""

    def changes(self, before: Report, after: Report) -> object:
        return changesBetween(viewOf(before), viewOf(after))

    def test_withoutAChangeThereIsNothing(self) -> None:
        self.assertEqual(self.changes(serverReport(tunnelReport(1)), serverReport(tunnelReport(1))), {})

    def test_ofARowItsFieldsThatHaveChanged(self) -> None:
        found = changesBetween(
            viewOf(serverReport(tunnelReport(1), tunnelReport(2))),
            viewOf(serverReport(tunnelReport(1, 400), tunnelReport(2))),
        )
        self.assertEqual(found["tunnels"], {"set": {"1": {"bytes": {"toClient": 100, "toVisitors": 300}}}})

    def test_newRowsAsAWholeAndTheKeysOfThoseThatAreGone(self) -> None:
        after = viewOf(serverReport(tunnelReport(2)))
        found = changesBetween(viewOf(serverReport(tunnelReport(1))), after)
        self.assertEqual(found["tunnels"], {"set": {"2": after["tunnels"]["2"]}, "gone": ["1"]})

    def test_whatIsInNoTableAsAWhole(self) -> None:
        found = self.changes(serverReport(), serverReport(state="draining"))
        self.assertEqual(found, {"": {"set": {"state": "draining"}}})
