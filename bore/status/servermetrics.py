"""The metrics of a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from prometheus_client.metrics_core import Metric

from bore.status.metrics import byLabel, common, counted, counter, gauge, single
from bore.status.namedseries import Look, NamedSeries
from bore.status.report import ServerReport, TunnelReport, UserReport

_STATES: Final = ("running", "draining", "stopping")
_TUNNEL_STATES: Final = ("up", "away", "heldBack")


class ServerMetrics:
    """
    Makes the metrics of a server.

    :param perTunnel: whether single tunnels and users have series of their own.
    """

    def __init__(self, perTunnel: bool = True) -> None:
        self._perTunnel = perTunnel
        self._since: float | None = None  # the first one: a clock that is set later must not look like a start
        self._tunnels = NamedSeries[TunnelReport](
            "server_tunnel_",
            "address",
            lambda tunnel: str(tunnel.address),
            {
                "visitors": lambda tunnel: tunnel.visitors.total,
                "refused": lambda tunnel: tunnel.visitors.refused,
                "toClient": lambda tunnel: tunnel.bytes.toClient,
                "toVisitors": lambda tunnel: tunnel.bytes.toVisitors,
            },
        )
        self._users = NamedSeries[UserReport]("server_user_", "user", lambda user: user.name, {})

    def __call__(self, report: ServerReport) -> Iterator[Metric]:
        """Make the metrics of a snapshot, one at a time."""
        if self._since is None:
            self._since = datetime.fromisoformat(report.since).timestamp()
        tunnels = self._tunnels.look(report.tunnels if self._perTunnel else ())  # before the first turn ends
        users = self._users.look(report.users if self._perTunnel else ())
        yield from common(report, self._since, _STATES)
        yield from _ofAll(report)
        if report.workers is not None:
            from bore.status.workermetrics import ofWorkers

            yield from ofWorkers(report.workers, report.deaths or 0)
        if report.cluster is not None:
            from bore.status.clustermetrics import ofCluster

            yield from ofCluster(report.cluster)
        if self._perTunnel:
            yield from _ofTunnels(tunnels)
            yield from _ofUsers(users)


def _ofTunnels(tunnels: Look[TunnelReport]) -> Iterator[Metric]:
    yield tunnels.gauge(
        "up",
        "Whether the client of a tunnel is there. Of other tunnels, for how many it is.",
        lambda tunnel: tunnel.state != "away",
        {"user": lambda tunnel: tunnel.user},
    )
    yield tunnels.gauge("visitors_open", "Visitors that are served.", lambda tunnel: tunnel.visitors.open)
    yield tunnels.gauge("visitors_waiting", "Visitors that wait.", lambda tunnel: tunnel.visitors.waiting)
    yield tunnels.counter("visitors", "Visitors that were accepted.")
    yield tunnels.counter("refused", "Visitors that were refused.")
    yield tunnels.bytes("toClient", "toVisitors")


def _ofUsers(users: Look[UserReport]) -> Iterator[Metric]:
    yield users.gauge("sessions", "Sessions of a user.", lambda user: user.sessions)
    yield users.gauge("tunnels", "Tunnels of a user.", lambda user: user.tunnels)
    yield users.gauge("visitors", "Visitors at the tunnels of a user.", lambda user: user.visitors)


def _ofAll(report: ServerReport) -> Iterator[Metric]:
    sessions, tunnels, totals = report.sessions, report.tunnels, report.totals
    yield gauge(
        "server_sessions",
        "Sessions of clients, by the protocol that they speak.",
        ("protocol",),
        counted(("extended" if session.extended else "base" for session in sessions), ("extended", "base")),
    )
    busy = sum(session.lanes.busy for session in sessions)
    lanes = {"busy": busy, "idle": sum(session.lanes.open for session in sessions) - busy}
    yield gauge("server_lanes", "Lanes of all sessions.", ("state",), byLabel(lanes))
    states = counted((tunnel.state for tunnel in tunnels), _TUNNEL_STATES)
    yield gauge("server_tunnels", "Tunnels.", ("state",), states)
    yield gauge("server_visitors_open", "Visitors that are served.", (), single(totals.open))
    count = sum(tunnel.visitors.waiting for tunnel in tunnels)
    yield gauge("server_visitors_waiting", "Visitors that wait for a client.", (), single(count))
    yield counter(
        "server_bytes",
        "Bytes that were passed on.",
        ("direction",),
        byLabel({"toClient": totals.toClient, "toVisitors": totals.toVisitors}),
        "bytes",
    )
    usage: dict[str, float] = {}
    for limit in report.limits:
        if limit.limit:
            usage[limit.what] = max(usage.get(limit.what, 0.0), limit.used / limit.limit)
    yield gauge(
        "server_limit_usage_ratio",
        "How much of a limit is used, by whoever uses most of it.",
        ("limit",),
        byLabel(usage),
        "ratio",
    )
