"""What ``bore server --workers`` and its twistd plugin run: the supervisor, and what reloads its settings file."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from signal import SIG_UNBLOCK, pthread_sigmask
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from bore.events import Event, SettingsMistake
from bore.events.server import UpgradeRefused, WorkerRetired
from bore.options.server import ServerCommand
from bore.server.log import logged
from bore.serversockets import keptSockets
from bore.startup import IProgramReactor
from bore.system.signals import handleRotation, handleUpgrade
from bore.wire.workermessages import Done
from bore.workers.handover import SupervisorState
from bore.workers.launcher import Launcher
from bore.workers.supervisor import Supervisor
from bore.workers.upgrade import SIGNALS, NoUpgrade, Upgrader

if TYPE_CHECKING:
    from bore.events import Sink
    from bore.reloading import Reloading
    from bore.status.notices import Notices
    from bore.wire.publicaddress import PublicAddress
    from bore.workers.answers import Reloaded


class SupervisorProgram(Service):
    """
    A supervisor as a whole program.

    :param load: parses the command line again.
    :param gaveUp: called with the failure when the first worker could not start: the program has to end.
    :param sockets: listening sockets to serve as control ports.
    :param launcher: starts the workers.
    :param state: what an earlier process has left; None: there was none.
    :param execute: see :class:`bore.workers.upgrade.Upgrader`.
    """

    def __init__(
        self,
        reactor: IProgramReactor,
        command: ServerCommand,
        load: Callable[[], ServerCommand],
        gaveUp: Callable[[Failure], object],
        sockets: Sequence[socket.socket],
        launcher: Launcher,
        state: SupervisorState | None = None,
        execute: Callable[[SupervisorState], object] = lambda state: None,
    ) -> None:
        assert command.workers is not None
        self._reactor = reactor
        self._sink = logged(reactor)
        self._gaveUp = gaveUp
        self._launcher = launcher
        self._sink.subscribe(self._happened)
        self._meanwhile: list[Event] | None = None
        self._goesOn = state is not None
        settings, hasUsers = command.settings, command.users is not None
        parts = sockets, launcher, keptSockets(reactor, settings, names=() if state is None else state.stored)
        self.supervisor = Supervisor(reactor, self._sink, settings, command.workers, hasUsers, *parts)
        if state is not None:
            self.supervisor.adopt(state)
        self._reloading = self._withFile(command, load)
        self.upgrader = Upgrader(
            reactor, self._sink, self.supervisor, launcher.words, execute, self._prepare, self._ready
        )
        self._notices = self._makeNotices()

    @property
    def sink(self) -> Sink:
        """Its events."""
        return self._sink

    def privilegedStartService(self) -> None:
        """Start what needs privileges."""
        self.supervisor.privilegedStartService()

    def startService(self) -> None:
        """Start. Workers are started when the reactor runs."""
        Service.startService(self)
        (self._reloading or self.supervisor).startService()
        handleRotation(self._reactor, self.rotate)
        handleUpgrade(self._reactor, self._upgradeOnSignal)
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[object]:
        """Stop."""
        Service.stopService(self)
        return maybeDeferred((self._reloading or self.supervisor).stopService)

    def reload(self) -> Deferred[Reloaded]:
        """
        Read the files again, here and in all workers.

        :returns: fires with what that has changed.
        """
        if self._notices is not None:
            self._notices.reloading()
        found: list[Event] = []
        self._meanwhile = found
        try:
            if self._reloading is not None:
                self._reloading.reload()
        finally:
            self._meanwhile = None
        return self._orderReload(found)

    def _orderReload(self, events: list[Event]) -> Deferred[Reloaded]:
        """
        Have the workers read the files.

        :param events: what has happened when the supervisor has read them.
        """
        return self.supervisor.orders.giveAll("reload").addCallback(self._reloaded, events)

    def drain(self, seconds: float) -> int:
        """See :meth:`bore.workers.supervisor.Supervisor.drain`."""
        return self.supervisor.drain(seconds)

    def kick(self, user: str | None, address: PublicAddress | None) -> Deferred[Sequence[int]]:
        """See :class:`bore.workers.routes.OperatedServer`."""
        from bore.workers.answers import kicked

        unserved = self.supervisor.custody.kick(user, address)

        def answered(answers: list[tuple[int, Done | None]]) -> Sequence[int]:
            sessions, tunnels, visitors = kicked(answer for _, answer in answers if answer is not None)
            return sessions, tunnels + unserved, visitors

        return self.supervisor.orders.giveAll("kick", user, address).addCallback(answered)

    def rotate(self) -> None:
        """Have the files opened again that are written."""
        self.supervisor.orders.giveAll("rotate")

    def upgrade(self) -> Deferred[None]:
        """See :meth:`bore.workers.upgrade.Upgrader.upgrade`."""
        return self.upgrader.upgrade()

    def _upgradeOnSignal(self) -> None:
        try:
            self.upgrade().addErrback(lambda _: None)  # the log has the reason
        except NoUpgrade as e:
            self._sink.emit(UpgradeRefused(str(e)))

    def _begin(self) -> None:
        pthread_sigmask(SIG_UNBLOCK, SIGNALS)  # an earlier process has blocked them: from now on they are handled
        # Behind what the program has for the second signal of a single process.
        self._reactor.addSystemEventTrigger("before", "shutdown", endAllOnNextSignal, self)
        if self._goesOn and self._notices is not None:
            self._notices.goOn()
        if self.running:
            self.supervisor.begin().addCallbacks(lambda _: self._ready(), self._failed)

    def _ready(self) -> None:
        """All workers are ready."""
        if self._notices is not None:
            self._notices.ready()

    def _prepare(self) -> None:
        """Another code is about to be run."""
        if self._notices is not None:
            self._notices.reloading()

    def _makeNotices(self) -> Notices | None:
        """What the service manager gets to know, if one has started the program."""
        if "NOTIFY_SOCKET" not in os.environ:
            return None
        from bore.status.notices import Notices
        from bore.status.statuslines import SupervisorLine
        from bore.system.notify import Notifier, watchdogInterval

        supervisor = self.supervisor
        status = SupervisorLine(
            lambda: [at for at, _ in supervisor.controlPorts],
            lambda: len(supervisor.crew.ready),
            lambda: len(supervisor.custody),
            lambda: sum(each.load.sessions for each in supervisor.crew.members() if each.load is not None),
        )
        notifier = Notifier(os.environ["NOTIFY_SOCKET"])
        interval, alive = watchdogInterval(os.environ), lambda: self.supervisor.alive
        notices = Notices(self._reactor, self._sink, notifier, status, alive, interval)
        supervisor.loaded = notices.look
        return notices

    def _failed(self, reason: Failure) -> None:
        if self.running:
            self._gaveUp(reason)

    def _withFile(self, command: ServerCommand, load: Callable[[], ServerCommand]) -> Reloading[ServerCommand] | None:
        """Have the settings file read again, if there is one. When it is, the workers read it as well."""
        if command.file is None:
            return None
        from bore.reloading import Reloading

        def apply(new: ServerCommand) -> Sequence[str]:
            self.supervisor.apply(new.settings, new.workers)
            if self._meanwhile is None:  # the file has changed, and nobody has asked for a reload
                self._orderReload([])
            return ()

        return Reloading(self._reactor, self._sink, self.supervisor, command, load, apply)

    def _reloaded(self, answers: list[tuple[int, Done | None]], events: list[Event]) -> Reloaded:
        """Put together what a reload has changed, and log what the workers have found wrong."""
        from bore.status.routes import reloadLines
        from bore.workers.answers import Reloaded, reloaded

        own = Reloaded(*reloadLines(events))
        logged = list(own.mistakes)
        for number, answer in answers:
            if answer is not None and answer.problem and self._launcher.table.isFirst(number):
                logged += answer.problem.splitlines()  # by itself
        for line in reloaded(own._replace(mistakes=logged), answers).mistakes:
            if line not in logged:
                self._sink.emit(SettingsMistake(line))
        found = reloaded(own, answers)
        if self._notices is not None:
            self._notices.ready()
        return found

    def _happened(self, event: Event) -> None:
        if self._meanwhile is not None and not isinstance(event, WorkerRetired):  # it ends as the file says
            self._meanwhile.append(event)


def endAllOnNextSignal(program: SupervisorProgram) -> None:
    """Have the next SIGINT or SIGTERM end all processes at once; they are ending already."""

    def end(number: int, _: object) -> None:
        program.supervisor.crew.killAll()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)
