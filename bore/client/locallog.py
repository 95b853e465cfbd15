"""The lines about local services that do not answer: when that begins, sums while visitors come, and the end."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from bore.events import entryOf
from bore.events.client import LocalReached, LocalUnreachable
from bore.timing.bursts import Overflow

#: Seconds until the first sum; while visitors come, each further one is due after twice the time, up to the longest.
_PERIOD: Final = 10.0
_LONGEST_PERIOD: Final = 640.0

#: How many services have lines of their own at the same time; all others share one line.
_LIMIT: Final = 16

_DOWN: Final = "the local service {local} cannot be reached: {error}"
_STILL_DOWN: Final = (
    "the local service {local} still cannot be reached; visitors turned away in {seconds:.0f} s: {turnedAway}"
)
_UP: Final = "the local service {local} answers again, after {seconds:.0f} s; visitors turned away: {turnedAway}"
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

    def unreachable(self, event: LocalUnreachable) -> None:
        """Log that it is down, or count the visitor."""
        if self._isDown:
            self._unlogged = event
        else:
            self._isDown = True
            self._since = self._clock.seconds() - event.seconds
            self._turnedAway = 0
            self._period = _PERIOD
            self._emit(LogLevel.warn, _DOWN + ("; {advice}" if event.advice else ""), event)
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


class LocalLogs:
    """Logs the events of all local services of a client. Each tunnel has one at a time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._logs: dict[str, LocalLog] = {}
        self._others = Overflow(clock, _OTHERS)

    def unreachable(self, event: LocalUnreachable) -> None:
        """A local service could not be reached."""
        log = self._current(event)
        if log is None:
            if len(self._logs) >= _LIMIT:
                self._logs = {tunnel: each for tunnel, each in self._logs.items() if not each.isOver}
            if len(self._logs) >= _LIMIT:
                self._others.happened(**entryOf(event))
                return
            log = self._logs[event.tunnel] = LocalLog(self._clock, event.local)
        log.unreachable(event)

    def reached(self, event: LocalReached) -> None:
        """A local service was reached again."""
        log = self._current(event)
        if log is not None:
            log.reached(event)

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
        for log in self._logs.values():
            log.end()
        self._others.end()
