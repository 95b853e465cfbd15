"""Limits of how often each source may do something."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.timing.ratelimits import RateLimit, TokenBuckets


class TokenBucketsTests(SynchronousTestCase):
    """A burst, and then one at an interval."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e6)
        self.buckets = TokenBuckets(self.clock, 3, 2.0)

    def take(self, source: str = "a", times: int = 1) -> None:
        for _ in range(times):
            self.buckets.take(source)

    def test_aBurstNeedsNoWaitAndEachFurtherTokenDoes(self) -> None:
        waits = []
        for _ in range(6):
            waits.append(self.buckets.wait("a"))
            self.take()
        self.assertEqual([wait > 0 for wait in waits], [False] * 4 + [True] * 2)
        self.assertEqual(self.buckets.wait("a"), 6.0)
        self.assertEqual(self.buckets.wait("b"), 0.0)
        self.clock.advance(6)
        self.assertEqual(self.buckets.wait("a"), 0.0)

    def test_aLimitedNumberOfBucketsIsKeptAndNoFullOnes(self) -> None:
        for n in range(10_000):
            self.take(str(n))
        self.assertEqual(len(self.buckets), 4096)
        self.clock.advance(60)
        self.take("a", 4096)
        self.assertEqual(len(self.buckets), 1)


class RateLimitTests(SynchronousTestCase):
    """A number per second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100)

    def test_eachSourceHasItsOwnCount(self) -> None:
        limit = RateLimit(self.clock, 2)
        self.assertEqual([limit.allows("a") for _ in range(3)], [True, True, False])
        self.assertTrue(limit.allows("b"))
        self.clock.advance(0.9)
        self.assertFalse(limit.allows("a"))
        self.clock.advance(0.2)
        self.assertEqual([limit.allows("a") for _ in range(3)], [True, True, False])

    def test_onlyTheSourcesOfOneSecondAreKept(self) -> None:
        limit = RateLimit(self.clock, 1)
        for n in range(1000):
            limit.allows(str(n))
        self.clock.advance(1)
        limit.allows("x")
        self.assertEqual(len(limit._counts), 1)
