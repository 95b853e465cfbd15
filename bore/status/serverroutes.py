"""What is answered at the admin socket of a server. It is imported when the first question comes."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred, succeed

from bore.server.server import Kicks, Server
from bore.status.kicking import whomToKick
from bore.status.questions import Answer, Question, Route, Routes
from bore.status.report import TunnelReport, Visited, VisitorReport, addressNamed
from bore.status.routes import Operated, routes
from bore.status.server import ServerStatus
from bore.wire.publicaddress import PublicAddress


def serverRoutes(status: ServerStatus, server: Server, program: Operated, takeOver: Route | None = None) -> Routes:
    """
    Return the routes of a server.

    :param takeOver: gives the server to another process; None: it cannot be given.
    """

    def kick(user: str | None, address: PublicAddress | None) -> Kicks:
        if user is not None:
            return server.kick(user)
        found = None if address is None else server.tunnels.get(address)
        return Kicks(0, 0, 0) if found is None else server.kickTunnel(found)

    def route(question: Question) -> Answer:
        kicked = whomToKick(question)
        return kicked.answer(*kick(kicked.user, kicked.address))

    more = {} if takeOver is None else {"POST /take-over": takeOver}
    return routes(status.take, program, partial(serverTunnel, status), route, more)


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
