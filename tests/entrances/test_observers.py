"""How log events are written."""

from __future__ import annotations

import io
import json
import os
import tempfile
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bore.observers import Announcer, JSONObserver, TextObserver, observer
from bore.options.common import LogSettings
from tests.fakes import logObserver


def event(format: str, level: LogLevel = LogLevel.info, namespace: str = "bore.test", **fields: Any) -> LogEvent:
    events: list[LogEvent] = []
    Logger(namespace, observer=logObserver(events)).emit(level, format, **fields)
    return events[0]


class TextTests(SynchronousTestCase):
    """Lines for people."""

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
    """Lines for programs."""

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
    """What goes where."""

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
