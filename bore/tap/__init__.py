"""What the two twistd plugins have in common."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TextIO, TypeVar, cast

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from bore.commandline import Command, UsageError
from bore.observers import observer
from bore.options.common import LogSettings
from bore.streams.visitorlog import VisitorLog

C = TypeVar("C")


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
        """
        try:
            self.command = self.line.parse(sys.argv[1:] if options is None else options)
        except UsageError as e:
            raise usage.UsageError(str(e)) from e

    def __str__(self) -> str:
        return self.line.help()


class Daemon(MultiService):
    """
    A service under twistd, with our own way of logging.

    It goes where twistd would log to; ``--logger`` and ``--syslog`` of twistd are left alone.
    """

    def __init__(self, service: IService, log: LogSettings, twistd: Mapping[str, Any] | None) -> None:
        MultiService.__init__(self)
        self._log = log
        VisitorLog.wanted = log.level == "debug"
        self._twistd = {} if twistd is None else twistd
        service.setServiceParent(self)

    def setServiceParent(self, parent: object) -> None:
        """Join the application, and have it log through our observer."""
        MultiService.setServiceParent(self, parent)
        if isinstance(parent, Componentized) and not self._twistd.get("logger") and not self._twistd.get("syslog"):
            parent.setComponent(ILogObserver, observer(self._log, self._logFile()))

    def _logFile(self) -> TextIO:
        name = self._twistd.get("logfile")
        if name == "-" or (not name and self._twistd.get("nodaemon")):
            return sys.stdout
        file = LogFile.fromFullPath(os.path.abspath(name or "twistd.log"))
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, lambda *_: file.rotate())
        return cast(TextIO, file)
