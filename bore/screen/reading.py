"""What the screen shows of a report of the client."""

from __future__ import annotations

from datetime import datetime

from bore.screen.figures import Figures, ServerFigures, TunnelFigures
from bore.status.report import ClientReport, ClientTunnelReport, LinkReport


def figuresOf(report: ClientReport, now: datetime) -> Figures:
    """
    Return the figures of a report.

    :param now: the time, in the user's time zone.
    """
    up = [_time(each.since, now) for each in report.tunnels if each.state == "up"]
    trips = [each.roundTrip for each in report.servers if each.roundTrip is not None]
    totals = report.totals
    return Figures(
        now,
        max(up, default=None),
        tuple(_server(each, now) for each in _shown(report)),
        tuple(map(_tunnel, report.tunnels)),
        sum(each.visitors.open for each in report.tunnels),
        totals.visitors,
        totals.fromVisitors,
        totals.toVisitors,
        min(trips, default=None),
    )


def _shown(report: ClientReport) -> list[LinkReport]:
    """The servers; of a cluster, the node that the user sees, without the others that have the tunnels, too."""
    homes = {each.server for each in report.tunnels} - {None}
    return [each for each in report.servers if each.state != "up" or each.server in homes or not homes]


def _server(report: LinkReport, now: datetime) -> ServerFigures:
    away = 0.0 if report.awaySince is None else (now - _time(report.awaySince, now)).total_seconds()
    return ServerFigures(report.server, report.state == "up", away, report.retryIn, report.why or "")


def _tunnel(report: ClientTunnelReport) -> TunnelFigures:
    isUp, isServiceDown = report.state == "up", report.localState == "down"
    return TunnelFigures(report.name, report.local, report.public or "", isUp, report.why or "", isServiceDown)


def _time(text: str, now: datetime) -> datetime:
    """A time of a report, in the user's time zone."""
    return datetime.fromisoformat(text).astimezone(now.tzinfo)
