"""Connections to the control port that have not said yet what they want."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink
from bore.events.server import Limit, LimitReached
from bore.server.settings import Bounds
from bore.timing.deadlines import Deadlines
from bore.wire.errors import Refusal, TooManyPending
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT


class Connection(Protocol):
    """One of them."""

    def refuse(self, refusal: Refusal) -> None:
        """Say no, and close."""

    def timedOut(self) -> None:
        """The time is over in which it should have said what it wants."""

    def drop(self) -> None:
        """Close at once, without a word."""


class _Sources:
    """
    The connections of each source, the oldest first, and which source has most; each step costs the same, however many
    there are.
    """

    def __init__(self) -> None:
        self._connections: dict[str, dict[Connection, None]] = {}
        self._having: dict[int, dict[str, None]] = {}  # the sources that have so many
        self._most = 0

    def count(self, source: str) -> int:
        """How many connections a source has."""
        return len(self._connections.get(source, ()))

    def oldest(self, source: str) -> Connection:
        """A source's oldest connection."""
        return next(iter(self._connections[source]))

    def most(self, one: str | None = None) -> str:
        """The source that has most; of several this one if it is among them."""
        having = self._having[self._most]
        return one if one in having else next(iter(having))

    def add(self, connection: Connection, source: str) -> None:
        """One more."""
        mine = self._connections.setdefault(source, {})
        mine[connection] = None
        self._move(source, len(mine) - 1, len(mine))
        self._most = max(self._most, len(mine))

    def remove(self, connection: Connection, source: str) -> None:
        """One less."""
        mine = self._connections[source]
        del mine[connection]
        self._move(source, len(mine) + 1, len(mine))
        if self._most not in self._having:
            self._most -= 1  # this source had most, alone, and has one less now
        if not mine:
            del self._connections[source]

    def clear(self) -> None:
        """None are left."""
        self._connections.clear()
        self._having.clear()
        self._most = 0

    def _move(self, source: str, before: int, after: int) -> None:
        if before:
            del self._having[before][source]
            if not self._having[before]:
                del self._having[before]
        if after:
            self._having.setdefault(after, {})[source] = None


class UnclassifiedConnections:
    """
    Bounds them in time, in number, and per source address.

    When there are too many, one of the source that has most is closed, its oldest: so a flood from a few addresses
    displaces itself, and not a client that is a long way off. A source that has a tunnel may have as many as all
    together: each of its visitors begins with such a connection.

    A connection that is being closed, and whose client does not read what was said to it last, counts as one of them.

    :param known: says whether a source has a tunnel.
    """

    def __init__(self, clock: IReactorTime, sink: Sink, bounds: Bounds, known: Callable[[str], bool]) -> None:
        self._sink = sink
        self._bounds = bounds
        self._known = known
        self._bySource = _Sources()
        self._sources: Deadlines[Connection, str] = Deadlines(clock, FIRST_MESSAGE_TIMEOUT, self._expired)

    def __len__(self) -> int:
        return len(self._sources)

    def add(self, connection: Connection, source: str) -> None:
        """A connection has come."""
        bounds = self._bounds
        if 0 < bounds.pendingPerSource <= self._bySource.count(source) and not self._known(source):
            self._sink.emit(LimitReached(Limit.UNCLASSIFIED_PER_SOURCE, bounds.pendingPerSource, source))
            self._refuse(self._bySource.oldest(source))
        elif 0 < bounds.pending <= len(self._sources):
            self._sink.emit(LimitReached(Limit.UNCLASSIFIED, bounds.pending))
            self._refuse(self._bySource.oldest(self._bySource.most(source)))
        self._bySource.add(connection, source)
        self._sources.add(connection, source)

    def take(self, connection: Connection) -> None:
        """A connection has said what it wants, or is gone. It need not be here any more."""
        source = self._sources.take(connection)
        if source is not None:
            self._bySource.remove(connection, source)

    def renew(self, connection: Connection, source: str) -> None:
        """A connection has said something, and has more to say."""
        self.take(connection)
        self.add(connection, source)

    def dropOne(self) -> None:
        """Close the oldest connection of the source that has most, if there is one, to have its descriptor."""
        if len(self._sources):
            connection = self._bySource.oldest(self._bySource.most())
            self.take(connection)
            connection.drop()

    def close(self) -> None:
        """Close all."""
        connections = self._sources.keys()
        self._sources.takeAll()
        self._bySource.clear()
        for connection in connections:
            connection.drop()

    def _refuse(self, connection: Connection) -> None:
        self.take(connection)
        connection.refuse(TooManyPending())
        self._dropIfStill(connection)

    def _expired(self, connection: Connection, source: str) -> None:
        self._bySource.remove(connection, source)
        connection.timedOut()
        self._dropIfStill(connection)

    def _dropIfStill(self, connection: Connection) -> None:
        """A connection whose time is over, and that has come back because its client does not read, is cut."""
        if connection in self._sources:
            self.take(connection)
            connection.drop()
