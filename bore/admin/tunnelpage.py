"""What ``bore status PORT`` shows: a tunnel and its visitors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bore.admin import clientpage, serverpage
from bore.admin.answer import Part
from bore.admin.layout import Line, Row
from bore.admin.page import View, blocks
from bore.admin.sockets import CLIENT
from bore.admin.units import amount, duration

_HEADINGS: Final = ("VISITOR", "FOR", "STATE", "IN", "OUT")


def tunnelPage(program: str, tunnel: Part, view: View) -> list[Line]:
    """
    Return the page about a tunnel.

    :param program: the kind of the program that has answered.
    :param tunnel: its answer.
    """
    isClient = program == CLIENT
    summary: Callable[[Part, View], list[Line]] = clientpage.summary if isClient else serverpage.summary
    incoming, outgoing = ("fromVisitor", "toVisitor") if isClient else ("toClient", "toVisitor")
    rows = [
        Row(
            (
                each.text("from"),
                duration(each.number("seconds")),
                _state(each),
                amount(each.count(incoming)),
                amount(each.count(outgoing)),
            )
        )
        for each in tunnel.parts("list")
    ]
    return blocks(summary(tunnel, view), view.table(_HEADINGS, rows) or [Line("no visitors")])


def _state(visitor: Part) -> str:
    state = visitor.text("state")
    return f"{state} on a lane" if visitor.number("lane") is not None else state
