"""What the tests take for an answer is what programs answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bore.status import report
from tests.admin.clusternode import NODE
from tests.admin.program import CLIENT, SERVER, VISITORS, WORKERS


def first(answer: dict[str, object], key: str) -> Any:
    """The first object in a list."""
    found = answer[key]
    assert isinstance(found, Sequence)
    return found[0]


class ContractTests(SynchronousTestCase):
    """Keys, in their order."""

    def test_theFakeAnswersHaveTheKeysOfReports(self) -> None:
        session, tunnel, link, own = (
            first(SERVER, "sessions"),
            first(SERVER, "tunnels"),
            first(CLIENT, "servers"),
            first(CLIENT, "tunnels"),
        )
        cases: list[tuple[Any, type]] = [
            (SERVER, report.ServerReport),
            (first(SERVER, "control"), report.ControlReport),
            (SERVER["ports"], report.PortsReport),
            (session, report.SessionReport),
            (session["lanes"], report.LanesReport),
            (tunnel, report.TunnelReport),
            (tunnel["visitors"], report.CountsReport),
            (tunnel["bytes"], report.BytesReport),
            (first(SERVER, "users"), report.UserReport),
            (first(SERVER, "limits"), report.LimitReport),
            (SERVER["totals"], report.ServerTotals),
            (VISITORS[0], report.VisitorReport),
            (CLIENT, report.ClientReport),
            (link, report.LinkReport),
            (own, report.ClientTunnelReport),
            (own["visitors"], report.ClientCounts),
            (own["bytes"], report.ClientBytes),
            (CLIENT["totals"], report.ClientTotals),
        ]
        for answer, kind in cases:
            names: tuple[str, ...] = kind.__match_args__  # type: ignore[attr-defined]
            known = [name.rstrip("_") for name in names if name not in report.OF_WORKERS | report.OF_CLUSTER]
            self.assertEqual(list(answer), known, kind.__name__)

    def test_soHaveThoseOfANodeOfACluster(self) -> None:
        cluster: Any = NODE["cluster"]
        kinds: list[Any] = [report.ClusterReport, report.NodeReport]
        for answer, kind in zip((cluster, cluster["nodes"][0]), kinds, strict=True):
            self.assertEqual(list(answer), list(kind.__match_args__))
        forward: Any = first(NODE, "forwards")
        known = [name for name in report.TunnelReport.__match_args__ if name not in report.OF_WORKERS]
        self.assertEqual(list(forward), known)
        self.assertEqual({*NODE, "nodes"}, report.OF_CLUSTER)

    def test_soHaveThoseOfAServerWithWorkers(self) -> None:
        worker: Any = first(WORKERS, "workers")
        process: Any = WORKERS["supervisor"]
        cases: list[tuple[Any, Any]] = [
            (worker, report.WorkerReport),
            (worker["process"], report.ProcessReport),
            (process, report.ProcessReport),
        ]
        for answer, kind in cases:
            self.assertEqual(list(answer), list(kind.__match_args__))
        self.assertLessEqual(set(WORKERS), report.OF_WORKERS)
