"""A result for which any number of callers wait, or none."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Outcome(Generic[T]):
    """
    Something that happens at most once.

    Each caller has a Deferred of its own. A failure for which nobody waits is not reported as unhandled.
    """

    def __init__(self) -> None:
        self._result: T | Failure | None = None
        self._waiting: list[Deferred[T]] = []

    @property
    def settled(self) -> bool:
        """Whether it has happened."""
        return self._result is not None

    def wait(self) -> Deferred[T]:
        """Give a Deferred that fires with the result, now or later; it may be cancelled."""
        waiting: Deferred[T] = Deferred(self._waiting.remove)
        if self._result is None:
            self._waiting.append(waiting)
        else:
            waiting.callback(self._result)
        return waiting

    def settle(self, result: T | Failure) -> None:
        """It has happened, or has failed. Only the first call counts."""
        if self._result is None:
            self._result = result
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(result)
