"""What the screen shows of the log and of standard error, and hostile texts."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase

from bore.client.log import ClientLog
from bore.events import Event, VisitorEnd
from bore.events.client import ServerLost, ServerTrusted, Stage, TunnelUp, Verdict, VisitorLeft, VisitorUnserved
from bore.screen.figures import Figures
from bore.screen.lines import Painter
from bore.screen.outputs import ScreenObserver, SharedOutput
from bore.screen.screen import Screen
from tests.fakes import captureLog, logObserver
from tests.screen.case import HOSTILE, NOON, cells, figures, texts, widths
from tests.screen.screencase import SERVER, TUNNEL, FakeClient, FakeDisplay, ScreenCase


class LogTests(ScreenCase):
    """What is logged."""

    def log(self, format: str, level: LogLevel = LogLevel.info, **fields: Any) -> None:
        events: list[LogEvent] = []
        Logger("bore.test", observer=logObserver(events)).emit(level, format, **fields)
        ScreenObserver(self.screen)(events[0])

    def logged(self, *events: Event) -> None:
        """Have events logged as a client does."""
        found = captureLog(self)
        log = ClientLog(Clock())
        for event in events:
            log(event)
        for entry in found:
            ScreenObserver(self.screen)(entry)

    def test_aLineIsShownWithItsTime(self) -> None:
        self.log("restart the program to change {keys}", LogLevel.warn, keys="a")
        self.assertEqual(self.display.take(), ["12:00:00 restart the program to change a"])

    def test_aLongLineIsWrapped(self) -> None:
        self.display.width = 39
        self.log("word " * 20)
        lines = self.display.take()
        self.assertEqual(len(lines), 3)
        self.assertLessEqual(max(map(cells, lines)), 39)

    def test_aLossIsShownOnceAndNotForEachAttempt(self) -> None:
        again = ServerLost(SERVER, Stage.UNREACHED, "refused", "", Verdict.RETRY, 1.0)
        self.logged(ServerLost(SERVER, Stage.TUNNEL, "gone", "", Verdict.RETRY, 1.0), again, again, again)
        self.assertEqual(
            self.display.take(), [f"12:00:00 lost {SERVER}: gone", f"12:00:00 cannot reach {SERVER}: refused"]
        )
        self.screen.happened(TunnelUp("a:1", TUNNEL.local, False, SERVER))
        self.logged(again)
        self.assertEqual(self.display.take(), [f"12:00:00 cannot reach {SERVER}: refused"])

    def test_whatIsInTheHeaderHasNoLine(self) -> None:
        self.logged(TunnelUp("a:1", TUNNEL.local, True, SERVER), ServerTrusted(SERVER, "SHA256:x", "known"))
        self.assertEqual(self.display.take(), [])
        self.follow()
        self.up()
        self.display.take()
        self.logged(ServerTrusted(SERVER, "SHA256:y", "announced"))
        self.assertEqual(len(self.display.take()), 1)

    def test_hostileTextsAreEscaped(self) -> None:
        for hostile in HOSTILE:
            for width in (10, 79):
                self.display.width = width
                self.log("{why}", why=hostile)
                self.logged(ServerLost(hostile, Stage.TUNNEL, hostile, "", Verdict.RETRY, 1.0, hostile))
                for line in self.display.take():
                    self.assertLessEqual(cells(line), width)
                    self.assertNotIn("\x1b", line)

    def test_faultsHaveTheirTracebacks(self) -> None:
        log = Logger("bore.test", observer=ScreenObserver(self.screen))
        try:
            raise ZeroDivisionError("by zero")
        except ZeroDivisionError:
            log.failure("oops")
        lines = self.display.take()
        self.assertEqual(lines[0], "12:00:00 oops")
        self.assertEqual(lines[-1], "ZeroDivisionError: by zero")

    def test_standardErrorIsShownLineByLine(self) -> None:
        output = SharedOutput(self.screen, 2, "utf-8")
        self.assertEqual((output.isatty(), output.fileno(), output.encoding), (True, 2, "utf-8"))
        print("bore local: not", file=output, end="")
        self.assertEqual(self.display.take(), [])
        print(" \x1b[2Jgood\nsecond", file=output)
        self.assertEqual(self.display.take(), [r"12:00:00 bore local: not \x1b[2Jgood", "12:00:00 second"])


class HostileTests(SynchronousTestCase):
    """What comes from elsewhere."""

    @settings(max_examples=25)
    @given(figures, st.lists(texts, min_size=6, max_size=6), widths, st.binary(max_size=16), st.booleans())
    def test_nothingControlsTheTerminalOrIsWiderThanIt(
        self, found: Figures, names: list[str], width: int, first: bytes, color: bool
    ) -> None:
        clock, display = Clock(), FakeDisplay()
        display.width = width
        screen = Screen(clock, display, Painter(color), lambda: True, lambda: NOON)
        screen.follow(FakeClient(), lambda: found)
        server, local, public, name, why, id = names
        for event in (
            ServerTrusted(server, why, why),
            TunnelUp(public, local, True, server, name),
            VisitorLeft(id, local, 1, 2, 3.0, VisitorEnd.FINISHED),
            VisitorUnserved(id, local, why),
            ServerLost(server, Stage.TUNNEL, why, why, Verdict.RETRY, 1.0, name),
            TunnelUp(public, local, True, server, name),
        ):
            screen.happened(event)
        screen.firstBytes(name, first)
        for _ in range(3):
            clock.advance(1)
            if width > 1:  # a wide character takes two cells
                self.assertLessEqual(max(map(cells, [*display.lines, display.last])), width)
        screen.stop()
