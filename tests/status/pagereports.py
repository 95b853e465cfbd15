"""Snapshots to show: of servers and clients that need not run."""

from __future__ import annotations

from dataclasses import replace

from bore.status.report import (
    BytesReport,
    ClientBytes,
    ClientCounts,
    ClientReport,
    ClientTotals,
    ClientTunnelReport,
    ClusterReport,
    ControlReport,
    CountsReport,
    EventReport,
    LanesReport,
    LimitReport,
    LinkReport,
    NodeReport,
    PortsReport,
    ServerReport,
    ServerTotals,
    SessionReport,
    TunnelReport,
    UserReport,
    timeText,
)

#: The time of day in these snapshots, in seconds since 1970.
NOW = 1_800_000_000.0

#: What a stranger may put into a name or a message: markup, and what turns or hides the text around it.
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202egnp.exe\u200b'\"&amp;__proto__"


def ago(seconds: float) -> str:
    """A time that long before :data:`NOW`."""
    return timeText(NOW - seconds)


def tunnelReport(
    address: int | str, bytes: int = 0, visitors: int = 0, away: bool = False, **other: str
) -> TunnelReport:
    """A tunnel of a server, whose client is at a port of the same number."""
    return TunnelReport(
        address,
        other.get("user", ""),
        "203.0.113.9",
        None if away else f"203.0.113.9:{address if isinstance(address, int) else 40001}",
        "away" if away else "up",
        ago(7200),
        ago(12) if away else None,
        48.0 if away else None,
        CountsReport(visitors, 0, visitors * 3, 0),
        BytesReport(bytes // 4, bytes - bytes // 4),
    )


def serverReport(*tunnels: TunnelReport, text: str = "tunnel opened: port 20000", **other: object) -> ServerReport:
    """A server with tunnels, each with a session of its own."""
    report = {
        "sessions": [
            SessionReport(
                each.peer, each.network, each.user, True, each.since, 7200.0, 0.0214, LanesReport(4, 1), [each.address]
            )
            for each in tunnels
            if each.peer is not None
        ],
        "users": [],
        "limits": [],
        "state": "running",
    } | other
    return ServerReport(
        program="server",
        version="1.0",
        pid=4711,
        since=ago(90000),
        uptime=90000.0,
        control=[ControlReport("0.0.0.0:7835", True, "SHA256:" + "a" * 43)],
        publicHost="tunnel.example.com",
        ports=PortsReport(20000, 21999),
        admission="with a secret",
        tunnels=tunnels,
        totals=ServerTotals(
            sum(each.visitors.total for each in tunnels),
            sum(each.bytes.toClient for each in tunnels),
            sum(each.bytes.toVisitors for each in tunnels),
            {},
            {"tunnel-opened": len(tunnels)},
            sum(each.visitors.open for each in tunnels),
        ),
        recent=[
            EventReport(ago(70), "tunnel-opened", text, {}),
            EventReport(ago(12), "tunnel-lost", "tunnel lost", {}),
        ],
        **report,  # type: ignore[arg-type]
    )


def nodeReport(name: str = "node1", beat: float = 0.4, **other: object) -> ServerReport:
    """
    A node of a cluster: it has the client of one tunnel, as another node has, and passes a second tunnel on.

    :param beat: the age of the last beat of another node, which is away.
    :param other: what else its cluster has.
    """
    nodes = [
        NodeReport("node2", "up", "tls://node2.example.com:7835", 12, "1.0", 0.4),
        NodeReport("node3", "away" if beat >= 3 else "up", "tls://node3.example.com:7835", 9, "1.0", beat),
    ]
    shown = {"state": "acting", "engineAway": None, "recovering": False, "recoversIn": None} | other
    cluster = ClusterReport(name, nodes=nodes, **shown)  # type: ignore[arg-type]
    own = tunnelReport(20000, 5_000_000, 2, user="alice")._replace(nodes=[name, "node2"])
    forward = tunnelReport(20100, 40_000, 3)._replace(
        network="", peer=None, state="forwarded", nodes=["node2", "node3"]
    )
    return replace(serverReport(own), cluster=cluster, forwards=[forward])


def busyServer(count: int, visitors: int = 8) -> ServerReport:
    """A server with many tunnels of several users."""
    users = ("alice", "bob", "carol", "")
    return serverReport(
        *(
            tunnelReport(20000 + n, (n * 7919) % 1000 * 1_000_000, visitors, n % 97 == 3, user=users[n % 4])
            for n in range(count)
        ),
        users=[UserReport(name, 3, count // 4, 40, 500, None, None) for name in users[:3]],
        limits=[LimitReport("tunnels", None, count, 4096), LimitReport("visitors", "20007", 9100, 10000)],
    )


def clientReport(name: str = "web", state: str = "up", why: str | None = None, bytes: int = 0) -> ClientReport:
    """A client with two tunnels, of which the first one may be anything but up."""
    up = state == "up"
    server = "tunnel.example.com:7835"
    return ClientReport(
        "client",
        "1.0",
        4712,
        "up" if up else "partly",
        ago(4000),
        4000.0,
        [
            LinkReport(
                server, "up", ago(3900), None, 0.0312, "its key is known", LanesReport(4, 1), "alice", "1.0", None, None
            )
        ],
        [
            ClientTunnelReport(
                name,
                "localhost:8000",
                "tunnel.example.com:20000" if up else None,
                server if up else None,
                state,
                ago(3900),
                why,
                "up" if up else "unknown",
                ClientCounts(3, 40, 1),
                ClientBytes(bytes // 4, bytes - bytes // 4),
            ),
            ClientTunnelReport(
                "postgres",
                "nas.lan:5432",
                "tunnel.example.com:20432",
                server,
                "up",
                ago(3900),
                None,
                "down",
                ClientCounts(0, 2, 2),
                ClientBytes(0, 0),
            ),
        ],
        ClientTotals(42, 3, bytes // 4, bytes - bytes // 4, {}, {"tunnel-up": 2}),
        [EventReport(ago(3900), "tunnel-up", "tunnel up: public tunnel.example.com:20000", {})],
    )
