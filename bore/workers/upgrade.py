"""Upgrades: the supervisor goes on with the code that is installed now, as the same process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NoReturn, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.events import Sink
from bore.events.server import UpgradeFailed, Upgrading
from bore.streams.reactor import IReactor
from bore.version import __version__
from bore.workers.handover import VARIABLE, SupervisorState, descriptorsIn, store
from bore.workers.process import WorkerProcess, startProcess

#: How long the trial of new code may take, in seconds.
TRIAL_TIMEOUT: Final = 30.0

#: Signals that arrive while the new code starts wait until it handles them.
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

#: What systemd says about descriptors is for the process that it has started, which this one will be no more.
_OF_SYSTEMD: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class NoUpgrade(Exception):
    """There is no upgrade. The text says why."""


class Upgradable(Protocol):
    """The supervisor."""

    @property
    def state(self) -> str:
        """``running``, ``draining`` or ``stopping``."""

    @property
    def upgrades(self) -> bool:
        """Whether it is not clear yet if the workers of the last upgrade come up."""

    def capture(self) -> SupervisorState:
        """Its state, without what is on its way to the workers."""

    def quiesce(self) -> Deferred[SupervisorState]:
        """Let everything rest that has to do with descriptors, and return the state."""

    def resume(self, state: SupervisorState) -> None:
        """Go on after :meth:`quiesce`, in the same process."""


class Upgrader:
    """
    Upgrades a supervisor.

    :param words: the program and the words of the command line, behind the module of the reactor: see
        :func:`bore.upgradetrial.tryOut`.
    :param execute: runs other code with a state, which it does not return from; raises OSError if it cannot.
    :param prepare: called just before that.
    :param resumed: called when it has come to nothing behind that.
    """

    _log: Final = Logger()

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        supervisor: Upgradable,
        words: Sequence[str],
        execute: Callable[[SupervisorState], object],
        prepare: Callable[[], object] = lambda: None,
        resumed: Callable[[], object] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._supervisor = supervisor
        self._words = words
        self._execute = execute
        self._prepare = prepare
        self._resumed = resumed
        self.busy = False

    def upgrade(self) -> Deferred[None]:
        """
        Upgrade.

        :returns: fires when the new code is known to start, just before it does; fails with :class:`NoUpgrade`.
        :raises NoUpgrade: when it cannot begin.
        """
        if self.busy:
            raise NoUpgrade("an upgrade is under way already")
        if self._supervisor.upgrades:
            raise NoUpgrade("the last upgrade is not complete yet")
        self._checkRunning()
        try:
            tried = self._try(self._supervisor.capture())
        except OSError as e:
            raise NoUpgrade(f"the new code cannot be tried: {e.strerror}") from e
        self.busy = True
        return tried.addCallbacks(self._tried, self._failed)

    def _tried(self, _: object) -> None:
        """The trial has succeeded. Whoever has asked gets the answer first."""
        self._reactor.callLater(0.1, self._begin)

    def _begin(self) -> None:
        # What is at rest cannot be stopped or reloaded: from now on signals are for the new code. What was caught
        # before is done in the next turn of the reactor, and a stop is known at its end.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._reactor.callLater(0, self._reactor.callLater, 0, self._rest, before)

    def _rest(self, before: Iterable[int]) -> None:
        """Have the supervisor come to rest. The signals are blocked that were not blocked before."""
        try:
            self._checkRunning()
        except NoUpgrade:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._failed(Failure())
            return
        self._sink.emit(Upgrading(__version__))
        self._prepare()
        rests = self._supervisor.quiesce().addCallback(self._run)
        rests.addErrback(self._goesOn, before)

    def _run(self, state: SupervisorState) -> None:
        try:
            self._checkRunning()
            self._execute(state)
        except OSError as e:
            self._supervisor.resume(state)
            raise NoUpgrade(f"{sys.executable} cannot be run: {e.strerror}") from e
        except BaseException:
            self._supervisor.resume(state)
            raise

    def _goesOn(self, reason: Failure, before: Iterable[int]) -> None:
        """The new code was not run."""
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._failed(reason)
        if reason.check(NoUpgrade) is None:
            self._log.failure("the state of the supervisor could not be handed over", reason)
        self._resumed()

    def _checkRunning(self) -> None:
        if self._supervisor.state != "running":
            raise NoUpgrade("the server is about to end")

    def _failed(self, reason: Failure) -> Failure:
        self.busy = False
        self._sink.emit(UpgradeFailed(str(reason.value)))
        return reason

    def _try(self, state: SupervisorState) -> Deferred[None]:
        """Have another process try the new code; fails with :class:`NoUpgrade`."""
        done: Deferred[None] = Deferred()
        fd = store(state)
        try:
            reading, writing = os.pipe()
        except OSError:
            os.close(fd)
            raise
        try:
            pid = startProcess(["trial", str(fd), *self._words], [fd], writing)
        except OSError as e:
            os.close(reading)
            done.errback(NoUpgrade(f"{sys.executable} cannot be run: {e.strerror}"))
            return done
        finally:
            os.close(fd)
            os.close(writing)
        lines: list[str] = []
        timer: list[IDelayedCall] = []

        def exited(status: int) -> None:
            inTime = timer[0].active()
            if inTime:
                timer[0].cancel()
            if not status:
                done.callback(None)
            elif not inTime:
                done.errback(NoUpgrade(f"the trial of the new code has not ended within {TRIAL_TIMEOUT:g} s"))
            else:
                done.errback(NoUpgrade("; ".join(lines) or f"the trial of the new code has failed, status {status}"))

        trial = WorkerProcess(self._reactor, pid, reading, lines.append, exited)
        timer.append(self._reactor.callLater(TRIAL_TIMEOUT, trial.kill))
        return done


def execute(state: SupervisorState, words: Sequence[str], environment: Mapping[str, str] = os.environ) -> NoReturn:
    """
    Run other code in this process, with a state. It inherits which signals are blocked.

    :param words: its command line, without the interpreter.
    :raises OSError: if it cannot be run.
    """
    fd = store(state)
    kept = [fd, *descriptorsIn(state)]
    variables = {name: value for name, value in environment.items() if name not in _OF_SYSTEMD}
    try:
        for each in kept:
            os.set_inheritable(each, True)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *words], {**variables, VARIABLE: str(fd)})  # noqa: S606
    except OSError:
        for each in kept:
            os.set_inheritable(each, False)
        os.close(fd)
        raise
    raise AssertionError("execve has returned")
