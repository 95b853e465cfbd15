"""The lines about local services that do not answer: when that begins, sums while visitors come, and the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from bore.events import entryOf
from bore.events.client import LocalReached, LocalUnreachable
from bore.timing.bursts import Overflow

#: Seconds until the first sum; while visitors come, each further one is due after twice the time, up to the longest.
_PERIOD: Final = 10.0
_LONGEST_PERIOD: Final = 640.0

#: Services that probes find down within this time of one another share a line, in seconds: those of a range of ports.
_MOMENT: Final = 1.0

#: How many services have lines of their own at the same time; all others share one line.
_LIMIT: Final = 16

_DOWN: Final = "the local service {local} cannot be reached: {error}"
_STILL_DOWN: Final = (
    "the local service {local} still cannot be reached; visitors turned away in {seconds:.0f} s: {turnedAway}"
)
_UP: Final = "the local service {local} answers again, after {seconds:.0f} s; visitors turned away: {turnedAway}"
_SEVERAL: Final = "{count} local services cannot be reached, such as {local}: {error}"
_OTHERS: Final = "further local services cannot be reached, such as {local}: {error}"


class LocalLog:
    """
    Logs the events of one local service.

    One that comes and goes has three lines in ten seconds at most: if its return was logged a moment ago, the next
    failures count as one with the return that follows them.

    :ivar local: the service, as events name it.
    """

    _log: Final = Logger("bore.client")

    def __init__(self, clock: IReactorTime, local: str) -> None:
        self._clock = clock
        self.local = local
        self._isDown = False
        self._since = 0.0
        self._turnedAway = 0  # before the service was reached last, since it is down for the log
        self._unlogged: LocalUnreachable | LocalReached | None = None  # the last event, if it has no line
        self._endedAt = float("-inf")
        self._period = _PERIOD
        self._timer: IDelayedCall | None = None

    @property
    def isOver(self) -> bool:
        """Whether the service answers, and has for a while."""
        return not self._isDown and self._clock.seconds() - self._endedAt >= _PERIOD

    def unreachable(self, event: LocalUnreachable, isLogged: bool = False) -> None:
        """
        Log that it is down, or count the visitor.

        :param isLogged: whether another line says so.
        """
        if self._isDown:
            self._unlogged = event
        else:
            self._isDown = True
            self._since = self._clock.seconds() - event.seconds
            self._turnedAway = 0
            self._period = _PERIOD
            if not isLogged:
                self._emit(LogLevel.warn, _advised(_DOWN, event), event)
        if self._timer is None:
            self._timer = self._clock.callLater(self._period, self._sum)

    def reached(self, event: LocalReached) -> None:
        """Log that it answers again, unless that was logged a moment ago."""
        if not self._isDown:
            return
        self._turnedAway += event.turnedAway
        self._unlogged = event
        self._stopTimer()
        rest = self._endedAt + _PERIOD - self._clock.seconds()
        if rest > 0:
            self._timer = self._clock.callLater(rest, self._sum)
        else:
            self._sum()

    def end(self) -> None:
        """Log what has no line yet, and nothing from now on."""
        self._stopTimer()
        self._sum()
        self._stopTimer()

    def _stopTimer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sum(self) -> None:
        """Log what the last event means."""
        self._timer = None
        event, self._unlogged = self._unlogged, None
        if isinstance(event, LocalReached):
            self._isDown = False
            self._endedAt = self._clock.seconds()
            self._emit(LogLevel.info, _UP, event)
        elif event is not None:
            self._emit(LogLevel.warn, _STILL_DOWN, event)
            self._period = min(2 * self._period, _LONGEST_PERIOD)
            self._timer = self._clock.callLater(self._period, self._sum)
        else:
            self._period = _PERIOD  # nobody has come

    def _emit(self, level: LogLevel, text: str, event: LocalUnreachable | LocalReached) -> None:
        now = event.turnedAway if isinstance(event, LocalUnreachable) else 0
        sums = {"turnedAway": self._turnedAway + now, "seconds": self._clock.seconds() - self._since}
        self._log.emit(level, ("{tunnel}: " if event.tunnel else "") + text, **(entryOf(event) | sums))


def _advised(text: str, event: LocalUnreachable) -> str:
    """A line with what would be right, if that is known."""
    return text + ("; {advice}" if event.advice else "")


class LocalLogs:
    """Logs the events of all local services of a client. Each tunnel has one at a time."""

    _log: Final = Logger("bore.client")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._logs: dict[str, LocalLog] = {}
        self._others = Overflow(clock, _OTHERS)
        self._found: dict[str, tuple[LocalUnreachable, float]] = {}  # by probes, in this moment, and when
        self._timer: IDelayedCall | None = None

    def unreachable(self, event: LocalUnreachable) -> None:
        """A local service could not be reached."""
        if event.tunnel and not event.turnedAway:
            self._found[event.tunnel] = event, self._clock.seconds()
            if self._timer is None:
                self._timer = self._clock.callLater(_MOMENT, self._write)
            return
        self._found.pop(event.tunnel, None)
        log = self._logOf(event)
        if log is None:
            self._others.happened(**entryOf(event))
        else:
            log.unreachable(event)

    def reached(self, event: LocalReached) -> None:
        """A local service was reached again."""
        self._found.pop(event.tunnel, None)
        log = self._current(event)
        if log is not None:
            log.reached(event)

    def _write(self) -> None:
        """Log what probes have found in this moment."""
        self._timer, now = None, self._clock.seconds()
        found = [replace(event, seconds=event.seconds + now - at) for event, at in self._found.values()]
        self._found.clear()
        if len(found) > 1:
            first = found[0]
            self._log.warn(_advised(_SEVERAL, first), count=len(found), **entryOf(first))
        for event in found:
            log = self._logOf(event)
            if log is not None:
                log.unreachable(event, isLogged=len(found) > 1)
            elif len(found) == 1:
                self._others.happened(**entryOf(event))

    def _logOf(self, event: LocalUnreachable) -> LocalLog | None:
        """Return what logs the events of a service; None: too many have lines of their own."""
        log = self._current(event)
        if log is None:
            if len(self._logs) >= _LIMIT:
                self._logs = {tunnel: each for tunnel, each in self._logs.items() if not each.isOver}
            if len(self._logs) < _LIMIT:
                log = self._logs[event.tunnel] = LocalLog(self._clock, event.local)
        return log

    def _current(self, event: LocalUnreachable | LocalReached) -> LocalLog | None:
        """Return the log of the service, if it has one. That of the tunnel's former service is over."""
        log = self._logs.get(event.tunnel)
        if log is None or log.local == event.local:
            return log
        log.end()
        del self._logs[event.tunnel]
        return None

    def end(self) -> None:
        """Log what has no line yet, and nothing from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._write()
        for log in self._logs.values():
            log.end()
        self._others.end()
