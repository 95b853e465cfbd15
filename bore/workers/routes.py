"""
What the supervisor of a server answers, at its admin socket and at the status port. It is imported when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bore.status.health import serverReadiness
from bore.status.kicking import whomToKick
from bore.status.portroutes import routesOfServer
from bore.status.questions import Answer, Question, Route, Routes
from bore.status.routes import drainRoute, reloadedAnswer, reportAnswer, tunnelRoute
from bore.status.settings import StatusPortSettings
from bore.status.traffic import Traffic
from bore.wire.publicaddress import PublicAddress
from bore.workers.answers import Reloaded
from bore.workers.status import SupervisorStatus


class OperatedServer(Protocol):
    """A server with workers, as its operator sees it."""

    def reload(self) -> Deferred[Reloaded]:
        """Read the files again, and have the workers do so."""

    def drain(self, seconds: float) -> int:
        """See :class:`bore.status.routes.Operated`."""

    def kick(self, user: str | None, address: PublicAddress | None) -> Deferred[Sequence[int]]:
        """End the sessions of a user, or a tunnel. Fires with the numbers of sessions, tunnels and visitors."""


def adminRoutes(status: SupervisorStatus, server: OperatedServer) -> Routes:
    """Return the routes of the admin socket."""

    def kick(question: Question) -> Deferred[Answer]:
        kicked = whomToKick(question)
        return server.kick(kicked.user, kicked.address).addCallback(lambda counts: kicked.answer(*counts))

    def reload(question: Question) -> Deferred[Answer]:
        question.json()
        return server.reload().addCallback(lambda reloaded: reloadedAnswer(*reloaded))

    return Routes(
        {
            "GET /status": lambda _: status.take().addCallback(reportAnswer),
            "GET /tunnels/": tunnelRoute(status.tunnel),
            "POST /kick": kick,
            "POST /drain": drainRoute(server.drain),
            "POST /reload": reload,
        }
    )


def portRoutes(
    clock: IReactorTime,
    status: SupervisorStatus,
    traffic: Traffic,
    state: Callable[[], str],
    serves: Callable[[], bool],
    settings: StatusPortSettings,
) -> Mapping[str, Route]:
    """
    Return what the status port answers.

    :param state: returns the state of the server.
    :param serves: returns whether it listens, and a worker serves.
    """

    def ready() -> Answer:
        return serverReadiness(state(), serves())

    return routesOfServer(clock, status.take, status.tunnel, traffic, ready, settings)
