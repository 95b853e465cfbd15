"""Bursts of the same problem, which get a line or two in the log each."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: The time without an occurrence after which a burst is over, in seconds.
_CALM: Final = 10.0


class Burst:
    """Tells the first occurrence of a burst from the others."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._last = float("-inf")

    def begins(self) -> bool:
        """Note an occurrence, and return whether it begins a burst."""
        now = self._clock.seconds()
        begins = now - self._last >= _CALM
        self._last = now
        return begins


class Overflow:
    """
    Logs two lines per burst: its begin, and the number of occurrences at its end.

    :param text: the line at the begin, formatted with the fields of :meth:`happened`.
    :ivar ongoing: whether a burst has begun and is not over.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, text: str) -> None:
        self._clock = clock
        self._text = text
        self._last = float("-inf")
        self._count = 0
        self.ongoing = False
        self._fields: dict[str, object] = {}
        self._timer: IDelayedCall | None = None
        self._ended = False

    def happened(self, **fields: object) -> None:
        """Note an occurrence."""
        self._count += 1
        self._last = self._clock.seconds()
        if not self.ongoing and not self._ended:
            self.ongoing = True
            self._count = 1
            self._fields = fields
            self._log.warn(self._text, **fields)
            self._timer = self._clock.callLater(_CALM, self._look)

    def end(self) -> None:
        """Log the end of the burst, and nothing from now on."""
        self._ended = True
        if self.ongoing:
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            self.ongoing = False
            self._sum()

    def _look(self) -> None:
        rest = self._last + _CALM - self._clock.seconds()
        if rest > 0:
            self._timer = self._clock.callLater(rest, self._look)
            return
        self.ongoing = False
        self._sum()

    def _sum(self) -> None:
        if self._count > 1:
            self._log.warn(self._text + " ({count} times)", count=self._count, **self._fields)
