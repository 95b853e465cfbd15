"""The right of a node to act as owner, which ends by the first of two clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Moment(NamedTuple):
    """
    A time by both clocks, in seconds.

    :ivar now: by the clock that is never set.
    :ivar ofDay: by that of the time of day.
    """

    now: float
    ofDay: float


_NEVER = Moment(float("-inf"), float("-inf"))


class Right:
    """
    The right to act as owner, until a time.

    The clock that is never set stands still while a virtual machine is paused by its host, and on some systems while
    they are suspended. The time of day is then set when they go on. It can be set at other times, too: forward costs
    the right until the next answer, and back changes nothing, as the other clock goes on.

    :param now: a clock that is never set.
    :param ofDay: the time of day.
    """

    def __init__(self, now: Callable[[], float], ofDay: Callable[[], float] = time.time) -> None:
        self._now = now
        self._ofDay = ofDay
        self._until = _NEVER

    @property
    def holds(self) -> bool:
        """Whether it holds now."""
        return self._now() < self._until.now and self._ofDay() < self._until.ofDay

    @property
    def until(self) -> float:
        """When it ends, by the clock that is never set."""
        return self._until.now

    def moment(self) -> Moment:
        """The time."""
        return Moment(self._now(), self._ofDay())

    def extend(self, sent: Moment, seconds: float) -> None:
        """It holds until so many seconds after a beat was sent, which was answered."""
        self._until = Moment(sent.now + seconds, sent.ofDay + seconds)

    def end(self) -> None:
        """It has ended."""
        self._until = _NEVER
