"""The metrics of a node of a cluster. Only imported where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import Metric

from bore.status.metrics import counted, gauge, single
from bore.status.report import ClusterReport

#: The states that other nodes may have.
_STATES: Final = ("up", "draining", "away")


def ofCluster(cluster: ClusterReport) -> Iterator[Metric]:
    """Make the metrics of a cluster, as one of its nodes sees it."""
    yield gauge("cluster_acting", "Whether this node serves new visitors.", (), single(cluster.state == "acting"))
    away = 0.0 if cluster.engineAway is None else cluster.engineAway
    yield gauge("cluster_engine_away_seconds", "For how long the engine is away.", (), single(away), "seconds")
    yield gauge("cluster_recovering", "Whether nothing is granted yet.", (), single(cluster.recovering))
    states = counted((each.state for each in cluster.nodes), _STATES)
    yield gauge("cluster_nodes", "The other nodes.", ("state",), states)
