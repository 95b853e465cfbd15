"""Durations and amounts in words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.admin.units import amount, counted, delay, duration


class UnitsTests(SynchronousTestCase):
    """Words of people."""

    def test_aDurationHasItsTwoLargestUnits(self) -> None:
        for seconds, text in (
            (None, ""),
            (-5, "0 s"),
            (0.9, "0 s"),
            (13.7, "13 s"),
            (60, "1 min"),
            (125, "2 min 5 s"),
            (3600, "1 h"),
            (7500, "2 h 5 min"),
            (3605, "1 h"),
            (90000, "1 d 1 h"),
            (1e300, "11574 d 1 h"),
        ):
            self.assertEqual(duration(seconds), text)

    def test_anAmountHasTwoDigitsAtLeast(self) -> None:
        for size, text in (
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_234_567, "1.2 MB"),
            (9_960_000, "10 MB"),
            (999_400, "999 kB"),
            (999_600, "1.0 MB"),
            (3_400_000_000, "3.4 GB"),
            (1 << 62, "4612 PB"),
        ):
            self.assertEqual(amount(size), text)

    def test_aRoundTripIsInMilliseconds(self) -> None:
        found = [delay(seconds) for seconds in (None, 0.0004, 0.0123, 2.5)]
        self.assertEqual(found, ["", "0.4 ms", "12 ms", "2500 ms"])

    def test_oneIsNotSeveral(self) -> None:
        self.assertEqual(
            [counted(number, "session") for number in (0, 1, 2)], ["0 sessions", "1 session", "2 sessions"]
        )
