"""Limits the wrong secrets from each address."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.timing.ratelimits import TokenBuckets

#: The number of wrong secrets in a row that are checked at once: people mistype, and several share an address.
BURST: Final = 10

#: The interval at which later ones are checked, in seconds.
INTERVAL: Final = 0.5

#: The longest wait for a check, in seconds. Original clients wait for 3.
LONGEST_WAIT: Final = 2.0


class Guesses:
    """
    Counts the wrong secrets of each source, and delays the checks of a source with too many.

    A right secret waits as well: only the check tells it from a wrong one. A source that guesses delays the other
    clients of its address. It does not lock them out, unless it sends guesses without waiting for the answers.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._buckets = TokenBuckets(clock, BURST, INTERVAL)

    def failed(self, source: str) -> None:
        """Count a wrong secret."""
        self._buckets.take(source)

    def limits(self, source: str) -> bool:
        """Whether the next check of a source is delayed."""
        return self._buckets.wait(source) > 0

    def turn(self, source: str) -> float | None:
        """
        Schedule the next check of a source. It is counted as wrong in advance.

        :returns: the delay in seconds; None: too many checks wait already.
        """
        wait = self._buckets.wait(source)
        if wait > LONGEST_WAIT:
            return None
        self._buckets.take(source)
        return max(wait, 0.0)
