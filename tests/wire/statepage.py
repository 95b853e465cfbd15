"""
Draws ``docs/states.rst`` from the tables of states::

    python -m tests.wire.statepage > docs/states.rst
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from bore.wire import clientsession, datasession, lane, nodesession, serversession
from bore.wire.statetable import Cell, State, Table
from bore.wire.tunnelstates import AT_CLIENT, AT_SERVER, TunnelTable
from bore.wire.workersession import CLAIMS, QUESTIONS, SupervisorEnd, WorkerEnd

_S = TypeVar("_S")
_E = TypeVar("_E")

_TITLE: Final = "Tables of states"

_INTRODUCTION: Final = """\
What happens in each state of each session, message by message. The tables are the code: the sessions look their answers
up in them, this page is drawn from them (``python -m tests.wire.statepage``), and ``tests/wire/test_states.py`` drives
every line of it.

An empty *next state* is the same state. *Events* are handed to the connection, in this order; where there are *errors*,
one of them may be raised instead. *Any other* is any other message that may arrive in the state at all. What the
messages mean stands in `the protocol chapter <protocol.rst>`_.
"""

_SERVER: Final = """\
The server's side of a connection to its control port
=====================================================

``bore/wire/serversession.py``. A frame that is not a message of the state is a violation in REQUEST, and a refusal
(BrokenRule) in OPENING and EXTENDED; in PROOF the proof decides. After every error the state is SETTLED.
"""

_SERVER_SENDS: Final = """\
What the server sends moves the session on, too: the answer to a tunnel of the base protocol, Moved, and a refusal of
the session. In BASE_CLAIMING and SETTLED every byte from the client is thrown away.
"""

_SERVER_TUNNELS: Final = """\
In EXTENDED each tunnel has a state of its own (``bore/wire/tunnelstates.py``). Open and Close come from the client; a
Close in another state is a refusal of the session (BrokenRule), and so is an Open whose number is not greater than all
before. In GONE a Close is not answered: it has crossed Refused or Closed.
"""

_NODE: Final = """\
The connection of another node, at the server
=============================================

``bore/wire/nodesession.py``. These states stand in the place of PROOF, REQUEST and OPENING. A frame that is not a
message in REQUEST is a violation. In EXTENDED the session is as above.
"""

_CLIENT_TUNNELS: Final = """\
So it has at the client, which sends Open and Close. Every other pair of state and message of the server is a violation.
In LEAVING, Opened and Visitor have crossed Close, and are not events.
"""

_CONTROL: Final = """\
The client's side of the control connection
===========================================

``bore/wire/clientsession.py``. A frame that is not a message of the state is a violation, but for MOVED, where every
frame is ignored. The session ends with every error.
"""

_DATA: Final = """\
The client's side of a data connection or a lane
================================================

``bore/wire/datasession.py``, up to the point from which the bytes belong to the visitor or the lane. A frame that is
not a message of the state is a violation. The session ends with every error.
"""

_LANE: Final = """\
The directions of a lane
========================

``bore/wire/lane.py``. Every pair of state and frame that is not here is a violation. OPEN comes from the server alone,
while the lane is idle, and opens both directions. DONE comes from the client alone, when both directions have ended by
END. A lane is idle while no stream is open in either direction, the last stream was not a long one without DONE, no
direction has ever been RAW, and the connection has not ended.
"""

_SUPERVISOR: Final = """\
The supervisor's end of the channel to a worker
===============================================

``bore/wire/workersession.py``. An *answer* without its question is a violation, and so is any other message. Messages
that this version does not know are ignored. Every violation ends the channel.
"""

_WORKER: Final = """\
The worker's end of that channel
================================
"""

_SENT: Final = """\
What it sends moves it on, too.
"""


def tableOf(lines: list[list[str]]) -> str:
    """A simple table of reST; the first line is its head. A cell may have several lines."""
    height = [max(cell.count("\n") + 1 for cell in line) for line in lines]
    split = [[cell.split("\n") for cell in line] for line in lines]
    widths = [max(len(part) for line in split for part in line[column]) for column in range(len(lines[0]))]
    rule = " ".join("=" * width for width in widths)
    rows: list[str] = []
    for line, rowHeight in zip(split, height, strict=True):
        for nth in range(rowHeight):
            parts = [cell[nth] if nth < len(cell) else "" for cell in line]
            rows.append(" ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())
        if line is split[0]:
            rows.append(rule)
    return "\n".join([rule, *rows, rule]) + "\n"


def _names(kinds: Iterable[type]) -> str:
    return ",\n".join(kind.__name__ for kind in kinds)


def _line(state: State, message: str, cell: Cell[_S, _E]) -> list[str]:
    then = "" if cell.then is None else cell.then.name
    return [state.name, message, then, _names(cell.events), _names(cell.errors)]


def drawn(table: Table[_S, _E]) -> str:
    """A session's table."""
    lines = [["state", "message", "next state", "events", "errors"]]
    for state, row in table.items():
        for kind, cell in row.cells.items():
            lines.append(_line(state, "any frame" if kind is bytes else kind.__name__, cell))
        if row.otherwise is not None and bytes not in row.cells:
            lines.append(_line(state, "any other", row.otherwise))
    return tableOf(lines)


def _answers() -> str:
    lines = [["state", "opened", "moved", "refusal", "timedOut"]]
    extended = serversession.State.OPENING, serversession.State.EXTENDED
    for state in serversession.State:
        after = {
            serversession.State.BASE_CLAIMING: serversession.State.SETTLED,
            serversession.State.EXTENDED: serversession.State.EXTENDED,
        }.get(state)
        refusal = serversession.TIMED_OUT.get(state)
        lines.append(
            [
                state.name,
                "" if after is None else after.name,
                serversession.State.SETTLED.name if state in extended else "",
                serversession.State.SETTLED.name,
                "closed without a word" if refusal is None else refusal.__name__,
            ]
        )
    return tableOf(lines)


def _tunnels(table: TunnelTable) -> str:
    lines = [["state", "message", "next state"]]
    lines += [[state.name, message, after.name] for (state, message), after in table.items()]
    return tableOf(lines)


def _lane() -> str:
    ways = {number: name for name, number in vars(lane.Way).items() if name.isupper()}
    frames = {
        lane.OPEN: "OPEN",
        lane.DATA: "DATA",
        lane.END: "END",
        lane.RESET: "RESET",
        lane.RAW: "RAW",
        lane.DONE: "DONE",
        lane.BARE: "bare bytes",
        lane.FIN: "end of the connection",
    }
    lines = [["state", "frame", "next state"]]
    lines += [[ways[way], frames[kind], ways[after]] for (way, kind), after in lane.AFTER.items()]
    return tableOf(lines)


def _channelEnd(end: type[SupervisorEnd | WorkerEnd], questions: Mapping[type, type]) -> str:
    """What may arrive at an end of the channel; states in which the same may arrive share their lines."""
    states: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for state, row in end.table.items():
        found = tuple(
            (
                kind.__name__,
                "" if cell.then is None else cell.then.name,
                questions[kind].__name__ if cell.errors else "",
            )
            for kind, cell in row.cells.items()
        )
        states.setdefault(found, []).append(state.name)
    lines = [["state", "message", "next state", "answer to"]]
    for each, names in states.items():
        lines += [[", ".join(names), *line] for line in each]
    sent = [["state", "message sent", "next state"]]
    sent += [[state.name, kind.__name__, then.name] for (state, kind), then in end.sent.items()]
    return "\n".join([tableOf(lines), _SENT, tableOf(sent)])


def page() -> str:
    """The whole page."""
    rule = "=" * len(_TITLE)
    return "\n".join(
        [
            f"{rule}\n{_TITLE}\n{rule}\n",
            _INTRODUCTION,
            _SERVER,
            drawn(serversession.TABLE),
            _SERVER_SENDS,
            _answers(),
            _SERVER_TUNNELS,
            _tunnels(AT_SERVER),
            _NODE,
            drawn({state: nodesession.TABLE[state] for state in nodesession.State}),
            _CONTROL,
            drawn(clientsession.TABLE),
            _CLIENT_TUNNELS,
            _tunnels(AT_CLIENT),
            _DATA,
            drawn(datasession.TABLE),
            _LANE,
            _lane(),
            _SUPERVISOR,
            _channelEnd(SupervisorEnd, QUESTIONS),
            _WORKER,
            _channelEnd(WorkerEnd, CLAIMS),
        ]
    )[:-1]


if __name__ == "__main__":
    print(page())  # noqa: T201
