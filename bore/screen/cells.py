"""Text on a terminal: what is safe to write there, how many cells it takes, how it is cut and wrapped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from unicodedata import category, east_asian_width

#: Characters of one text that are written at most: texts of servers and names are shorter.
MAX_TEXT: Final = 1000

#: Combining characters that are written behind a character at most.
_MAX_MARKS: Final = 2

#: Stands for what was cut off, if the terminal has it, and if not.
_MORE: Final = "\N{HORIZONTAL ELLIPSIS}"
_MORE_IN_ASCII: Final = ".."


def widthOf(text: str) -> int:
    """Return how many cells a safe text takes, by the rules of wcwidth."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(char: str) -> int:
    if char < "\x7f":
        return 1
    if category(char) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def safe(text: str, encoding: str = "utf-8") -> str:
    """
    Return a text on one line that controls neither the terminal nor the direction of other text.

    Control characters, invisible ones, and those that the terminal's encoding does not have are escaped. Selectors of
    variants, which change the width of a character, are left out, and so are more than a few marks on one character.
    """
    text = text[:MAX_TEXT]
    if text.isascii() and text.isprintable():
        return text
    return "".join(_safely(text, encoding))


def _safely(text: str, encoding: str) -> Iterator[str]:
    marks = 0
    for char in text:
        if not char.isprintable():
            yield ascii(char)[1:-1]
            continue
        if "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
            continue
        marks = marks + 1 if category(char) in ("Mn", "Me") else 0
        if marks <= _MAX_MARKS:
            yield char if canShow(char, encoding) else ascii(char)[1:-1]


def canShow(text: str, encoding: str) -> bool:
    """Whether an encoding has these characters."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def cut(text: str, width: int, encoding: str = "utf-8") -> str:
    """Return as much of a safe text as fits into a number of cells, with a mark at its end if that is not all."""
    if widthOf(text) <= width:
        return text
    more = _MORE if canShow(_MORE, encoding) else _MORE_IN_ASCII
    return _fitting(text, width - len(more)) + more if width > len(more) else _fitting(text, width)


def _fitting(text: str, width: int) -> str:
    for index, char in enumerate(text):
        width -= _cells(char)
        if width < 0:
            return text[:index]
    return text


def wrap(text: str, width: int, indent: int = 0) -> list[str]:
    """
    Return a safe text as lines that fit into a number of cells, broken between words where that is possible.

    :param indent: the number of blanks in front of all lines but the first, if there is room for them.
    """
    lines = []
    blanks = ""
    while widthOf(blanks + text) > width:
        whole = blanks + text
        head = _fitting(whole, width) or whole[:1]
        at = (head + whole[len(head) : len(head) + 1]).rfind(" ", len(blanks) + 1)
        if at > 0:
            head = head[:at]
        lines.append(head)
        text = whole[len(head) :].lstrip(" ")
        blanks = " " * indent if width >= 2 * indent else ""
    return [*lines, blanks + text] if text or not lines else lines
