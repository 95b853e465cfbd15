"""How often each source may do something: some at once, and then at an interval."""

from __future__ import annotations

from itertools import islice
from typing import Final

from twisted.internet.interfaces import IReactorTime

#: Sources that are remembered. Those whose account was charged the longest ago are forgotten first.
_SOURCES: Final = 4096


class Accounts:
    """
    An account for each source.

    :param burst: how many charges cost nothing.
    :param interval: how long it takes until one is forgiven, in seconds.
    """

    def __init__(self, clock: IReactorTime, burst: int, interval: float) -> None:
        self._clock = clock
        self._free = burst * interval
        self._interval = interval
        self._settled: dict[str, float] = {}  # when everything will be forgiven

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._settled)

    def charge(self, source: str) -> None:
        """A source has done it once more."""
        now = self._clock.seconds()
        settled = max(self._settled.pop(source, now), now) + self._interval
        for other in list(islice(self._settled, 2)):
            if self._settled[other] <= now or len(self._settled) >= _SOURCES:
                del self._settled[other]
        self._settled[source] = settled

    def debt(self, source: str) -> float:
        """In how many seconds a source may do it again; 0 or less: now."""
        if source not in self._settled:
            return 0.0
        return self._settled[source] - self._clock.seconds() - self._free
