"""Values that are kept for a limited time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

K = TypeVar("K")
V = TypeVar("V")


class Deadlines(Generic[K, V]):
    """
    Keeps values by key, and drops each one that is not taken in time.

    The time is the same for all, so they expire in the order in which they were added: one timer is enough. Before
    one expires, the reactor has a turn: when the process was stopped for a while, what has come meanwhile is read in
    that, and a value may be taken.

    :param seconds: how long a value is kept.
    :param expired: called with the key and the value of each one that has expired.
    """

    def __init__(self, clock: IReactorTime, seconds: float, expired: Callable[[K, V], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._expired = expired
        self._kept: dict[K, tuple[float, V]] = {}
        self._timer: IDelayedCall | None = None
        self._sweeping = False
        self._waited = False  # for a turn of the reactor, since a value is due

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def add(self, key: K, value: V) -> None:
        """Add a value. The key must not be in use."""
        assert key not in self._kept
        self._kept[key] = (self._clock.seconds() + self._seconds, value)
        if self._timer is None and not self._sweeping:
            self._timer = self._clock.callLater(self._seconds, self._sweep)

    def restore(self, key: K, value: V, left: float) -> None:
        """
        Add a value that is kept for a part of the time.

        :param left: how long, in seconds; at least as long as those that are there, and before others are added.
        """
        assert key not in self._kept
        left = min(left, self._seconds)
        self._kept[key] = (self._clock.seconds() + left, value)
        if self._timer is None:
            self._timer = self._clock.callLater(left, self._sweep)

    def left(self, key: K) -> float | None:
        """For how many seconds a value is still kept; None: there is none."""
        entry = self._kept.get(key)
        return None if entry is None else max(0.0, entry[0] - self._clock.seconds())

    def get(self, key: K) -> V | None:
        """Return a value; None if there is none."""
        entry = self._kept.get(key)
        return None if entry is None else entry[1]

    def take(self, key: K) -> V | None:
        """Remove and return a value; None if there is none."""
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
        Remove and return the value that was added first.

        :raises KeyError: when there is none.
        """
        if not self._kept:
            raise KeyError("there is no value")
        return self._kept.pop(next(iter(self._kept)))[1]

    def takeNewest(self) -> V:
        """
        Remove and return the value that was added last.

        :raises KeyError: when there is none.
        """
        return self._kept.popitem()[1][1]

    def takeAll(self) -> list[V]:
        """Remove and return all values, the oldest first."""
        values = [value for _, value in self._kept.values()]
        self._kept.clear()
        self._waited = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return values

    def _sweep(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        waited, self._waited = self._waited, False
        if not waited and self._kept and next(iter(self._kept.values()))[0] <= now:
            self._waited = True
            self._timer = self._clock.callLater(0, self._sweep)
            return
        self._sweeping = True
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
