"""The metrics of a node of a cluster."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.status.clustermetrics import ofCluster
from bore.status.report import ClusterReport, NodeReport
from tests.status.test_metrics import scrape, values


class ClusterMetricsTests(SynchronousTestCase):
    """What a node has of its cluster."""

    def test_theyAreOfTheNodeAndOfThoseThatItSees(self) -> None:
        nodes = [NodeReport(str(n), state, "", 0, "", 0.4) for n, state in enumerate(("up", "up", "away"))]
        found = values(scrape(ClusterReport("one", "holding", 58.5, False, None, nodes), ofCluster))
        expected = {
            ("txbore_cluster_acting", ""): 0,
            ("txbore_cluster_engine_away_seconds", ""): 58.5,
            ("txbore_cluster_recovering", ""): 0,
            ("txbore_cluster_nodes", "up"): 2,
            ("txbore_cluster_nodes", "draining"): 0,
            ("txbore_cluster_nodes", "away"): 1,
        }
        self.assertEqual(
            {(name, dict(labels).get("state", "")): each for (name, labels), each in found.items()}, expected
        )

    def test_anEngineThatAnswersIsAwayForNoTime(self) -> None:
        found = values(scrape(ClusterReport("one", "acting", None, True, 12.0, []), ofCluster))
        of = {name: each for (name, _), each in found.items()}
        self.assertEqual((of["txbore_cluster_acting"], of["txbore_cluster_recovering"]), (1, 1))
        self.assertEqual(of["txbore_cluster_engine_away_seconds"], 0)
