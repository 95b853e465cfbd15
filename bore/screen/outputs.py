"""The log and standard error, where they are shown on the screen."""

from __future__ import annotations

import io
from typing import Protocol

from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer


class Shown(Protocol):
    """What the outputs need of the screen."""

    def logged(self, event: LogEvent) -> None:
        """Show an event of the log."""

    def say(self, text: str) -> None:
        """Show lines of text."""


@implementer(ILogObserver)
class ScreenObserver:
    """Passes the log on to the screen."""

    def __init__(self, screen: Shown) -> None:
        self._screen = screen

    def __call__(self, event: LogEvent) -> None:
        self._screen.logged(event)


class SharedOutput(io.TextIOBase):
    """
    Standard error, where it is the same terminal: what is written to it is above the last line.

    :param fd: the descriptor of standard error.
    """

    def __init__(self, screen: Shown, fd: int, encoding: str) -> None:
        self._screen = screen
        self._fd = fd
        self._encoding = encoding
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the terminal."""
        return self._encoding

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Write text, line by line."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._screen.say(line)
        return len(text)
