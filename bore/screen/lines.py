"""Lines in colours, as terminals show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from bore.screen.cells import canShow, cut, safe, widthOf, wrap


class Style(Enum):
    """How a part of a line looks; the values are the parameters of SGR (ECMA-48)."""

    PLAIN = ""
    ADDRESS = "1"
    DIM = "2"
    GOOD = "32"
    WARN = "33"
    BAD = "31"


class Part(NamedTuple):
    """
    A part of a line.

    :ivar text: any text; it is escaped when it is painted.
    """

    text: str
    style: Style = Style.PLAIN


#: Parts behind one another.
Line = Sequence[Part]

_RESET: Final = "\x1b[0m"


@dataclass(frozen=True)
class Glyphs:
    """Signs, by what the terminal's encoding has."""

    dot: str
    up: str
    partly: str
    down: str
    received: str
    sent: str
    arrow: str


_UNICODE: Final = Glyphs("·", "●", "◐", "○", "↓", "↑", "→")
_ASCII: Final = Glyphs("|", "*", "%", "o", "in", "out", "->")


@dataclass(frozen=True)
class Painter:
    """
    Makes texts for a terminal.

    :ivar color: whether it has colours, and the user wants them.
    :ivar encoding: that of the terminal.
    """

    color: bool = True
    encoding: str = "utf-8"

    @property
    def glyphs(self) -> Glyphs:
        """The signs that the terminal has."""
        return _UNICODE if self.isUnicode else _ASCII

    @property
    def isUnicode(self) -> bool:
        """Whether the terminal has more than ASCII."""
        return canShow("·●◐○↓↑→█", self.encoding)

    def paint(self, line: Line, width: int) -> str:
        """Return a line that takes at most this number of cells, and is cut if it is longer."""
        painted = []
        left = width
        for text, style in line:
            shown = cut(safe(text, self.encoding), left, self.encoding)
            left -= widthOf(shown)
            painted.append(self._styled(shown, style))
        return "".join(painted)

    def wrapped(self, text: str, style: Style, width: int, indent: int = 2, most: int = 12) -> list[str]:
        """
        Return a text as lines of at most this number of cells.

        :param most: the number of lines beyond which it is cut.
        """
        shown = cut(safe(text, self.encoding), most * width, self.encoding)
        lines = wrap(shown, width, indent)
        if len(lines) > most:
            lines = [*lines[: most - 1], cut(" ".join(lines[most - 1 :]), width, self.encoding)]
        return [self._styled(line, style) for line in lines]

    def _styled(self, text: str, style: Style) -> str:
        return f"\x1b[{style.value}m{text}{_RESET}" if self.color and style.value and text else text


def widthOfLine(line: Line, encoding: str = "utf-8") -> int:
    """Return how many cells a line takes."""
    return sum(widthOf(safe(text, encoding)) for text, _ in line)


def joined(parts: Iterable[Line], between: Part) -> list[Part]:
    """Return lines as one, with a part between each two of them."""
    line: list[Part] = []
    for each in parts:
        if line:
            line.append(between)
        line.extend(each)
    return line


def wantsColor(environment: Mapping[str, str]) -> bool:
    """Whether a terminal gets colours: see https://no-color.org."""
    return not environment.get("NO_COLOR")
