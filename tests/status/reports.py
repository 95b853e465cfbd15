"""Snapshots that the tests make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bore.status.report import (
    BytesReport,
    ClientBytes,
    ClientCounts,
    ClientReport,
    ClientTotals,
    ClientTunnelReport,
    ControlReport,
    CountsReport,
    LanesReport,
    LimitReport,
    LinkReport,
    PortsReport,
    ServerReport,
    ServerTotals,
    SessionReport,
    TunnelReport,
    UserReport,
)

SINCE = "2026-11-26T20:00:00.000Z"


def tunnel(
    address: int | str, state: str = "up", counts: tuple[int, int, int, int] = (0, 0, 0, 0),
    moved: tuple[int, int] = (0, 0), user: str = "",
) -> TunnelReport:  # fmt: skip
    return TunnelReport(
        address,
        user,
        "192.0.2.1",
        "192.0.2.1:4711",
        state,
        SINCE,
        None,
        None,
        CountsReport(*counts),
        BytesReport(*moved),
    )


def session(extended: bool = True, lanes: tuple[int, int] = (0, 0)) -> SessionReport:
    return SessionReport("192.0.2.1:4711", "192.0.2.1", "", extended, SINCE, 1.0, None, LanesReport(*lanes), [])


def user(name: str, counts: tuple[int, int, int] = (0, 0, 0)) -> UserReport:
    return UserReport(name, *counts, None, None, None)


def server(
    *tunnels: TunnelReport,
    state: str = "running",
    sessions: Sequence[SessionReport] = (),
    users: Sequence[UserReport] = (),
    limits: Sequence[LimitReport] = (),
    totals: tuple[int, int, int] = (0, 0, 0),
    refused: Mapping[str, int] | None = None,
    events: Mapping[str, int] | None = None,
) -> ServerReport:
    control = [ControlReport("0.0.0.0:7835", False, None)]
    open = sum(each.visitors.open for each in tunnels)
    return ServerReport(
        "server", "1.0", 7, state, SINCE, 1.0, control, "0.0.0.0", PortsReport(1024, 65535), "anyone", sessions,
        tunnels, users, limits, ServerTotals(*totals, refused or {}, events or {}, open), [],
    )  # fmt: skip


def clientTunnel(
    name: str, state: str = "up", localState: str = "up", counts: tuple[int, int, int] = (0, 0, 0),
    moved: tuple[int, int] = (0, 0),
) -> ClientTunnelReport:  # fmt: skip
    return ClientTunnelReport(
        name, "127.0.0.1:3000", "example.com:20000", "example.com:7835", state, SINCE, None, localState,
        ClientCounts(*counts), ClientBytes(*moved),
    )  # fmt: skip


def link(state: str = "up", roundTrip: float | None = None, lanes: tuple[int, int] = (0, 0)) -> LinkReport:
    return LinkReport(
        "example.com:7835", state, SINCE, None, roundTrip, None, LanesReport(*lanes), "", None, None, None
    )


def client(
    *tunnels: ClientTunnelReport,
    state: str = "up",
    links: Sequence[LinkReport] = (),
    totals: tuple[int, int, int, int] = (0, 0, 0, 0),
    refused: Mapping[str, int] | None = None,
    events: Mapping[str, int] | None = None,
) -> ClientReport:
    return ClientReport(
        "client", "1.0", 7, state, SINCE, 1.0, links, tunnels, ClientTotals(*totals, refused or {}, events or {}), []
    )
