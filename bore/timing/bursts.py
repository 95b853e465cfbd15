"""Trouble that comes by the thousand, and deserves one line in the log."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

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


class Overflow:
    """
    Counts what is over a bound, or fails, and logs it twice per burst: its begin, and how many there were when it is
    over.

    :param text: what is logged at the begin, with the fields that :meth:`happened` is given.
    :ivar total: how many there were since the start.
    :ivar lasts: whether a burst has begun and is not over.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, text: str) -> None:
        self._clock = clock
        self._text = text
        self._last = float("-inf")
        self._before = 0
        self.lasts = False
        self._fields: dict[str, object] = {}
        self._timer: IDelayedCall | None = None
        self._ended = False
        self._over = ""
        self._saidOver = float("-inf")
        self.total = 0

    def happened(self, **fields: object) -> None:
        """Count one more."""
        self.total += 1
        self._last = self._clock.seconds()
        self._over = ""
        if not self.lasts and not self._ended:
            self.lasts = True
            self._before = self.total - 1
            self._fields = fields
            self._log.warn(self._text, **fields)
            self._timer = self._clock.callLater(_CALM, self._look)

    def over(self, text: str) -> None:
        """
        Note that the burst is over before it has calmed down.

        Trouble that comes and goes would be two lines each time: when that was said less than _CALM seconds ago, the
        burst goes on, and it is said at its end.

        :param text: what is logged then, with the fields that the begin had, and ``count``.
        """
        self._over = text
        if self._clock.seconds() - self._saidOver >= _CALM:
            self._calm()
            self._sum()

    def end(self) -> None:
        """Log what there is to log, and nothing from now on: the program ends."""
        self._ended = True
        if self.lasts:
            self._calm()
            self._sum()

    def _calm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self.lasts = False

    def _look(self) -> None:
        rest = self._last + _CALM - self._clock.seconds()
        if rest > 0:
            self._timer = self._clock.callLater(rest, self._look)
            return
        self.lasts = False
        self._sum()

    def _sum(self) -> None:
        count = self.total - self._before
        if self._over:
            self._saidOver = self._clock.seconds()
            self._log.warn(self._over, count=count, **self._fields)
        elif count > 1:
            self._log.warn(self._text + " ({count} times)", count=count, **self._fields)
