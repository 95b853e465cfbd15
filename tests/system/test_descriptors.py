"""The descriptors for visitors."""

from __future__ import annotations

import os
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bore.system.descriptors import Descriptors, OpenCount, attainable, lengthOfList, sizeOfFolder, strangersShare


class CountTests(SynchronousTestCase):
    """Counts by the system."""

    def setUp(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("the count is known on Linux")

    def test_bothWaysCountOpenDescriptors(self) -> None:
        size, length = sizeOfFolder(), lengthOfList()
        opened = [os.dup(0) for _ in range(10)]
        self.assertEqual(lengthOfList(), length + 10)
        if size:  # Linux 6.2; a thread that waits in accept has a number for the descriptor that it will make
            self.assertGreaterEqual(size, length)
            self.assertEqual(sizeOfFolder(), size + 10)
        for fd in opened:
            os.close(fd)
        self.assertEqual(lengthOfList(), length)


class LimitTests(SynchronousTestCase):
    """How many may be open."""

    def test_theHardLimitUnlessItIsInfiniteOrSelectCannotWatchSoMany(self) -> None:
        infinity = -1
        for hard, select, expected in (
            (1 << 20, False, 1 << 20),
            (1 << 20, True, 1024),
            (256, True, 256),
            (infinity, False, 10240),
            (infinity, True, 1024),
        ):
            self.assertEqual(attainable(hard, infinity, select), expected, (hard, select))

    def test_strangersHaveAQuarterAtMost(self) -> None:
        for wanted, descriptors, expected in (
            (1024, 0, 1024),
            (1024, 1 << 20, 1024),
            (1024, 1024, 256),
            (0, 1024, 256),
            (0, 0, 0),
        ):
            self.assertEqual(strangersShare(wanted, descriptors), expected, (wanted, descriptors))


class DescriptorsTests(SynchronousTestCase):
    """When they are counted."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.open = 20
        self.counted = 0

    def count(self) -> int:
        self.counted += 1
        return self.open

    def test_whileThereAreManyTheyAreNotCounted(self) -> None:
        descriptors = Descriptors(self.clock, 1000, OpenCount(self.count))
        for _ in range(970):
            self.assertTrue(descriptors.has(10))
            descriptors.opened()
        self.assertEqual(self.counted, 1)

    def test_closedDescriptorsAreFoundWhenTheyAreNeeded(self) -> None:
        descriptors = Descriptors(self.clock, 100, OpenCount(self.count))
        descriptors.opened(75)
        self.open = 30
        self.assertTrue(descriptors.has(10))
        self.assertEqual(descriptors.spare, 70)

    def test_descriptorsOpenedElsewhereAreFound(self) -> None:
        self.open = 95
        descriptors = Descriptors(self.clock, 100, OpenCount(self.count))
        self.assertEqual([descriptors.has(count) for count in (5, 6)], [True, False])
        self.open = 110
        self.assertFalse(descriptors.has(6))
        self.assertFalse(descriptors.has(1))

    def test_slowCountsAreRare(self) -> None:
        self.clock.advance(1)
        self.open = 100
        descriptors = Descriptors(self.clock, 100, OpenCount(lambda: 0, self.count))
        for _ in range(50):
            self.assertFalse(descriptors.has(1))
        self.assertEqual(self.counted, 1)
        self.open = 50
        self.clock.advance(0.25)
        self.assertTrue(descriptors.has(1))
        self.assertEqual(descriptors.spare, 50)

    def test_allServicesOfAProcessCountTheSame(self) -> None:
        count = OpenCount(self.count)
        one, other = Descriptors(self.clock, 100, count), Descriptors(self.clock, 50, count)
        self.assertEqual((one.spare, other.spare), (80, 30))
        one.opened(30)
        self.open = 50
        self.assertFalse(other.has(1))
        self.assertTrue(one.has(50))

    def test_withoutALimitThereAreAlwaysSome(self) -> None:
        descriptors = Descriptors(self.clock, 0, OpenCount(self.count))
        descriptors.opened(1 << 20)
        self.assertTrue(descriptors.has(1 << 20))
        self.assertEqual(self.counted, 0)

    def test_withoutACountThereIsNoLimit(self) -> None:
        descriptors = Descriptors(self.clock, 100, OpenCount(lambda: 0, lambda: 0))
        for _ in range(1000):
            self.assertTrue(descriptors.has(1))
            descriptors.opened()
            self.clock.advance(0.1)
