"""Problems that anyone can cause at will, which get a line for each source, but not for each time."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

#: The time between two sums in the log, in seconds.
_PERIOD: Final = 10.0

#: While a problem goes on, the time between two sums doubles up to this, in seconds.
_MAX_PERIOD: Final = 640.0

#: How many problems have lines of their own at the same time; all others share one line.
_LIMIT: Final = 64


class _Entry:
    """One problem: its line, the number of occurrences since the last line, and when the next line is due."""

    __slots__ = ("count", "due", "fields", "level", "period", "since", "text")

    def __init__(self, now: float) -> None:
        self.count = 0
        self.since = now
        self.period = _PERIOD
        self.due = now + _PERIOD
        self.level = LogLevel.info
        self.text = ""
        self.fields: dict[str, object] = {}


class Tally:
    """
    Logs the first occurrence of a problem, and then sums: how often it has occurred again, every ten seconds at first
    and ever more rarely while it goes on. So one source gets few lines, all sources together a limited number, and the
    sums are complete.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._entries: dict[Hashable, _Entry] = {}
        self._timer: IDelayedCall | None = None

    def happened(self, key: Hashable, text: str, warn: bool = False, **fields: object) -> None:
        """
        Note an occurrence.

        :param key: identifies the problem: its source, and its kind.
        :param text: the line, formatted with these fields. A sum is this text with the latest fields, and the number.
        :param warn: whether the level is warn, for the operator, or info.
        """
        entry = self._entries.get(key)
        if entry is None and len(self._entries) >= _LIMIT:
            key, text, warn, fields = (
                None,
                "more than {limit} addresses cause errors of this kind",
                True,
                {"limit": _LIMIT},
            )
            entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(self._clock.seconds())
        else:
            entry.count += 1
        entry.level, entry.text, entry.fields = LogLevel.warn if warn else LogLevel.info, text, fields
        if not entry.count:
            self._log.emit(entry.level, text, **fields)
        if self._timer is None:
            self._timer = self._clock.callLater(_PERIOD, self._sumUp)

    def stop(self) -> None:
        """Log the sums that were not logged yet, and end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for entry in self._entries.values():
            self._logSum(entry)
        self._entries.clear()

    def _sumUp(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for key, entry in list(self._entries.items()):
            if entry.due > now:
                continue
            if not entry.count:
                del self._entries[key]
                continue
            self._logSum(entry)
            entry.count, entry.since = 0, now
            entry.period = min(2 * entry.period, _MAX_PERIOD)
            entry.due = now + entry.period
        if self._entries:
            self._timer = self._clock.callLater(_PERIOD, self._sumUp)

    def _logSum(self, entry: _Entry) -> None:
        if entry.count:
            seconds = self._clock.seconds() - entry.since
            text = entry.text + ": {count} more in {seconds:.0f} s"
            self._log.emit(entry.level, text, count=entry.count, seconds=seconds, **entry.fields)
