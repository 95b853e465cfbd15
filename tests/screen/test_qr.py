"""QR codes."""

from __future__ import annotations

import segno
from twisted.trial.unittest import SynchronousTestCase

from bore.screen.lines import Painter
from bore.screen.qr import qrLines
from tests.screen.case import cells

URL = "http://tunnel.example.com:20432"


def modules(lines: list[str]) -> list[list[bool]]:
    """Which modules are dark, as a scanner of a dark terminal sees them."""
    rows = []
    for line in lines:
        rows.append([char in " ▄" for char in line])
        rows.append([char in " ▀" for char in line])
    return rows


class QrTests(SynchronousTestCase):
    """qrLines()."""

    def test_itIsTheCodeWithALightBorder(self) -> None:
        found = modules(qrLines(URL, Painter(False), 79))
        matrix = [[bool(module) for module in row] for row in segno.make(URL, error="l", micro=False).matrix]
        size = len(matrix)
        self.assertEqual([row[2 : size + 2] for row in found[2 : size + 2]], matrix)
        border = [*found[:2], *found[size + 2 :], *(row[:2] + row[size + 2 :] for row in found)]
        self.assertFalse(any(any(row) for row in border))

    def test_anOrdinaryAddressFitsIntoFortyColumns(self) -> None:
        for color in (True, False):
            lines = qrLines(URL, Painter(color), 39)
            self.assertLessEqual(max(map(cells, lines)), 39)

    def test_whereItCannotBeShownTheErrorSaysWhy(self) -> None:
        self.assertRaisesRegex(ValueError, "too narrow.* needs 29 columns", qrLines, URL, Painter(False), 28)
        self.assertRaisesRegex(ValueError, "UTF-8", qrLines, URL, Painter(False, "ascii"), 79)
        self.assertRaisesRegex(ValueError, "too long", qrLines, "x" * 3000, Painter(False), 500)
