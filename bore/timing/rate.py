"""How many new visitors a source may send."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime


class VisitorRate:
    """
    Counts the new visitors of each source within each second.

    :param perSecond: how many are let in; 0: all.
    """

    def __init__(self, clock: IReactorTime, perSecond: int) -> None:
        self._clock = clock
        self.perSecond = perSecond
        self._began = 0.0
        self._counts: dict[str, int] = {}

    def allows(self, source: str) -> bool:
        """Count one more, and say whether it may come in."""
        now = self._clock.seconds()
        if now - self._began >= 1.0:
            self._began = now
            self._counts.clear()
        count = self._counts.get(source, 0) + 1
        self._counts[source] = count
        return count <= self.perSecond
