"""Trouble that strangers cause is logged, and does not fill the log."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.timing.tally import Tally
from tests.fakes import captureLog


class TallyTests(SynchronousTestCase):
    """Lines about trouble."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tally = Tally(self.clock)
        self.logged = captureLog(self)

    def happened(self, who: str, times: int = 1, warn: bool = False) -> None:
        for n in range(times):
            self.tally.happened(who, "{who} was refused for the {n}th time", warn, who=who, n=n)

    def takeLines(self) -> list[str | None]:
        lines = [formatEvent(event) for event in self.logged]
        self.logged.clear()
        return list(lines)

    def test_anOccurrenceIsLoggedAtOnce(self) -> None:
        self.happened("a")
        self.happened("b")
        self.assertEqual(self.takeLines(), ["a was refused for the 0th time", "b was refused for the 0th time"])
        self.clock.advance(10)
        self.assertEqual((self.takeLines(), self.clock.getDelayedCalls()), ([], []))
        self.happened("a")
        self.assertEqual(len(self.takeLines()), 1, "it is new again")

    def test_furtherOccurrencesAreSummedUpPerSource(self) -> None:
        self.happened("a", 1000)
        self.happened("b", 2)
        self.assertEqual(len(self.takeLines()), 2)
        self.clock.advance(10)
        self.assertEqual(
            self.takeLines(),
            ["a was refused for the 999th time: 999 more in 10 s", "b was refused for the 1th time: 1 more in 10 s"],
        )

    def test_aDayOfOccurrencesHasFewLinesWithCompleteSums(self) -> None:
        total = lines = 0
        for _ in range(24 * 3600 // 5):
            self.happened("a", 3)
            self.clock.advance(5)
        self.tally.stop()
        for event in self.logged:
            lines += 1
            total += event.get("count", 1)
        self.assertEqual(total, 3 * 24 * 3600 // 5)
        self.assertLess(lines, 150)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_anyNumberOfSourcesHasALimitedNumberOfLines(self) -> None:
        for _ in range(10):
            for n in range(5000):
                self.happened(str(n))
            self.clock.advance(1)
        self.assertEqual(len(self.logged), 2 * (64 + 1))
        self.assertEqual(sum(event.get("count", 1) for event in self.logged), 50000)
        self.assertIn("more than 64 addresses cause errors of this kind", self.takeLines())

    def test_theLevelIsThatOfTheLatestOccurrence(self) -> None:
        self.happened("a", 2, warn=True)
        self.happened("b", 2)
        self.clock.advance(10)
        self.assertEqual([event["log_level"].name for event in self.logged], ["warn", "info", "warn", "info"])

    def test_theLastSumsAreLoggedAtTheEnd(self) -> None:
        self.happened("a", 3)
        self.clock.advance(4)
        self.tally.stop()
        self.assertEqual(self.takeLines()[1:], ["a was refused for the 2th time: 2 more in 4 s"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
