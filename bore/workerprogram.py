"""What a worker process runs: a server that gets its connections and public addresses from the supervisor."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final

from bore import exits
from bore.events import (
    Event,
    NothingToReload,
    SettingsKept,
    SettingsMistake,
    SettingsReloaded,
    ShortSecret,
    Sink,
    Subscriber,
    server,
)

if TYPE_CHECKING:
    from typing import TextIO

    from twisted.internet.defer import Deferred

    from bore.events import Event
    from bore.options.server import ServerCommand
    from bore.server.core import ServerCore
    from bore.server.users import Authenticator
    from bore.startup import IProgramReactor, Program
    from bore.status.history import History
    from bore.workers.inside import Inside, Surroundings
    from bore.workers.reporter import Reporter
    from bore.workers.visitortable import VisitorTable, WorkersVisitors


def work(words: Sequence[str]) -> int:
    """
    Run a worker.

    :param words: the descriptors of its channel and its log, its number and generation, the module of the reactor, and
        the program and words of the server's command line.
    :returns: the exit code.
    """
    from bore.workers.signals import IGNORED

    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*IGNORED, signal.SIGTERM))
    channel, log, worker, generation = map(int, words[:4])
    reactorModule, program, *rest = words[4:]
    if reactorModule != "twisted.internet.epollreactor":
        import_module(reactorModule).install()
    from bore.system.openssl import withoutOpenSSL

    with withoutOpenSSL():
        from twisted.internet import reactor as untyped

        import bore.logs.observers
        import bore.options.server
        import bore.server.core
        import bore.serverparts  # noqa: F401
        from bore.startup import followRun, prepare
        from bore.system.signals import stop
        from bore.workers.worker import Worker

    for each in (channel, log):
        os.set_inheritable(each, False)
    reactor = prepare(untyped)
    made = _Made(reactor, program, rest, log, worker, generation)
    running = Worker(reactor, socket.socket(fileno=channel), made.build)
    followRun(reactor)
    reactor.addSystemEventTrigger("before", "shutdown", running.stop)
    running.ended.addCallback(lambda _: reactor.callWhenRunning(stop, reactor))
    reactor.run()
    return running.code


class _Made:
    """Makes what a worker has behind its channel, from the command line of the server."""

    def __init__(
        self, reactor: IProgramReactor, program: str, words: Sequence[str], log: int, number: int, generation: int
    ) -> None:
        self._reactor = reactor
        self._program = program
        self._words = words
        self._log = log
        self._number = number
        self._generation = generation

    def build(self, around: Surroundings) -> Inside:
        """
        Make it, when the supervisor has sent its first message.

        :raises bore.workers.inside.CannotStart: if the settings have mistakes, or cannot be applied.
        """
        from bore.commandline import BadFile, NotPossible, UsageError
        from bore.options.server import serverCommand
        from bore.server.controlsockets import CannotListen
        from bore.workers.inside import CannotStart

        line = serverCommand(self._program)

        def load() -> ServerCommand:
            command = line.parse(self._words)
            file = command.file  # the supervisor watches it
            return command if file is None else replace(command, file=replace(file, watch=False))

        try:
            command = load()
            self._beginLogging(command)
            return _Server(self._reactor, command, load, around)
        except BadFile as e:
            raise CannotStart(exits.USAGE, e.lines) from e
        except UsageError as e:
            raise CannotStart(exits.USAGE, [f"{e} (see '{e.command or self._program} --help')"]) from e
        except (NotPossible, CannotListen) as e:
            raise CannotStart(exits.FAILURE, [str(e)]) from e

    def _beginLogging(self, command: ServerCommand) -> None:
        from twisted.logger import globalLogBeginner

        from bore.logs.observers import labelled, observer
        from bore.logs.outlet import unblocked

        file: TextIO = open(self._log, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        inner = observer(command.log, unblocked(file, self._reactor))
        globalLogBeginner.beginLoggingTo([labelled(inner, self._number, self._generation)], redirectStandardIO=False)


#: Events of files that all workers read. One worker's are enough.
_OF_FILES: Final = (
    ShortSecret,
    NothingToReload,
    SettingsReloaded,
    SettingsMistake,
    SettingsKept,
    server.CertificateRead,
    server.CertificateUnchanged,
    server.CertificateNotRead,
    server.AuthoritiesRead,
    server.RevocationsRead,
    server.RevocationsNotRead,
    server.RevocationsOld,
    server.SecretsRead,
    server.SecretsNotRead,
    server.UsersNeedTls,
    server.UserAdded,
    server.UserChanged,
    server.UserRemoved,
    server.UserExpired,
)


class _SinkOfWorker(Sink):
    """
    The sink of a worker.

    :param isFirst: returns whether the worker is the one whose events of files count.
    :param unsaid: gets these events of the others.
    """

    __slots__ = ("_isFirst", "_unsaid")

    def __init__(
        self,
        failed: Callable[[Subscriber, Event], object],
        isFirst: Callable[[], bool],
        unsaid: Callable[[Event], object],
    ) -> None:
        Sink.__init__(self, failed)
        self._isFirst = isFirst
        self._unsaid = unsaid

    def emit(self, event: Event) -> None:
        """See :meth:`bore.events.Sink.emit`."""
        if isinstance(event, _OF_FILES) and not self._isFirst():
            self._unsaid(event)
        else:
            Sink.emit(self, event)


class _Server:
    """See :class:`bore.workers.inside.Inside`."""

    def __init__(
        self,
        reactor: IProgramReactor,
        command: ServerCommand,
        load: Callable[[], ServerCommand],
        around: Surroundings,
    ) -> None:
        from bore.server.core import ServerCore
        from bore.server.log import ServerLog
        from bore.serverparts import openVisitorLog, withFiles, withVisitorLog
        from bore.workers.pending import ReportedConnections
        from bore.workers.visitortable import VisitorTable

        log, table = ServerLog(reactor), VisitorTable(around.counters)
        os.close(around.counters)
        self._meanwhile: list[Event] | None = None
        self._sink = _SinkOfWorker(log.failed, partial(table.isFirst, around.welcome.worker), self._happened)
        self._sink.subscribe(log, command.log.visitors)
        self._settingsSink = Sink()  # the supervisor reports what is in the settings file
        for sink in (self._sink, self._settingsSink):
            sink.subscribe(self._happened)
        settings, number = command.settings, around.welcome.worker
        pending = ReportedConnections(reactor, self._sink, settings.bounds, around.pendingChanged)
        self._log = None if command.visitorLog is None else openVisitorLog(reactor, self._sink, command.visitorLog)

        def make(authenticator: Authenticator | None) -> ServerCore:
            return ServerCore(reactor, settings, self._sink, authenticator, None, number, around.custody, pending)

        self.core, served = withFiles(reactor, self._sink, command, load, make, self._settingsSink)
        self._program: Program = served
        if self._log is not None:
            self._program = withVisitorLog(reactor, self.core, served, self._log, rotates=False)
        self.core.server.guesses.share(around.welcome.workers)
        self._visitors = self._shareVisitors(reactor, table, around.welcome.worker)
        self._reactor, self._around = reactor, around
        self._history: History | None = None
        if command.admin is not None or command.statusPort is not None:
            from bore.status.history import History

            self._history = History(self._sink, server.VisitorRefused)
        self.core.begin()

    def _shareVisitors(self, reactor: IProgramReactor, table: VisitorTable, worker: int) -> WorkersVisitors | None:
        """Have the limits on the visitors of users hold for all workers."""
        from bore.workers.visitortable import WorkersVisitors

        users = self.core.server.users
        if users is None:
            return None
        users.shared = shared = WorkersVisitors(reactor, table, worker, users.visitors)
        return shared

    def makeReporter(self) -> Reporter | None:
        """See :class:`bore.workers.inside.Inside`."""
        if self._history is None:
            return None
        from bore.status.process import processReport
        from bore.status.server import ServerStatus
        from bore.status.serverroutes import serverTunnel
        from bore.workers.reporter import Reporter

        reactor, around = self._reactor, self._around
        status = ServerStatus(reactor, self.core, self._history, process=processReport)
        return Reporter(reactor, status.take, partial(serverTunnel, status), around.send, around.isFull)

    def start(self) -> None:
        """See :class:`bore.workers.inside.Inside`."""
        self._program.startService()

    def tick(self) -> None:
        """See :class:`bore.workers.inside.Inside`."""
        if self._visitors is not None:
            self._visitors.refresh()

    def reload(self) -> tuple[Sequence[str], str | None]:
        """See :class:`bore.workers.inside.Inside`."""
        from bore.status.routes import reloadLines

        found: list[Event] = []
        self._meanwhile = found
        try:
            if self._program is not self.core or self.core.hasFiles:
                self._program.reload()
        finally:
            self._meanwhile = None
        changes, mistakes, _ = reloadLines(found)
        return changes, "\n".join(mistakes) or None

    def rotate(self) -> None:
        """See :class:`bore.workers.inside.Inside`."""
        if self._log is not None:
            self._log.reopen()

    def stop(self) -> Deferred[object]:
        """See :class:`bore.workers.inside.Inside`."""
        from twisted.internet.defer import maybeDeferred

        return maybeDeferred(self._program.stopService).addCallback(self._stopped)

    def _stopped(self, result: object) -> object:
        if self._visitors is not None:
            self._visitors.stop()
        return result

    def _happened(self, event: Event) -> None:
        if self._meanwhile is not None:
            self._meanwhile.append(event)
