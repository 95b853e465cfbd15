"""The visitor log: which line a visitor has, and what the log of the server says of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink, VisitorEnd
from bore.events.server import (
    TurnedAway,
    VisitorCame,
    VisitorLeft,
    VisitorLinesDropped,
    VisitorLogFailed,
    VisitorLogReopened,
    VisitorRefused,
)
from bore.status.visitorlog import WINDOW, CannotLog, VisitorLog, nameOf
from bore.system.linefile import INTERVAL
from bore.wire.publicaddress import UnixPath
from tests.support import CHECKOUT, temporaryFolder
from tests.system.test_linefile import FULL, ThreadedClock

NOW = datetime.fromisoformat("2026-11-26T20:15:16.822+00:00").timestamp()

LEFT = VisitorLeft("id", 20080, 512, 48213, 12.504, VisitorEnd.FINISHED, "203.0.113.7:51034", "alice")
REFUSED = VisitorRefused(UnixPath("/run/a.sock"), "unix", TurnedAway.TOO_MANY, 7, "unix")


class VisitorLogCase(SynchronousTestCase):
    """A log in a folder."""

    def setUp(self) -> None:
        self.clock = ThreadedClock()
        self.sink = Sink()
        self.events: list[Event] = []
        self.path = temporaryFolder(self) / "visitors.log"

    def log(self, path: Path) -> VisitorLog:
        made = VisitorLog(self.clock, self.sink, path, lambda: NOW)
        self.sink.subscribe(self.events.append)
        return made

    def written(self) -> list[str]:
        self.clock.advance(INTERVAL)
        self.clock.answer()
        return self.path.read_text().splitlines()


class LineTests(VisitorLogCase):
    """The lines."""

    def test_aVisitorThatHasLeftHasALineWithAllThatIsKnown(self) -> None:
        log = self.log(self.path)
        self.assertEqual((self.sink.ends, self.sink.visitors), (True, False))
        self.sink.emit(VisitorCame("id", 20080, "203.0.113.7:51034"))
        self.sink.emit(LEFT)
        (line,) = self.written()
        self.assertIn(f"    {line}\n", (CHECKOUT / "docs" / "visitorlog.rst").read_text())
        log.close()

    def test_aLineIsJsonWhateverIsInIt(self) -> None:
        log = self.log(self.path)
        path = UnixPath('/run/a"\\\n\u00e9.sock')
        event = VisitorLeft("id", path, 1, 2, 0.0004, VisitorEnd.NOT_TAKEN, 'unix:/a"b', "")
        self.sink.emit(event)
        (line,) = map(json.loads, self.written())
        self.assertEqual((line["path"], line["from"], line["seconds"]), (path.path, event.visitor, 0.0))
        self.assertEqual((line["user"], line["reason"]), (None, "not-taken"))
        log.close()

    def test_oneThatAnotherProcessServesHasItsLineThere(self) -> None:
        log = self.log(self.path)
        self.sink.emit(replace(LEFT, reason=VisitorEnd.HANDED_OVER))
        self.sink.emit(LEFT)
        self.assertEqual(len(self.written()), 1)
        log.close()

    def test_aVisitorThatWasRefusedHasALineToo(self) -> None:
        log = self.log(self.path)
        self.sink.emit(REFUSED)
        (line,) = self.written()
        self.assertEqual(
            json.loads(line),
            {
                "when": "2026-11-26T20:15:16.822Z", "path": "/run/a.sock", "user": None, "from": "unix",
                "seconds": 0.0, "toClient": 0, "toVisitor": 0, "reason": "too-many",
            },
        )  # fmt: skip
        log.close()

    def test_everyReasonIsExplainedUnderANameOfItsOwn(self) -> None:
        names = [nameOf(reason) for kind in (VisitorEnd, TurnedAway) for reason in kind]
        self.assertEqual(len(set(names)), len(names))
        text = (CHECKOUT / "docs" / "visitorlog.rst").read_text()
        for name in names:
            self.assertEqual(f"\n``{name}``" in text, name != "handed-over", name)

    def test_theFileIsOpenedAgainOnRequest(self) -> None:
        log = self.log(self.path)
        self.sink.emit(LEFT)
        self.written()
        self.path.rename(self.path.with_suffix(".1"))
        log.reopen()
        self.sink.emit(REFUSED)
        self.assertEqual(len(self.written()), 1)
        self.assertEqual(self.events, [VisitorLogReopened(str(self.path)), REFUSED])
        log.close()


class TroubleTests(VisitorLogCase):
    """What becomes of lines that cannot be written."""

    def drop(self) -> None:
        self.sink.emit(LEFT)
        self.clock.advance(INTERVAL)
        self.clock.answer()

    def test_theFirstTroubleIsReportedAtOnceAndTheLinesOnceInAWindow(self) -> None:
        log, path = self.log(FULL), str(FULL)
        self.drop()
        self.drop()
        self.assertEqual(self.events, [VisitorLogFailed(path, "No space left on device")])
        self.clock.advance(WINDOW)
        self.drop()
        self.clock.advance(WINDOW)
        self.assertEqual(self.events[1:], [VisitorLinesDropped(path, 2), VisitorLinesDropped(path, 1)])
        log.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whenItWorksAgainThatIsTheEndOfIt(self) -> None:
        os.mkfifo(self.path)
        log, path = self.log(self.path), str(self.path)
        self.drop()
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.drop()
        self.assertEqual(len(os.read(reader, 9999).splitlines()), 1)
        self.clock.advance(WINDOW)
        self.clock.advance(WINDOW)
        self.assertEqual(self.events, [VisitorLogFailed(path, "nothing reads the pipe"), VisitorLinesDropped(path, 1)])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        log.close()

    def test_whatIsDroppedAtTheEndIsReported(self) -> None:
        log = self.log(FULL)
        self.sink.emit(LEFT)
        log.close()
        self.assertEqual(self.events, [VisitorLinesDropped(str(FULL), 1)])


class CannotLogTests(VisitorLogCase):
    """Paths that cannot be a log."""

    def error(self, path: Path) -> str:
        return str(self.assertRaises(CannotLog, self.log, path))

    def test_theErrorSaysWhatWouldBeRight(self) -> None:
        folder = self.path.parent
        self.assertEqual(
            self.error(folder / "none" / "a.log"),
            f"cannot write the visitor log {folder}/none/a.log: there is no directory {folder}/none: make it, or name "
            "another one",
        )
        self.assertIn(f"it is a directory: name a file in it, such as {folder}/visitors.log", self.error(folder))

    def test_aFileOrFolderOfAnotherUserIsNamed(self) -> None:
        if not os.geteuid():
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)
        self.assertIn("may not write /usr: give it the right", self.error(Path("/usr/visitors.log")))
        self.assertIn("may not write /etc/passwd: give it the right", self.error(Path("/etc/passwd")))
