"""What a node reports of its cluster to those who ask for its status."""

from __future__ import annotations

from bore.cluster.engine import Node
from bore.cluster.membership import Membership
from bore.status.report import ClusterReport, NodeReport


def clusterReport(membership: Membership) -> ClusterReport:
    """The cluster, as a node sees it."""
    others = membership.neighbours
    nodes = sorted(others.all(), key=lambda node: node.member)
    away = membership.reports.away
    return ClusterReport(
        membership.name,
        "acting" if membership.acting else "holding" if membership.reports.joined else "joining",
        None if away is None else round(away, 1),
        membership.recovering,
        round(membership.recoversIn, 1) if membership.recovering else None,
        [_node(each, others.isAway(each.member)) for each in nodes],
    )


def _node(node: Node, isAway: bool) -> NodeReport:
    state = "away" if isAway else node.state
    return NodeReport(node.name, state, node.advertise, node.tunnels, node.version)
