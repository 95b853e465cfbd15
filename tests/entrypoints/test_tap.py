"""The services of the plugins, without twistd."""

from __future__ import annotations

from typing import cast

from twisted.application.service import Application, Service
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from bore import tap
from bore.logs.settings import LogSettings
from bore.startup import IProgramReactor
from tests.fakes import logObserver


class SyslogTests(SynchronousTestCase):
    """--syslog."""

    def test_itIsWrittenByOurObserverAtTheLevelThatWasAskedFor(self) -> None:
        written: list[str] = []

        @implementer(ILogObserver)
        class Observer:
            def __init__(self, prefix: str) -> None:
                self.prefix = prefix

            def __call__(self, event: LogEvent) -> None:
                written.append(f"{self.prefix}: {event['log_format']}")

        self.patch(tap, "SyslogObserver", Observer)
        application = Application("test")
        twistd = {"syslog": True, "prefix": "tunnel", "nodaemon": False}
        reactor = cast(IProgramReactor, None)
        tap.Daemon(reactor, Service(), list, LogSettings("info", "text"), twistd).setServiceParent(application)
        observer = application.getComponent(ILogObserver)
        events: list[LogEvent] = []
        log = Logger("bore.test", observer=logObserver(events))
        for level in (LogLevel.debug, LogLevel.info, LogLevel.warn):
            log.emit(level, level.name)
        for event in events:
            observer(event)
        self.assertEqual(written, ["tunnel: info", "tunnel: warn"])
