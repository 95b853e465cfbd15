"""What is answered at the admin socket of a server. It is imported when the first question comes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from bore.server.server import Kicks, Server
from bore.server.tunnel import Tunnel
from bore.status.kicking import Elsewhere, Kicked, whomToKick
from bore.status.questions import Answer, Question, Route, Routes
from bore.status.report import TunnelReport, Visited, VisitorReport, addressNamed
from bore.status.routes import Operated, routes
from bore.status.server import ServerStatus

if TYPE_CHECKING:
    from bore.status.clusterview import ClusterView


def serverRoutes(status: ServerStatus, server: Server, program: Operated, takeOver: Route | None = None) -> Routes:
    """
    Return the routes of a server.

    :param takeOver: gives the server to another process; None: it cannot be given.
    """

    def kick(user: str | None, tunnel: Tunnel | None) -> Kicks:
        if user is not None:
            return server.kick(user)
        return Kicks(0, 0, 0) if tunnel is None else server.kickTunnel(tunnel)

    def route(question: Question) -> Answer:
        kicked = whomToKick(question)
        tunnel = None if kicked.address is None else server.tunnels.get(kicked.address)
        others = [] if status.cluster is None else _otherNodes(status.cluster, kicked, tunnel)
        return kicked.answer(*kick(kicked.user, tunnel), nodes=others)

    more = {} if takeOver is None else {"POST /take-over": takeOver}
    return routes(status.take, program, partial(serverTunnel, status), route, more)


def _otherNodes(cluster: ClusterView, kicked: Kicked, tunnel: Tunnel | None) -> list[str]:
    """
    The names of other nodes that have a tunnel of this server, or may have sessions of a user.

    :raises Elsewhere: if the tunnel is one of other nodes.
    """
    if kicked.user is not None:
        return cluster.otherNodes(None)
    if tunnel is not None:
        return cluster.otherNodes(tunnel)
    forwarded = None if kicked.address is None else cluster.forwards.get(kicked.address)
    if forwarded is not None:
        raise Elsewhere(kicked.named, cluster.otherNodes(forwarded))
    return []


def serverTunnel(
    status: ServerStatus, name: str, most: int | None = None
) -> Deferred[Visited[TunnelReport, VisitorReport]]:
    """
    Read a tunnel and its visitors.

    :param name: its public address.
    :param most: how many visitors at most; None: all.
    """
    address = addressNamed(name)
    return succeed(None) if address is None else status.tunnel(address, most)
