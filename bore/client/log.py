"""
The log of a client: which event has which line, and how many lines of a kind are enough.

Each event has a line in :data:`LINES`, or in :data:`BURSTS` for what comes by the thousand, or is written by a method
of :class:`ClientLog`, or is in :data:`SILENT`. A line's fields are those of its event.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from bore import events
from bore.client.locallog import LocalLogs
from bore.client.losslog import LossLog
from bore.events import Event, Sink, Subscriber, entryOf, fieldsOf
from bore.events import client as facts
from bore.events.client import StateTrouble, TurnedAway
from bore.timing.bursts import Burst, Overflow
from bore.wire.secret import SHORT_SECRET

#: Events that are logged each time, with the same text.
LINES: Final[dict[type[Event], tuple[LogLevel, str]]] = {
    events.ShortSecret: (LogLevel.warn, SHORT_SECRET),
    events.SettingsReloaded: (LogLevel.info, "{file} reloaded: {changes}"),
    events.SettingsMistake: (LogLevel.error, "{mistake}"),
    events.SettingsKept: (LogLevel.error, "{file} has mistakes: the settings stay as they are"),
    events.RestartNeeded: (LogLevel.warn, "restart the program to change {keys}"),
    events.NothingToReload: (LogLevel.info, "nothing to reload: restart the client for other options"),
    events.AdminSocketFailed: (LogLevel.warn, "no admin socket at {path}: {error}"),
    events.Draining: (
        LogLevel.info,
        "no new visitors from now on; running ones have {seconds:g} s, then the client ends",
    ),
    events.StatusPortOpen: (LogLevel.info, "status at {url}"),
    events.StatusTokenWritten: (LogLevel.info, "a new token for the status port was written to {path}"),
    events.StatusTokensNotRead: (LogLevel.error, "the status port accepts no token: {error}"),
    facts.ServerTrusted: (LogLevel.info, "TLS with {server}: key {key}, {why}"),
    facts.ServerNew: (
        LogLevel.warn,
        "the server {server} is new, and trusted on first use: compare its key {key} with the one that the server has "
        "logged",
    ),
    facts.NextKeyLearned: (LogLevel.info, "{server} has announced its next key, {key}, which is known from now on"),
    facts.ServerRemembered: (LogLevel.info, "the key of {server} was added to {path}"),
    facts.ServerNotRemembered: (
        LogLevel.warn,
        "what {server} has shown cannot be written down ({error}): give --tls-fingerprint {key}",
    ),
    facts.SettingsTried: (
        LogLevel.info,
        "the new settings are tried at {servers}: the tunnels stay as they are until a server accepts them",
    ),
    facts.SettingsAccepted: (LogLevel.info, "{server} has accepted the new settings"),
    facts.NodeOpened: (LogLevel.info, "the tunnels are at {server}, too"),
    facts.NodeLost: (LogLevel.warn, "{what} {server}: {why}; the tunnels are up at another node"),
    facts.PortGivenUp: (LogLevel.warn, "{why}: the public port cannot be had back, any other will do"),
    facts.AddressChanged: (LogLevel.warn, "the public address changed from {had} to {public}"),
    facts.CheckFailed: (LogLevel.warn, "check {count} of {of}: {why}"),
    facts.HandoverIgnored: (LogLevel.warn, "no successor is started: {why}"),
    facts.HandoverBegun: (LogLevel.info, "a successor is started, to take over when it has all tunnels"),
    facts.HandoverFailed: (LogLevel.error, "the successor has not taken over, and this process goes on: {why}"),
    facts.HandedOver: (
        LogLevel.info,
        "process {pid} has taken over; this one ends with its last visitor, or in {seconds:g} s: {visitors} now",
    ),
    facts.TookOver: (LogLevel.info, "taken over from process {pid}"),
    facts.UploadsUnlimited: (LogLevel.warn, "{local} is a Unix socket: the bandwidth limits only what it sends"),
    facts.StateFileTaken: (
        LogLevel.info,
        "another client has a tunnel from {server} to {local}: this client starts without its saved port",
    ),
    facts.VisitorUnserved: (LogLevel.debug, "visitor {id} was not served: {error}"),
    facts.VisitorLeft: (
        LogLevel.debug,
        "visitor {id} is gone: {reason}; {fromVisitor} B from it, {toVisitor} B to it",
    ),
    facts.LaneOpened: (LogLevel.debug, "lane {lane} opened"),
    facts.LaneClosed: (LogLevel.debug, "lane {lane} is gone"),
}

#: Events of which the first one of a burst is logged.
BURSTS: Final[dict[type[Event], tuple[LogLevel, str]]] = {
    facts.ConnectionAstray: (LogLevel.error, "a further connection to the server was closed: {why}"),
    facts.LaneFailed: (LogLevel.warn, "a lane could not be opened: {error}"),
    facts.VisitorNotUnderstood: (LogLevel.warn, "a visitor that the server does not describe as it should: {error}"),
    facts.NoDescriptors: (
        LogLevel.warn,
        "no descriptors are left for visitors: new ones wait until others leave; {limit} may be open, the limit "
        "(ulimit -n) less a few",
    ),
}

#: Events without a line: another event of the same moment has one, or the log does not need it.
SILENT: Final = frozenset((events.AdminSocketOpen, facts.VisitorServed))

_NOT_ACCEPTED: Final = (
    "the new settings are not in effect, and the tunnels stay open with the former ones: {why}. They are tried again "
)

_STATE_FILE: Final = {
    StateTrouble.IGNORED: "{path} is ignored: {reason}",
    StateTrouble.UNWRITABLE: "{path} cannot be written: {reason}; if it stays so, the public port is not remembered",
    StateTrouble.UNUSABLE: "{path} cannot be used: {reason}",
}

#: What is logged when visitors are turned away or lost, once for a burst, and with their number at its end.
_TURNED_AWAY: Final = {
    TurnedAway.TOO_MANY: "the limit of visitors is reached, {limit}: more are turned away",
    TurnedAway.TOO_MANY_WAITING: "the limit of visitors that wait is reached, {limit}: more are ignored",
}
_UNACCEPTED: Final = "no connection to the server for a visitor: {error}"


class ClientLog:
    """
    Logs the events of a client.

    Events that come by the thousand have a line at the begin of a burst, and some of them a sum at its end.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._log = Logger("bore.client")
        self._bursts: dict[type[Event], Burst] = {}
        self._losses = LossLog(clock)
        self._locals = LocalLogs(clock)
        self._overflows: dict[tuple[str, str], Overflow] = {}
        self._ignoring = self._stopped = False

    def __call__(self, event: Event) -> None:
        kind = type(event)
        if kind in LINES:
            level, text = LINES[kind]
            fields = entryOf(event)
            self._log.emit(level, _named(text, fields.get("tunnel")), **fields)
        elif kind in BURSTS:
            if self._burst(kind).begins():
                level, text = BURSTS[kind]
                self._log.emit(level, text, **entryOf(event))
        elif kind not in SILENT:
            self._write(event)

    def failed(self, subscriber: Subscriber, event: Event) -> None:
        """Log that a subscriber has raised an exception: see :class:`~bore.events.Sink`."""
        text = "{subscriber} has failed at {occasion}; further faults of it are not logged"
        self._log.failure(text, subscriber=subscriber, occasion=event)

    def _write(self, event: Event) -> None:
        """Log an event whose line depends on its fields, or on earlier events."""
        match event:
            case facts.Connected():
                self._ignoring = False
                self._begin()
            case facts.MessageIgnored():
                if not self._ignoring:  # once for each connection
                    self._ignoring = True
                    self._log.warn("the server sent {text}: ignored, and so are others like it", **entryOf(event))
            case facts.ServerLost() | facts.TunnelGivenUp():
                if not self._stopped:
                    self._losses.happened(event)
            case facts.SettingsRefused(seconds=seconds):
                again = "in {seconds:g} s" if seconds else "at the next reload"
                self._log.error(_NOT_ACCEPTED + again, **entryOf(event))
            case facts.ServerMoved(to=to, ignored=ignored, delay=delay):
                if ignored:
                    self._log.warn(
                        "{server} sends this client to {ignored}, which is not followed: that needs TLS, and a server "
                        "that is known",
                        **fieldsOf(event),
                    )
                text = "{server} moves this client to {to}" if to else "{server} asks this client to come again"
                self._log.info(text + (", in {delay:.1f} s" if delay >= 0.05 else ", at once"), **entryOf(event))
            case facts.GaveUp():
                self._losses.flush()  # the program prints the reason as it ends
            case facts.TunnelUp(new=new):
                self._log.info("listening at {public} -> {local}", announce=new, **entryOf(event))
            case facts.StateFileFailed(trouble=trouble):
                self._log.warn(_STATE_FILE[trouble], **entryOf(event))
            case facts.LocalUnreachable():
                if not self._stopped:
                    self._locals.unreachable(event)
            case facts.LocalReached():
                if not self._stopped:
                    self._locals.reached(event)
            case facts.VisitorUnaccepted(local=local):
                self._overflow(_UNACCEPTED, local).happened(**entryOf(event))
            case facts.VisitorRefused(why=why, local=local, tunnel=tunnel):
                self._overflow(_named(_TURNED_AWAY[why], tunnel), local).happened(**entryOf(event))
            case facts.VisitorCame(lane=lane):
                self._log.debug("visitor {id}" if lane is None else "visitor {id} on lane {lane}", **entryOf(event))
            case events.Stopped():
                self._stop()
            case _:
                raise AssertionError(f"no line for {event}")

    def _burst(self, kind: type[Event]) -> Burst:
        if kind not in self._bursts:
            self._bursts[kind] = Burst(self._clock)
        return self._bursts[kind]

    def _overflow(self, text: str, local: str) -> Overflow:
        if (text, local) not in self._overflows:
            self._overflows[text, local] = made = Overflow(self._clock, text)
            if self._stopped:
                made.end()
        return self._overflows[text, local]

    def _begin(self) -> None:
        """After a stop, log what comes by the thousand again."""
        if self._stopped:
            self._stopped = False
            self._overflows.clear()
            self._locals = LocalLogs(self._clock)

    def _stop(self) -> None:
        """Log the sums that were not logged yet; visitors that come or fail from now on have no line and no timer."""
        self._losses.flush()
        self._stopped = True
        self._locals.end()
        for overflow in self._overflows.values():
            overflow.end()


def _named(text: str, tunnel: object) -> str:
    """The text of a line about a tunnel, which has its name in front if the client has several."""
    return "{tunnel}: " + text if tunnel else text


def logged(clock: IReactorTime, visitors: bool = False) -> Sink:
    """
    Return a sink whose events are logged.

    :param visitors: whether single visitors are logged, at level debug.
    """
    log = ClientLog(clock)
    sink = Sink(log.failed)
    sink.subscribe(log, visitors)
    return sink
