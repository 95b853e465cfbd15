"""When a session opens lanes again, if it cannot now, or should not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: When lanes are lost, new ones are opened so much later, in seconds: whatever closes them may close the next, too.
#: Each further time it is twice as long, until there was a quiet minute. Only lanes that nobody waits for do.
_REST: Final = 1.0
_LONGEST_REST: Final = 60.0

#: When a lane could not be opened, the next attempt for a visitor that waits is made so much later, in seconds.
_RETRY: Final = 1.0

#: When there is no descriptor for a lane, it is looked for one so much later, in seconds.
_LOOK: Final = 0.25


class Pauses:
    """
    Pauses of a session that opens lanes: those that grow, for lanes that are kept in case of need, and short ones, for
    lanes that a visitor waits for.

    :param over: called when a pause is over.
    :ivar failing: the last lane could not be opened, and none is before the next attempt.
    """

    def __init__(self, clock: IReactorTime, over: Callable[[], None]) -> None:
        self._clock = clock
        self._over = over
        self._next = _REST
        self._rested = self._closed = self.failing = False
        self._resting: IDelayedCall | None = None
        self._retrying: IDelayedCall | None = None

    @property
    def resting(self) -> bool:
        """Whether no lane is opened that nobody waits for."""
        return self._resting is not None

    def rest(self) -> None:
        """Open no lane for a while that nobody waits for."""
        if self._resting is None and not self._closed:
            self._resting = self._clock.callLater(self._next, self._restOver)
            self._next = min(self._next * 2, _LONGEST_REST)
            self._rested = True

    def fail(self) -> None:
        """A lane could not be opened."""
        self.failing = True
        self._retryIn(_RETRY)
        self.rest()

    def look(self) -> None:
        """There is no descriptor for a lane that a visitor waits for."""
        self._retryIn(_LOOK)

    def calm(self) -> None:
        """A minute is over: if it was a quiet one, the next pause is a short one again."""
        if not self._rested:
            self._next = _REST
        self._rested = False

    def close(self) -> None:
        """No lane is opened any more."""
        self._closed = True
        for timer in (self._resting, self._retrying):
            if timer is not None:
                timer.cancel()
        self._resting = self._retrying = None

    def _retryIn(self, seconds: float) -> None:
        if self._retrying is None and not self._closed:
            self._retrying = self._clock.callLater(seconds, self._retry)

    def _restOver(self) -> None:
        self._resting = None
        self._over()

    def _retry(self) -> None:
        self._retrying = None
        self.failing = False
        self._over()
