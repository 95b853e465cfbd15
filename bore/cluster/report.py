"""What a node reports of its cluster to those who ask for its status."""

from __future__ import annotations

from typing import Final

from bore.cluster.engine import Node
from bore.cluster.membership import Membership
from bore.cluster.nodesession import NodeSession
from bore.cluster.othernodes import OtherNodes
from bore.server.tunnel import Tunnel
from bore.server.tunnels import Tunnels
from bore.status.report import ClusterReport, NodeReport

#: What stands for the name of a node that has a session here, and that the engine has not named yet.
_UNKNOWN: Final = "?"


class ClusterStatus:
    """See :class:`bore.status.clusterview.ClusterView`."""

    def __init__(self, membership: Membership, others: OtherNodes) -> None:
        self._membership = membership
        self._others = others

    @property
    def forwards(self) -> Tunnels:
        """The tunnels whose visitors this node passes on."""
        return self._others.forwards

    def report(self) -> ClusterReport:
        """The cluster, as this node sees it."""
        return clusterReport(self._membership)

    def nodesOf(self, tunnel: Tunnel) -> list[str]:
        """The names of the nodes that have a session of a tunnel, with that of this one first, if it is among them."""
        others = self._othersOf(tunnel)
        if tunnel.owner is None or isinstance(tunnel.owner, NodeSession):
            return others
        return [self._membership.name, *others]

    def otherNodes(self, tunnel: Tunnel | None) -> list[str]:
        """The names of other nodes that have a session of a tunnel; None: of all."""
        if tunnel is None:
            return sorted(node.name for node in self._membership.neighbours.all())
        return self._othersOf(tunnel)

    def _othersOf(self, tunnel: Tunnel) -> list[str]:
        """The other nodes that have a session of a tunnel, the one that serves new visitors first."""
        owner = tunnel.owner
        numbers = [owner.node] if isinstance(owner, NodeSession) else []
        numbers += self._others.forwards.offers.nodesOf(tunnel.address)
        return list(dict.fromkeys(self._others.names.get(number, _UNKNOWN) for number in numbers))


def clusterReport(membership: Membership) -> ClusterReport:
    """The cluster, as a node sees it."""
    nodes = sorted(membership.neighbours.all(), key=lambda node: node.member)
    away = membership.reports.away
    return ClusterReport(
        membership.name,
        "acting" if membership.acting else "holding" if membership.reports.joined else "joining",
        None if away is None else round(away, 1),
        membership.recovering,
        round(membership.recoversIn, 1) if membership.recovering else None,
        [_node(membership, each) for each in nodes],
    )


def _node(membership: Membership, node: Node) -> NodeReport:
    state = "away" if membership.neighbours.isAway(node.member) else node.state
    beat = round(membership.sinceBeat(node.member), 1)
    return NodeReport(node.name, state, node.advertise, node.tunnels, node.version, beat)
