"""Claims that wait for their turn at the engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, fail, succeed

from bore.cluster.engine import ENGINE_TIMEOUT, EngineAway

#: How many claims of a node are at the engine at the same time, and how many more may wait. More at once are no faster,
#: and those that wait here are not carried out late.
AT_ONCE: Final = 16
WAITING: Final = 8192


class InTurn:
    """
    Lets claims go to the engine one after the other, some at the same time.

    One that has waited for ENGINE_TIMEOUT is given up when the next one may go, which takes as long again at most.

    :param now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._running = 0
        self._waiting: deque[tuple[float, Deferred[None]]] = deque()
        self._going = False

    def enter(self) -> Deferred[None]:
        """Wait for a turn; fails with :class:`bore.cluster.engine.EngineAway` if it does not come in time."""
        if self._running < AT_ONCE:
            self._running += 1
            return succeed(None)
        if len(self._waiting) >= WAITING:
            return fail(EngineAway(f"more than {WAITING} claims wait for the engine"))
        turn: Deferred[None] = Deferred()
        self._waiting.append((self._now() + ENGINE_TIMEOUT, turn))
        return turn

    def leave(self) -> None:
        """A turn is over."""
        self._running -= 1
        if self._going:
            return  # the turn was over at once
        self._going = True
        while self._waiting and self._running < AT_ONCE:
            until, turn = self._waiting.popleft()
            if until <= self._now():
                turn.errback(EngineAway("too many claims wait for the engine"))
            else:
                self._running += 1
                turn.callback(None)
        self._going = False
