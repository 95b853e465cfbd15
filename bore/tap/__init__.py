"""What the two twistd plugins have in common."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic, TextIO, TypeVar, cast

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from bore.commandline import Command, UsageError
from bore.logs.observers import Escaper, filtered, observer
from bore.logs.outlet import finish, unblocked
from bore.logs.settings import LogSettings
from bore.logs.syslog import SyslogObserver
from bore.startup import IProgramReactor, followRun
from bore.system.signals import handleHangup, handleStop
from bore.tap.pidfile import checkPidfile

C = TypeVar("C")


class Options(usage.Options, Generic[C]):
    """
    One of our command lines, with the interface that twistd expects.

    :ivar line: the command line, set by the subclass.
    :ivar command: the result of :meth:`parseOptions`.
    :ivar words: the command line that was parsed.
    """

    line: Command[C]
    command: C
    words: Sequence[str]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse a command line.

        :raises twisted.python.usage.UsageError: if it is invalid.
        :raises SystemExit: see :func:`checkPidfile`.
        """
        self.words = sys.argv[1:] if options is None else options
        try:
            self.command = self.parseAgain()
        except UsageError as e:
            raise usage.UsageError(str(e)) from e
        pidfile = (getattr(self, "parent", None) or {}).get("pidfile")
        if pidfile:
            checkPidfile(Path(pidfile))

    def parseAgain(self) -> C:
        """
        Parse the command line again, and so read its settings file.

        :raises UsageError: if it is invalid.
        """
        return self.line.parse(self.words)

    def __str__(self) -> str:
        return self.line.help()


class Daemon(MultiService):
    """
    A service under twistd, with our log and our handling of signals.

    The log goes where twistd's would go. Events for the observer of twistd's ``--logger`` are escaped first.

    :param reactor: the result of :func:`bore.startup.prepare`.
    :param service: the service.
    :param reload: reads its files again.
    :param log: the settings of the log.
    :param twistd: twistd's own options.
    :param expected: errors at the start of the service that are explained by their text: twistd ends without a
        traceback.
    """

    def __init__(
        self,
        reactor: IProgramReactor,
        service: IService,
        reload: Callable[[], object],
        log: LogSettings,
        twistd: Mapping[str, object] | None,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        MultiService.__init__(self)
        self._reactor = reactor
        self._reload = reload
        self._log = log
        self._expected = expected
        self._twistd = {} if twistd is None else twistd
        self._file: TextIO | None = None
        service.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Start what needs privileges. twistd has forked when it calls this, and it drops the privileges afterwards."""
        handleStop(self._reactor)
        handleHangup(self._reactor, self._reload)
        try:
            MultiService.privilegedStartService(self)
        except self._expected as e:
            _logWithoutTraceback(e)
            raise

    def startService(self) -> None:
        """Start."""
        followRun(self._reactor)
        # twistd ends itself by the signal that has stopped it, and atexit is not reached.
        self._reactor.addSystemEventTrigger("after", "shutdown", finish)
        MultiService.startService(self)

    def setServiceParent(self, parent: object) -> None:
        """Join the application, and give it our log observer."""
        MultiService.setServiceParent(self, parent)
        if self._twistd.get("logger"):
            globalLogPublisher.addObserver(Escaper())
        elif isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer())

    def copy(self, line: str) -> None:
        """Log a line that another process has formatted."""
        if self._file is None:
            Logger(namespace="bore").info("{line}", line=line)
        else:
            self._file.write(line + "\n")
            self._file.flush()

    def _observer(self) -> ILogObserver:
        if self._twistd.get("syslog"):
            return filtered(self._log, SyslogObserver(str(self._twistd["prefix"])))
        self._file = self._logFile()
        return observer(self._log, self._file)

    def _logFile(self) -> TextIO:
        name = cast("str | None", self._twistd.get("logfile"))
        if logsToOutput(self._twistd):
            return unblocked(sys.stdout, self._reactor)
        try:
            file = LogFile.fromFullPath(os.path.abspath(name or "twistd.log"))
        except OSError as e:
            sys.exit(
                f"twistd: cannot log to {name or 'twistd.log'}: {e.strerror}. Name another file with --logfile, or use "
                "--nodaemon --logfile=- for standard output"
            )
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(file.rotate))
        return cast(TextIO, file)


def logsToOutput(twistd: Mapping[str, object]) -> bool:
    """
    Whether the log goes to standard output.

    :param twistd: the options of twistd.
    """
    name, elsewhere = twistd.get("logfile"), twistd.get("syslog") or twistd.get("logger")
    return not elsewhere and bool(name == "-" or (not name and twistd.get("nodaemon")))


def _logWithoutTraceback(error: Exception) -> None:
    """Make Python log this error in one line, if the error ends the process; the exit code is 1."""
    previous = sys.excepthook

    def hook(kind: type[BaseException], value: BaseException, traceback: TracebackType | None) -> None:
        if value is error:
            Logger().critical("{error}", error=value)
        else:
            previous(kind, value, traceback)

    sys.excepthook = hook
