"""Tables and lists that fit the width of the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import wrap
from typing import Final, NamedTuple
from unicodedata import combining, east_asian_width

#: What is between two columns of a table.
_GAP: Final = 2

#: The narrowest that a column of text becomes when a table is too wide.
_NARROWEST: Final = 9

#: How far lines below another one are indented.
_INDENT: Final = "  "

#: A blank before a unit, at which no line is broken, and what is in its place meanwhile.
_BEFORE_UNIT: Final = re.compile(r"(?<=\d) (?=(?:s|min|h|d|ms|[kMGTP]?B)\b)")
_NO_BREAK: Final = "\xa0"

#: A part of an address or a path, behind which it may be broken.
_PIECE: Final = re.compile(r"[^:/.@]*[:/.@]|[^:/.@]+")


class Line(NamedTuple):
    """
    A line to show.

    :ivar mark: how it is shown on a terminal with colours, one of the constants of this module.
    """

    text: str
    mark: str = ""


#: Marks of lines: headings, and what the reader should look at.
HEADING: Final = "1"
WARNING: Final = "33"


class Row(NamedTuple):
    """
    A row of a table.

    :ivar cells: a text for each column; empty: there is nothing to show.
    :ivar mark: see :class:`Line`.
    """

    cells: Sequence[str]
    mark: str = ""


def listed(title: str, facts: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """
    Lay out facts below a title, which may be longer than a line.

    :param facts: names and texts; those without a text are left out.
    :param width: of the terminal, in columns.
    """
    there = [each for each in facts if each[1]]
    names = max((len(name) for name, _ in there), default=0)
    lines = [Line(each, HEADING) for each in wrapped(title, width)]
    for name, text in there:
        first = f"{_INDENT}{name.ljust(names)}{_INDENT}"
        parts = wrapped(text, max(width - len(first), _NARROWEST))
        lines += [Line((" " * len(first) if number else first) + part) for number, part in enumerate(parts)]
    return lines


def table(headings: Sequence[str], rows: Sequence[Row], width: int, numbers: Sequence[str] = ()) -> list[Line]:
    """
    Lay out a table. Columns without a text are left out. If it is too wide, texts are wrapped; if that is not enough,
    each row becomes a list.

    :param width: of the terminal, in columns.
    :param numbers: the headings of the columns that are aligned on the right, and not wrapped.
    """
    used = [n for n in range(len(headings)) if any(row.cells[n] for row in rows)]
    headings = [headings[n] for n in used]
    rows = [Row([row.cells[n] for n in used], row.mark) for row in rows]
    widths = _widths(headings, rows, width, numbers)
    if widths is None:
        return [line for row in rows for line in _asList(headings, row, width, numbers)]
    lines = [Line(text, HEADING) for text in _laidOut(headings, headings, widths, numbers)]
    for row in rows:
        lines += [Line(text, row.mark) for text in _laidOut(row.cells, headings, widths, numbers)]
    return lines


def _widths(headings: Sequence[str], rows: Sequence[Row], width: int, numbers: Sequence[str]) -> list[int] | None:
    """Return the widths of the columns; None if the table does not fit."""
    columns = [[heading, *(row.cells[n] for row in rows)] for n, heading in enumerate(headings)]
    widths = [max(map(shownWidth, column)) for column in columns]
    least = [
        widths[n] if heading in numbers else min(widths[n], max(_NARROWEST, len(heading)))
        for n, heading in enumerate(headings)
    ]
    room = width - _GAP * (len(headings) - 1)
    if sum(least) > room:
        return None
    for _ in range(sum(widths) - room):
        widest = max(range(len(widths)), key=lambda n: (widths[n] > least[n], widths[n]))
        widths[widest] -= 1
    return widths


def _laidOut(cells: Sequence[str], headings: Sequence[str], widths: Sequence[int], numbers: Sequence[str]) -> list[str]:
    """Return the lines of a row."""
    columns = [
        [_padded(part, width, heading in numbers) for part in wrapped(cell, width)]
        for cell, heading, width in zip(cells, headings, widths, strict=True)
    ]
    height = max(map(len, columns), default=0)
    blanks = [" " * width for width in widths]
    gap = " " * _GAP
    return [
        gap.join(
            column[n] if n < len(column) else blank for column, blank in zip(columns, blanks, strict=True)
        ).rstrip()
        for n in range(height)
    ]


def _asList(headings: Sequence[str], row: Row, width: int, numbers: Sequence[str]) -> list[Line]:
    first, *others = row.cells
    title = f"{headings[0].lower()} {first}" if headings[0] in numbers else first  # a number alone says nothing
    lines = listed(title, [(name.lower(), text) for name, text in zip(headings[1:], others, strict=True)], width)
    return [line if line.mark else Line(line.text, row.mark) for line in lines]


def wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text."""
    if shownWidth(text) <= width:
        return [text]
    whole = _BEFORE_UNIT.sub(_NO_BREAK, text)
    whole = " ".join(word if shownWidth(word) <= width else _divided(word, width) for word in whole.split(" "))
    return [each.replace(_NO_BREAK, " ") for each in wrap(whole, width)]


def _divided(word: str, width: int) -> str:
    """Return a long word, such as an address, with blanks where it is broken: behind its signs, if possible."""
    parts = [""]
    for piece in _PIECE.findall(word):
        if parts[-1] and len(parts[-1] + piece) > width:
            parts.append("")
        parts[-1] += piece
    return " ".join(parts)


def _padded(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - shownWidth(text))
    return blanks + text if right else text + blanks


def shownWidth(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)
