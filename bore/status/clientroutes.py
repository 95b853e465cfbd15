"""What is answered at the admin socket of a client. It is imported when the first question comes."""

from __future__ import annotations

from bore.status.client import ClientStatus
from bore.status.questions import Answer, Question, Refused, Routes
from bore.status.routes import Operated, routes


def clientRoutes(status: ClientStatus, program: Operated) -> Routes:
    """Return the routes of a client."""

    def kick(question: Question) -> Answer:
        raise Refused(409, "a client has no sessions to end: remove the tunnel from its settings, or stop it")

    return routes(status.take, program, status.tunnel, kick)
