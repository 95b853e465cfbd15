"""
The unclassified connections of a whole server: those that the supervisor looks at, and those that its workers have.

The limits on them (:mod:`bore.server.unclassified`) hold for the whole server. The supervisor knows its own exactly. Of
those that it has passed on it knows what the workers report, once in each of their turns, so a limit may be exceeded,
or kept too strictly, by what changes on the way.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink
from bore.events.server import Limit, LimitReached
from bore.server.settings import Bounds
from bore.server.unclassified import Connection, Sources, UnclassifiedConnections
from bore.wire.workermessages import Pending


class _Elsewhere:
    """A connection that a worker has, or that is on its way to it: one is like another."""

    __slots__ = ("worker",)

    def __init__(self, worker: int) -> None:
        self.worker = worker


_Everywhere: TypeAlias = Sources[Connection | _Elsewhere]


class _Own(Sources[Connection]):
    """Those of the supervisor, which are among all."""

    def __init__(self, everywhere: _Everywhere) -> None:
        super().__init__()
        self._everywhere = everywhere

    def add(self, connection: Connection, source: str) -> None:
        """Add a connection."""
        super().add(connection, source)
        self._everywhere.add(connection, source)

    def remove(self, connection: Connection, source: str) -> None:
        """Remove a connection."""
        super().remove(connection, source)
        self._everywhere.remove(connection, source)


class _AtWorker:
    """
    The connections of one worker.

    :ivar passed: how many were passed to it since it started.
    :ivar flight: the sources of those that it has not seen yet, the oldest first.
    :ivar counts: how many of each source it has, as it has reported.
    :ivar drops: what it was told to drop and may not have dropped yet: how many were passed to it before, and the
        source.
    :ivar marks: what stands for all these among all connections.
    """

    def __init__(self) -> None:
        self.passed = 0
        self.flight: deque[str] = deque()
        self.flying: Counter[str] = Counter()
        self.counts: dict[str, int] = {}
        self.drops: deque[tuple[int, str]] = deque()
        self.dropping: Counter[str] = Counter()
        self.marks: dict[str, deque[_Elsewhere]] = {}


class PendingConnections(UnclassifiedConnections):
    """
    Limits the unclassified connections of all processes.

    Over a limit, the oldest connection of the source that has most goes, wherever it is. The supervisor drops its own
    in time; workers do so with theirs.

    :param known: returns whether a source has a tunnel.
    :param dropOldest: has a worker drop its oldest connection of a source.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        bounds: Bounds,
        known: Callable[[str], bool],
        dropOldest: Callable[[int, str], None],
    ) -> None:
        self._everywhere: _Everywhere = Sources()
        super().__init__(clock, sink, bounds, known, _Own(self._everywhere))
        self._dropAtWorker = dropOldest
        self._workers: dict[int, _AtWorker] = {}
        self._elsewhere = 0

    @property
    def elsewhere(self) -> int:
        """How many connections the workers have, or are sent."""
        return self._elsewhere

    def passed(self, worker: int, source: str) -> None:
        """A connection of a source was passed to a worker, and taken from here."""
        at = self._workers.setdefault(worker, _AtWorker())
        at.passed += 1
        at.flight.append(source)
        at.flying[source] += 1
        self._adjust(worker, at, source)

    def reported(self, worker: int, pending: Pending) -> None:
        """A worker has reported how many connections it has."""
        at = self._workers.setdefault(worker, _AtWorker())
        at.passed = max(at.passed, pending.seen)  # after an upgrade it has seen more than we have passed on
        changed = {source for source, _ in pending.counts}
        while len(at.flight) > at.passed - pending.seen:
            source = at.flight.popleft()
            _decrease(at.flying, source)
            changed.add(source)
        while at.drops and at.drops[0][0] <= pending.seen:
            _, source = at.drops.popleft()
            _decrease(at.dropping, source)
            changed.add(source)
        for source, count in pending.counts:
            at.counts[source] = count
            if not count:
                del at.counts[source]
        for source in changed:
            self._adjust(worker, at, source)

    def gone(self, worker: int) -> None:
        """A worker is gone, and its connections with it."""
        at = self._workers.pop(worker, None)
        if at is None:
            return
        at.counts.clear()
        at.flying.clear()
        for source in list(at.marks):
            self._adjust(worker, at, source)

    def _adjust(self, worker: int, at: _AtWorker, source: str) -> None:
        """Have as many marks for a source as a worker has connections of it."""
        marks = at.marks.setdefault(source, deque())
        wanted = max(0, at.counts.get(source, 0) + at.flying[source] - at.dropping[source])
        self._elsewhere += wanted - len(marks)
        while len(marks) < wanted:
            marks.append(_Elsewhere(worker))
            self._everywhere.add(marks[-1], source)
        while len(marks) > wanted:
            self._everywhere.remove(marks.popleft(), source)
        if not marks:
            del at.marks[source]

    def _makeRoom(self, source: str) -> None:
        bounds, everywhere = self._bounds, self._everywhere
        if 0 < bounds.pendingPerSource <= everywhere.count(source) and self._isLimited(source):
            self._sink.emit(LimitReached(Limit.UNCLASSIFIED_PER_SOURCE, bounds.pendingPerSource, source))
            self._dropOldest(source)
        elif 0 < bounds.pending <= len(self) + self._elsewhere:
            self._sink.emit(LimitReached(Limit.UNCLASSIFIED, bounds.pending))
            self._dropOldest(everywhere.most(source))

    def _dropOldest(self, source: str) -> None:
        oldest = self._everywhere.oldest(source)
        if not isinstance(oldest, _Elsewhere):
            self._refuse(oldest)
            return
        at = self._workers[oldest.worker]
        at.drops.append((at.passed, source))
        at.dropping[source] += 1
        self._adjust(oldest.worker, at, source)
        self._dropAtWorker(oldest.worker, source)


def _decrease(counter: Counter[str], source: str) -> None:
    """Count one less, and keep no zeros."""
    counter[source] -= 1
    if not counter[source]:
        del counter[source]


class _Noted(Sources[Connection]):
    """Notes the sources whose number of connections has changed."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        super().__init__()
        self._changed = changed

    def _move(self, source: str, before: int, after: int) -> None:
        super()._move(source, before, after)
        self._changed(source)


class ReportedConnections(UnclassifiedConnections):
    """
    The unclassified connections of a worker, whose number the supervisor limits for each source.

    :param changed: called at the first change after :meth:`takeChanges`.
    """

    def __init__(self, clock: IReactorTime, sink: Sink, bounds: Bounds, changed: Callable[[], object]) -> None:
        super().__init__(clock, sink, bounds, lambda source: True, _Noted(self._note))
        self._report = changed
        self._changes: set[str] = set()

    def takeChanges(self) -> tuple[tuple[str, int], ...]:
        """The sources whose number of connections has changed since the last call, and their numbers now."""
        changes = tuple((source, self._bySource.count(source)) for source in self._changes)
        self._changes.clear()
        return changes

    def dropOldest(self, source: str) -> None:
        """Drop the oldest connection of a source, if there is one: there are too many on the whole server."""
        if self._bySource.count(source):
            self._refuse(self._bySource.oldest(source))

    def _note(self, source: str) -> None:
        first = not self._changes
        self._changes.add(source)
        if first:
            self._report()
