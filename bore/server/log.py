"""
The log of a server: which event has which line, and how many lines of a kind are enough.

Each event has a line in :data:`LINES`, or a method of :class:`ServerLog`, or is in :data:`SILENT`. A line's fields are
those of its event.
"""

# Longer than 300 lines: which event has which line is read together.

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from bore import events
from bore.events import Event, Sink, Subscriber, entryOf
from bore.events import server as facts
from bore.events.server import Admission, Limit, Loss, TunnelEnd, TurnedAway
from bore.server.refusallog import RefusalLog
from bore.server.tunnellog import TunnelLog, at
from bore.server.visitorlines import VisitorLines
from bore.timing.bursts import Burst, Overflow
from bore.wire.errors import CertificateRefused, Kicked, PresumedGone, ProtocolViolation, Refusal, ShuttingDown
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import SHORT_SECRET

#: Events that are logged each time, with the same text.
LINES: Final[dict[type[Event], tuple[LogLevel, str]]] = {
    events.ShortSecret: (LogLevel.warn, SHORT_SECRET),
    events.SettingsReloaded: (LogLevel.info, "{file} reloaded: {changes}"),
    events.SettingsMistake: (LogLevel.error, "{mistake}"),
    events.SettingsKept: (LogLevel.error, "{file} has mistakes: the settings stay as they are"),
    events.RestartNeeded: (LogLevel.warn, "restart the program to change {keys}"),
    events.NothingToReload: (LogLevel.info, "nothing to reload: this server has no TLS certificate"),
    events.AdminSocketOpen: (LogLevel.info, "admin socket at {path}"),
    events.AdminSocketFailed: (LogLevel.warn, "no admin socket at {path}: {error}"),
    events.Draining: (
        LogLevel.info,
        "no new visitors from now on; running ones have {seconds:g} s, then the server ends",
    ),
    facts.ClientsKicked: (
        LogLevel.info,
        "kicked {whom}; ended: sessions {sessions}, tunnels {tunnels}, visitors {visitors}",
    ),
    events.StatusPortOpen: (LogLevel.info, "status at {url}"),
    events.StatusTokenWritten: (LogLevel.info, "a new token for the status port was written to {path}"),
    events.StatusTokensNotRead: (LogLevel.error, "the status port accepts no token: {error}"),
    facts.ServerHandedOver: (
        LogLevel.info,
        "process {pid} has taken over; this one serves its running visitors to their end",
    ),
    facts.ServerNotHandedOver: (LogLevel.error, "process {pid} has not taken over, and the server goes on: {reason}"),
    facts.ServerTakenOver: (
        LogLevel.info,
        "took over from process {pid}; public addresses: {addresses}; its running visitors may go on for {seconds} s",
    ),
    facts.ServerNotTakenOver: (LogLevel.error, "process {pid} has not waited, and goes on; this one ends"),
    facts.PredecessorEnded: (LogLevel.info, "process {pid}, from which this one has taken over, has ended"),
    facts.AddressesKept: (
        LogLevel.info,
        "public addresses that were kept: {count}; their clients have {seconds} s to come back",
    ),
    facts.ClusterJoined: (LogLevel.info, "node {name} of the cluster; other nodes: {others}"),
    facts.NodeNameTaken: (
        LogLevel.error,
        "another node of the cluster is called {name}, too, or has its address: "
        "give each node a --node and an --advertise of its own",
    ),
    facts.ClusterTtlDiffers: (
        LogLevel.error,
        "another node of the cluster has another --cluster-ttl: all nodes need the same",
    ),
    facts.EngineRefused: (LogLevel.warn, "{error}; only some calls fail"),
    facts.EngineAnswers: (LogLevel.info, "the engine of the cluster answers again, after {seconds:.0f} s"),
    facts.OwnershipLapsed: (
        LogLevel.warn,
        "the engine of the cluster is away for too long: new visitors wait until it is back; tunnels: {count}",
    ),
    facts.OwnershipBack: (LogLevel.info, "new visitors are served again"),
    facts.AddressesLost: (
        LogLevel.warn,
        "this node was away from its cluster for too long; addresses that are lost: {count}; their clients ask again",
    ),
    facts.FarewellUnread: (LogLevel.warn, "not every client has read that the server stops"),
    facts.NextKeyAnnounced: (LogLevel.info, "the next TLS key is {fingerprint}: clients learn it from now on"),
    facts.CertificateRead: (LogLevel.info, "new TLS certificate, key {fingerprint}"),
    facts.CertificateUnchanged: (LogLevel.info, "the TLS certificate is the same, key {fingerprint}"),
    facts.CertificateNotRead: (LogLevel.error, "the TLS certificate stays as it was: {error}"),
    facts.AuthoritiesRead: (LogLevel.info, "new authorities for the certificates of clients: {count}"),
    facts.RevocationsRead: (LogLevel.info, "revoked certificates of clients: {count}"),
    facts.RevocationsNotRead: (LogLevel.error, "the certificates of clients are accepted as before: {error}"),
    facts.RevocationsOld: (
        LogLevel.warn,
        "a list of revoked certificates has expired: those in it stay revoked, but others may be; get a newer list",
    ),
    facts.SecretsRead: (LogLevel.info, "shared secrets: {count}"),
    facts.SecretsNotRead: (LogLevel.error, "the shared secrets stay as they were: {error}"),
    facts.UsersNeedTls: (
        LogLevel.warn,
        "no user can connect: users need TLS, so give --tls, or write original = true for those who may come without",
    ),
    facts.UserAdded: (LogLevel.info, "user {user}: added, {rights}"),
    facts.UserChanged: (LogLevel.info, "user {user}: {changes}"),
    facts.UserRemoved: (LogLevel.info, "user {user}: removed"),
    facts.UserExpired: (LogLevel.info, "user {user}: expired"),
    facts.VisitorLogFailed: (LogLevel.warn, "visitor log {path}: {error}"),
    facts.VisitorLinesDropped: (LogLevel.warn, "visitor log {path}: lines that were dropped: {count}"),
    facts.VisitorLogReopened: (LogLevel.info, "visitor log {path}: opened again"),
    facts.HandshakeTimedOut: (LogLevel.debug, "{peer}: TLS handshake not complete in time"),
    facts.FirstMessageTimedOut: (LogLevel.debug, "no message from {peer} within {seconds} s"),
    facts.VisitorOffLane: (LogLevel.debug, "visitor {id} was on a dead lane"),
    facts.VisitorLeft: (
        LogLevel.debug,
        "the visitor {id} is gone: {reason}; {toClient} B to the client, {toVisitor} B to the visitor",
    ),
    facts.LaneOpened: (LogLevel.debug, "{peer}: lane {lane} opened"),
    facts.LaneClosed: (LogLevel.debug, "{peer}: lane {lane} is gone"),
    facts.WorkerStarted: (LogLevel.info, "worker {worker} of generation {generation} has started, process {pid}"),
    facts.WorkerHung: (
        LogLevel.error,
        "worker {worker} of generation {generation} has not answered for {seconds:g} s: it is killed",
    ),
    facts.WorkerRetired: (
        LogLevel.info,
        "worker {worker} of generation {generation} gives its sessions away; its streams have {seconds:g} s",
    ),
    facts.Upgrading: (LogLevel.info, "upgrade: the supervisor starts again, until now it was version {version}"),
    facts.Upgraded: (LogLevel.info, "upgraded to version {version}: generation {generation} serves from now on"),
    facts.UpgradeFailed: (LogLevel.error, "no upgrade, the server goes on as before: {error}"),
    facts.UpgradeRefused: (LogLevel.warn, "no upgrade: {error}"),
    facts.GenerationEnded: (LogLevel.info, "the last worker of generation {generation} has ended"),
}

#: Events without a line: another event of the same moment has one, or the log does not need it.
SILENT: Final = frozenset(
    (
        facts.TunnelClaimed,
        facts.SessionOpened,
        facts.TunnelTaken,
        facts.VisitorsLetIn,
    )
)

_ADMISSIONS: Final = {
    Admission.ANYONE: ", without a secret: anyone may open tunnels",
    Admission.CERTIFICATE: ", without a secret: anyone with a certificate may open tunnels",
    Admission.SECRET: ", with a secret",
    Admission.USERS: ", for the users of its file",
    Admission.USERS_AND_SECRET: ", for the users of its file, and with a secret",
}

#: What is logged when a limit is reached, once for a burst.
_LIMITS: Final = {
    Limit.TUNNELS: "the limit of tunnels is reached, {limit}: no more are opened",
    Limit.TUNNELS_PER_USER: "the limit of tunnels of {user} is reached, {limit}: no more are opened for this user",
    Limit.TUNNELS_PER_SOURCE: "the limit of tunnels from {network} is reached, {limit}: no more are opened for it",
    Limit.UNCLASSIFIED: (
        "the limit of connections without a message is reached, {limit}: those of the addresses with most are closed"
    ),
    Limit.UNCLASSIFIED_PER_SOURCE: (
        "the limit of connections from {network} without a message is reached, {limit}: the oldest are closed"
    ),
}

#: What is logged when visitors are turned away, once for a burst at each tunnel.
_TURNED_AWAY: Final = {
    TurnedAway.TOO_MANY: "the limit of visitors is reached, {limit}: more are closed",
    TurnedAway.TOO_MANY_OF_USER: "the limit of visitors of the user's tunnels is reached, {limit}: more are closed",
    TurnedAway.ADDRESS: "visitors from {network} are not allowed, and are closed",
    TurnedAway.RATE: "the limit of new visitors per second from {network} is reached, {limit}: more are closed",
    TurnedAway.NO_CLIENT: "the client is away, visitors are closed",
}

#: How long new connections must have been accepted until that is logged, in seconds. Further failures are not logged
#: until then.
_CALM: Final = 10.0

_NOT_TAKEN: Final = "the client has not taken the visitor {visitor} within {seconds:.0f} s"

_USED: Final = "visitors of {user}: {visitors}; those that have left sent {toClient} B, and were sent {toVisitors} B"

#: Why a tunnel was closed, where no other event of the same moment has a line that tells.
_CLOSED: Final = {
    TunnelEnd.SESSION_CLOSED: "closed",
    TunnelEnd.GIVEN_BACK: "given back",
    TunnelEnd.LEASE_OVER: "the client did not come back, the port is free",
    TunnelEnd.RIGHT_WITHDRAWN: "closed, as its user may not have it any more",
    TunnelEnd.KICKED: "closed by the operator",
    TunnelEnd.PRESUMED_GONE: "its client gives no sign of life, and another one needs its place",
}


def _who(user: str) -> str:
    """What a line calls a client."""
    return "{user} at {peer}" if user else "{peer}"


class ServerLog:
    """
    Logs the events of a server.

    Events that anyone can cause, and events that come by the thousand, have a limited number of lines, and sums.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._log = Logger("bore.server")
        self._refusals = RefusalLog(clock)
        self._tunnels = TunnelLog(clock, self._log)
        self._limits: dict[Limit, Overflow] = {}
        self._visitors: dict[PublicAddress, VisitorLines] = {}
        self._noDescriptors = Burst(clock)
        self._recovering: IDelayedCall | None = None

    def __call__(self, event: Event) -> None:
        line = LINES.get(type(event))
        if line is not None:
            level, text = line
            self._log.emit(level, text, **entryOf(event))
        elif type(event) not in SILENT:
            self._write(event)

    def failed(self, subscriber: Subscriber, event: Event) -> None:
        """Log that a subscriber has raised an exception: see :class:`~bore.events.Sink`."""
        text = "{subscriber} has failed at {occasion}; further faults of it are not logged"
        self._log.failure(text, subscriber=subscriber, occasion=event)

    def _write(self, event: Event) -> None:
        """Log an event of a tunnel or a visitor whose line depends on its fields, or on earlier events."""
        match event:
            case facts.VisitorCame(address=address):
                self._log.debug(at(address, "visitor {visitor} is {id}"), **entryOf(event))
            case facts.VisitorServed(lane=lane):
                text = "the visitor {id} is taken" if lane is None else "visitor {id} is on lane {lane}"
                self._log.debug(text, **entryOf(event))
            case facts.VisitorRefused(address=address, why=why):
                self._of(address).lost(_TURNED_AWAY[why], event)
            case facts.VisitorNotTaken(address=address):
                self._of(address).lost(_NOT_TAKEN, event)
            case facts.VisitorsHeldBack(address=address):
                self._of(address).heldBack(event)
            case facts.TunnelOpened(network=network, address=address):
                self._tunnels.info(network, at(address, f"opened for {_who(event.user)}"), **entryOf(event))
            case facts.TunnelBack(network=network, address=address):
                self._tunnels.info(network, at(address, f"{_who(event.user)} is back"), **entryOf(event))
            case facts.TunnelLost(network=network, address=address, seconds=seconds):
                kept = ", kept for {seconds} s" if seconds else ""
                self._tunnels.info(network, at(address, f"{_who(event.user)} {{why}}{kept}"), **entryOf(event))
            case facts.TunnelUsed(network=network, address=address):
                self._tunnels.info(network, at(address, _USED), **entryOf(event))
            case facts.TunnelClosed():
                self._closed(event)
            case _:
                self._writeOther(event)

    def _writeOther(self, event: Event) -> None:
        """Log an event of a session, of a connection or of the server, as :meth:`_write` does."""
        match event:
            case facts.SessionClosed():
                self._sessionClosed(event)
            case facts.SessionLost(why=why):
                if why is Loss.NOT_READING:
                    self._log.warn(f"{_who(event.user)} {{why}}", **entryOf(event))
            case facts.ConnectionRefused() | facts.TunnelRefused():
                self._refusals.refused(event, event.error)
            case facts.ConnectionClosed():
                self._refusals.closed(event, event.error)
            case facts.HandshakeFailed():
                self._refusals.handshakeFailed(event)
            case facts.ProxyHeaderMissing():
                self._refusals.withoutHeader(event)
            case facts.LimitReached(what):
                self._limit(what).happened(**entryOf(event))
            case facts.NoDescriptors():
                self._withoutDescriptors(event)
            case facts.AcceptFailed():
                self._acceptFailed(event)
            case facts.EngineUnanswered(seconds=seconds):
                follows = (
                    "tunnels go on for {seconds:.0f} s, new ones are refused" if seconds else "no tunnel is opened"
                )
                self._log.warn(f"{{error}}; {follows}", **entryOf(event))
            case facts.WorkerEnded():
                self._workerEnded(event)
            case facts.Listening():
                self._listening(event)
            case events.Stopped():
                self._stop()
            case _:
                raise AssertionError(f"no line for {event}")

    def _closed(self, event: facts.TunnelClosed) -> None:
        lines = self._visitors.pop(event.address, None)
        if lines is not None:
            lines.stop()
        text = _CLOSED.get(event.reason)
        if text is not None and not isinstance(event.address, int):
            text = text.replace("port is free", "socket is removed")
        if event.reason in (TunnelEnd.SESSION_CLOSED, TunnelEnd.GIVEN_BACK):
            self._tunnels.info(event.network, at(event.address, _CLOSED[event.reason]), **entryOf(event))
        elif text is not None:
            self._log.info(at(event.address, text), **entryOf(event))

    def _sessionClosed(self, event: facts.SessionClosed) -> None:
        match event.error:
            case None:
                self._tunnels.info(event.network, f"{_who(event.user)} said goodbye", **entryOf(event))
            case CertificateRefused():
                self._log.warn("{peer} refused: {error}", **entryOf(event))
            case ShuttingDown() | PresumedGone() | Kicked():
                pass  # the server's end, the tunnel's, and what the operator has done have lines
            case Refusal() as error:
                self._refusals.refused(event, error)
            case ProtocolViolation() as error:
                self._refusals.closed(event, error)

    def _listening(self, event: facts.Listening) -> None:
        self._log.info(
            "listening on {at}{tls}, tunnels on {host} {minPort}-{maxPort}{secret}",
            announce=True,
            tls="" if event.fingerprint is None else f" with TLS, key {event.fingerprint}",
            secret=_ADMISSIONS[event.admission],
            **entryOf(event),
        )

    def _withoutDescriptors(self, event: facts.NoDescriptors) -> None:
        if self._noDescriptors.begins():
            self._log.warn(
                "no descriptors are left for visitors: new ones are accepted when others leave; "
                "{limit} may be open, which is the limit (ulimit -n) less those for clients",
                **entryOf(event),
            )

    def _acceptFailed(self, event: facts.AcceptFailed) -> None:
        """Log that new connections have to wait: once for all ports, and once when it is over."""
        if self._recovering is not None:
            self._recovering.reset(_CALM)
            return
        self._recovering = self._clock.callLater(_CALM, self._recovered)
        self._log.warn("cannot accept on {at}: {error}; new connections wait", **entryOf(event))

    def _workerEnded(self, event: facts.WorkerEnded) -> None:
        text = "worker {worker} of generation {generation} has ended: {how}"
        if event.expected:
            self._log.info(text, **entryOf(event))
        else:
            self._log.error(text + "; another one is started", **entryOf(event))

    def _recovered(self) -> None:
        self._recovering = None
        self._log.info("new connections are accepted again")

    def _limit(self, what: Limit) -> Overflow:
        overflow = self._limits.get(what)
        if overflow is None:
            overflow = self._limits[what] = Overflow(self._clock, _LIMITS[what])
        return overflow

    def _of(self, address: PublicAddress) -> VisitorLines:
        lines = self._visitors.get(address)
        if lines is None:
            lines = self._visitors[address] = VisitorLines(self._clock, self._log, address)
        return lines

    def _stop(self) -> None:
        """Log the sums that were not logged yet, and leave no timer."""
        self._refusals.stop()
        self._tunnels.stop()
        for overflow in self._limits.values():
            overflow.end()
        self._limits.clear()
        for lines in self._visitors.values():
            lines.stop()
        self._visitors.clear()
        if self._recovering is not None:
            self._recovering.cancel()
            self._recovering = None


def logged(clock: IReactorTime, visitors: bool = False) -> Sink:
    """
    Return a sink whose events are logged.

    :param visitors: whether single visitors are logged, at level debug.
    """
    log = ServerLog(clock)
    sink = Sink(log.failed)
    sink.subscribe(log, visitors)
    return sink
