"""Things that may only stay for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

K = TypeVar("K")
V = TypeVar("V")


class Deadlines(Generic[K, V]):
    """
    Keeps values by key, and drops each one that nobody has taken after the same time.

    As the time is the same for all, they expire in the order in which they came: one timer serves any number of them.

    :param seconds: how long a value stays.
    :param expired: called with the key and the value of each one that is dropped for its age.
    """

    def __init__(self, clock: IReactorTime, seconds: float, expired: Callable[[K, V], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._expired = expired
        self._kept: dict[K, tuple[float, V]] = {}
        self._timer: IDelayedCall | None = None
        self._sweeping = False

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def add(self, key: K, value: V) -> None:
        """Keep a value. The key must not be in use."""
        assert key not in self._kept
        self._kept[key] = (self._clock.seconds() + self._seconds, value)
        if self._timer is None and not self._sweeping:
            self._timer = self._clock.callLater(self._seconds, self._sweep)

    def take(self, key: K) -> V | None:
        """Take a value out; None if it is not here, or no more."""
        entry = self._kept.pop(key, None)
        return None if entry is None else entry[1]

    def countOlderThan(self, seconds: float) -> int:
        """The number of values that have been here for at least this many seconds."""
        latest = self._clock.seconds() - seconds + self._seconds
        count = 0
        for deadline, _ in self._kept.values():
            if deadline > latest:
                break
            count += 1
        return count

    def keys(self) -> list[K]:
        """All keys, the oldest first."""
        return list(self._kept)

    def takeOldest(self) -> V:
        """
        Take the value out that has been here for the longest time.

        :raises KeyError: when there is none.
        """
        if not self._kept:
            raise KeyError("nothing is kept")
        return self._kept.pop(next(iter(self._kept)))[1]

    def takeNewest(self) -> V:
        """
        Take the value out that came last.

        :raises KeyError: when there is none.
        """
        return self._kept.popitem()[1][1]

    def takeAll(self) -> list[V]:
        """Take everything out, and end the timer."""
        values = [value for _, value in self._kept.values()]
        self._kept.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return values

    def _sweep(self) -> None:
        self._timer = None
        self._sweeping = True
        now = self._clock.seconds()
        try:
            while self._kept:
                key = next(iter(self._kept))
                deadline, value = self._kept[key]
                if deadline > now:
                    break
                del self._kept[key]
                self._expired(key, value)
        finally:
            self._sweeping = False
            if self._kept:
                deadline, _ = next(iter(self._kept.values()))
                self._timer = self._clock.callLater(max(0.0, deadline - now), self._sweep)
