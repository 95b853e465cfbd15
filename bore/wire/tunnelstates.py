"""
The tunnels of a session of the extension, by number, as each side sees them.

A number belongs to one tunnel and is never used again: each Open has a greater one than all Opens before it. So the
tunnels that are gone need no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, TypeAlias


class TunnelState(Enum):
    """The states of a tunnel in a session."""

    UNUSED = auto()  # no Open had its number
    ASKED = auto()  # Open was sent, and the answer has to come
    OPEN = auto()
    LEAVING = auto()  # at the client: Close was sent, and Closed has to come
    GONE = auto()  # it was refused or closed

    __hash__ = object.__hash__  # identity, as for all states: Enum's own hash is written in Python


#: The state of a tunnel after a message; a pair that is not here is a violation by its sender.
TunnelTable: TypeAlias = Mapping[tuple[TunnelState, str], TunnelState]

_UNUSED, _ASKED, _OPEN = TunnelState.UNUSED, TunnelState.ASKED, TunnelState.OPEN
_LEAVING, _GONE = TunnelState.LEAVING, TunnelState.GONE

#: At the server, which answers each Close at once. A Close can cross its Refused or Closed.
AT_SERVER: Final[TunnelTable] = {
    (_UNUSED, "Open"): _ASKED,
    (_ASKED, "Opened"): _OPEN,
    (_ASKED, "Refused"): _GONE,
    (_ASKED, "Close"): _GONE,
    (_OPEN, "Close"): _GONE,
    (_OPEN, "Closed"): _GONE,
    (_GONE, "Close"): _GONE,
}

#: At the client. What the server has sent before it read Close still comes.
AT_CLIENT: Final[TunnelTable] = {
    (_UNUSED, "Open"): _ASKED,
    (_ASKED, "Opened"): _OPEN,
    (_ASKED, "Refused"): _GONE,
    (_ASKED, "Close"): _LEAVING,
    (_OPEN, "Visitor"): _OPEN,
    (_OPEN, "Close"): _LEAVING,
    (_OPEN, "Closed"): _GONE,
    (_LEAVING, "Opened"): _LEAVING,
    (_LEAVING, "Visitor"): _LEAVING,
    (_LEAVING, "Refused"): _GONE,
    (_LEAVING, "Closed"): _GONE,
}


class TunnelStates:
    """
    The states of a session's tunnels.

    :param table: :data:`AT_SERVER` or :data:`AT_CLIENT`.
    """

    def __init__(self, table: TunnelTable) -> None:
        self._table = table
        self._states: dict[int, TunnelState] = {}  # of those that are neither UNUSED nor GONE
        self._last = 0

    def __getitem__(self, number: int) -> TunnelState:
        """The state of a tunnel."""
        return self._states.get(number, _UNUSED if number > self._last else _GONE)

    def __len__(self) -> int:
        """How many tunnels are neither unused nor gone."""
        return len(self._states)

    def move(self, number: int, message: str) -> TunnelState | None:
        """
        A message about a tunnel was sent or received.

        :param message: its name.
        :returns: the state that the tunnel had before; None: the message must not come in that state.
        """
        before = self[number]
        after = self._table.get((before, message))
        if after is None:
            return None
        if after is _GONE:
            self._states.pop(number, None)
        else:
            self._states[number] = after
        self._last = max(self._last, number)
        return before
