"""Text that is safe, cut and wrapped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.screen.cells import MAX_TEXT, cut, safe, widthOf, wrap
from bore.screen.lines import Painter, Style
from tests.screen.case import HOSTILE, cells, texts, widths

encodings = st.sampled_from(["utf-8", "ascii", "latin-1", "cp437"])


class SafeTests(SynchronousTestCase):
    """safe()."""

    @given(texts, encodings)
    def test_itControlsNothingAndCanBeEncoded(self, text: str, encoding: str) -> None:
        found = safe(text, encoding)
        self.assertEqual(widthOf(found), cells(found))
        found.encode(encoding)

    @given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
    def test_asciiStaysAsItIs(self, text: str) -> None:
        self.assertEqual(safe(text), text[:MAX_TEXT])

    def test_whatControlsTheTerminalIsEscaped(self) -> None:
        self.assertEqual(safe("\x1b[2Jé\u202e\n"), r"\x1b[2Jé\u202e\n")

    def test_marksAndVariantsAreBounded(self) -> None:
        self.assertEqual(len(safe("e" + "\u0301" * 500)), 3)
        self.assertEqual(safe("\N{WATCH}\ufe0f"), "\N{WATCH}")

    def test_aLongTextIsBounded(self) -> None:
        self.assertLessEqual(len(safe("\x1b" * 10**6)), 4 * MAX_TEXT)


class WidthTests(SynchronousTestCase):
    """widthOf()."""

    def test_itFollowsTheRulesOfWcwidth(self) -> None:
        for text, width in (("", 0), ("abc", 3), ("é", 1), ("e\u0301", 1), ("漢字", 4), ("Ｗ", 2), ("😀", 2), ("ｱ", 1)):
            self.assertEqual(widthOf(text), width, text)


class CutTests(SynchronousTestCase):
    """cut()."""

    @given(texts, widths, encodings)
    def test_itFits(self, text: str, width: int, encoding: str) -> None:
        found = cut(safe(text, encoding), width, encoding)
        self.assertLessEqual(cells(found), width)
        found.encode(encoding)

    def test_itShowsThatSomethingIsMissing(self) -> None:
        self.assertEqual(cut("abcdef", 4), "abc…")
        self.assertEqual(cut("abcdef", 4, "ascii"), "ab..")
        self.assertEqual(cut("漢字漢字", 6), "漢字…")
        self.assertEqual(cut("abc", 3), "abc")
        self.assertEqual(cut("abc", 1), "a")


class WrapTests(SynchronousTestCase):
    """wrap()."""

    @given(texts, widths, st.integers(0, 8))
    def test_eachLineFitsAndNothingIsLost(self, text: str, width: int, indent: int) -> None:
        shown = safe(text)
        lines = wrap(shown, width, indent)
        if width > 1:  # a wide character does not fit into one cell
            for line in lines:
                self.assertLessEqual(cells(line), width)
        self.assertEqual("".join(lines).replace(" ", ""), shown.replace(" ", ""))

    def test_itBreaksBetweenWords(self) -> None:
        self.assertEqual(wrap("the quick brown fox", 10), ["the quick", "brown fox"])
        self.assertEqual(wrap("the quick brown fox", 10, 2), ["the quick", "  brown", "  fox"])
        self.assertEqual(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"])
        self.assertEqual(wrap("", 4), [""])

    def test_hostileTextsDoNotHoldItUp(self) -> None:
        for text in HOSTILE:
            for width in (2, 40):
                self.assertLessEqual(len(Painter().wrapped(text * 1000, Style.PLAIN, width)), 12)
