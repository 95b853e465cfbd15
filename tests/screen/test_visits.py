"""The lines of visits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.events import VisitorEnd
from bore.events.client import VisitorLeft, VisitorUnserved
from bore.screen.lines import Line, Painter
from bore.screen.visits import MOST_LINES, Visits
from tests.screen.case import cells, texts, widths

LOCAL = "localhost:8000"


def left(end: VisitorEnd = VisitorEnd.FINISHED, seconds: float = 0.31) -> VisitorLeft:
    return VisitorLeft("id", LOCAL, 1200, 45_000, seconds, end)


def text(line: Line | None) -> str:
    return "" if line is None else Painter(False).paint(line, 500)


class VisitsTests(SynchronousTestCase):
    """Visits."""

    def setUp(self) -> None:
        self.visits = Visits(Painter().glyphs)

    def happened(self, event: VisitorLeft | VisitorUnserved, name: str = "") -> str:
        return text(self.visits.happened(event, {LOCAL: name} if name else {}))

    def test_aVisitHasALine(self) -> None:
        self.assertEqual(self.happened(left()), "visit of 310 ms, ↓ 1.2 kB ↑ 45 kB")
        self.assertEqual(self.happened(left(), "web"), "web: visit of 310 ms, ↓ 1.2 kB ↑ 45 kB")
        self.assertEqual(
            self.happened(left(VisitorEnd.VISITOR_CUT, 75)),
            "visit of 1 min 15 s, ↓ 1.2 kB ↑ 45 kB, the visitor's side was cut",
        )
        for address, host in (("203.0.113.7:51034", "203.0.113.7"), ("[2001:db8::7]:51034", "2001:db8::7")):
            event = VisitorLeft("id", LOCAL, 1200, 45_000, 0.31, VisitorEnd.FINISHED, address)
            self.assertEqual(text(Visits(Painter().glyphs).happened(event, {})), f"{host}: 310 ms, ↓ 1.2 kB ↑ 45 kB")
        self.assertEqual(self.happened(VisitorUnserved("id", LOCAL, "refused")), "visit not served: refused")

    def test_beyondAFewASecondThereIsASum(self) -> None:
        lines = [self.happened(left()) for _ in range(MOST_LINES + 3)]
        self.assertEqual([bool(line) for line in lines], [True] * MOST_LINES + [False] * 3)
        self.assertEqual(self.happened(VisitorUnserved("id", LOCAL, "refused")), "")
        self.assertEqual(text(self.visits.sum()), "and 4 more visits, ↓ 3.6 kB ↑ 135 kB, 1 not served")

    def test_whileABurstGoesOnThereAreSumsAlone(self) -> None:
        for _ in range(MOST_LINES + 3):
            self.happened(left())
        self.visits.sum()
        for _ in range(2):
            self.assertFalse(any(self.happened(left()) for _ in range(MOST_LINES + 3)))
            self.assertEqual(text(self.visits.sum()), "7 visits, ↓ 8.4 kB ↑ 315 kB")
        self.assertEqual(self.happened(left()), "")
        self.assertEqual(text(self.visits.sum()), "1 visit, ↓ 1.2 kB ↑ 45 kB")
        self.assertEqual(text(self.visits.sum()), "")
        self.assertTrue(self.happened(left()))

    def test_onAStoppedTerminalAllAreSummedUp(self) -> None:
        self.visits.held = True
        for _ in range(1000):
            self.assertEqual(self.happened(left()), "")
            self.assertIsNone(self.visits.sum())
        self.visits.held = False
        self.assertEqual(text(self.visits.sum()), "1000 visits, ↓ 1.2 MB ↑ 45 MB")

    @given(texts, texts, st.integers(0, 10**18), st.floats(0, 1e9), st.sampled_from(VisitorEnd), widths)
    def test_noLineIsWiderThanTheTerminal(
        self, name: str, error: str, size: int, seconds: float, end: VisitorEnd, width: int
    ) -> None:
        visits = Visits(Painter().glyphs)
        for event in (VisitorLeft("id", LOCAL, size, size, seconds, end, error), VisitorUnserved("id", LOCAL, error)):
            line = visits.happened(event, {LOCAL: name})
            assert line is not None
            self.assertLessEqual(cells(Painter().paint(line, width)), width)
