"""A worker: a server that gets its connections and public addresses from the supervisor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger

from bore import exits
from bore.streams.descriptorframes import LOST, closeDescriptors
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.version import __version__
from bore.wire.workermessages import (
    BaseSession,
    Bye,
    CloseTunnel,
    Connection,
    DropOldest,
    End,
    Examine,
    Expired,
    Failed,
    GiveUp,
    Granted,
    HandOver,
    Late,
    Load,
    Order,
    Ping,
    Ready,
    Refused,
    Report,
    Reported,
    Retire,
    SupervisorMessage,
    Waiting,
    Welcome,
    WorkerMessage,
)
from bore.wire.workersession import State, WorkerEnd
from bore.workers.arrivals import Arrivals
from bore.workers.conversation import Conversation
from bore.workers.inside import CannotStart, Inside, Surroundings
from bore.workers.obedience import carryOut
from bore.workers.remotecustody import RemoteCustody
from bore.workers.retiring import Retiring

if TYPE_CHECKING:
    from bore.workers.reporter import Reporter

#: How long the supervisor may take to read the last messages, in seconds.
_FAREWELL: Final = 1.0

_FAULT: Final = "a worker failed to start, and the log has the reason"


class Worker:
    """
    The worker's end of the channel, and the server behind it.

    :param sock: the channel; it belongs to the worker from now on.
    :param build: makes the server when the supervisor's first message has come; raises
        :class:`~bore.workers.inside.CannotStart` if it cannot.
    :ivar ended: fires when nothing is left.
    :ivar code: the exit code that is right then.
    """

    _log: Final = Logger()

    def __init__(self, reactor: IReactor, sock: socket.socket, build: Callable[[Surroundings], Inside]) -> None:
        self._reactor = reactor
        self._build = build
        self._talk: Conversation[SupervisorMessage, WorkerMessage] = Conversation(
            reactor, sock, WorkerEnd(), self._received, self._lost, turns=Turns(reactor)
        )
        self._custody = RemoteCustody(self._talk.send)
        self._inside: Inside | None = None
        self._arrivals: Arrivals | None = None
        self._reporter: Reporter | None = None
        self._retiring: Retiring | None = None
        self._stopped: Deferred[None] | None = None
        self.code: int = exits.OK
        self.ended: Deferred[None] = Deferred()

    def stop(self) -> Deferred[None]:
        """
        End in order: the clients get a farewell, and their streams some time. May be called twice.

        :returns: fires when nothing is left.
        """
        if self._stopped is None:
            self._stopped = Deferred()
            done = self._end()
            done.addErrback(lambda reason: self._log.failure("the worker could not end in order", reason))
            done.addCallback(lambda _: self._isOver())
        if self._stopped.called:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._stopped.addCallback(waiting.callback)
        return waiting

    def _end(self) -> Deferred[None]:
        if self._retiring is not None:
            self._retiring.stop()
        inside = self._inside
        if inside is None:
            return self._sayBye(None)
        done = maybeDeferred(inside.stop)
        reporter = self._reporterOf(inside) if self._talk.end.maySend(Reported) else None
        if reporter is not None:
            done.addCallback(lambda _: reporter.sendFinal())
        return done.addCallback(self._sayBye)

    def _sayBye(self, _: object) -> Deferred[None]:
        if self._talk.end.maySend(Bye):
            self._talk.send(Bye())
        return self._talk.flush(_FAREWELL)

    def _isOver(self) -> None:
        if self._arrivals is not None:
            self._arrivals.stop()
        if self._reporter is not None:
            self._reporter.close()
        self._custody.close()
        self._talk.close()
        assert self._stopped is not None
        self._stopped.callback(None)
        self.ended.callback(None)

    def _lost(self, reason: str | None) -> None:
        """The supervisor is gone."""
        if self._stopped is None:
            why = "" if reason is None else f" ({reason})"
            self._log.error("the supervisor is gone{why}: this process takes no more visitors, and ends", why=why)
        self._custody.close()
        self.stop()

    def _received(self, message: SupervisorMessage, descriptors: Sequence[int]) -> None:
        if isinstance(message, Welcome):
            self._begin(message, descriptors[0])
            return
        inside, arrivals = self._inside, self._arrivals
        match message:
            case Ping():
                self._ping(inside)
            case End():
                self.stop()
            case _ if inside is None or arrivals is None:
                closeDescriptors(descriptors)
            case Connection():
                arrivals.connection(message, descriptors[0])
            case DropOldest():
                arrivals.dropOldest(message)
            case Order():
                self._talk.send(carryOut(message, inside))
            case Report():
                self._report(message, inside)
            case BaseSession():
                arrivals.baseSession(message, descriptors[0])
            case Retire(seconds):
                self._retiring = Retiring(self._reactor, inside.core, self._talk.send, seconds, self.stop)
                self._retiring.start()
            case _:
                self._aboutTunnels(message, descriptors)

    def _aboutTunnels(self, message: SupervisorMessage, descriptors: Sequence[int]) -> None:
        custody = self._custody
        match message:
            case Granted():
                custody.granted(message, descriptors)
            case Refused():
                custody.refused(message)
            case Waiting():
                custody.waiting(message, descriptors)
            case Late():
                custody.late(message, descriptors)
            case Examine():
                custody.examine(message)
            case GiveUp():
                custody.giveUp(message)
            case HandOver():
                custody.handOver(message)
            case CloseTunnel():
                custody.closeTunnel(message)
            case Expired():
                custody.expired(message)
            case _:
                closeDescriptors(descriptors)

    def _begin(self, welcome: Welcome, counters: int) -> None:
        if counters == LOST:
            self._failed(exits.FAILURE, "a worker has no descriptor left")
            return
        around = Surroundings(
            welcome, self._custody, counters, self._talk.send, lambda: self._talk.full, self._pendingChanged
        )
        try:
            self._inside = inside = self._build(around)
            self._arrivals = Arrivals(self._reactor, inside.core, self._talk.send)
            inside.start()
        except CannotStart as e:
            self._failed(e.code, "\n".join(e.lines))
        except Exception:
            self._log.failure("the worker could not start")
            self._failed(exits.FAILURE, _FAULT)
        else:
            self._talk.send(Ready(__version__, inside.core.fingerprint))

    def _failed(self, code: int, reason: str) -> None:
        self.code = code
        self._inside = self._arrivals = None
        if self._talk.end.state is not State.OVER:
            self._talk.send(Failed(code, reason))
        self.stop()

    def _pendingChanged(self) -> None:
        if self._arrivals is not None:
            self._arrivals.changed()

    def _ping(self, inside: Inside | None) -> None:
        times = os.times()
        sessions = visitors = 0
        if inside is not None:
            inside.tick()
            server = inside.core.server
            sessions, visitors = len(server.sessions), len(server.relay) + len(server.unaccepted)
        self._talk.send(Load(sessions, visitors, times.user + times.system))

    def _report(self, message: Report, inside: Inside) -> None:
        reporter = self._reporterOf(inside)
        if reporter is None:
            self._talk.send(Reported(message.id, b"", True))
        else:
            reporter.ask(message)

    def _reporterOf(self, inside: Inside) -> Reporter | None:
        if self._reporter is None:
            self._reporter = inside.makeReporter()
        return self._reporter
