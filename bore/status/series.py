"""
Which tunnels and users have series of their own.

Prometheus keeps each series for weeks, so their number has a bound: what is beyond it is summed under one name. Once a
tunnel has series it keeps them, or its counters would go up and down with the others' number.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Final, Generic, TypeVar

#: How many tunnels have series of their own, and how many users.
MAX_NAMED: Final = 1000

#: The name of all others together.
OTHER: Final = "other"

K = TypeVar("K", bound=Hashable)


class Named(Generic[K]):
    """
    Chooses those that have series of their own: the first ones, for as long as they are there. One that is called
    :data:`OTHER` is never among them.

    :param limit: how many they are.
    """

    def __init__(self, limit: int = MAX_NAMED) -> None:
        self._limit = limit
        self._chosen: set[K] = set()

    def choose(self, present: Iterable[K]) -> frozenset[K]:
        """Return those that have series of their own, of all who are present now."""
        there = dict.fromkeys(present)
        self._chosen.intersection_update(there)
        for each in there:
            if len(self._chosen) >= self._limit:
                break
            if each != OTHER:
                self._chosen.add(each)
        return frozenset(self._chosen)


class OthersCounter(Generic[K]):
    """
    The counters of those without series of their own, as one that never goes down.

    What the counter of one grows by between two looks is added. What happens between the last look at one and its end
    is only in the totals.
    """

    def __init__(self) -> None:
        self._last: Mapping[K, int] = {}
        self._sum = 0

    def add(self, counters: Mapping[K, int]) -> int:
        """
        Return the sum.

        :param counters: the present counter of each.
        """
        for key, value in counters.items():
            last = self._last.get(key, 0)
            self._sum += value - last if value >= last else value  # else it is another one under the same name
        self._last = dict(counters)
        return self._sum
