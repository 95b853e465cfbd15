"""Work that takes several turns of the reactor, so that streams have theirs in between."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Final, Generic, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from bore.system.memory import Collections

T = TypeVar("T")
R = TypeVar("R")

#: Yields where it can be interrupted, and returns its result.
Work: TypeAlias = Generator[None, None, T]

#: How long work goes on in one turn of the reactor, in seconds.
_TURN: Final = 0.001

#: How many items work takes before it can be interrupted: a fraction of a millisecond.
SLICE: Final = 50


def mapped(make: Callable[[T], R], items: Iterable[T]) -> Work[list[R]]:
    """Make something of each item. It can be interrupted after the last one, too."""
    made = []
    for number, item in enumerate(items, 1):
        made.append(make(item))
        if number % SLICE == 0:
            yield
    yield
    return made


def joined(parts: Iterable[str]) -> Work[str]:
    """Join texts each of which takes a fraction of a millisecond to make."""
    made = []
    for part in parts:
        made.append(part)
        yield
    return "".join(made)


def atOnce(work: Work[T]) -> T:
    """Do work in one piece."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def spread(clock: IReactorTime, work: Work[T]) -> Deferred[T]:
    """
    Do work over several turns. It begins at once, and little work ends at once.

    The objects that it makes stay to its end, and no garbage collection examines them until then: that would examine
    all others, too, which takes longer than streams should wait.

    :returns: fires with its result. When it is cancelled the work ends.
    """
    return _Spread(clock, work).begin()


class _Spread(Generic[T]):
    def __init__(self, clock: IReactorTime, work: Work[T]) -> None:
        self._clock = clock
        self._work = work
        self._isLong = False  # has taken more than a turn
        self._call: IDelayedCall | None = None
        self._done: Deferred[T] = Deferred(lambda _: self._cancel())

    def begin(self) -> Deferred[T]:
        Collections.putOff()
        self._goOn()
        return self._done

    def _goOn(self) -> None:
        self._call = None
        until = self._clock.seconds() + _TURN
        try:
            while True:
                next(self._work)
                if self._clock.seconds() >= until:
                    break
        except StopIteration as end:
            self._end(end.value)
        except Exception:
            self._end(Failure())
        else:
            self._isLong = True
            self._call = self._clock.callLater(0, self._goOn)

    def _end(self, result: T | Failure) -> None:
        if self._isLong:  # what follows from it has a turn of its own
            self._call = self._clock.callLater(0, self._deliver, result)
        else:
            self._deliver(result)

    def _deliver(self, result: T | Failure) -> None:
        self._call = None
        self._done.callback(result)  # what follows from it may be work, too: then collections are still put off
        Collections.resume()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._work.close()
            Collections.resume()


class Joint(Generic[T]):
    """
    What several may ask for, and takes a while. It is done once at a time: those who ask meanwhile share the next
    result, as they may not get one that is older than their question.

    :param begin: does it.
    """

    def __init__(self, begin: Callable[[], Deferred[T]]) -> None:
        self._beginOne = begin
        self._asked: list[Deferred[T]] = []
        self._busy = False

    def __call__(self) -> Deferred[T]:
        """Have it done."""
        asked: Deferred[T] = Deferred()
        self._asked.append(asked)
        if not self._busy:
            self._begin()
        return asked

    def _begin(self) -> None:
        asked, self._asked = self._asked, []
        self._busy = True
        maybeDeferred(self._beginOne).addBoth(self._done, asked)

    def _done(self, result: T | Failure, asked: list[Deferred[T]]) -> None:
        for each in asked:
            each.callback(result)
        self._busy = False
        if self._asked:
            self._begin()


class Shared(Joint[T]):
    """
    Work whose result several may share.

    :param work: returns the work.
    """

    def __init__(self, clock: IReactorTime, work: Callable[[], Work[T]]) -> None:
        Joint.__init__(self, lambda: spread(clock, work()))
