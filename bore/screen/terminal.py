"""Writes lines to a terminal, and one last line that changes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TextIO

from bore.logs.outlet import Outlet

#: The size of a terminal that does not know it.
_WIDTH: Final = 80
_HEIGHT: Final = 24

#: To the first column, and erase from there to the end of the screen (ECMA-48: ED). The cursor rests in the first
#: column, so that this erases the last line even if the terminal has become narrower and has wrapped it.
_ERASE: Final = "\r\x1b[J"


class Terminal:
    """
    A terminal.

    All that belongs together is written at once, by an :class:`~bore.logs.outlet.Outlet`, which never blocks, and drops
    and counts what a stopped terminal does not take.

    :param file: writes to an outlet.
    """

    def __init__(self, file: TextIO, outlet: Outlet) -> None:
        self._file = file
        self._outlet = outlet
        self._last = ""
        self.encoding = file.encoding

    def size(self) -> tuple[int, int]:
        """
        Return columns and lines.

        The last column stays empty: some terminals begin a new line when something is written there.
        """
        try:
            width, height = os.get_terminal_size(self._outlet.fileno())
        except OSError:
            width = height = 0
        return max(1, (width or _WIDTH) - 1), height or _HEIGHT

    @property
    def isStopped(self) -> bool:
        """Whether the terminal does not take what was written."""
        return self._outlet.isWaiting

    def write(self, lines: Sequence[str]) -> None:
        """Write lines above the last one."""
        text = "".join(f"{line}\n" for line in lines)
        self._file.write(f"{_ERASE}{text}{self._last}\r" if self._last else text)

    def replace(self, last: str, anew: bool = False) -> None:
        """
        Replace the last line; empty: there is none. On a stopped terminal it is replaced later.

        :param anew: whether it is drawn even if it is the same: the terminal may have lost it.
        """
        if (last != self._last or anew) and not self.isStopped:
            self._file.write(f"{_ERASE}{last}\r" if last else _ERASE)
            self._last = last
