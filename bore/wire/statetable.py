"""
Tables of states: for each state of a session, and each message that may arrive, what happens.

A session looks its answers up in its table, ``docs/states.rst`` is drawn from it, and a test drives every cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Generic, NamedTuple, TypeAlias, TypeVar, cast

from bore.wire.errors import WireError

_S = TypeVar("_S")
_E = TypeVar("_E")
_M = TypeVar("_M")


class State(Enum):
    """The base of the states of a session."""

    #: Members are compared by identity, so they may be hashed by it: Enum's own hash is written in Python.
    __hash__ = object.__hash__


class Cell(NamedTuple, Generic[_S, _E]):
    """
    What a session does with one kind of message in one state.

    :ivar act: does it; gives the events that follow, or raises one of ``errors``.
    :ivar then: the state that follows, if ``act`` raises nothing; None: the same one.
    :ivar events: the kinds of events that may follow, in this order.
    :ivar errors: the kinds of errors that may be raised instead.
    """

    act: Callable[[_S, object], Sequence[_E]]
    then: State | None
    events: tuple[type, ...]
    errors: tuple[type[WireError], ...]


class Row(NamedTuple, Generic[_S, _E]):
    """
    One state.

    :ivar decode: turns a frame into a message that may arrive in this state.
    :ivar cells: what happens, by the class of the message.
    :ivar otherwise: what happens with every other message; None: there is no other one.
    """

    decode: Callable[[_S, bytes], object]
    cells: Mapping[type, Cell[_S, _E]]
    otherwise: Cell[_S, _E] | None

    def cell(self, message: object) -> Cell[_S, _E]:
        """The cell for a message."""
        cell = self.cells.get(type(message), self.otherwise)
        assert cell is not None
        return cell


def row(
    decode: Callable[[_S, bytes], object], otherwise: Cell[_S, _E] | None, *entries: tuple[type, Cell[_S, _E]]
) -> Row[_S, _E]:
    """Make a row of its entries."""
    return Row(decode, dict(entries), otherwise)


Table: TypeAlias = Mapping[State, Row[_S, _E]]


def on(
    kind: type[_M],
    act: Callable[[_S, _M], Sequence[_E]],
    then: State | None = None,
    events: Sequence[type] = (),
    errors: Sequence[type[WireError]] = (),
) -> tuple[type, Cell[_S, _E]]:
    """
    One entry of a row: a kind of message, and its cell.

    :param act: takes messages of this kind only; the row sees to that.
    """
    return kind, Cell(cast("Callable[[_S, object], Sequence[_E]]", act), then, tuple(events), tuple(errors))
