"""Limits of how often each source may do something: token buckets, and a number per second."""

from __future__ import annotations

from itertools import islice
from typing import Final

from twisted.internet.interfaces import IReactorTime

#: How many buckets are kept. Those from which a token was taken the longest ago are dropped first.
_MAX_BUCKETS: Final = 4096


class TokenBuckets:
    """
    A token bucket for each source, full at first.

    A token may be taken from an empty bucket; the next one is then available later.

    :param burst: the number of tokens in a full bucket.
    :param interval: how often a token is added, in seconds.
    """

    def __init__(self, clock: IReactorTime, burst: int, interval: float) -> None:
        self._clock = clock
        self._full = burst * interval
        self._interval = interval
        self._fullAt: dict[str, float] = {}

    def __len__(self) -> int:
        """The number of buckets that are kept. The others are full."""
        return len(self._fullAt)

    def take(self, source: str) -> None:
        """Take a token."""
        now = self._clock.seconds()
        fullAt = max(self._fullAt.pop(source, now), now) + self._interval
        for other in list(islice(self._fullAt, 2)):
            if self._fullAt[other] <= now or len(self._fullAt) >= _MAX_BUCKETS:
                del self._fullAt[other]
        self._fullAt[source] = fullAt

    def wait(self, source: str) -> float:
        """Return the seconds until a source has a token; 0 or less if it has one now."""
        if source not in self._fullAt:
            return 0.0
        return self._fullAt[source] - self._clock.seconds() - self._full


class RateLimit:
    """
    A limit for each source within each second.

    :param perSecond: the limit; 0: unlimited, which the caller checks.
    """

    def __init__(self, clock: IReactorTime, perSecond: int) -> None:
        self._clock = clock
        self.perSecond = perSecond
        self._began = 0.0
        self._counts: dict[str, int] = {}

    def allows(self, source: str) -> bool:
        """Count one more, and return whether it is within the limit."""
        now = self._clock.seconds()
        if now - self._began >= 1.0:
            self._began = now
            self._counts.clear()
        count = self._counts.get(source, 0) + 1
        self._counts[source] = count
        return count <= self.perSecond
