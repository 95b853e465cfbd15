"""Standard output: lines with colours on a terminal, and without elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from bore.admin.layout import Line

#: Where there is no terminal whose size is known.
_SIZE: Final = (80, 24)

_HOME: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K"
_END_OF_SCREEN: Final = "\x1b[J"


class Screen:
    """
    Writes blocks of lines.

    :param redraws: whether a terminal shows each block in the place of the one before. Otherwise there is an empty line
        between two blocks, if that is wanted.
    :param separates: whether it is.
    """

    def __init__(
        self, file: TextIO, environment: Mapping[str, str] = os.environ, redraws: bool = False, separates: bool = True
    ) -> None:
        terminal = file.isatty() and environment.get("TERM") != "dumb"
        self._file = file
        self._colours = terminal and not environment.get("NO_COLOR")
        self._redraws = terminal and redraws
        self._separates = separates
        self._begun = False

    @property
    def width(self) -> int:
        """The width, in columns."""
        return shutil.get_terminal_size(_SIZE).columns

    def show(self, lines: Sequence[Line]) -> None:
        """Write a block of lines."""
        if self._redraws:
            height = max(2, shutil.get_terminal_size(_SIZE).lines)
            if len(lines) >= height:
                left = Line(f"... and {len(lines) - height + 2} more lines, which fit a higher terminal")
                lines = [*lines[: height - 2], left]
            body = "".join(f"{self._coloured(line)}{_END_OF_LINE}\n" for line in lines)
            self._write(f"{_HOME}{body}{_END_OF_SCREEN}")
        else:
            body = "".join(f"{self._coloured(line)}\n" for line in lines)
            self._write("\n" + body if self._begun and self._separates else body)
        self._begun = True

    def _coloured(self, line: Line) -> str:
        return f"\x1b[{line.mark}m{line.text}\x1b[0m" if line.mark and line.text and self._colours else line.text

    def _write(self, text: str) -> None:
        encoding = self._file.encoding or "ascii"
        self._file.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._file.flush()
