"""The metrics of a client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from prometheus_client.metrics_core import Metric

from bore.status.metrics import byLabel, common, counted, counter, gauge, single
from bore.status.series import OTHER, Named, OthersCounter

if TYPE_CHECKING:
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
        self._tunnels: Named[str] = Named()
        self._others: OthersCounter[str] = OthersCounter()

    def __call__(self, report: ClientReport) -> Iterator[Metric]:
        """Make the metrics of a snapshot, one at a time."""
        if self._since is None:
            self._since = datetime.fromisoformat(report.since).timestamp()
        yield from common(report, self._since, _STATES)
        yield from _ofAll(report)
        if self._perTunnel:
            yield from self._ofTunnels(report)

    def _ofTunnels(self, report: ClientReport) -> Iterator[Metric]:
        tunnels = {tunnel.name: tunnel for tunnel in report.tunnels}
        named = self._tunnels.choose(tunnels)
        own = {key: tunnel for key, tunnel in tunnels.items() if key in named}
        rest = {key: tunnel for key, tunnel in tunnels.items() if key not in named}
        others = self._others.add({key: _countersOf(tunnel) for key, tunnel in rest.items()})
        up = {key: float(tunnel.state == "up") for key, tunnel in own.items()}
        local = {key: float(tunnel.localState == "up") for key, tunnel in own.items() if tunnel.localState != "unknown"}
        visitors = {key: float(tunnel.visitors.open) for key, tunnel in own.items()}
        counters: dict[str, Sequence[int]] = {key: _countersOf(tunnel) for key, tunnel in own.items()}
        if rest:
            up[OTHER] = sum(tunnel.state == "up" for tunnel in rest.values())
            visitors[OTHER] = sum(tunnel.visitors.open for tunnel in rest.values())
        if others:
            counters[OTHER] = others
        label = ("tunnel",)
        help = "Whether a tunnel is up. Of other tunnels, how many are."
        yield gauge("client_tunnel_up", help, label, byLabel(up))
        help = "Whether the local service of a tunnel answered the last time that a visitor came."
        yield gauge("client_tunnel_local_up", help, label, byLabel(local))
        yield gauge("client_tunnel_visitors_open", "Visitors that are there.", label, byLabel(visitors))
        names = ("visitors", "Visitors that came."), ("unserved", "Visitors that could not be served.")
        for number, (name, help) in enumerate(names):
            samples = byLabel({key: values[number] for key, values in counters.items()})
            yield counter(f"client_tunnel_{name}", help, label, samples)
        yield counter(
            "client_tunnel_bytes",
            "Bytes that were passed on.",
            ("tunnel", "direction"),
            [
                ((key, direction), values[number])
                for key, values in counters.items()
                for number, direction in ((2, "fromVisitors"), (3, "toVisitors"))
            ],
            "bytes",
        )


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


def _countersOf(tunnel: ClientTunnelReport) -> tuple[int, int, int, int]:
    return tunnel.visitors.total, tunnel.visitors.unserved, tunnel.bytes.fromVisitors, tunnel.bytes.toVisitors
