"""What the status of a server needs of its cluster."""

from __future__ import annotations

from typing import Protocol

from bore.server.tunnel import Tunnel
from bore.server.tunnels import Tunnels
from bore.status.report import ClusterReport


class ClusterView(Protocol):
    """The cluster of a server that is a node of one."""

    @property
    def forwards(self) -> Tunnels:
        """The tunnels whose visitors the server passes on to other nodes."""

    def report(self) -> ClusterReport:
        """The cluster, as the server sees it."""

    def nodesOf(self, tunnel: Tunnel) -> list[str]:
        """The names of the nodes that have a session of a tunnel: see :class:`~bore.status.report.TunnelReport`."""

    def otherNodes(self, tunnel: Tunnel | None) -> list[str]:
        """The names of other nodes that have a session of a tunnel; None: of all."""
