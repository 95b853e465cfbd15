"""Visitors that were announced and have not come on a lane yet."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from twisted.internet.interfaces import IReactorTime

from bore.timing.deadlines import Deadlines
from bore.wire.limits import ACCEPT_TIMEOUT

#: Maximum number of visitors that are expected; beyond it the oldest are forgotten. A server announces 256 at a time.
_MAX_EXPECTED: Final = 4096


class ExpectedVisitors(Deadlines[UUID, None]):
    """
    The announced visitors that wait for a lane, for as long as the server lets them wait.

    A visitor can come on a lane before its announcement on the control connection: it is not expected then.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock, ACCEPT_TIMEOUT, lambda id, _: None)
        self._overtaken: dict[UUID, None] = {}

    def hasCome(self, id: UUID) -> bool:
        """Whether a visitor has come before its announcement, which is now; further announcements are others."""
        if id in self._overtaken:
            del self._overtaken[id]
            return True
        return False

    def announced(self, id: UUID) -> bool:
        """Expect a visitor; False if it was expected already."""
        if id in self:
            return False
        if len(self) >= _MAX_EXPECTED:
            self.takeOldest()
        self.add(id, None)
        return True

    def came(self, id: UUID) -> None:
        """A visitor has come on a lane, and was announced, or will be."""
        if id in self:
            self.take(id)
            return
        self._overtaken[id] = None
        if len(self._overtaken) > _MAX_EXPECTED:
            del self._overtaken[next(iter(self._overtaken))]
