"""Log observers."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import tempfile
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bore.logs.observers import Announcer, Escaper, JSONObserver, TextObserver, observer
from bore.logs.settings import LogSettings
from bore.logs.syslog import SyslogObserver
from tests.fakes import logObserver
from tests.support import temporaryFolder


def event(format: str, level: LogLevel = LogLevel.info, namespace: str = "bore.test", **fields: Any) -> LogEvent:
    events: list[LogEvent] = []
    Logger(namespace, observer=logObserver(events)).emit(level, format, **fields)
    return events[0]


class TextTests(SynchronousTestCase):
    """TextObserver."""

    def write(self, *events: LogEvent, journal: bool = False) -> list[str]:
        file = io.StringIO()
        made = TextObserver(file, journal)
        verifyObject(ILogObserver, made)
        for e in events:
            made(e)
        return file.getvalue().splitlines()

    def test_anEventIsOneLineWithTimeAndLevel(self) -> None:
        [line] = self.write(event("port {port} opened", port=8000))
        self.assertRegex(line, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info  port 8000 opened$")

    def test_whatAPeerWroteCannotReachTheTerminal(self) -> None:
        [line] = self.write(event("server error: {text}", text="\x1b[2J\nfake line\x07"))
        self.assertTrue(line.endswith(r"server error: \x1b[2J\nfake line\x07"), line)

    def test_theJournalGetsPriorities(self) -> None:
        levels = [LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical]
        lines = self.write(*[event("x", level) for level in levels], journal=True)
        self.assertEqual(lines, ["<7>x", "<6>x", "<4>x", "<3>x", "<2>x"])

    def test_aFaultInTheProgramHasItsTraceback(self) -> None:
        events: list[LogEvent] = []
        log = Logger("bore.test", observer=logObserver(events))
        try:
            raise ZeroDivisionError("by zero")
        except ZeroDivisionError:
            log.failure("oops")
        lines = self.write(*events, journal=True)
        self.assertEqual(lines[0], "<2>oops")
        self.assertIn("<2>ZeroDivisionError: by zero", lines)


class JSONTests(SynchronousTestCase):
    """JSONObserver."""

    def test_anEventIsOneObjectWithItsFields(self) -> None:
        file = io.StringIO()
        JSONObserver(file)(event("port {port} for {peer}", port=8000, peer=("a", 1), announce=True))
        entry = json.loads(file.getvalue())
        self.assertRegex(entry.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            entry,
            {
                "level": "info",
                "source": "bore.test",
                "event": None,
                "message": "port 8000 for ('a', 1)",
                "port": 8000,
                "peer": "('a', 1)",
            },
        )

    def test_aFieldCannotReplaceWhatEveryLineHas(self) -> None:
        file = io.StringIO()
        JSONObserver(file)(event("x", source="elsewhere", message="high"))
        entry = json.loads(file.getvalue())
        self.assertEqual((entry["source"], entry["message"]), ("bore.test", "x"))


class ChoiceTests(SynchronousTestCase):
    """Which event is written by which observer, and where."""

    def test_theLevelIsForOurOwnEventsAndWarningsOfOthersAlwaysCome(self) -> None:
        file = io.StringIO()
        chosen = observer(LogSettings("info", "text"), file)
        for e in (
            event("ours debug", LogLevel.debug),
            event("ours info"),
            event("theirs info", namespace="twisted.web"),
            event("theirs warn", LogLevel.warn, namespace="twisted.web"),
        ):
            chosen(e)
        self.assertEqual([line[20:] for line in file.getvalue().splitlines()], ["info  ours info", "warn  theirs warn"])

    def test_announcementsGoToStandardOutputAloneInText(self) -> None:
        for shared, expected in ((True, []), (False, ["listening"])):
            out: io.StringIO = io.StringIO()
            others: list[str] = []

            def other(e: LogEvent, others: list[str] = others) -> None:
                others.append(e["log_format"])

            announcer = Announcer(out, other, shared)  # type: ignore[arg-type]
            announcer(event("listening", announce=True))
            announcer(event("something", announce=False))
            self.assertEqual(out.getvalue(), "listening\n")
            self.assertEqual(others, [*expected, "something"])

    def test_theJournalIsRecognised(self) -> None:
        with tempfile.TemporaryFile("w+") as file:
            status = os.fstat(file.fileno())
            self.patch(os, "environ", {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
            observer(LogSettings("info", "text"), file)(event("hello"))
            file.seek(0)
            self.assertEqual(file.read(), "<6>hello\n")


class EscaperTests(SynchronousTestCase):
    """Escaper."""

    def test_whatAPeerWroteIsEscaped(self) -> None:
        evil = event("{peer}: {text} {error} {{}}", peer="a", text="\x1b[2J\n{x}", error=ValueError("\x07"))
        Escaper()(evil)
        Escaper()(evil)
        self.assertEqual(formatEvent(evil), r"a: \x1b[2J\n{x} \x07 {}")
        self.assertEqual(evil["text"], r"\x1b[2J\n{x}")

    def test_whatIsHarmlessStaysAsItIs(self) -> None:
        plain = event("{peer} asked for {port}", peer="a", port=1)
        before = dict(plain)
        Escaper()(plain)
        self.assertEqual(plain, before)


class SyslogTests(SynchronousTestCase):
    """SyslogObserver."""

    def setUp(self) -> None:
        self.place = temporaryFolder(self) / "log"
        self.observer = SyslogObserver("bore", (str(self.place.with_name("other")), str(self.place)))
        verifyObject(ILogObserver, self.observer)

    def daemon(self) -> socket.socket:
        daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(daemon.close)
        self.place.unlink(missing_ok=True)
        daemon.bind(str(self.place))
        daemon.setblocking(False)
        return daemon

    def read(self, daemon: socket.socket) -> list[str]:
        """Return all lines that were received, without their times."""
        lines = []
        try:
            while True:
                lines.append(re.sub(r"^(<\d+>)\w{3} \d\d \d\d:\d\d:\d\d ", r"\1", daemon.recv(4096).decode()))
        except BlockingIOError:
            return lines

    def test_anEventHasThePriorityOfItsLevel(self) -> None:
        daemon = self.daemon()
        for level in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical):
            self.observer(event("x", level))
        pid = os.getpid()
        self.assertEqual(self.read(daemon), [f"<{8 + each}>bore[{pid}]: x" for each in (7, 6, 4, 3, 2)])

    def test_whatAPeerWroteIsEscaped(self) -> None:
        daemon = self.daemon()
        self.observer(event("{text}", text="a\nb\x1b"))
        self.assertEqual(self.read(daemon), [rf"<14>bore[{os.getpid()}]: a\nb\x1b"])

    def test_aDaemonThatDoesNotReadBlocksNobodyAndTheCountIsSent(self) -> None:
        daemon = self.daemon()
        for number in range(1000):
            self.observer(event("{number}", number=number))
        taken = self.read(daemon)
        self.assertTrue(0 < len(taken) < 1000)
        self.observer(event("again"))
        missing = f"lines that were dropped, because the daemon did not read them: {1000 - len(taken)}"
        pid = os.getpid()
        self.assertEqual(self.read(daemon), [f"<12>bore[{pid}]: {missing}", f"<14>bore[{pid}]: again"])

    def test_aDaemonThatIsStartedAnewIsFound(self) -> None:
        self.observer(event("nobody is there"))
        self.daemon().close()
        self.observer(event("nor now"))
        daemon = self.daemon()
        self.observer(event("found"))
        self.assertEqual(len(self.read(daemon)), 2)
        daemon.close()
        daemon = self.daemon()
        self.observer(event("and again"))
        self.assertEqual(self.read(daemon), [f"<14>bore[{os.getpid()}]: and again"])

    def test_aTracebackHasLinesOfItsOwn(self) -> None:
        daemon = self.daemon()
        events: list[LogEvent] = []
        try:
            raise ZeroDivisionError("by zero")
        except ZeroDivisionError:
            Logger("bore.test", observer=logObserver(events)).failure("oops")
        self.observer(events[0])
        lines = self.read(daemon)
        self.assertEqual(lines[0], f"<10>bore[{os.getpid()}]: oops")
        self.assertTrue(lines[-1].endswith("\tZeroDivisionError: by zero"))
