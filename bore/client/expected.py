"""Visitors that the server has announced, and that have not come on a lane yet."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from twisted.internet.interfaces import IReactorTime

from bore.timing.deadlines import Deadlines
from bore.wire.limits import ACCEPT_TIMEOUT

#: Visitors that are known to wait for lanes; of more, the oldest are forgotten. A server announces 256 at a time.
_MAX_EXPECTED: Final = 4096


class ExpectedVisitors:
    """
    Knows which announced visitors wait for a lane.

    A visitor can come on a lane before its announcement on the control connection: it is not expected then.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._waiting: Deadlines[UUID, None] = Deadlines(clock, ACCEPT_TIMEOUT, lambda id, _: None)
        self._overtaken: dict[UUID, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def countOlderThan(self, seconds: float) -> int:
        """The number of visitors that have waited for at least this many seconds."""
        return self._waiting.countOlderThan(seconds)

    def announced(self, id: UUID) -> bool | None:
        """
        A visitor was announced.

        :returns: whether it is a further one; None: it has come already.
        """
        if id in self._overtaken:
            del self._overtaken[id]
            return None
        if id in self._waiting:
            return False
        if len(self._waiting) >= _MAX_EXPECTED:
            self._waiting.takeOldest()
        self._waiting.add(id, None)
        return True

    def came(self, id: UUID, announced: bool) -> None:
        """
        A visitor has come on a lane.

        :param announced: whether the server has announced it, or will.
        """
        if id in self._waiting:
            self._waiting.take(id)
        elif announced:
            self._overtaken[id] = None
            if len(self._overtaken) > _MAX_EXPECTED:
                del self._overtaken[next(iter(self._overtaken))]

    def clear(self) -> None:
        """Expect nobody any more."""
        self._waiting.takeAll()
