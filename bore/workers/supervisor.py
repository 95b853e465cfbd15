"""The supervisor as a service: it has the control ports and the public addresses, and its workers the sessions."""

# Longer than 300 lines: the parts of a supervisor, and how they are put together.

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.events import Draining, Sink, Stopped
from bore.events.server import Upgraded, UpgradeFailed
from bore.relay.interface import DRAIN_TIMEOUT
from bore.server import custodystate
from bore.server.controlsockets import admissionOf, bindControlPorts, listening
from bore.server.custody import Holder
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import LocalRegistry
from bore.server.settings import ServerSettings
from bore.streams.addresses import localAddress, socketAddress
from bore.streams.channel import Remains
from bore.streams.descriptorframes import LOST, closeDescriptors
from bore.streams.reactor import IReactor
from bore.version import __version__
from bore.wire.errors import ProtocolViolation
from bore.wire.workermessages import (
    BaseSession,
    Bye,
    Done,
    Failed,
    HandOn,
    Load,
    Pending,
    Ready,
    Reported,
    WorkerMessage,
    decodeWorkerMessage,
    encode,
)
from bore.workers.crew import START_TIMEOUT, Crew, Member, Phase
from bore.workers.custodian import Custodian
from bore.workers.doorway import Doorway
from bore.workers.handover import ArrivalState, HomelessState, PortState, SupervisorState, WorkerState
from bore.workers.inside import CannotStart
from bore.workers.launcher import Launcher
from bore.workers.line import WorkerLine
from bore.workers.orders import Orders
from bore.workers.process import WorkerProcess
from bore.workers.settings import WorkerSettings

if TYPE_CHECKING:
    from bore.events.server import Admission
    from bore.server.keptsockets import KeptSockets


#: How long an upgrade waits until the workers have read what was sent to them, in seconds. The rest is sent behind it.
_FLUSH_TIMEOUT: Final = 1.0

#: How many sessions of the base protocol wait for a worker that takes them.
_HOMELESS: Final = 1024

#: A longer reason is a traceback, whose last line has the reason.
_LINES: Final = 4

#: How long new connections wait for all workers when the first one is ready, in seconds.
TOGETHER: Final = 3.0

#: How many generations of workers there may be.
_GENERATIONS: Final = 3


class Supervisor(Service):
    """
    The supervisor of a server.

    :param settings: those of the server; its workers parse them as well.
    :param workers: how many workers, and how long their streams may go on when they are replaced.
    :param hasUsers: whether there is a users file.
    :param sockets: listening sockets to serve as control ports, instead of one made from the settings.
    :param launcher: starts the workers.
    :param kept: the listening sockets that the service manager keeps; None: it keeps none.
    """

    _log: Final = Logger()

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        settings: ServerSettings,
        workers: WorkerSettings,
        hasUsers: bool,
        sockets: Sequence[socket.socket],
        launcher: Launcher,
        kept: KeptSockets | None = None,
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._settings = settings
        self.workers = workers
        self._hasUsers = hasUsers
        self._sockets = list(sockets)
        self._ports: list[tuple[socket.socket, bool]] = []
        self._launcher = launcher
        self.since = reactor.seconds()
        self._drainsFor: float | None = None
        self._adopted: SupervisorState | None = None
        self._upgrades = False
        self._kept = kept
        self.custody, self._registry, self._places = self._makeCustody()
        self.crew = Crew(reactor, sink, self._launch, self._gone, workers.count)
        members, known, trusted = self.crew.members, self.custody.hasSome, settings.trustedProxies
        self.doorway = Doorway(reactor, sink, settings.bounds, members, known, self._asks, trusted)
        self.orders = Orders(reactor, self.crew)
        self._custodians: dict[int, Custodian] = {}
        self._homeless: list[tuple[BaseSession, int]] = []
        #: Called when a worker has reported its load, each second.
        self.loaded: Callable[[], object] = lambda: None
        #: Takes the parts of reports.
        self.reported: Callable[[int, Reported], object] = lambda number, message: None
        self.ended: Callable[[Member], object] = lambda member: None
        #: Returns what has been done until now, for the status of the next process.
        self.history: Callable[[], object] = lambda: None
        #: Returns the descriptor of the status port, which the next process goes on with; -1: there is none.
        self.statusPort: Callable[[], int] = lambda: -1
        launcher.received = self._received
        launcher.cut = self.crew.cut
        launcher.exited = self._exited
        launcher.drained = self.doorway.changed

    @property
    def settings(self) -> ServerSettings:
        """The settings in effect."""
        return self._settings

    @property
    def admission(self) -> Admission:
        """Which clients may open tunnels."""
        return admissionOf(self._settings, self._hasUsers, self._asks)

    @property
    def _asks(self) -> bool:
        return self._hasUsers or self._settings.secret is not None

    @property
    def state(self) -> str:
        """``running``, ``draining`` or ``stopping``."""
        if self._drainsFor is not None:
            return "draining"
        return "running" if self.running else "stopping"

    @property
    def upgrades(self) -> bool:
        """Whether it is not clear yet if the workers of the last upgrade come up."""
        return self._upgrades

    @property
    def controlPorts(self) -> list[tuple[str, str | None]]:
        """The control ports: each one's address, as ``HOST:PORT``, and the fingerprint of its key; None: no TLS."""
        return [
            (socketAddress(localAddress(sock)), self.crew.fingerprint if tls else None) for sock, tls in self._ports
        ]

    @property
    def controlPort(self) -> int:
        """The number of the control port."""
        return int(localAddress(self._ports[0][0])[1])

    @property
    def alive(self) -> bool:
        """Whether it listens on its control ports, and a worker has answered lately, unless it was stopped."""
        return not self.running or (self.doorway.alive and self.crew.alive)

    def privilegedStartService(self) -> None:
        """
        Bind the control ports, unless an earlier process has done so. The process may give up rights afterwards.

        :raises bore.server.controlsockets.CannotListen: when one cannot be used.
        """
        if self._ports:
            return
        sockets, self._sockets = self._sockets, []
        kept = self._kept
        self._ports = bindControlPorts(self._settings, sockets, *([] if kept is None else [kept.bindControl]))
        if kept is not None:
            kept.begun(self._sink)

    def startService(self) -> None:
        """Bind the control ports, if that has not been done yet."""
        Service.startService(self)
        self.privilegedStartService()

    def begin(self) -> Deferred[None]:
        """
        Start all workers; accept connections when they are ready, or TOGETHER seconds after the first one: clients that
        come at once, as after a restart, stay at the worker that they get. After :meth:`adopt`, they are a new
        generation, and the old one is retired when all are ready; if one of them cannot start, it goes on.

        :returns: fires when all workers are ready; fails with :class:`bore.workers.inside.CannotStart` when one cannot
            start before another one has, and there are no others.
        """
        if self._adopted is None:
            return self.crew.start().addCallback(self._together).addCallback(self._listen)
        state, self._adopted = self._adopted, None
        self._upgrades = True
        self.goOn(state)
        self.crew.generation += 1
        started = self.crew.start().addCallback(
            lambda _: self.crew.whenComplete().addTimeout(START_TIMEOUT, self._reactor)
        )
        return started.addCallbacks(self._upgraded, self._notUpgraded)

    def stopService(self) -> Deferred[None]:
        """
        Accept no more connections, and end the workers: their streams have DRAIN_TIMEOUT seconds, or as long as
        :meth:`drain` gives them.

        :returns: fires when nothing is left.
        """
        Service.stopService(self)
        if self._kept is not None:
            self._kept.leave(forNext=self._drainsFor is None)
        self.doorway.close()
        self._ports = []  # they are closed, and the status may still be asked for
        self._sink.emit(Stopped())
        seconds = DRAIN_TIMEOUT if self._drainsFor is None else self._drainsFor
        return self.crew.stop(seconds).addCallback(self._stopped)

    def drain(self, seconds: float) -> int:
        """
        Give running visitors this many seconds when the service is stopped, which has to follow.

        :returns: how many there are, as the workers have reported.
        """
        self._drainsFor = seconds
        self._sink.emit(Draining(seconds))
        for each in self.crew.members():
            self.orders.give(each, "drain", seconds=seconds)
        return sum(each.load.visitors for each in self.crew.members() if each.load is not None)

    def apply(self, settings: ServerSettings, workers: WorkerSettings | None) -> None:
        """Apply those settings that can change while the server runs. Workers read theirs when they are ordered to."""
        self._settings = settings
        self.custody.apply(settings)
        self.doorway.apply(settings.bounds, self._asks, settings.trustedProxies)
        if workers is not None:
            self.workers = workers
            self._launcher.count = workers.count
            self.crew.setCount(workers.count, workers.drain)

    # Upgrades: see bore.workers.upgrade.

    def capture(self) -> SupervisorState:
        """The state, without what is on its way to the workers and from them."""
        return self._state({}, ())

    def quiesce(self) -> Deferred[SupervisorState]:
        """Take nothing more from workers and clients, and return the state. All descriptors stay open."""
        return Deferred.fromCoroutine(self._quiesce())

    def adopt(self, state: SupervisorState) -> None:
        """Take over from an earlier process, instead of :meth:`privilegedStartService`."""
        self.since = state.since
        self._ports = [(socket.socket(fileno=each.fd), each.encrypted) for each in state.ports]
        self.crew.generation = state.generation
        self._adopted = state

    def goOn(self, state: SupervisorState) -> None:
        """Go on with the workers and connections of a state."""
        for each in state.ending:
            member = _memberOf(each)
            self._launcher.watch(member, each.pid, each.output)
            self.crew.adopt(member, Phase[each.phase], each.deadline)
        for each in state.workers:
            member = _memberOf(each)
            sock = socket.socket(fileno=each.channel)
            self._launcher.connect(member, each.pid, each.output, sock, each.position, each.remains)
            self._custodians[member.number] = self._custodian(member, each.asked)
            self.crew.adopt(member, Phase[each.phase], each.deadline)
        self.crew.adoptNumbers(state.lastNumber, state.resting)
        if state.custody:
            found, held = state.custody, state.held
            custodystate.adopt(self.custody, self._registry, self._places, found, held, self._custodians)
        for sock, tls in self._ports:
            self.doorway.listen(sock, tls)
        self.doorway.adopt(state.arrivals)
        for homeless in state.homeless:
            try:
                self._homeless.append((_sessionOf(homeless.frame), homeless.fd))
            except ProtocolViolation as e:
                closeDescriptors([homeless.fd])
                self._log.warn("a session that waited for a worker cannot be taken over: {reason}", reason=str(e))
        self._changed()

    def resume(self, state: SupervisorState) -> None:
        """Go on after :meth:`quiesce`, in the same process."""
        self._resume({each.number: each.remains for each in state.workers}, state.arrivals)

    def _resume(self, remains: Mapping[int, Remains], arrivals: Sequence[ArrivalState]) -> None:
        for number, rest in remains.items():
            member = self.crew.find(number)
            if member is not None and isinstance(member.line, WorkerLine):
                self._launcher.listen(member, member.line.socket, member.line.position, rest)
        if self.running:
            for sock, tls in self._ports:
                self.doorway.listen(sock, tls)
        self.doorway.adopt(arrivals)

    async def _quiesce(self) -> SupervisorState:
        self.doorway.pause()
        await self.custody.settled()
        await gatherResults([line.quiesce(_FLUSH_TIMEOUT) for line in self._lines().values()])
        # In one turn: what was sent meanwhile has gone, or is left.
        left, arrivals = {number: line.leave() for number, line in self._lines().items()}, self.doorway.release()
        try:
            return self._state(left, arrivals)
        except Exception:
            self._resume(left, arrivals)
            raise

    def _lines(self) -> Mapping[int, WorkerLine]:
        """The channels to the workers, by their numbers."""
        return {each.number: each.line for each in self.crew.members() if isinstance(each.line, WorkerLine)}

    def _state(self, remains: Mapping[int, Remains], arrivals: Sequence[ArrivalState]) -> SupervisorState:
        crew = self.crew
        workers = [
            dataclasses.replace(
                _stateOf(each, each.process),
                channel=each.line.socket.fileno(),
                position=each.line.position,
                remains=remains.get(each.number, Remains()),
                asked=self._custodians[each.number].asked,
            )
            for each in crew.members()
            if isinstance(each.line, WorkerLine) and isinstance(each.process, WorkerProcess)
        ]
        ending = [
            _stateOf(each, each.process)
            for each in crew.members()
            if each.line is None and isinstance(each.process, WorkerProcess)
        ]
        ports = [PortState(sock.fileno(), tls) for sock, tls in self._ports]
        numbers: dict[Holder, int] = {custodian: number for number, custodian in self._custodians.items()}
        custody, held = custodystate.export(self.custody, self._registry, numbers.__getitem__)
        return SupervisorState(
            __version__,
            crew.generation,
            crew.lastNumber,
            self.since,
            crew.resting,
            ports,
            workers,
            arrivals,
            custody,
            held,
            self._launcher.counters,
            self.history(),
            () if self._kept is None else self._kept.names,
            self.statusPort(),
            ending,
            [HomelessState(fd, encode(message)) for message, fd in self._homeless],
        )

    def _makeCustody(self) -> tuple[LocalCustody, LocalRegistry, Places]:
        settings, kept = self._settings, self._kept
        if kept is not None:
            custody = kept.makeCustody(self._sink)
            assert kept.registry is not None
            assert kept.places is not None
            return custody, kept.registry, kept.places
        registry, places = LocalRegistry(self._reactor, settings.lease), Places(self._reactor, settings)
        return LocalCustody(self._reactor, self._sink, settings, registry, places), registry, places

    def _custodian(self, member: Member, asked: int = 0) -> Custodian:
        return Custodian(self.custody, member.send, self._launcher.table.addUser, asked)

    def _together(self, _: object) -> Deferred[None]:
        """The first worker is ready: wait for the others, but not for long."""
        whole = self.crew.whenComplete().addTimeout(TOGETHER, self._reactor)
        return whole.addErrback(lambda reason: reason.trap(TimeoutError) and None)

    def _listen(self, _: object) -> Deferred[None]:
        for sock, tls in self._ports:
            self.doorway.listen(sock, tls)
            self._sink.emit(listening(sock, self.crew.fingerprint if tls else None, self._settings, self.admission))
        return self.crew.whenComplete()

    def _stopped(self, _: object) -> None:
        """No worker is left: close what was kept."""
        closeDescriptors([descriptor for _, descriptor in self._homeless])
        self.custody.forHolder().close()

    def _upgraded(self, _: object) -> None:
        self._upgrades = False
        self._sink.emit(Upgraded(self.crew.generation, __version__))
        self._retireEarlier(None)

    def _retireEarlier(self, _: object) -> None:
        """The workers of this generation are ready: those of earlier ones have to end."""
        crew = self.crew
        generations = sorted({each.generation for each in crew.members() if each.generation <= crew.generation})
        for each in crew.members():
            if each.generation in generations[:-_GENERATIONS]:
                crew.end(each, DRAIN_TIMEOUT)
            elif each.generation != crew.generation:
                crew.retire(each, self.workers.drain)

    def _notUpgraded(self, reason: Failure) -> None:
        self._upgrades = False
        self.crew.abandonGeneration(self.crew.generation, self.workers.drain)
        if isinstance(reason.value, CannotStart):
            lines = reason.value.lines
            self._sink.emit(UpgradeFailed("; ".join(lines if len(lines) < _LINES else (lines[0], lines[-1]))))
        else:
            self._sink.emit(UpgradeFailed(f"the new workers are not ready within {START_TIMEOUT:g} s"))
        # An earlier version may have begun this upgrade before the last one was complete.
        self.crew.whenComplete().addCallback(self._retireEarlier)

    def _launch(self, member: Member) -> None:
        self._launcher.count = self.workers.count
        self._launcher.launch(member)
        self._custodians[member.number] = self._custodian(member)

    def _gone(self, member: Member) -> None:
        self.ended(member)
        custodian = self._custodians.pop(member.number, None)
        if custodian is not None:
            custodian.gone()
        self._launcher.table.removeWorker(member.number)
        self.orders.gone(member)
        self.doorway.gone(member.number)

    def _exited(self, member: Member, how: str) -> None:
        self.crew.exited(member, how)
        self.doorway.changed()

    def _received(self, member: Member, message: WorkerMessage, descriptors: Sequence[int]) -> None:
        match message:
            case Load():
                self.crew.received(member, message)
                self.doorway.loaded(member.number, message)
                self.loaded()
            case Ready() | Failed() | Bye():
                if isinstance(message, Ready):
                    self.orders.ready(member)  # before its first connection
                self.crew.received(member, message)
                self._changed()
            case Pending():
                self.doorway.reported(member.number, message)
            case HandOn() | BaseSession() if LOST in descriptors:
                self._log.warn("no descriptor was left for a connection that a worker has passed on")
            case HandOn():
                self.doorway.handOn(message, _connection(descriptors[0]))
            case Done():
                self.orders.done(member, message)
            case Reported():
                self.reported(member.number, message)
            case BaseSession():
                self._passOn(message, descriptors[0])
            case _:
                custodian = self._custodians.get(member.number)
                if custodian is None or not custodian.received(message, descriptors):
                    closeDescriptors(descriptors)

    def _passOn(self, message: BaseSession, descriptor: int) -> None:
        """Give a session of the base protocol to the worker with the least to do, or keep it until there is one."""
        if self.doorway.give(message, descriptor):
            return
        if len(self._homeless) < _HOMELESS:
            self._homeless.append((message, descriptor))
        else:
            closeDescriptors([descriptor])

    def _changed(self) -> None:
        """A worker is ready, or takes more."""
        homeless, self._homeless = self._homeless, []
        for message, descriptor in homeless:
            self._passOn(message, descriptor)
        self.doorway.changed()


def _stateOf(member: Member, process: WorkerProcess) -> WorkerState:
    """A worker for the next process, without its channel."""
    return WorkerState(
        member.number,
        member.generation,
        process.pid,
        -1,
        process.output,
        member.phase.name,
        member.since,
        member.readySince,
        member.deadline,
        member.fingerprint,
    )


def _memberOf(state: WorkerState) -> Member:
    """A worker that the process before has started, without its process and channel."""
    member = Member(state.number, state.generation, state.since)
    member.readySince, member.fingerprint = state.readySince, state.fingerprint
    return member


def _sessionOf(frame: bytes) -> BaseSession:
    """
    A session that waited for a worker in the process before.

    :raises bore.wire.errors.ProtocolViolation: when it is none.
    """
    message = decodeWorkerMessage(frame)
    if not isinstance(message, BaseSession):
        raise ProtocolViolation(f"{type(message).__name__} is no session")
    return message


def _connection(descriptor: int) -> socket.socket:
    """The connection to a control port that a worker has passed on."""
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock
