"""Sums of what several processes have done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bore.status.report import ServerTotals

#: Totals of nothing.
NOTHING: Final = ServerTotals(0, 0, 0, {}, {}, 0)


def sumOf(totals: Iterable[ServerTotals]) -> ServerTotals:
    """Sum totals up."""
    visitors = toClient = toVisitors = open = 0
    refused: dict[str, int] = {}
    events: dict[str, int] = {}
    for each in totals:
        visitors += each.visitors
        toClient += each.toClient
        toVisitors += each.toVisitors
        open += each.open
        _add(refused, each.refused)
        _add(events, each.events)
    return ServerTotals(visitors, toClient, toVisitors, refused, events, open)


def notBelow(before: ServerTotals, now: ServerTotals) -> ServerTotals:
    """
    Totals that do not go down. The workers are not asked at the same moment, and a visitor who waits may pass from one
    to the other meanwhile.

    :param before: what was reported before.
    """
    return ServerTotals(
        max(before.visitors, now.visitors),
        max(before.toClient, now.toClient),
        max(before.toVisitors, now.toVisitors),
        {key: max(before.refused.get(key, 0), now.refused.get(key, 0)) for key in {**before.refused, **now.refused}},
        {key: max(before.events.get(key, 0), now.events.get(key, 0)) for key in {**before.events, **now.events}},
        now.open,
    )


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for key, count in more.items():
        counts[key] = counts.get(key, 0) + count
