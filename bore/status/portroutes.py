"""What the status port answers, of a server and of a client. It is imported at the first connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from bore.status.clientmetrics import ClientMetrics
from bore.status.exposition import metricsRoute
from bore.status.health import clientReadiness, healthy, serverReadiness
from bore.status.page import pageRoutes
from bore.status.questions import Answer, Route
from bore.status.report import ServerReport, TunnelReport, VisitorReport
from bore.status.routes import Take, TakeTunnel
from bore.status.servermetrics import ServerMetrics
from bore.status.settings import StatusPortSettings
from bore.status.viewers import Viewers

if TYPE_CHECKING:
    from bore.server.service import ServerService
    from bore.status.client import ClientStatus
    from bore.status.server import ServerStatus
    from bore.status.traffic import Traffic


def serverRoutes(
    clock: IReactorTime,
    status: ServerStatus,
    traffic: Traffic,
    service: ServerService,
    settings: StatusPortSettings,
) -> Mapping[str, Route]:
    """Make what answers the requests about a server."""
    from bore.status.serverroutes import serverTunnel

    def ready() -> Answer:
        return serverReadiness(service.state, bool(service.controlPorts), service.joined)

    return routesOfServer(clock, status.take, partial(serverTunnel, status), traffic, ready, settings)


def routesOfServer(
    clock: IReactorTime,
    take: Take[ServerReport],
    tunnel: TakeTunnel[TunnelReport, VisitorReport],
    traffic: Traffic,
    ready: Callable[[], Answer],
    settings: StatusPortSettings,
) -> Mapping[str, Route]:
    """
    Make what answers the requests about a server of one or several processes.

    :param ready: answers whether it takes clients.
    """
    return {
        **pageRoutes(take, tunnel, Viewers(clock, take, traffic)),
        "GET /metrics": metricsRoute(take, ServerMetrics(settings.tunnelMetrics)),
        "GET /healthz": healthy,
        "GET /readyz": lambda _: ready(),
    }


def clientRoutes(
    clock: IReactorTime, status: ClientStatus, traffic: Traffic, settings: StatusPortSettings
) -> Mapping[str, Route]:
    """Make what answers the requests about a client."""
    return {
        **pageRoutes(status.take, status.tunnel, Viewers(clock, status.take, traffic)),
        "GET /metrics": metricsRoute(status.take, ClientMetrics(settings.tunnelMetrics)),
        "GET /healthz": healthy,
        "GET /readyz": lambda _: clientReadiness(status.state, status.hasTunnels),
    }
