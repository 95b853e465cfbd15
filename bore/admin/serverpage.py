"""What ``bore status`` shows of a server."""

from __future__ import annotations

from typing import Final

from bore.admin.answer import Part
from bore.admin.layout import WARNING, Line, Row, listed
from bore.admin.page import View, blocks, lanes, nearlyReached, number, roundTrip, title, transferred
from bore.admin.units import amount, duration
from bore.users.rights import endText

#: The state of a tunnel that does not accept visitors for a while.
_HELD_BACK: Final = "heldBack"

#: The state of a tunnel of other nodes of the cluster.
_FORWARDED: Final = "forwarded"

#: The states of workers that do what they should.
_WELL: Final = ("starting", "serving", "retired", "ending")

#: The columns about workers, which fit 80 columns of a terminal.
_OF_WORKERS: Final = ("WORKER", "GENERATION", "STATE", "FOR", "SESSIONS", "VISITORS", "CPU", "MEMORY")


def serverPage(status: Part, view: View) -> list[Line]:
    """
    Return the page about a server.

    :param status: its answer.
    """
    tunnels, sessions = _tunnels(status, view), _sessions(status, view)
    forwards = [] if view.user else _forwards(status, view)
    return blocks(
        [] if view.user else _head(status, view),
        nearlyReached(status, view),
        tunnels,
        forwards,
        sessions or ([] if tunnels or forwards else [Line("no sessions and no tunnels")]),
        _users(status, view),
        [] if view.user else _workers(status, view),
        [] if view.user else _nodes(status, view),
    )


def tunnelState(tunnel: Part, view: View) -> str:
    """Return the state of a tunnel in words."""
    state = tunnel.text("state")
    if state == "away":
        kept = duration(tunnel.number("keptFor"))
        return f"away for {view.age(tunnel, 'awaySince') or '?'}{f', kept for {kept} more' if kept else ''}"
    if state == _FORWARDED:
        return f"passed on for {view.age(tunnel, 'since') or '?'}"
    up = f"up for {view.age(tunnel, 'since') or '?'}"
    if state == _HELD_BACK:
        return f"{up}, holds visitors back"
    return up if state == "up" else state


def _head(status: Part, view: View) -> list[Line]:
    totals, ports = status.part("totals"), status.part("ports")
    facts = [
        *(("control port", _control(each)) for each in status.parts("control")),
        ("public ports", f"{ports.text('from')} to {ports.text('to')} on {status.text('publicHost')}"),
        ("cluster", _cluster(status.part("cluster"))),
        ("admits", status.text("admission")),
        ("visitors", _visitors(status)),
        ("refused", ", ".join(f"{reason} ({count})" for reason, count in totals.part("refused").counts())),
        ("bytes", f"{amount(totals.count('toClient'))} in, {amount(totals.count('toVisitors'))} out"),
    ]
    return listed(title("server", status.text("state"), status), facts, view.width)


def _control(control: Part) -> str:
    if not control.flag("tls"):
        return control.text("at")
    return f"{control.text('at')}, TLS with the key {control.text('fingerprint')}"


def _visitors(status: Part) -> str:
    visitors = [each.part("visitors") for each in status.parts("tunnels")]
    now, waiting = (sum(each.count(key) for each in visitors) for key in ("open", "waiting"))
    now = max(now, status.part("totals").count("open"))  # a server that drains has visitors, and no tunnels
    return f"{now} open, {f'{waiting} waiting, ' if waiting else ''}{status.part('totals').count('visitors')} in total"


def _tunnels(status: Part, view: View) -> list[Line]:
    rows = []
    for each in view.ours(status.parts("tunnels")):
        visitors, transfer = each.part("visitors"), each.part("bytes")
        cells = (
            each.text("address"),
            each.text("user"),
            tunnelState(each, view),
            str(visitors.count("open")),
            number(visitors.count("waiting")),
            str(visitors.count("total")),
            number(visitors.count("refused")),
            transferred(transfer, "toClient"),
            transferred(transfer, "toVisitors"),
            each.text("worker"),
        )
        rows.append(Row(cells, "" if each.text("state") == "up" else WARNING))
    return view.table(("TUNNEL", "USER", "STATE", "OPEN", "WAITING", "TOTAL", "REFUSED", "IN", "OUT", "WORKER"), rows)


def _forwards(status: Part, view: View) -> list[Line]:
    rows = []
    for each in status.parts("forwards"):
        visitors, transfer = each.part("visitors"), each.part("bytes")
        cells = (
            each.text("address"),
            ", ".join(each.texts("nodes")) or "none",
            tunnelState(each, view),
            str(visitors.count("open")),
            number(visitors.count("waiting")),
            str(visitors.count("total")),
            transferred(transfer, "toClient"),
            transferred(transfer, "toVisitors"),
        )
        rows.append(Row(cells, "" if each.text("state") == _FORWARDED else WARNING))
    return view.table(("PASSED ON", "NODES", "STATE", "OPEN", "WAITING", "TOTAL", "IN", "OUT"), rows)


def _sessions(status: Part, view: View) -> list[Line]:
    rows = [
        Row(
            (
                each.text("peer"),
                each.text("user"),
                duration(each.number("uptime")),
                "" if each.flag("extended") else "original",
                roundTrip(each),
                lanes(each),
                ", ".join(each.texts("tunnels")),
                each.text("worker"),
            )
        )
        for each in view.ours(status.parts("sessions"))
    ]
    return view.table(("SESSION", "USER", "FOR", "CLIENT", "ROUND TRIP", "LANES", "TUNNELS", "WORKER"), rows)


def _users(status: Part, view: View) -> list[Line]:
    rows = [
        Row(
            (
                each.text("name") or "(shared secret)",
                str(each.count("sessions")),
                _limited(each, "tunnels", "maxTunnels"),
                _limited(each, "visitors", "maxVisitors"),
                _end(each),
            )
        )
        for each in view.ours(status.parts("users"), "name")
    ]
    return view.table(("USER", "SESSIONS", "TUNNELS", "VISITORS", "EXPIRES"), rows)


def _workers(status: Part, view: View) -> list[Line]:
    rows = []
    for each in status.parts("workers"):
        process = each.part("process")
        cells = (
            each.text("worker"),
            each.text("generation"),
            _workerState(each),
            duration(each.number("uptime")),
            str(each.count("sessions")),
            str(each.count("visitors")),
            duration(process.number("cpu")),
            amount(process.count("memory")) if process.count("memory") else "",
        )
        rows.append(Row(cells, "" if each.text("state") in _WELL and each.flag("answers") else WARNING))
    return view.table(_OF_WORKERS, rows)


def _cluster(cluster: Part) -> str:
    """Return how a node of a cluster is; empty: the server is not one."""
    node, state, away = cluster.text("node"), cluster.text("state"), duration(cluster.number("engineAway"))
    if not node:
        return ""
    words = {"joining": "has not joined yet", "holding": "new visitors wait"}.get(state, "")
    engine = f"the engine has not answered for {away}" if away else ""
    rest = duration(cluster.number("recoversIn"))
    within = f", for up to {rest}" if rest else ""
    granting = f"no new tunnels yet, as the engine is new or empty{within}" if cluster.flag("recovering") else ""
    return ", ".join(filter(None, (f"node {node}", words, engine, granting)))


def _nodes(status: Part, view: View) -> list[Line]:
    rows = [
        Row(
            (
                each.text("name"),
                each.text("state"),
                duration(each.number("beat")),
                str(each.count("tunnels")),
                each.text("advertise"),
                each.text("version"),
            ),
            "" if each.text("state") == "up" else WARNING,
        )
        for each in status.part("cluster").parts("nodes")
    ]
    return view.table(("OTHER NODE", "STATE", "LAST BEAT", "TUNNELS", "ADDRESS", "VERSION"), rows)


def _workerState(worker: Part) -> str:
    state = worker.text("state")
    return state if worker.flag("answers") else ", ".join(filter(None, (state, "does not answer")))


def _end(user: Part) -> str:
    end = user.time("expires")
    return "" if end is None else endText(end.timestamp())


def _limited(user: Part, key: str, limit: str) -> str:
    most = user.count(limit)
    return f"{user.count(key)} of {most}" if most else str(user.count(key))


def summary(tunnel: Part, view: View) -> list[Line]:
    """Return what is known of one tunnel of a server."""
    visitors, transfer = tunnel.part("visitors"), tunnel.part("bytes")
    facts = [
        ("state", tunnelState(tunnel, view)),
        ("user", tunnel.text("user")),
        ("client", tunnel.text("peer") or tunnel.text("network")),
        ("worker", tunnel.text("worker")),
        ("nodes", ", ".join(tunnel.texts("nodes"))),
        (
            "visitors",
            f"{visitors.count('open')} open, {visitors.count('waiting')} waiting, {visitors.count('total')} in total, "
            f"{visitors.count('refused')} refused",
        ),
        ("bytes", f"{amount(transfer.count('toClient'))} in, {amount(transfer.count('toVisitors'))} out"),
    ]
    return listed(f"tunnel {tunnel.text('address')}", facts, view.width)
