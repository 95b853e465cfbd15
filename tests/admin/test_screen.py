"""Lines on a terminal, and elsewhere."""

from __future__ import annotations

import io
import os
import shutil

from twisted.trial.unittest import SynchronousTestCase

from bore.admin.layout import HEADING, Line
from bore.admin.screen import Screen


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


LINES = [Line("title", HEADING), Line(""), Line("text")]


class ScreenTests(SynchronousTestCase):
    """What is written."""

    def test_elsewhereItIsPlainTextWithAnEmptyLineBetweenBlocks(self) -> None:
        file = io.StringIO()
        screen = Screen(file, {}, redraws=True)
        screen.show(LINES)
        screen.show(LINES)
        self.assertEqual(file.getvalue(), "title\n\ntext\n\ntitle\n\ntext\n")

    def test_linesOfJsonFollowOneAnother(self) -> None:
        file = io.StringIO()
        screen = Screen(file, {}, separates=False)
        screen.show([Line("{}")])
        screen.show([Line("{}")])
        self.assertEqual(file.getvalue(), "{}\n{}\n")

    def test_aTerminalHasColoursUnlessTheyAreNotWanted(self) -> None:
        for environment, expected in (
            ({}, "\x1b[1mtitle\x1b[0m\n\ntext\n"),
            ({"NO_COLOR": ""}, "\x1b[1mtitle\x1b[0m\n\ntext\n"),
            ({"NO_COLOR": "1"}, "title\n\ntext\n"),
            ({"TERM": "dumb"}, "title\n\ntext\n"),
        ):
            file = Terminal()
            Screen(file, environment).show(LINES)
            self.assertEqual(file.getvalue(), expected)

    def test_aTerminalIsDrawnAnew(self) -> None:
        file = Terminal()
        screen = Screen(file, {"NO_COLOR": "1"}, redraws=True)
        screen.show(LINES)
        self.assertEqual(file.getvalue(), "\x1b[Htitle\x1b[K\n\x1b[K\ntext\x1b[K\n\x1b[J")

    def test_whatDoesNotFitTheTerminalIsCounted(self) -> None:
        self.patch(shutil, "get_terminal_size", lambda _: os.terminal_size((80, 5)))
        file = Terminal()
        screen = Screen(file, {"NO_COLOR": "1"}, redraws=True)
        screen.show([Line(str(number)) for number in range(9)])
        shown = file.getvalue().replace("\x1b[K", "").split("\n")
        self.assertEqual(shown[:3], ["\x1b[H0", "1", "2"])
        self.assertEqual(shown[3], "... and 6 more lines, which fit a higher terminal")

    def test_charactersThatTheOutputDoesNotHaveAreEscaped(self) -> None:
        file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        Screen(file, {}).show([Line("caf\u00e9")])
        file.seek(0)
        self.assertEqual(file.read(), "caf\\xe9\n")
