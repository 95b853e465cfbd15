"""Trouble that strangers can cause at will, and that deserves a line for each of them, but not for each time."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

#: How often the log is given new sums, in seconds.
_PERIOD: Final = 10.0

#: For what goes on and on, the time between two lines doubles up to this, in seconds.
_LONGEST: Final = 640.0

#: Troubles that have lines of their own at the same time. What is more shares one line.
_LIMIT: Final = 64


class _Entry:
    """One trouble: what is said about it, how often it came since the last line, and when the next one is due."""

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
    Logs each trouble when it comes, then sums up: how often it came again, every ten seconds at first and ever more
    rarely while it goes on. So one source has few lines, all sources together have a bounded number, and nothing that
    happened is missing.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._entries: dict[Hashable, _Entry] = {}
        self._timer: IDelayedCall | None = None

    def happened(self, key: Hashable, text: str, warn: bool = False, **fields: object) -> None:
        """
        Note a trouble.

        :param key: what makes it the same as an earlier one: whose it is, and of which kind.
        :param text: what is logged, with these fields; a sum has it, too, with the last fields and the number behind.
        :param warn: whether the operator should look at it.
        """
        entry = self._entries.get(key)
        if entry is None and len(self._entries) >= _LIMIT:
            key, text, warn, fields = (
                None,
                "more than {limit} addresses cause trouble like this",
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
        """Log what has not been logged yet, and end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for entry in self._entries.values():
            self._say(entry)
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
            self._say(entry)
            entry.count, entry.since = 0, now
            entry.period = min(2 * entry.period, _LONGEST)
            entry.due = now + entry.period
        if self._entries:
            self._timer = self._clock.callLater(_PERIOD, self._sumUp)

    def _say(self, entry: _Entry) -> None:
        if entry.count:
            seconds = self._clock.seconds() - entry.since
            text = entry.text + ": {count} more in {seconds:.0f} s"
            self._log.emit(entry.level, text, count=entry.count, seconds=seconds, **entry.fields)
