"""The log of a client: which events have a line in it, and which."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from bore.events import Event, NothingToReload, ShortSecret, Sink, Stopped
from bore.events.client import (
    AddressChanged,
    CheckFailed,
    Connected,
    ConnectionAstray,
    GaveUp,
    LaneClosed,
    LaneFailed,
    LaneOpened,
    LocalReached,
    LocalUnreachable,
    MessageIgnored,
    NoDescriptors,
    PortGivenUp,
    ServerLost,
    ServerNew,
    ServerNotRemembered,
    ServerRemembered,
    ServerTrusted,
    StateFileFailed,
    StateFileTaken,
    StateTrouble,
    TunnelUp,
    Turned,
    Verdict,
    VisitorCame,
    VisitorLeft,
    VisitorNotUnderstood,
    VisitorRefused,
    VisitorServed,
    VisitorUnaccepted,
    VisitorUnserved,
)
from bore.timing.bursts import Burst, Overflow
from bore.wire.secret import SHORT_SECRET

#: What follows behind the reason for which a server was lost, and the level of the line.
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

_STATE_FILE: Final = {
    StateTrouble.IGNORED: "{path} is ignored: {reason}",
    StateTrouble.UNWRITABLE: "{path} cannot be written: {reason}; if it stays so, the public port is not remembered",
    StateTrouble.UNUSABLE: "{path} cannot be used: {reason}",
}

_TURNED: Final = {
    Turned.TOO_MANY: "{limit} visitors are there, the limit: more are turned away",
    Turned.TOO_MANY_WAITING: "{limit} visitors wait to be connected, the limit: more are left out",
}


class ClientLog:
    """
    Logs the events of a client; what can come by the thousand has a line at its begin, and a sum.

    It is a subscriber of a :class:`bore.events.Sink`. Single visitors and lanes have lines of level debug.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._bursts: dict[type[Event], Burst] = {}
        self._overflows: dict[object, Overflow] = {}
        self._ignoring = False

    def __call__(self, event: Event) -> None:
        """Log an event."""
        self.line(event)

    @singledispatchmethod
    def line(self, event: Event) -> None:
        """Write the line of an event, if it has one."""
        raise NotImplementedError(f"{type(event).__name__} has no line, and is not in the list of those without")

    @line.register(GaveUp)  # the program prints the reason as it ends
    @line.register(VisitorServed)  # the line of its end has it all
    def _noLine(self, event: Event) -> None:
        pass

    @line.register
    def _shortSecret(self, event: ShortSecret) -> None:
        self._log.warn(SHORT_SECRET)

    @line.register
    def _nothingToReload(self, event: NothingToReload) -> None:
        self._log.info("nothing to reload: restart the client for other options")

    @line.register
    def _stopped(self, event: Stopped) -> None:
        """Sum up what has a sum to come."""
        for overflow in self._overflows.values():
            overflow.end()
        self._overflows.clear()

    # The server.

    @line.register
    def _connected(self, event: Connected) -> None:
        self._ignoring = False  # each connection has a line for messages that are ignored

    @line.register
    def _serverTrusted(self, event: ServerTrusted) -> None:
        self._log.info("TLS with {server}: key {key}, {why}", server=event.server, key=event.key, why=event.reason)

    @line.register
    def _serverNew(self, event: ServerNew) -> None:
        self._log.warn(
            "the server {server} is new, and trusted on first use: compare its key {key} with the one that the server "
            "has logged",
            server=event.server,
            key=event.key,
        )

    @line.register
    def _serverRemembered(self, event: ServerRemembered) -> None:
        self._log.info("written down in {path}", path=event.path)

    @line.register
    def _serverNotRemembered(self, event: ServerNotRemembered) -> None:
        self._log.warn(
            "what {server} has shown cannot be written down ({error}): give --tls-fingerprint {key}",
            server=event.server,
            error=event.reason,
            key=event.key,
        )

    @line.register
    def _serverLost(self, event: ServerLost) -> None:
        level, ending = _LOST[event.verdict]
        text = "{what} {server}: {why}" + ending
        self._log.emit(level, text, what=event.stage.value, server=event.server, why=event.reason)
        self._log.info("next attempt in {delay} s", delay=round(event.delay, 1))

    @line.register
    def _portGivenUp(self, event: PortGivenUp) -> None:
        self._log.warn("{why}: the public port cannot be had back, any other will do", why=event.reason)

    @line.register
    def _messageIgnored(self, event: MessageIgnored) -> None:
        if not self._ignoring:
            self._ignoring = True
            self._log.warn("the server sent {text}: ignored, and so are others like it", text=event.text)

    @line.register
    def _connectionAstray(self, event: ConnectionAstray) -> None:
        if self._begins(ConnectionAstray):
            self._log.error("a connection beside the control connection was not used: {why}", why=event.reason)

    # The tunnel.

    @line.register
    def _tunnelUp(self, event: TunnelUp) -> None:
        self._log.info("listening at {public} -> {local}", announce=event.new, public=event.public, local=event.local)

    @line.register
    def _addressChanged(self, event: AddressChanged) -> None:
        self._log.warn("the public address changed from {had} to {public}", had=event.had, public=event.public)

    @line.register
    def _checkFailed(self, event: CheckFailed) -> None:
        self._log.warn("check {count} of {of}: {why}", count=event.count, of=event.of, why=event.reason)

    @line.register
    def _stateFileFailed(self, event: StateFileFailed) -> None:
        self._log.warn(_STATE_FILE[event.trouble], path=event.path, reason=event.reason)

    @line.register
    def _stateFileTaken(self, event: StateFileTaken) -> None:
        self._log.info(
            "another client shows {local} through {server}: this one is new to it",
            local=event.local,
            server=event.server,
        )

    # Visitors.

    @line.register
    def _localUnreachable(self, event: LocalUnreachable) -> None:
        text = "cannot connect to {local} for a visitor: {error}"
        self._overflow((LocalUnreachable, event.local), text).happened(local=event.local, error=event.reason)

    @line.register
    def _localReached(self, event: LocalReached) -> None:
        overflow = self._overflows.get((LocalUnreachable, event.local))
        if overflow is not None and overflow.ongoing:
            overflow.over("{local} answers again; visitors closed meanwhile: {count}")

    @line.register
    def _visitorUnaccepted(self, event: VisitorUnaccepted) -> None:
        text = "no connection to the server for a visitor: {error}"
        self._overflow(VisitorUnaccepted, text).happened(error=event.reason)

    @line.register
    def _visitorRefused(self, event: VisitorRefused) -> None:
        self._overflow(event.why, _TURNED[event.why]).happened(limit=event.limit)

    @line.register
    def _visitorNotUnderstood(self, event: VisitorNotUnderstood) -> None:
        if self._begins(VisitorNotUnderstood):
            self._log.warn("a visitor that the server does not describe as it should: {error}", error=event.reason)

    @line.register
    def _noDescriptors(self, event: NoDescriptors) -> None:
        if self._begins(NoDescriptors):
            self._log.warn(
                "no descriptors are left for visitors: new ones wait until others leave; {limit} may be open, the "
                "limit (ulimit -n) less a few",
                limit=event.limit,
            )

    @line.register
    def _laneFailed(self, event: LaneFailed) -> None:
        if self._begins(LaneFailed):
            self._log.warn("a lane could not be opened: {error}", error=event.reason)

    @line.register
    def _visitorCame(self, event: VisitorCame) -> None:
        if event.lane is None:
            self._log.debug("visitor {id}", id=event.id)
        else:
            self._log.debug("visitor {id} on lane {lane}", id=event.id, lane=event.lane)

    @line.register
    def _visitorUnserved(self, event: VisitorUnserved) -> None:
        self._log.debug("visitor {id} was not served: {error}", id=event.id, error=event.reason)

    @line.register
    def _visitorLeft(self, event: VisitorLeft) -> None:
        self._log.debug(
            "visitor {id} is gone: {reason}; {fromVisitor} bytes from it, {toVisitor} to it",
            id=event.id,
            reason=event.end.value,
            fromVisitor=event.fromVisitor,
            toVisitor=event.toVisitor,
        )

    @line.register
    def _laneOpened(self, event: LaneOpened) -> None:
        self._log.debug("lane {lane} opened", lane=event.lane)

    @line.register
    def _laneClosed(self, event: LaneClosed) -> None:
        self._log.debug("lane {lane} is gone", lane=event.lane)

    def _begins(self, kind: type[Event]) -> bool:
        """Count an event of a kind, and tell whether it begins a burst."""
        if kind not in self._bursts:
            self._bursts[kind] = Burst(self._clock)
        return self._bursts[kind].begins()

    def _overflow(self, key: object, text: str) -> Overflow:
        if key not in self._overflows:
            self._overflows[key] = Overflow(self._clock, text)
        return self._overflows[key]


def logged(clock: IReactorTime, visitors: bool = False) -> Sink:
    """
    Return a sink whose events are logged.

    :param visitors: whether single visitors are logged, at level debug.
    """
    sink = Sink()
    sink.subscribe(ClientLog(clock), visitors)
    return sink
