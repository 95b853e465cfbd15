"""What ``bore status`` shows of a client."""

from __future__ import annotations

from typing import Final

from bore.admin.answer import Part
from bore.admin.layout import WARNING, Line, Row, listed
from bore.admin.page import View, blocks, lanes, nearlyReached, number, roundTrip, title, transferred
from bore.admin.units import amount, duration

#: Words for states of the client and its tunnels.
_STATES: Final = {"givenUp": "given up", "partly": "partly up"}


def clientPage(status: Part, view: View) -> list[Line]:
    """
    Return the page about a client.

    :param status: its answer.
    """
    return blocks(_head(status, view), nearlyReached(status, view), _servers(status, view), _tunnels(status, view))


def _head(status: Part, view: View) -> list[Line]:
    totals, state = status.part("totals"), status.text("state")
    visitors = [each.part("visitors") for each in status.parts("tunnels")]
    facts = [
        ("visitors", f"{sum(each.count('open') for each in visitors)} open, {totals.count('visitors')} in total"),
        ("bytes", f"{amount(totals.count('fromVisitors'))} in, {amount(totals.count('toVisitors'))} out"),
    ]
    return listed(title("client", _STATES.get(state, state), status), facts, view.width)


def _servers(status: Part, view: View) -> list[Line]:
    rows = [
        Row(
            (
                each.text("server"),
                each.text("user"),
                _serverState(each, view),
                each.text("trust"),
                each.text("version"),
                roundTrip(each),
                lanes(each),
            ),
            "" if each.text("state") == "up" else WARNING,
        )
        for each in status.parts("servers")
    ]
    return view.table(("SERVER", "USER", "STATE", "TRUST", "VERSION", "ROUND TRIP", "LANES"), rows)


def _serverState(server: Part, view: View) -> str:
    state = server.text("state")
    if state == "up":
        return f"up for {view.age(server, 'since') or '?'}"
    away = view.age(server, "awaySince") if state == "away" else ""
    retry = duration(server.number("retryIn"))
    parts = (
        f"{state} for {away}" if away else state,
        server.text("why"),
        f"next attempt in {retry}" if retry else "",
    )
    return ", ".join(filter(None, parts))


def tunnelState(tunnel: Part, view: View) -> str:
    """Return the state of a tunnel in words."""
    state = tunnel.text("state")
    age = view.age(tunnel, "since")
    words = _STATES.get(state, state)
    timed = f"{words} for {age}" if age and state in ("up", "away") else words
    return ", ".join(filter(None, (timed, tunnel.text("why"))))


def _local(tunnel: Part) -> str:
    return f"{tunnel.text('local')} is down" if tunnel.text("localState") == "down" else tunnel.text("local")


def _tunnels(status: Part, view: View) -> list[Line]:
    rows = []
    for each in status.parts("tunnels"):
        visitors, transfer = each.part("visitors"), each.part("bytes")
        cells = (
            each.text("name"),
            _local(each),
            each.text("public"),
            tunnelState(each, view),
            str(visitors.count("open")),
            str(visitors.count("total")),
            number(visitors.count("unserved")),
            transferred(transfer, "fromVisitors"),
            transferred(transfer, "toVisitors"),
        )
        rows.append(Row(cells, WARNING if each.text("state") != "up" or each.text("localState") == "down" else ""))
    return view.table(("NAME", "LOCAL", "PUBLIC", "STATE", "OPEN", "TOTAL", "UNSERVED", "IN", "OUT"), rows)


def summary(tunnel: Part, view: View) -> list[Line]:
    """Return what is known of one tunnel of a client."""
    visitors, transfer = tunnel.part("visitors"), tunnel.part("bytes")
    facts = [
        ("public", tunnel.text("public")),
        ("local", _local(tunnel)),
        ("server", tunnel.text("server")),
        ("state", tunnelState(tunnel, view)),
        (
            "visitors",
            f"{visitors.count('open')} open, {visitors.count('total')} in total, {visitors.count('unserved')} unserved",
        ),
        ("bytes", f"{amount(transfer.count('fromVisitors'))} in, {amount(transfer.count('toVisitors'))} out"),
    ]
    name = tunnel.text("name")
    return listed(f"tunnel {name}" if name else "tunnel", facts, view.width)
