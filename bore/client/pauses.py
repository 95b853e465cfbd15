"""When a session opens lanes again that it cannot open now, or should not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds until lanes that were lost are replaced: what has closed them may close the next ones, too. The pause doubles
#: each time, up to the longest, until a minute passes without one. Lanes that a visitor waits for do not pause.
_REST: Final = 1.0
_LONGEST_REST: Final = 60.0

#: Seconds between a failed attempt to open a lane for a visitor that waits, and the next one.
_RETRY: Final = 1.0

#: Seconds until the next look for a descriptor for a lane.
_LOOK: Final = 0.25


class Pauses:
    """
    The pauses of a session that opens lanes.

    Before a spare lane is opened again, the pause doubles each time. For a lane that a visitor waits for, it is short.

    :param over: called when a pause is over.
    :ivar failing: whether the last lane could not be opened; none is opened before the next attempt.
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
        """Whether lanes in case of need have to wait."""
        return self._resting is not None

    def rest(self) -> None:
        """Open no lane in case of need for a while."""
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
        """There is no descriptor for a lane that a visitor waits for: look for one soon."""
        self._retryIn(_LOOK)

    def calm(self) -> None:
        """Called every minute: after a minute without a pause, the next pause is short again."""
        if not self._rested:
            self._next = _REST
        self._rested = False

    def close(self) -> None:
        """The session has ended: cancel all pauses."""
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
