"""What is answered at the admin socket of a client. It is imported when the first question comes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from bore.status.client import ClientStatus
from bore.status.questions import Answer, Question, Refused, Routes
from bore.status.routes import Operated, TunnelNotFound, routes, withList


def clientRoutes(status: ClientStatus, program: Operated) -> Routes:
    """Return the routes of a client."""

    def kick(question: Question) -> Answer:
        raise Refused(409, "a client has no sessions to end: remove the tunnel from its settings, or stop it")

    return routes(status, program, partial(clientTunnel, status), kick)


def clientTunnel(status: ClientStatus, name: str, most: int | None = None) -> Mapping[str, object]:
    """
    Return a tunnel with its visitors.

    :param name: its name, its local service, its public address, or its public port.
    :param most: how many visitors at most; None: all.
    :raises TunnelNotFound: if there is none.
    """
    found = status.tunnel(name)
    if found is None:
        raise TunnelNotFound(name)
    return withList(found, status.visitors(found.name, most))
