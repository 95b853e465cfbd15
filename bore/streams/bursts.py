"""Trouble that comes by the thousand, and deserves one line in the log."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

#: Trouble of the same kind within so many seconds of the last belongs to the same burst.
_CALM: Final = 10.0


class Burst:
    """Tells the first of many from the rest."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._last = float("-inf")

    def begins(self) -> bool:
        """Note the trouble once more, and say whether a burst of it begins with this one."""
        now = self._clock.seconds()
        begins = now - self._last >= _CALM
        self._last = now
        return begins
