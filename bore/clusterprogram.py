"""What ``bore server`` runs as a node of a cluster: the server, and its membership. Only imported where it is one."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

from bore.cluster.clusternode import ClusterNode
from bore.cluster.engines import ExtraMissing, engineAt
from bore.commandline import NotPossible
from bore.events import Sink
from bore.options.cluster import ClusterSettings
from bore.server.controlsockets import BindControl
from bore.server.service import ServerService
from bore.server.settings import ServerSettings
from bore.server.users import Authenticator
from bore.startup import IProgramReactor
from bore.system.clock import sinceBoot

if TYPE_CHECKING:
    from bore.cluster.report import ClusterStatus


#: How long a node that stops passes visitors on at least, in seconds. /readyz is 503 meanwhile, so that balancers send
#: none any more when its ports are closed.
_LINGER: Final = 2.0


class NodeService(ServerService):
    """
    A server that is a node of a cluster: see :class:`bore.server.service.ServerService`.

    :ivar node: what it has to do with the other nodes.
    """

    ofCluster = True

    def __init__(
        self,
        reactor: IProgramReactor,
        settings: ServerSettings,
        sockets: Sequence[socket.socket],
        sink: Sink,
        authenticator: Authenticator | None,
        bind: BindControl | None,
        node: ClusterNode,
    ) -> None:
        ServerService.__init__(self, reactor, settings, sockets, sink, authenticator, node.registry, bind=bind)
        self.node = node
        node.membership.reports.emit = sink.emit
        node.attach(self)

    @property
    def state(self) -> str:
        """See :attr:`bore.server.core.ServerCore.state`."""
        return "draining" if self.node.leaves and self.running else super().state

    @property
    def joined(self) -> bool:
        """Whether it has joined its cluster."""
        return self.node.membership.reports.joined

    def clusterStatus(self) -> ClusterStatus:
        """What it has of its cluster, for those who ask for its status."""
        from bore.cluster.report import ClusterStatus

        return ClusterStatus(self.node.membership, self.node.others)

    def startService(self) -> None:
        """Listen on the control ports, and join the cluster."""
        ServerService.startService(self)
        self.node.start()

    def stopService(self) -> Deferred[None]:
        """Give the clients and visitors to other nodes, stop, and leave the cluster."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.node.leave(_LINGER)
        await ServerService.stopService(self)
        await self.node.depart()


def makeNode(reactor: IProgramReactor, settings: ClusterSettings, lease: int) -> ClusterNode:
    """
    Make a node.

    :param lease: how long an address is kept without a session, in seconds.
    :raises bore.commandline.NotPossible: if a package that the engine needs is not installed.
    """
    try:
        engine = engineAt(reactor, settings.engine)
    except ExtraMissing as e:
        raise NotPossible(str(e)) from None
    return ClusterNode(reactor, engine, settings.name, settings.advertise, settings.key, settings.ttl, lease, sinceBoot)
