"""Questions to holders, whose answers custody does not wait for without limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.server.custody import HAND_OVER_TIMEOUT

T = TypeVar("T")


class Ask(Generic[T]):
    """
    A question to a holder that may never answer.

    :param asked: what the holder will answer.
    :param otherwise: stands for the answer when it fails, or does not come within HAND_OVER_TIMEOUT seconds.
    :param pending: has the question as long as there is no answer.
    :param late: called with an answer that comes later.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        asked: Deferred[T],
        otherwise: T,
        pending: set[Ask[Any]],
        late: Callable[[T], object] = lambda answer: None,
    ) -> None:
        self._otherwise = otherwise
        self._late = late
        self._pending = pending
        self._waiting: list[Deferred[T]] = []
        self._answer: T = otherwise
        self._isOver = False
        self._timer: IDelayedCall | None = None
        asked.addCallbacks(self._answered, self._failed)
        if not self._isOver:
            pending.add(self)
            self._timer = clock.callLater(HAND_OVER_TIMEOUT, self.giveUp)

    def answer(self) -> Deferred[T]:
        """The answer, or what stands for it. May be called more than once."""
        waits: Deferred[T] = Deferred()
        if self._isOver:
            waits.callback(self._answer)
        else:
            self._waiting.append(waits)
        return waits

    def giveUp(self) -> None:
        """Do not wait any more. May be called when there is an answer."""
        if not self._isOver:
            self._answered(self._otherwise)

    def _answered(self, answer: T) -> None:
        if self._isOver:
            self._late(answer)
            return
        self._isOver = True
        self._pending.discard(self)
        self._answer = answer
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(answer)

    def _failed(self, reason: Failure) -> None:
        self._log.failure("a holder has failed", reason)
        self.giveUp()
