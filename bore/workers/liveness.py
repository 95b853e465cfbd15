"""Which workers answer: one that does not has hung."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: How often each worker is asked for a sign of life, in seconds.
INTERVAL: Final = 1.0

#: It has hung when it has not answered for this many intervals in which the supervisor itself has run.
PATIENCE: Final = 5


#: How long there is to read what has arrived before one is judged, in seconds.
_READ: Final = 0.1


class Patient(Protocol):
    """A worker, as its liveness is examined."""

    #: How many intervals have begun since it has answered the last time.
    unanswered: int

    def ping(self) -> None:
        """Ask for a sign of life."""

    def hung(self) -> None:
        """It has not answered for too long."""


class Liveness:
    """
    Examines workers.

    Intervals are counted, and time is not: when this process was stopped, or the machine was suspended, one interval
    has passed, however long that was. What has arrived by then is read before anybody is judged.

    :param patients: returns the workers that have to answer.
    """

    def __init__(self, clock: IReactorTime, patients: Callable[[], Iterable[Patient]]) -> None:
        self._clock = clock
        self._patients = patients
        self._timer: IDelayedCall | None = None

    @property
    def running(self) -> bool:
        """Whether it has begun."""
        return self._timer is not None

    def start(self) -> None:
        """Begin."""
        self._timer = self._clock.callLater(INTERVAL, self._examine)

    def stop(self) -> None:
        """End. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _examine(self) -> None:
        self._timer = self._clock.callLater(INTERVAL, self._examine)
        late = []
        for each in list(self._patients()):
            if each.unanswered >= PATIENCE:
                late.append(each)
            elif not each.unanswered:
                each.ping()
            each.unanswered += 1
        if late:
            self._clock.callLater(_READ, self._judge, late)

    def _judge(self, late: list[Patient]) -> None:
        """Their answers may have arrived while this process could not read them: now they were read."""
        for each in late:
            if each.unanswered > PATIENCE:
                each.hung()
