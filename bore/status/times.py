"""Times of the clock as texts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.status.report import timeText

#: How much the wall clock may be off before it counts as set, in seconds.
_SET: Final = 1.0


class Times:
    """
    Converts times of the clock, which cannot be set, to those of the wall clock.

    The same time has the same text each time, unless the wall clock was set.

    :param clock: the clock.
    :param wallClock: returns the seconds since the epoch.
    """

    def __init__(self, clock: IReactorTime, wallClock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wallClock = wallClock
        self._ahead = wallClock() - clock.seconds()

    @property
    def now(self) -> float:
        """The time of the clock."""
        return self._clock.seconds()

    def renew(self) -> None:
        """Find out whether the wall clock was set."""
        ahead = self._wallClock() - self._clock.seconds()
        if abs(ahead - self._ahead) > _SET:
            self._ahead = ahead

    def text(self, seconds: float) -> str:
        """A time of the clock as text."""
        return timeText(self._ahead + seconds)
