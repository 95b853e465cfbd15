"""The workers of a supervisor: started, replaced when they die, retired, and ended."""

# Longer than 300 lines: the life of a worker, from its start to its end, is read together.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from typing import Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.events import Sink
from bore.events.server import GenerationEnded, WorkerEnded, WorkerHung, WorkerRetired, WorkerStarted
from bore.streams.descriptorframes import closeDescriptors
from bore.wire.workermessages import Bye, End, Failed, Load, Ping, Ready, Retire, SupervisorMessage, WorkerMessage
from bore.wire.workernumbers import MAX_WORKER
from bore.workers.inside import CannotStart
from bore.workers.liveness import INTERVAL, PATIENCE, Liveness

#: How long a worker may take to start, in seconds. Its modules are read from a disk, and a key may have to be made.
START_TIMEOUT: Final = 30.0

#: How long it takes until another worker is started instead of one that has died, in seconds: at once the first time,
#: and then longer each time, as long as none lives for long.
DELAYS: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)

#: A worker that has served for this long, in seconds, is one whose death is a surprise again.
SETTLED: Final = 10.0

#: How long a worker has to end behind the time that its streams have, in seconds; then it is killed.
END_TIMEOUT: Final = 5.0

#: A number is not used again for this long after its worker has ended, in seconds: clients may still show it.
NUMBER_REST: Final = 3600.0


class Phase(Enum):
    """Where a worker is in its life."""

    STARTING = auto()
    READY = auto()
    RETIRED = auto()  # it gives its sessions away, and serves its streams
    ENDING = auto()
    ENDED = auto()


class Line(Protocol):
    """The channel to a worker."""

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        """
        Send a message, unless it must not be sent in this state.

        :param descriptors: they belong to the line from now on, which closes them.
        """

    @property
    def full(self) -> bool:
        """Whether so much waits to be sent that nothing should be added that can wait."""

    def maySend(self, kind: type[SupervisorMessage]) -> bool:
        """Whether a message of this kind may be sent now."""

    def close(self) -> None:
        """Close it. May be called twice."""


class Process(Protocol):
    """The process of a worker; see :class:`bore.workers.process.WorkerProcess`."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def last(self) -> Iterable[str]:
        """The last lines of its output."""

    def kill(self) -> None:
        """End it at once."""


class Member:
    """
    A worker.

    :ivar number: no other worker has it, as long as clients may show it.
    :ivar generation: how many upgrades there were before it started, and one more.
    :ivar phase: where it is in its life.
    :ivar load: its last sign of life; None: there was none.
    :ivar fingerprint: of the key that it shows in TLS; None: there is no TLS.
    :ivar since: when it started, by the clock.
    """

    def __init__(self, number: int, generation: int, since: float) -> None:
        self.number = number
        self.generation = generation
        self.since = since
        self.readySince: float | None = None
        self.phase = Phase.STARTING
        self.load: Load | None = None
        self.fingerprint: str | None = None
        self.unanswered = 0
        self.line: Line | None = None
        self.process: Process | None = None
        self.failure: Failed | None = None
        self.leftByItself = False
        self.timer: IDelayedCall | None = None
        self.onHung: Callable[[Member], None] = lambda _: None

    @property
    def deadline(self) -> float | None:
        """When it is killed, by the clock; None: it is not."""
        return self.timer.getTime() if self.timer is not None and self.timer.active() else None

    @property
    def pid(self) -> int:
        """Its process; 0: there is none."""
        return 0 if self.process is None else self.process.pid

    @property
    def takesSessions(self) -> bool:
        """Whether new sessions may go to it."""
        return self.phase is Phase.READY

    @property
    def serves(self) -> bool:
        """Whether connections of its own sessions may go to it."""
        return self.phase in (Phase.READY, Phase.RETIRED)

    @property
    def state(self) -> str:
        """Where it is in its life, as reports have it (:class:`bore.status.report.WorkerReport`)."""
        if self.serves and self.unanswered > PATIENCE:
            return "hung"
        return "serving" if self.phase is Phase.READY else self.phase.name.lower()

    @property
    def hasRoom(self) -> bool:
        """Whether its channel takes one more connection now."""
        return self.line is not None and not self.line.full

    def maySend(self, kind: type[SupervisorMessage]) -> bool:
        """Whether a message of this kind may be sent now."""
        return self.line is not None and self.line.maySend(kind)

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        """
        Send it a message, unless its channel is closed.

        :param descriptors: they belong to the channel from now on, which closes them.
        """
        if self.line is not None:
            self.line.send(message, descriptors)
        else:
            closeDescriptors(descriptors)

    def ping(self) -> None:
        """See :class:`bore.workers.liveness.Patient`."""
        self.send(Ping())

    def hung(self) -> None:
        """See :class:`bore.workers.liveness.Patient`."""
        self.onHung(self)


class Crew:
    """
    All workers.

    :param launch: starts the process of a worker, and connects it: it sets ``process`` and ``line``, and calls
        :meth:`received`, :meth:`cut` and :meth:`exited`. Raises OSError if it cannot.
    :param gone: called with each worker that is gone, before another one is started: what it had has to be kept.
    :ivar generation: that of the workers that are started.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        launch: Callable[[Member], None],
        gone: Callable[[Member], None],
        count: int,
        generation: int = 1,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._launch = launch
        self._gone = gone
        self.count = count
        self.generation = generation
        self._members: dict[int, Member] = {}
        self._last = 0
        self._resting: dict[int, float] = {}
        self._deaths = 0
        self._again: IDelayedCall | None = None
        self._stopping = False
        self._trial: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._allEnded: Deferred[None] | None = None
        self._liveness = Liveness(clock, lambda: [each for each in self._members.values() if each.serves])

    # What others ask.

    def members(self) -> list[Member]:
        """All workers that have not ended, the oldest first."""
        return list(self._members.values())

    def find(self, number: int) -> Member | None:
        """A worker that has not ended; None: there is none with this number."""
        return self._members.get(number)

    @property
    def ready(self) -> list[Member]:
        """Those to which new sessions may go."""
        return [each for each in self._members.values() if each.takesSessions]

    @property
    def complete(self) -> bool:
        """Whether all workers that there should be are ready."""
        return len(self._current(Phase.READY)) >= self.count

    @property
    def alive(self) -> bool:
        """Whether a worker has answered lately."""
        return any(each.load is not None and each.unanswered <= 2 for each in self.ready)

    @property
    def fingerprint(self) -> str | None:
        """That of the key which the workers show in TLS; None: there is no TLS, or none is ready."""
        return next((each.fingerprint for each in self.ready), None)

    @property
    def lastNumber(self) -> int:
        """The number that was given last."""
        return self._last

    @property
    def resting(self) -> Sequence[tuple[int, float]]:
        """The numbers that were used lately, and when their workers have ended, by the clock."""
        return tuple(self._resting.items())

    # Starting.

    def start(self) -> Deferred[None]:
        """
        Start all workers.

        :returns: fires when the first one is ready; fails with :class:`CannotStart` if one cannot start before.
        """
        if not self._liveness.running:
            self._liveness.start()
        trial: Deferred[None] = Deferred()
        self._trial = trial
        for _ in range(self.count):
            if not self._begin():
                break
        return trial

    def adopt(self, member: Member, phase: Phase, deadline: float | None) -> None:
        """
        Take over a worker that an earlier supervisor has started.

        :param deadline: when it is killed, by the clock; None: it is not, unless its channel is over.
        """
        self._members[member.number] = member
        member.phase = phase
        member.onHung = self._hung
        if deadline is not None:
            self._bound(member, max(0.0, deadline - self._clock.seconds()))
        elif member.line is None:
            self._bound(member, END_TIMEOUT)
        if not self._liveness.running:
            self._liveness.start()

    def adoptNumbers(self, last: int, resting: Iterable[tuple[int, float]]) -> None:
        """Go on with the numbers of an earlier supervisor: see :attr:`lastNumber` and :attr:`resting`."""
        self._last = last
        self._resting = dict(resting)

    def whenComplete(self) -> Deferred[None]:
        """Fires when all workers that there should be are ready."""
        if self.complete:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def setCount(self, count: int, drain: float) -> None:
        """
        Have another number of workers.

        :param drain: how long the streams of the surplus may go on, in seconds.
        """
        self.count = count
        for each in [*self._current(Phase.READY), *self._current(Phase.STARTING)][count:]:
            self.retire(each, drain)
        self._fill()
        self._lookComplete()

    # Ending.

    def retire(self, member: Member, seconds: float) -> None:
        """Have a worker give its sessions away, and end when its streams have ended, after this time at most."""
        if member.phase is Phase.READY:
            member.phase = Phase.RETIRED
            self._sink.emit(WorkerRetired(member.number, member.generation, seconds))
            member.send(Retire(seconds))
            self._bound(member, seconds + END_TIMEOUT)
        elif member.phase is Phase.STARTING:
            member.phase = Phase.ENDING
            self._kill(member)

    def end(self, member: Member, seconds: float) -> None:
        """Have a worker end in order: its streams have this time."""
        if member.phase is Phase.STARTING:
            member.phase = Phase.ENDING
            self._kill(member)
        elif member.phase in (Phase.READY, Phase.RETIRED):
            member.phase = Phase.ENDING
            member.send(End())
            self._bound(member, seconds + END_TIMEOUT)

    def stop(self, seconds: float) -> Deferred[None]:
        """
        End all workers in order.

        :param seconds: how long their streams may go on.
        :returns: fires when all have ended.
        """
        self._stopping = True
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._trial = None
        for each in self.members():
            self.end(each, seconds)
        ended: Deferred[None] = Deferred()
        self._allEnded = ended
        self._look()
        return ended

    def killAll(self) -> None:
        """End all workers at once."""
        for each in self.members():
            self._kill(each)

    def abandonGeneration(self, generation: int, drain: float) -> None:
        """
        Go on with the generation before one that is not to be. Its workers that are ready have sessions by now: they
        give them away, to those of the generation before.

        :param drain: how long their streams may go on, in seconds.
        """
        self.generation = generation - 1
        self._trial = None
        for each in self.members():
            if each.generation == generation:
                self.retire(each, drain)
        self.setCount(self.count, drain)  # some have died meanwhile, or fewer are wanted than there were

    # What happens to a worker.

    def received(self, member: Member, message: WorkerMessage) -> None:
        """Take a message that is about the life of a worker."""
        member.unanswered = 0
        match message:
            case Ready() if member.timer is not None and not member.timer.active():
                pass  # it is being killed, as that has come too late
            case Ready(_, fingerprint) if member.phase is Phase.STARTING:
                member.fingerprint = fingerprint
                self._isReady(member)
            case Failed():
                member.failure = message
            case Load():
                member.load = message
            case Bye():  # it has nothing left
                member.leftByItself = member.phase is Phase.READY
                member.phase = Phase.ENDING
                self._bound(member, END_TIMEOUT)
            case _:
                pass

    def cut(self, member: Member) -> None:
        """The channel to a worker is closed: its process has to end."""
        if member.line is not None:
            member.line = None
            if member.phase in (Phase.STARTING, Phase.READY, Phase.RETIRED):
                self._bound(member, END_TIMEOUT)
            self._gone(member)

    def exited(self, member: Member, how: str) -> None:
        """
        The process of a worker has ended.

        :param how: ``exit code 1``, or by which signal.
        """
        if self._members.pop(member.number, None) is None:
            return
        if member.line is not None:
            member.line.close()
            self.cut(member)
        if member.timer is not None and member.timer.active():
            member.timer.cancel()
        phase, member.phase = member.phase, Phase.ENDED
        self._resting[member.number] = self._clock.seconds()
        ended = phase in (Phase.RETIRED, Phase.ENDING)
        expected = self._stopping or (ended and not member.leftByItself)
        inOrder = ended and how == "exit code 0"
        isTrial = phase is Phase.STARTING and member.generation == self.generation
        if isTrial and self._trial is not None and not self._stopping:
            trial, self._trial = self._trial, None
            for each in self._current(Phase.STARTING):
                self.end(each, 0.0)
            trial.errback(self._reasonOf(member, how))
            return
        if not expected or member.readySince is not None:
            self._sink.emit(WorkerEnded(member.number, member.generation, "in order" if inOrder else how, expected))
        others = any(each.generation == member.generation for each in self._members.values())
        if expected and member.readySince is not None and not others and member.generation != self.generation:
            self._sink.emit(GenerationEnded(member.generation))
        if not expected:
            if member.readySince is not None and self._clock.seconds() - member.readySince >= SETTLED:
                self._deaths = 0
            self._replace()
        self._look()

    def _isReady(self, member: Member) -> None:
        member.phase = Phase.READY
        member.readySince = self._clock.seconds()
        if member.timer is not None:
            member.timer.cancel()
            member.timer = None
        self._sink.emit(WorkerStarted(member.number, member.generation, member.pid))
        if self._trial is not None and member.generation == self.generation:
            trial, self._trial = self._trial, None
            trial.callback(None)
        self._fill()
        self._lookComplete()

    def _lookComplete(self) -> None:
        """Look whether all workers that there should be are ready."""
        if self.complete:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    def _hung(self, member: Member) -> None:
        if member.serves:
            seconds = member.unanswered * INTERVAL
            self._sink.emit(WorkerHung(member.number, member.generation, seconds))
            self._kill(member)

    def _kill(self, member: Member) -> None:
        if member.process is not None:
            member.process.kill()

    def _bound(self, member: Member, seconds: float) -> None:
        """Kill a worker if it has not ended after this time, in seconds; without a channel, no later than was said."""
        if member.line is None and member.deadline is not None:
            seconds = min(seconds, max(0.0, member.deadline - self._clock.seconds()))
        if member.timer is not None and member.timer.active():
            member.timer.cancel()
        member.timer = self._clock.callLater(seconds, self._kill, member)

    def _current(self, *phases: Phase) -> list[Member]:
        """The workers of this generation in one of some phases, the oldest first."""
        return [each for each in self._members.values() if each.generation == self.generation and each.phase in phases]

    def _replace(self) -> None:
        """Start another worker, after a while if some have died already."""
        if self._stopping or self._again is not None:
            return
        delay = DELAYS[min(self._deaths, len(DELAYS) - 1)]
        self._deaths += 1
        self._again = self._clock.callLater(delay, self._refill)

    def _refill(self) -> None:
        self._again = None
        self._fill()

    def _fill(self) -> None:
        """Start the workers that are missing, unless that has to wait."""
        if self._stopping or self._trial is not None or self._again is not None:
            return
        for _ in range(self.count - len(self._current(Phase.STARTING, Phase.READY))):
            if not self._begin():
                return

    def _begin(self) -> bool:
        """Start a worker, and return whether that was possible."""
        member = Member(self._number(), self.generation, self._clock.seconds())
        member.onHung = self._hung
        self._members[member.number] = member
        try:
            self._launch(member)
        except OSError as e:
            self.exited(member, f"cannot be started: {e.strerror or e}")
            return False
        self._bound(member, START_TIMEOUT)
        return True

    def _number(self) -> int:
        """The number of the next worker."""
        now = self._clock.seconds()
        for number in [number for number, ended in self._resting.items() if now - ended > NUMBER_REST]:
            del self._resting[number]
        for _ in range(MAX_WORKER):
            self._last = self._last % MAX_WORKER + 1
            if self._last not in self._members and self._last not in self._resting:
                break
        else:  # so many have died within the hour: the one that rests for longest
            self._last = next(iter(self._resting))
        self._resting.pop(self._last, None)
        return self._last

    def _reasonOf(self, member: Member, how: str) -> CannotStart:
        """Why a worker could not start."""
        if member.failure is not None:
            return CannotStart(member.failure.code, member.failure.reason.splitlines())
        last = [] if member.process is None else list(member.process.last)
        return CannotStart(1, [f"a worker process could not start: {how}", *last])

    def _look(self) -> None:
        """Look whether all have ended."""
        if self._allEnded is not None and not self._members:
            ended, self._allEnded = self._allEnded, None
            self._liveness.stop()
            ended.callback(None)
