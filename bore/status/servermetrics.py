"""The metrics of a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from prometheus_client.metrics_core import Metric

from bore.status.metrics import Samples, byLabel, common, counted, counter, gauge, single
from bore.status.series import OTHER, Named, OthersCounter

if TYPE_CHECKING:
    from bore.status.report import ServerReport, TunnelReport

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
        self._tunnels: Named[str] = Named()
        self._users: Named[str] = Named()
        self._others: OthersCounter[str] = OthersCounter()

    def __call__(self, report: ServerReport) -> Iterator[Metric]:
        """Make the metrics of a snapshot, one at a time."""
        if self._since is None:
            self._since = datetime.fromisoformat(report.since).timestamp()
        yield from common(report, self._since, _STATES)
        yield from _ofAll(report)
        if self._perTunnel:
            yield from self._ofTunnels(report)
            yield from self._ofUsers(report)

    def _ofTunnels(self, report: ServerReport) -> Iterator[Metric]:
        tunnels = {str(tunnel.address): tunnel for tunnel in report.tunnels}
        named = self._tunnels.choose(tunnels)
        own = {key: tunnel for key, tunnel in tunnels.items() if key in named}
        rest = {key: tunnel for key, tunnel in tunnels.items() if key not in named}
        others = self._others.add({key: _countersOf(tunnel) for key, tunnel in rest.items()})
        yield gauge(
            "server_tunnel_up",
            "Whether the client of a tunnel is there. Of other tunnels, for how many it is.",
            ("address", "user"),
            [
                *(((key, tunnel.user), float(tunnel.state != "away")) for key, tunnel in own.items()),
                *([((OTHER, ""), sum(tunnel.state != "away" for tunnel in rest.values()))] if rest else []),
            ],
        )
        for kind, help in (("open", "Visitors that are there."), ("waiting", "Visitors that wait for the client.")):
            yield gauge(
                f"server_tunnel_visitors_{kind}",
                help,
                ("address",),
                _withOther(
                    {key: getattr(tunnel.visitors, kind) for key, tunnel in own.items()},
                    [getattr(tunnel.visitors, kind) for tunnel in rest.values()],
                ),
            )
        counters: dict[str, Sequence[int]] = {key: _countersOf(tunnel) for key, tunnel in own.items()}
        if others:
            counters[OTHER] = others
        names = ("visitors", "Visitors that were accepted."), ("refused", "Visitors that were refused.")
        for number, (name, help) in enumerate(names):
            samples = byLabel({key: values[number] for key, values in counters.items()})
            yield counter(f"server_tunnel_{name}", help, ("address",), samples)
        yield counter(
            "server_tunnel_bytes",
            "Bytes that were passed on.",
            ("address", "direction"),
            [
                ((key, direction), values[number])
                for key, values in counters.items()
                for number, direction in ((2, "toClient"), (3, "toVisitors"))
            ],
            "bytes",
        )

    def _ofUsers(self, report: ServerReport) -> Iterator[Metric]:
        users = {user.name: user for user in report.users}
        named = self._users.choose(users)
        for kind, help in (
            ("sessions", "Sessions of a user."),
            ("tunnels", "Tunnels of a user."),
            ("visitors", "Visitors at the tunnels of a user."),
        ):
            yield gauge(
                f"server_user_{kind}",
                help,
                ("user",),
                _withOther(
                    {name: getattr(user, kind) for name, user in users.items() if name in named},
                    [getattr(user, kind) for name, user in users.items() if name not in named],
                ),
            )


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
    count = sum(tunnel.visitors.open for tunnel in tunnels)
    yield gauge("server_visitors_open", "Visitors that are served.", (), single(count))
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


def _countersOf(tunnel: TunnelReport) -> tuple[int, int, int, int]:
    return tunnel.visitors.total, tunnel.visitors.refused, tunnel.bytes.toClient, tunnel.bytes.toVisitors


def _withOther(own: dict[str, float], rest: Sequence[float]) -> Samples:
    return byLabel({**own, OTHER: sum(rest)} if rest else own)
