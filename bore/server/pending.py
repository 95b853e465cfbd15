"""Connections to the control port that have not said yet what they want."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from bore.server.settings import Bounds
from bore.streams.bursts import Overflow
from bore.streams.deadlines import Deadlines
from bore.wire.errors import Refusal, TooManyPending
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT


class Connection(Protocol):
    """One of them."""

    def refuse(self, refusal: Refusal) -> None:
        """Say no, and close."""

    def pendingTooLong(self) -> None:
        """The time is over in which it should have said what it wants."""

    def drop(self) -> None:
        """Close at once, without a word."""


class Pending:
    """
    Bounds them in time, in number, and per source address.

    When there are too many the oldest is closed: a client says what it wants within a round trip, so it is those that
    say nothing who lose. A source that has a tunnel may have as many as all together: each of its visitors begins
    with such a connection.

    :param known: says whether a source has a tunnel.
    """

    def __init__(self, clock: IReactorTime, bounds: Bounds, known: Callable[[str], bool]) -> None:
        self._bounds = bounds
        self._known = known
        self._bySource: dict[str, dict[Connection, None]] = {}
        self._sources: Deadlines[Connection, str] = Deadlines(clock, FIRST_MESSAGE_TIMEOUT, self._expired)
        self._crowd = Overflow(
            clock, "{limit} connections to the control port have said nothing yet: the oldest are closed"
        )
        self._throng = Overflow(
            clock, "{limit} connections from {source} have said nothing yet: the oldest of them are closed"
        )

    def __len__(self) -> int:
        return len(self._sources)

    def add(self, connection: Connection, source: str) -> None:
        """A connection has come."""
        mine = self._bySource.setdefault(source, {})
        if 0 < self._bounds.pendingPerSource <= len(mine) and not self._known(source):
            self._throng.happened(limit=self._bounds.pendingPerSource, source=source)
            self._refuse(next(iter(mine)))
        elif 0 < self._bounds.pending <= len(self._sources):
            self._crowd.happened(limit=self._bounds.pending)
            self._refuse(self._sources.oldest())
        self._bySource.setdefault(source, {})[connection] = None
        self._sources.add(connection, source)

    def take(self, connection: Connection) -> None:
        """A connection has said what it wants, or is gone. It need not be here any more."""
        source = self._sources.take(connection)
        if source is not None:
            self._forget(connection, source)

    def renew(self, connection: Connection, source: str) -> None:
        """A connection has said something, and has more to say."""
        self.take(connection)
        self.add(connection, source)

    def dropOldest(self) -> None:
        """Close the oldest, if there is one, to have its descriptor."""
        if len(self._sources):
            connection = self._sources.oldest()
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

    def _expired(self, connection: Connection, source: str) -> None:
        self._forget(connection, source)
        connection.pendingTooLong()

    def _forget(self, connection: Connection, source: str) -> None:
        mine = self._bySource[source]
        del mine[connection]
        if not mine:
            del self._bySource[source]
