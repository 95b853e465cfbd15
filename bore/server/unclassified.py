"""Connections to the control port that have not sent their first message yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink
from bore.events.server import Limit, LimitReached
from bore.server.settings import Bounds
from bore.timing.deadlines import Deadlines
from bore.wire.errors import Refusal, TooManyPending
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT

#: The source of the connections of trusted proxies that have not announced theirs: of these only the total counts.
OF_PROXIES: Final = "trusted proxies"

C = TypeVar("C")


class Connection(Protocol):
    """A connection to the control port."""

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal, and close the connection."""

    def timedOut(self) -> bool:
        """The message that is due has not come in time. Returns whether the client gets the same time again."""

    def drop(self) -> None:
        """Close the connection at once, without a message."""


class Sources(Generic[C]):
    """
    The connections of each source, the oldest first, and the source that has most. Each step takes constant time.
    """

    def __init__(self) -> None:
        self._connections: dict[str, dict[C, None]] = {}
        self._having: dict[int, dict[str, None]] = {}  # the sources by their number of connections
        self._most = 0

    def count(self, source: str) -> int:
        """The number of connections of a source."""
        return len(self._connections.get(source, ()))

    def oldest(self, source: str) -> C:
        """A source's oldest connection."""
        return next(iter(self._connections[source]))

    def most(self, one: str | None = None) -> str:
        """The source that has most; ``one`` if it is among several of them."""
        having = self._having[self._most]
        return one if one in having else next(iter(having))

    def add(self, connection: C, source: str) -> None:
        """Add a connection."""
        mine = self._connections.setdefault(source, {})
        mine[connection] = None
        self._move(source, len(mine) - 1, len(mine))
        self._most = max(self._most, len(mine))

    def remove(self, connection: C, source: str) -> None:
        """Remove a connection."""
        mine = self._connections[source]
        del mine[connection]
        self._move(source, len(mine) + 1, len(mine))
        if self._most not in self._having:
            self._most -= 1  # this source had most, alone, and has one less now
        if not mine:
            del self._connections[source]

    def _move(self, source: str, before: int, after: int) -> None:
        if before:
            del self._having[before][source]
            if not self._having[before]:
                del self._having[before]
        if after:
            self._having.setdefault(after, {})[source] = None


class UnclassifiedConnections:
    """
    Limits the time, the number, and the number per source of unclassified connections.

    When there are too many, the oldest one of the source that has most is closed: a flood from a few addresses
    displaces itself, and not a client with a slow link. For a source that has a tunnel only the total counts, as each
    of its visitors may begin with such a connection.

    A connection that is being closed counts as unclassified until its client has read the last message.

    :param known: returns whether a source has a tunnel.
    :param sources: keeps the connections of each source; None: they are of no concern to others.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        bounds: Bounds,
        known: Callable[[str], bool],
        sources: Sources[Connection] | None = None,
    ) -> None:
        self._sink = sink
        self._bounds = bounds
        self._known = known
        self._bySource: Sources[Connection] = Sources() if sources is None else sources
        self._sources: Deadlines[Connection, str] = Deadlines(clock, FIRST_MESSAGE_TIMEOUT, self._expired)

    def apply(self, bounds: Bounds) -> None:
        """Apply other limits to the connections that come from now on."""
        self._bounds = bounds

    def __len__(self) -> int:
        return len(self._sources)

    def add(self, connection: Connection, source: str) -> None:
        """Add a new connection."""
        self._makeRoom(source)
        self._bySource.add(connection, source)
        self._sources.add(connection, source)

    def take(self, connection: Connection) -> None:
        """Remove a connection: its first message has come, or it is closed. Does nothing if it is not here."""
        source = self._sources.take(connection)
        if source is not None:
            self._bySource.remove(connection, source)

    def renew(self, connection: Connection, source: str) -> None:
        """Begin the time of a connection anew: the next message is due."""
        self.take(connection)
        self.add(connection, source)

    def dropOne(self) -> bool:
        """
        Close the oldest connection of the source that has most, to free its descriptor.

        :returns: whether there was one.
        """
        if not len(self._sources):
            return False
        connection = self._bySource.oldest(self._bySource.most())
        self.take(connection)
        connection.drop()
        return True

    def close(self) -> None:
        """Close all connections."""
        connections = self._sources.keys()
        for connection in connections:
            self.take(connection)
        self._sources.takeAll()
        for connection in connections:
            connection.drop()

    def _makeRoom(self, source: str) -> None:
        """Refuse a connection, if there is no room for one more of this source."""
        bounds = self._bounds
        if 0 < bounds.pendingPerSource <= self._bySource.count(source) and self._isLimited(source):
            self._sink.emit(LimitReached(Limit.UNCLASSIFIED_PER_SOURCE, bounds.pendingPerSource, source))
            self._refuse(self._bySource.oldest(source))
        elif 0 < bounds.pending <= len(self._sources):
            self._sink.emit(LimitReached(Limit.UNCLASSIFIED, bounds.pending))
            self._refuse(self._bySource.oldest(self._bySource.most(source)))

    def _isLimited(self, source: str) -> bool:
        """Whether the number of connections of a source is limited."""
        return source != OF_PROXIES and not self._known(source)

    def _refuse(self, connection: Connection) -> None:
        self.take(connection)
        connection.refuse(TooManyPending())
        self._dropIfStill(connection)

    def _expired(self, connection: Connection, source: str) -> None:
        self._bySource.remove(connection, source)
        if connection.timedOut():
            self.add(connection, source)
        else:
            self._dropIfStill(connection)

    def _dropIfStill(self, connection: Connection) -> None:
        """Cut a connection that is here again because its client has not read the last message."""
        if connection in self._sources:
            self.take(connection)
            connection.drop()
