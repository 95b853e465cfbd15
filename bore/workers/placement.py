"""Which worker gets a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from bore.wire.workermessages import Load
from bore.wire.workernumbers import NO_WORKER

#: Loads that differ by less than this part of a core count as the same: then the numbers of sessions and connections
#: decide.
_STEP: Final = 0.1

#: The CPU time that a connection counts for until its worker reports again, in seconds: about what a session takes to
#: begin, with TLS. Many clients come at once after an upgrade or a crash.
_COST: Final = 0.002


class Worker(Protocol):
    """
    A worker, as a connection is passed to it.

    :ivar number: its number.
    """

    number: int

    @property
    def takesSessions(self) -> bool:
        """Whether it is ready, and not retired: new sessions may go to it."""

    @property
    def serves(self) -> bool:
        """Whether connections of its own sessions may go to it."""

    @property
    def hasRoom(self) -> bool:
        """Whether its channel takes one more connection now. If not, it takes some later, or is gone."""


W = TypeVar("W", bound=Worker)


class _Business:
    """What a worker does."""

    __slots__ = ("at", "cpu", "load", "passed", "used")

    def __init__(self) -> None:
        self.used: float | None = None  # CPU time, in seconds, at the time of the last report
        self.at = 0.0
        self.cpu = 0.0  # cores
        self.load = 0  # sessions and visitors
        self.passed = 0  # connections since the last report


class Placement(Generic[W]):
    """
    Chooses the worker for each connection: that of the hint, or the one with the least to do.

    That is the one that has used the least CPU time between its last two reports, in steps of ten percent of a core,
    with an estimate for what was passed to it since; among several the one with the fewest sessions, visitors and new
    connections; among these the oldest one.

    :param members: returns the workers.
    """

    def __init__(self, clock: IReactorTime, members: Callable[[], Iterable[W]]) -> None:
        self._clock = clock
        self._members = members
        self._business: dict[int, _Business] = {}

    def reported(self, worker: int, load: Load) -> None:
        """A worker has reported its load."""
        one, now = self._of(worker), self._clock.seconds()
        if one.used is not None and now > one.at:
            one.cpu = max(0.0, load.cpu - one.used) / (now - one.at)
        one.used, one.at = load.cpu, now
        one.load, one.passed = load.sessions + load.visitors, 0

    def passed(self, worker: int) -> None:
        """A connection was passed to a worker."""
        self._of(worker).passed += 1

    def gone(self, worker: int) -> None:
        """A worker is gone."""
        self._business.pop(worker, None)

    def owner(self, hint: int) -> W | None:
        """The worker to which a hint leads; None: it leads nowhere, or to one that serves nothing any more."""
        if hint == NO_WORKER:
            return None
        return next((each for each in self._members() if each.number == hint and each.serves), None)

    def least(self) -> W | None:
        """The worker with the least to do among those that take new sessions now; None: there is none."""
        return min(
            (each for each in self._members() if each.takesSessions and each.hasRoom), key=self._key, default=None
        )

    def _key(self, worker: W) -> tuple[int, int, int]:
        one = self._of(worker.number)
        return int((one.cpu + one.passed * _COST) / _STEP), one.load + one.passed, worker.number

    def _of(self, worker: int) -> _Business:
        return self._business.setdefault(worker, _Business())
