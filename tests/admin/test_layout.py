"""Tables that fit the terminal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.admin.layout import HEADING, Line, Row, listed, shownWidth, table, wrapped

HEADINGS = ("TUNNEL", "USER", "STATE", "OPEN")
ROWS = [
    Row(("20000", "", "up for 2 h", "3")),
    Row(("20001", "", "away for 13 s, kept for 47 s more", "12"), "33"),
]


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


class TableTests(SynchronousTestCase):
    """As wide as it may be, and no wider."""

    def test_columnsAreAlignedAndEmptyOnesAreLeftOut(self) -> None:
        lines = table(HEADINGS, ROWS, 80, ["OPEN"])
        self.assertEqual(
            texts(lines),
            [
                "TUNNEL  STATE                              OPEN",
                "20000   up for 2 h                            3",
                "20001   away for 13 s, kept for 47 s more    12",
            ],
        )
        self.assertEqual([line.mark for line in lines], [HEADING, "", "33"])

    def test_textIsWrappedWhereTheTableIsTooWide(self) -> None:
        self.assertEqual(
            texts(table(HEADINGS, ROWS, 36, ["OPEN"])),
            [
                "TUNNEL  STATE                   OPEN",
                "20000   up for 2 h                 3",
                "20001   away for 13 s, kept       12",
                "        for 47 s more",
            ],
        )

    def test_eachRowIsAListWhereNoTableFits(self) -> None:
        self.assertEqual(
            texts(table(HEADINGS, ROWS, 20, ["OPEN"])),
            [
                "20000",
                "  state  up for 2 h",
                "  open   3",
                "20001",
                "  state  away for",
                "         13 s, kept",
                "         for 47 s",
                "         more",
                "  open   12",
            ],
        )

    def test_aListAboutANumberSaysOfWhat(self) -> None:
        lines = table(("WORKER", "STATE"), [Row(("3", "serving, does not answer"))], 14, ["WORKER"])
        self.assertEqual(texts(lines)[0], "worker 3")

    def test_anAddressIsBrokenBehindItsSigns(self) -> None:
        for width, expected in (
            (20, ["127.0.0.1:20080 is", "down"]),
            (12, ["127.0.0.1:", "20080 is", "down"]),
            (9, ["127.0.0.", "1:20080", "is down"]),
        ):
            self.assertEqual(wrapped("127.0.0.1:20080 is down", width), expected)
        self.assertEqual(wrapped("x" * 25, 10), ["x" * 10, "x" * 10, "x" * 5])

    def test_wideCharactersTakeTwoColumns(self) -> None:
        self.assertEqual([shownWidth(text) for text in ("abc", "\u65e5\u672c", "e\u0301")], [3, 4, 1])
        first, second = texts(table(("A", "B"), [Row(("\u65e5\u672c", "x"))], 80))
        self.assertEqual((first, second), ("A     B", "\u65e5\u672c  x"))

    def test_aListLeavesOutWhatHasNoText(self) -> None:
        lines = listed("title", [("one", "1"), ("two", ""), ("three", "3")], 80)
        self.assertEqual(texts(lines), ["title", "  one    1", "  three  3"])
