"""Screens as a terminal shows them."""

from __future__ import annotations

import shutil
from textwrap import indent
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.screen.case import plain
from tests.screen.record import ALL, RECORDED, recorded
from tests.support import CHECKOUT


def expected(scene: str, width: int) -> str:
    return (RECORDED / f"{scene}-{width}.txt").read_text(encoding="utf-8")


class RecordedTests(SynchronousTestCase):
    """Screens at three widths, in tmux."""

    def setUp(self) -> None:
        if shutil.which("tmux") is None:
            raise SkipTest("tmux is not installed")

    def test_theyAreAsRecorded(self) -> None:
        for (scene, width), found in recorded(ALL, colors=True).items():
            hint = f"{scene}, {width}: record it again by python -m tests.screen.record"
            self.assertEqual(plain(found), expected(scene, width), hint)
            self.assertIn("\x1b[32m", found)

    def test_withoutColoursAndUnicodeTheyAreReadable(self) -> None:
        [found] = recorded([("one", 80)], colors=True, NO_COLOR="1", PYTHONIOENCODING="ascii").values()
        self.assertTrue(found.isascii(), found)
        self.assertNotIn("\x1b", found)
        self.assertIn("* up since 12:00 | 3 open", found)


class DocumentTests(SynchronousTestCase):
    """docs/terminal.rst."""

    def test_itHasTheRecordedScreens(self) -> None:
        page = (CHECKOUT / "docs" / "terminal.rst").read_text(encoding="utf-8")
        for width in (40, 80):
            self.assertIn("::\n\n" + indent(expected("one", width), "    "), page)
