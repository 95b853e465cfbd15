"""Times and amounts in words."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.screen.words import amount, clockTime, duration, roundTrip, shortAmount, wholeSeconds
from tests.screen.case import NOON


class WordsTests(SynchronousTestCase):
    """Each kind of word."""

    def test_durations(self) -> None:
        for seconds, text in (
            (-1, "0 ms"), (0.0404, "40 ms"), (0.9996, "1.0 s"), (1.25, "1.2 s"), (9.94, "9.9 s"), (9.96, "10 s"),
            (13.2, "13 s"), (59.4, "59 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (7400, "2 h 3 min"),
            (86400, "1 d"), (100_000, "1 d 3 h"),
        ):  # fmt: skip
            self.assertEqual(duration(seconds), text)
        self.assertEqual([wholeSeconds(each) for each in (0.9, 9.6, 9.96, 75)], ["0 s", "9 s", "10 s", "1 min 15 s"])

    def test_amounts(self) -> None:
        for size, text, short in (
            (0, "0 B", "0"), (999, "999 B", "999"), (1000, "1.0 kB", "1.0k"), (9_949, "9.9 kB", "9.9k"),
            (9_960, "10 kB", "10k"), (999_499, "999 kB", "999k"), (999_600, "1.0 MB", "1.0M"),
            (45_000_000, "45 MB", "45M"), (10**15, "1.0 PB", "1.0P"), (10**19, "10000 PB", "10000P"),
        ):  # fmt: skip
            self.assertEqual((amount(size), shortAmount(size)), (text, short))

    def test_roundTrips(self) -> None:
        self.assertEqual(
            [roundTrip(each) for each in (0.00004, 0.0012, 0.0231, 1.5)], ["0.0 ms", "1.2 ms", "23 ms", "1500 ms"]
        )

    def test_timesOfTheClock(self) -> None:
        self.assertEqual(clockTime(NOON, NOON), "12:00")
        self.assertEqual(clockTime(NOON - timedelta(days=1), NOON), "2026-11-25 12:00")

    @given(st.integers(0, 10**18))
    def test_anAmountIsShort(self, size: int) -> None:
        self.assertLessEqual(len(amount(size)), 7)

    @given(st.floats(0, 1e9))
    def test_aDurationIsShort(self, seconds: float) -> None:
        self.assertLessEqual(len(duration(seconds)), 12)
