"""The metrics of a client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from prometheus_client.metrics_core import Metric

from bore.status.metrics import byLabel, common, counted, counter, gauge, single
from bore.status.namedseries import Look, NamedSeries
from bore.status.report import ClientReport, ClientTunnelReport

_STATES: Final = ("up", "partly", "away", "connecting", "stopping")
_SERVER_STATES: Final = ("up", "away", "connecting")
_TUNNEL_STATES: Final = ("up", "away", "refused", "givenUp")
_LOCAL_STATES: Final = ("up", "down", "unknown")


class ClientMetrics:
    """
    Makes the metrics of a client.

    :param perTunnel: whether single tunnels have series of their own.
    """

    def __init__(self, perTunnel: bool = True) -> None:
        self._perTunnel = perTunnel
        self._since: float | None = None  # the first one: a clock that is set later must not look like a start
        self._tunnels = NamedSeries[ClientTunnelReport](
            "client_tunnel_",
            "tunnel",
            lambda tunnel: tunnel.name,
            {
                "visitors": lambda tunnel: tunnel.visitors.total,
                "unserved": lambda tunnel: tunnel.visitors.unserved,
                "fromVisitors": lambda tunnel: tunnel.bytes.fromVisitors,
                "toVisitors": lambda tunnel: tunnel.bytes.toVisitors,
            },
        )

    def __call__(self, report: ClientReport) -> Iterator[Metric]:
        """Make the metrics of a snapshot, one at a time."""
        if self._since is None:
            self._since = datetime.fromisoformat(report.since).timestamp()
        tunnels = self._tunnels.look(report.tunnels if self._perTunnel else ())  # before the first turn ends
        yield from common(report, self._since, _STATES)
        yield from _ofAll(report)
        if self._perTunnel:
            yield from _ofTunnels(tunnels)


def _ofTunnels(tunnels: Look[ClientTunnelReport]) -> Iterator[Metric]:
    help = "Whether a tunnel is up. Of other tunnels, how many are."
    yield tunnels.gauge("up", help, lambda tunnel: tunnel.state == "up")
    help = "Whether the local service of a tunnel answered last. Of other tunnels, of how many it did."
    yield tunnels.gauge("local_up", help, lambda tunnel: {"up": 1.0, "down": 0.0}.get(tunnel.localState))
    yield tunnels.gauge("visitors_open", "Visitors that are there.", lambda tunnel: tunnel.visitors.open)
    yield tunnels.counter("visitors", "Visitors that came.")
    yield tunnels.counter("unserved", "Visitors that were not served.")
    yield tunnels.bytes("fromVisitors", "toVisitors")


def _ofAll(report: ClientReport) -> Iterator[Metric]:
    servers, tunnels, totals = report.servers, report.tunnels, report.totals
    words = (server.state for server in servers)
    yield gauge("client_servers", "Servers, by whether there is a session.", ("state",), counted(words, _SERVER_STATES))
    trips = [server.roundTrip for server in servers if server.roundTrip is not None]
    if trips:
        help = "Time that the slowest server takes for an answer."
        yield gauge("client_round_trip_seconds", help, (), single(max(trips)), "seconds")
    busy = sum(server.lanes.busy for server in servers)
    lanes = {"busy": busy, "idle": sum(server.lanes.open for server in servers) - busy}
    yield gauge("client_lanes", "Lanes of all sessions.", ("state",), byLabel(lanes))
    words = (tunnel.state for tunnel in tunnels)
    yield gauge("client_tunnels", "Tunnels.", ("state",), counted(words, _TUNNEL_STATES))
    words = (tunnel.localState for tunnel in tunnels)
    help = "Local services, by whether they answered the last time."
    yield gauge("client_local_services", help, ("state",), counted(words, _LOCAL_STATES))
    visitors = sum(tunnel.visitors.open for tunnel in tunnels)
    yield gauge("client_visitors_open", "Visitors that are there.", (), single(visitors))
    yield counter("client_unserved", "Visitors that could not be served.", (), single(totals.unserved))
    yield counter(
        "client_bytes",
        "Bytes that were passed on.",
        ("direction",),
        byLabel({"fromVisitors": totals.fromVisitors, "toVisitors": totals.toVisitors}),
        "bytes",
    )
