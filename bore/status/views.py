"""What the page shows of a snapshot, and the difference between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final, TypeAlias, cast

from bore.status.report import ServerReport, fieldsIn, toJson
from bore.status.slices import Work, mapped
from bore.status.traffic import Report, keyOf

#: The rows of each table by their keys, and under ``""`` what is not a table; all of it as JSON.
View: TypeAlias = dict[str, dict[str, object]]

#: The parts of a snapshot that are tables.
_TABLES: Final = ("tunnels", "sessions", "users", "servers", "workers", "forwards")

#: What follows from other fields and changes each second, or is not shown.
_LEFT_OUT: Final = ("uptime", "supervisor")

#: How many digits are shown of a field behind the point: less of a difference is not a change.
_DIGITS: Final = {"roundTrip": 3, "keptFor": 0, "retryIn": 0, "cpu": 0, "engineAway": 0, "recoversIn": 0, "beat": 0}

#: A node that has called the engine within this time, in seconds, has done so just now: it calls once a second.
_JUST_NOW: Final = 3.0

#: What the page needs of a session.
_OF_SESSION: Final = ("user", "network", "since", "roundTrip")


def makeView(report: Report) -> Work[View]:
    """Make a view."""
    rest = {name: toJson(each) for name, each in fieldsIn(report) if name not in _TABLES and name not in _LEFT_OUT}
    cluster = rest.get("cluster")
    if isinstance(cluster, dict):
        del cluster["nodes"]  # a table
        _rounded(cluster)
    view: View = {"": rest}
    yield
    for table, values in _tables(report):
        view[table] = dict((yield from mapped(partial(_row, table), values)))
    return view


def _tables(report: Report) -> Iterator[tuple[str, Iterable[tuple[str, object]]]]:
    """The tables, each with the keys of its rows."""
    yield "tunnels", ((keyOf(each), each) for each in report.tunnels)
    if isinstance(report, ServerReport):
        yield "sessions", ((each.peer, each) for each in report.sessions)
        yield "users", ((each.name, each) for each in report.users)
        if report.workers is not None:
            yield "workers", ((str(each.worker), each) for each in report.workers)
        if report.forwards is not None:
            yield "forwards", ((keyOf(each), each) for each in report.forwards)
        if report.cluster is not None:
            yield "nodes", ((each.name, each) for each in report.cluster.nodes)
    else:
        yield "servers", ((each.server, each) for each in report.servers)


def _row(table: str, keyed: tuple[str, object]) -> tuple[str, dict[str, object]]:
    key, report = keyed
    row = cast(dict[str, object], toJson(report))
    match table:
        case "sessions":
            row = {name: row[name] for name in _OF_SESSION}
        case "workers":
            del row["uptime"]
            process = row["process"]
            if isinstance(process, dict):
                _rounded(process)
        case "nodes":
            beat = row["beat"]
            row["beat"] = beat if isinstance(beat, float) and beat >= _JUST_NOW else 0.0
    return key, _rounded(row)


def _rounded(row: dict[str, object]) -> dict[str, object]:
    """A row without digits that nobody is shown."""
    for name, digits in _DIGITS.items():
        seconds = row.get(name)
        if isinstance(seconds, float):
            row[name] = round(seconds, digits)
    return row


def changesBetween(before: View, after: View) -> dict[str, dict[str, object]]:
    """
    What has changed between two views; empty: nothing.

    For each part that has changed, ``set`` has the new rows, and of the others the fields that have changed; ``gone``
    lists the keys of the rows that are no longer there. What is in no table is set as a whole.
    """
    changes: dict[str, dict[str, object]] = {}
    for part, rows in after.items():
        former = before.get(part, {})
        if rows != former:
            changed = {key: row for key, row in rows.items() if key not in former or former[key] != row}
            if part:
                changed = {key: _fields(former.get(key), row) for key, row in changed.items()}
            changes[part] = {"set": changed}
            if gone := [key for key in former if key not in rows]:
                changes[part]["gone"] = gone
    return changes


def _fields(former: object, row: object) -> object:
    """The fields of a row that have changed."""
    if isinstance(former, dict) and isinstance(row, dict):
        return {key: value for key, value in row.items() if former[key] != value}
    return row
