"""Reports as figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

from twisted.trial.unittest import SynchronousTestCase

from bore.screen.figures import ServerFigures, TunnelFigures
from bore.screen.reading import figuresOf
from bore.status.report import (
    ClientBytes,
    ClientCounts,
    ClientReport,
    ClientTotals,
    ClientTunnelReport,
    LanesReport,
    LinkReport,
)
from tests.screen.case import NOON

SINCE = "2026-11-26T11:03:00.000Z"
LATER = "2026-11-26T11:59:50.500Z"
LANES = LanesReport(4, 1)
UP = LinkReport("a:7835", "up", SINCE, None, 0.02, "known", LANES, "", None, None, None)
AWAY = LinkReport("b:7835", "away", LATER, LATER, None, None, LANES, "", None, "refused", 4.5)


def tunnel(name: str, state: str, since: str = SINCE, server: str | None = "a:7835") -> ClientTunnelReport:
    counts, size = ClientCounts(2, 7, 1), ClientBytes(10, 20)
    public, why = ("a:20001", None) if state == "up" else (None, "port already in use")
    local = "down" if name == "2" else "up"
    return ClientTunnelReport(name, f"localhost:{name}", public, server, state, since, why, local, counts, size)


def report(servers: list[LinkReport], tunnels: list[ClientTunnelReport]) -> ClientReport:
    totals = ClientTotals(14, 2, 20, 40, {}, {})
    return ClientReport("client", "1", 1, "up", SINCE, 3420.0, servers, tunnels, totals, [])


class ReadingTests(SynchronousTestCase):
    """figuresOf()."""

    def test_itHasTheFiguresOfAllTunnels(self) -> None:
        found = figuresOf(
            report([UP, AWAY], [tunnel("1", "up"), tunnel("2", "up", LATER), tunnel("3", "refused")]), NOON
        )
        self.assertEqual(found.since, NOON - timedelta(seconds=9.5))
        self.assertEqual(
            found.servers, (ServerFigures("a:7835", True), ServerFigures("b:7835", False, 9.5, 4.5, "refused"))
        )
        self.assertEqual(found.tunnels[0], TunnelFigures("1", "localhost:1", "a:20001", True))
        self.assertEqual(found.tunnels[2], TunnelFigures("3", "localhost:3", "", False, "port already in use"))
        self.assertEqual([each.isServiceDown for each in found.tunnels], [False, True, False])
        self.assertEqual((found.open, found.total, found.fromVisitors, found.toVisitors), (6, 14, 20, 40))
        self.assertEqual((found.roundTrip, found.up), (0.02, 2))

    def test_ofAClusterOnlyTheNodeAtWhichTheTunnelsAreShownIsAServer(self) -> None:
        further = LinkReport("node2:7835", "up", SINCE, None, 0.03, "known", LANES, "", None, None, None)
        found = figuresOf(report([UP, further], [tunnel("1", "up")]), NOON)
        self.assertEqual([each.name for each in found.servers], ["a:7835"])
        refused = tunnel("1", "refused", server=None)
        self.assertEqual(len(figuresOf(report([UP], [refused]), NOON).servers), 1, "there is no tunnel")

    def test_withoutATunnelThereIsNoTime(self) -> None:
        found = figuresOf(report([AWAY], [tunnel("1", "away")]), NOON)
        self.assertEqual((found.since, found.roundTrip), (None, None))

    def test_timesAreThoseOfTheUser(self) -> None:
        zone = timezone(timedelta(hours=5, minutes=30))
        found = figuresOf(report([UP], [tunnel("1", "up")]), NOON.astimezone(zone))
        assert found.since is not None
        self.assertEqual(f"{found.since:%H:%M}", "16:33")
        self.assertEqual(replace(found, since=None).now.tzinfo, zone)
