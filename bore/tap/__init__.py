"""What the two twistd plugins have in common."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, TextIO, TypeVar, cast

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from bore.commandline import Command, UsageError
from bore.logs.observers import Escaper, filtered, observer
from bore.logs.outlet import finish, unblocked
from bore.logs.syslog import SyslogObserver
from bore.options.common import LogSettings
from bore.streams.visitorlog import VisitorLog
from bore.system.clock import useMonotonicClock
from bore.system.limits import raiseDescriptorLimit
from bore.system.memory import settle
from bore.system.signals import IReactorSignals, endOnNextSignal, handleHangup
from bore.tap.pidfile import checkPidfile

C = TypeVar("C")


def prepare() -> IReactorSignals:
    """Prepare the process for what runs in the reactor, before anything is made that does."""
    from twisted.internet import reactor

    raiseDescriptorLimit()
    useMonotonicClock(reactor)
    return cast(IReactorSignals, reactor)


class Options(usage.Options, Generic[C]):
    """
    A command line of ours, behind the face that twistd expects.

    :ivar command: the result, once :meth:`parseOptions` was called.
    """

    line: ClassVar[Command[Any]]
    command: C

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read a command line.

        :raises twisted.python.usage.UsageError: when something is wrong with it.
        :raises SystemExit: see :func:`checkPidfile`.
        """
        try:
            self.command = self.line.parse(sys.argv[1:] if options is None else options)
        except UsageError as e:
            raise usage.UsageError(str(e)) from e
        pidfile = (getattr(self, "parent", None) or {}).get("pidfile")
        if pidfile:
            checkPidfile(Path(pidfile))

    def __str__(self) -> str:
        return self.line.help()


class Daemon(MultiService):
    """
    A service under twistd, with our own way of logging, and of following signals.

    It logs where twistd would log to. Events for the observer of twistd's ``--logger`` are made safe before.

    :param reactor: what :func:`prepare` has returned.
    :param service: what runs.
    :param reload: reads its files again.
    :param log: how it logs.
    :param twistd: twistd's own options.
    :param expected: errors of the service's start whose text says all: they end twistd without a traceback.
    """

    def __init__(
        self,
        reactor: IReactorSignals,
        service: IService,
        reload: Callable[[], object],
        log: LogSettings,
        twistd: Mapping[str, Any] | None,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        MultiService.__init__(self)
        self._reactor = reactor
        self._reload = reload
        self._log = log
        self._expected = expected
        VisitorLog.wanted = log.level == "debug"
        self._twistd = {} if twistd is None else twistd
        service.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Start what needs rights that the process gives up later. Only now it is the process that will stay."""
        handleHangup(self._reactor, self._reload)
        try:
            MultiService.privilegedStartService(self)
        except self._expected as e:
            _sayOnly(e)
            raise

    def startService(self) -> None:
        """Start."""
        self._reactor.addSystemEventTrigger("before", "shutdown", endOnNextSignal)
        self._reactor.addSystemEventTrigger("after", "shutdown", finish)  # twistd ends with the signal that stops it
        self._reactor.callWhenRunning(settle)
        MultiService.startService(self)

    def setServiceParent(self, parent: object) -> None:
        """Join the application, and have it log through our observer."""
        MultiService.setServiceParent(self, parent)
        if self._twistd.get("logger"):
            globalLogPublisher.addObserver(Escaper())
        elif isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer())

    def _observer(self) -> ILogObserver:
        if self._twistd.get("syslog"):
            return filtered(self._log, SyslogObserver(self._twistd["prefix"]))
        return observer(self._log, self._logFile())

    def _logFile(self) -> TextIO:
        name = self._twistd.get("logfile")
        if name == "-" or (not name and self._twistd.get("nodaemon")):
            return unblocked(sys.stdout, self._reactor)
        try:
            file = LogFile.fromFullPath(os.path.abspath(name or "twistd.log"))
        except OSError as e:
            sys.exit(
                f"twistd: cannot log to {name or 'twistd.log'}: {e.strerror}: give --logfile a file that can be "
                "written, or - together with --nodaemon for standard output"
            )
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(file.rotate))
        return cast(TextIO, file)


def _sayOnly(error: Exception) -> None:
    """Have Python say in one line of the log why the process ends, when it does of this error, and end it with 1."""
    others = sys.excepthook

    def hook(kind: type[BaseException], value: BaseException, traceback: TracebackType | None) -> None:
        if value is error:
            Logger().critical("{error}", error=value)
        else:
            others(kind, value, traceback)

    sys.excepthook = hook
