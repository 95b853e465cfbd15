"""What is answered at the admin socket of a server. It is imported when the first question comes."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred, succeed

from bore.server.server import Kicks, Server
from bore.status.questions import Answer, Question, Refused, Routes, jsonAnswer
from bore.status.report import TunnelReport, Visited, VisitorReport, addressNamed
from bore.status.routes import Operated, TunnelNotFound, routes
from bore.status.server import ServerStatus

#: What stands for those who hold a shared secret, as in the users file.
_SHARED = "*"


def serverRoutes(status: ServerStatus, server: Server, program: Operated) -> Routes:
    """Return the routes of a server."""

    def kick(question: Question) -> Answer:
        match question.json(user=str, address=object):
            case {"user": str() as user, **rest} if not rest:
                return _answer(server.kick("" if user == _SHARED else user), f"no session or tunnel of {user}")
            case {"address": int() | str() as named, **rest} if not rest:
                address = addressNamed(str(named))
                found = None if address is None else server.tunnels.get(address)
                if found is None:
                    raise TunnelNotFound(str(named))
                return _answer(server.kickTunnel(found), "")
        raise Refused(400, 'the body must name one thing, as in {"user": "alice"} or {"address": 20000}')

    return routes(status.take, program, partial(serverTunnel, status), kick)


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


def _answer(kicks: Kicks, nothing: str) -> Answer:
    if not any(kicks):
        raise Refused(404, f"there is {nothing}")
    return jsonAnswer(kicks._asdict())
