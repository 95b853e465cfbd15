"""
What the supervisor of a server answers, at its admin socket and at the status port. It is imported when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from bore.status.health import serverReadiness
from bore.status.kicking import whomToKick
from bore.status.questions import Answer, Question, Refused, Route, Routes, jsonAnswer
from bore.status.routes import drainRoute, reloadedAnswer, reportAnswer, tunnelRoute
from bore.status.settings import StatusPortSettings
from bore.status.traffic import Traffic
from bore.wire.publicaddress import PublicAddress
from bore.workers.answers import Reloaded
from bore.workers.status import SupervisorStatus
from bore.workers.upgrade import NoUpgrade


class OperatedServer(Protocol):
    """A server with workers, as its operator sees it."""

    def reload(self) -> Deferred[Reloaded]:
        """Read the files again, and have the workers do so."""

    def drain(self, seconds: float) -> int:
        """See :class:`bore.status.routes.Operated`."""

    def kick(self, user: str | None, address: PublicAddress | None) -> Deferred[Sequence[int]]:
        """End the sessions of a user, or a tunnel. Fires with the numbers of sessions, tunnels and visitors."""

    def upgrade(self) -> Deferred[None]:
        """
        Go on with the code that is installed now. Fires when it is known to start, just before it does.

        :raises bore.workers.upgrade.NoUpgrade: if it does not start; the Deferred may fail with that, too.
        """


def adminRoutes(status: SupervisorStatus, server: OperatedServer) -> Routes:
    """Return the routes of the admin socket."""

    def kick(question: Question) -> Deferred[Answer]:
        kicked = whomToKick(question)
        return server.kick(kicked.user, kicked.address).addCallback(lambda counts: kicked.answer(*counts))

    def reload(question: Question) -> Deferred[Answer]:
        question.json()
        return server.reload().addCallback(lambda reloaded: reloadedAnswer(*reloaded))

    def upgrade(question: Question) -> Deferred[Answer]:
        question.json()
        try:
            began = server.upgrade()
        except NoUpgrade as e:  # the server may be about to end, or an upgrade under way
            raise Refused(422, f"no upgrade: {e}") from e
        return began.addCallbacks(lambda _: jsonAnswer({"upgrading": True}, 202), _notUpgraded)

    return Routes(
        {
            "GET /status": lambda _: status.take().addCallback(reportAnswer),
            "GET /tunnels/": tunnelRoute(status.tunnel),
            "POST /kick": kick,
            "POST /drain": drainRoute(server.drain),
            "POST /reload": reload,
            "POST /upgrade": upgrade,
        }
    )


def _notUpgraded(reason: Failure) -> Answer:
    reason.trap(NoUpgrade)
    raise Refused(422, f"no upgrade, the server goes on as before: {reason.value}")


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

    from bore.status.portroutes import routesOfServer  # with the library for metrics

    def ready() -> Answer:
        return serverReadiness(state(), serves())

    return routesOfServer(clock, status.take, status.tunnel, traffic, ready, settings)
