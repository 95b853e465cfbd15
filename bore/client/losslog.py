"""The log of tunnels that a client does not have. With many of them, one fault causes an event for each."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from bore.events import entryOf
from bore.events.client import ServerLost, TunnelGivenUp, Verdict
from bore.wire.refusals import BY_CODE

#: Tunnels that have the same fault within this time, in seconds, share a line: those of one session, or of one attempt.
_WINDOW: Final = 1.0

#: While the fault goes on the time doubles up to this: about once in it, each tunnel is tried again.
_LONGEST_WINDOW: Final = 64.0

#: A line has the names of this number of tunnels.
_NAMED: Final = 3

#: After this number of failures in a row, and no success before, the log names what finds out more.
_MANY_FAILURES: Final = 3

SUGGESTION: Final = (
    "nothing has worked so far: run 'bore doctor' with the same options (for 'bore up': with --config FILE) to find "
    "out why"
)

#: The level of the line that a server was lost, and what follows behind its reason.
_LOST: Final = {
    Verdict.RETRY: (LogLevel.warn, ""),
    Verdict.LATER: (LogLevel.warn, ""),
    Verdict.CLOCK: (LogLevel.error, ""),
    Verdict.UNPROVEN: (
        LogLevel.error,
        "; nothing proves that this is the right server, so the client goes on trying",
    ),
    Verdict.DROP: (LogLevel.error, "; it is not tried again before there was a tunnel at another server"),
    Verdict.DROP_FOR_GOOD: (LogLevel.error, "; it is not tried again"),
}


class _Fault:
    """
    One fault of some tunnels.

    :ivar tunnels: the last event of each one that has no line yet.
    :ivar window: the time for which events are collected, in seconds.
    :ivar many: whether several tunnels had it in the last window.
    :ivar last: the last tunnel that had it.
    :ivar due: when the window ends, or has ended.
    """

    __slots__ = ("due", "last", "many", "timer", "tunnels", "window")

    def __init__(self) -> None:
        self.tunnels: dict[str, ServerLost | TunnelGivenUp] = {}
        self.window = _WINDOW
        self.many = False
        self.last = ""
        self.due = float("-inf")
        self.timer: IDelayedCall | None = None


class LossLog:
    """
    Logs that tunnels are refused or lost, and given up.

    A client with one tunnel has its lines at once. With several, the first one of a fault has them at once, and others
    with the same fault share a line soon. That tunnels are given up has one line for all with the same reason.
    """

    _log = Logger("bore.client")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._faults: dict[tuple[object, ...], _Fault] = {}
        self._suggested = False

    def happened(self, event: ServerLost | TunnelGivenUp) -> None:
        """A tunnel is refused or lost, or the server is."""
        if not event.tunnel:
            self._write(event)
            return
        fault = self._fault(event)
        if fault.timer is not None:
            fault.tunnels[event.tunnel] = event
            fault.last = event.tunnel
            return
        now = self._clock.seconds()
        goesOn = (fault.many or fault.last != event.tunnel) and now < fault.due + 2 * fault.window
        fault.window = min(2 * fault.window, _LONGEST_WINDOW) if goesOn else _WINDOW
        if goesOn or isinstance(event, TunnelGivenUp):
            fault.tunnels[event.tunnel] = event
        else:
            self._write(event)
        fault.last = event.tunnel
        fault.due = now + fault.window
        fault.timer = self._clock.callLater(fault.window, self._windowOver, fault)

    def flush(self) -> None:
        """Log what was not logged yet, and leave no timer."""
        for fault in self._faults.values():
            if fault.timer is not None:
                fault.timer.cancel()
                self._windowOver(fault)
        self._faults.clear()

    def _fault(self, event: ServerLost | TunnelGivenUp) -> _Fault:
        """What has happened to this tunnel and to others."""
        key: tuple[object, ...] = (event.why,)
        if isinstance(event, ServerLost):
            key = event.server, event.what, event.code or event.why
        fault = self._faults.get(key)
        if fault is None:
            now = self._clock.seconds()
            for old, each in list(self._faults.items()):
                if each.timer is None and now >= each.due + 2 * each.window:
                    del self._faults[old]
            fault = self._faults[key] = _Fault()
        return fault

    def _windowOver(self, fault: _Fault) -> None:
        fault.timer = None
        events, fault.tunnels = list(fault.tunnels.values()), {}
        fault.many = len(events) > 1
        if fault.many:
            self._writeSum(events)
        elif events:
            self._write(events[0])

    def _write(self, event: ServerLost | TunnelGivenUp) -> None:
        name = "{tunnel}: " if event.tunnel else ""
        if isinstance(event, TunnelGivenUp):
            self._log.error(name + "{why}: this tunnel is given up", **entryOf(event))
            return
        level, ending = _endOf(event)
        self._log.emit(level, name + "{what} {server}: {why}" + ending, **entryOf(event))
        text = name + "next attempt in {delay:.1f} s"
        self._log.info(text, delay=event.delay, tunnel=event.tunnel, log_follows=True)
        self._suggestDoctor(event)

    def _suggestDoctor(self, event: ServerLost) -> None:
        """Name what finds out more, once, if nothing has worked so far."""
        if event.early >= _MANY_FAILURES and not self._suggested:
            self._suggested = True
            self._log.info(SUGGESTION, log_follows=True)

    def _writeSum(self, events: list[ServerLost | TunnelGivenUp]) -> None:
        """Log one line for several tunnels with the same fault."""
        first, last = events[0], events[-1]
        names = [event.tunnel for event in events]
        fields = entryOf(last) | {"tunnel": "", "count": len(names), "names": _some(names)}
        if isinstance(last, TunnelGivenUp):
            self._log.error("{count} tunnels: {why}: they are given up: {names}", **fields)
            return
        losses = [event for event in events if isinstance(event, ServerLost)]
        if any(event.why != first.why for event in losses) and last.code in BY_CODE:
            fields["why"] = f"server error: {BY_CODE[last.code].text}"  # without the port, which is another one in each
        delays = [event.delay for event in losses]
        fields |= {"soonest": min(delays), "latest": max(delays)}
        level, ending = _endOf(last, all(event.advice == last.advice for event in losses))
        attempts = "; next attempts in {soonest:.1f} to {latest:.1f} s: {names}"
        self._log.emit(level, "{count} tunnels: {what} {server}: {why}" + ending + attempts, **fields)
        self._suggestDoctor(last)


def _endOf(event: ServerLost, advised: bool = True) -> tuple[LogLevel, str]:
    """The level of the line of a loss, and what follows behind its reason: the advice, if it is wanted, and more."""
    level, ending = _LOST[event.verdict]
    advice = ": {advice}" if event.advice and advised else ""
    if not event.mends and not ending:
        ending = "; a retry is unlikely to help"
    return level, advice + ending


def _some(names: list[str]) -> str:
    """Some of these names, and the number of the others."""
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_NAMED])} and {more} more"
