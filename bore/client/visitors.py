"""Visitors, as the client sees them: for each one a connection to the server and one to the local service."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bore.client.dataconnections import DataConnections
from bore.client.reasons import describe
from bore.client.settings import ClientSettings
from bore.relay.face import Ending, Relay, Stream
from bore.streams.bursts import Overflow
from bore.streams.dial import Dialer, Dials
from bore.streams.reactor import IReactor
from bore.streams.visitorlog import VisitorLog
from bore.wire.messages import Accept

#: Visitors that may be on their way to the local service at the same time. A server that announces more gets no
#: connection for them, and drops them when their time is over.
MAX_DIALLING: Final = 1024


class Visitors:
    """
    Brings visitors to the local service.

    :param local: dials the local service.
    :ivar witness: called for each visitor that has come through to this client.
    :ivar unaccepted: visitors for whom no data connection could be made.
    """

    log = VisitorLog()

    def __init__(self, reactor: IReactor, relay: Relay, settings: ClientSettings) -> None:
        self.reactor = reactor
        self.relay = relay
        self.local = Dialer(reactor, settings.localHost, settings.localPort)
        self.localName = settings.local
        self.connections = DataConnections(reactor, settings.secret)
        self.witness: Callable[[], None] | None = None
        self._maxVisitors = settings.maxVisitors
        self._dialling: dict[UUID, _Visitor] = {}
        self._reaching = 0
        self._crowd = Overflow(reactor, "{limit} visitors are being connected, more are left out")
        self._throng = Overflow(reactor, "{limit} visitors may be there, more are turned away")
        self.unaccepted = Overflow(reactor, "no connection to the server for a visitor: {error}")
        self._unserved = Overflow(reactor, "cannot connect to {local} for a visitor: {error}")

    def came(self, id: UUID, server: Dials, header: bytes = b"") -> None:
        """
        Serve a visitor.

        :param server: dials the server that has announced it.
        :param header: what the local service is told first.
        """
        self.noticed()
        if id in self._dialling:
            return  # announced again, by a session that took over
        if len(self._dialling) >= MAX_DIALLING:
            self._crowd.happened(limit=MAX_DIALLING)
        else:
            visitor = self._dialling[id] = _Visitor(self, id, header, not self.mayCome())
            visitor.start(server)

    def reach(self) -> socket.socket | Deferred[socket.socket]:
        """Dial the local service for a visitor that is on a lane."""
        local = self.local.dial()
        if isinstance(local, Deferred):
            self._reaching += 1
            local.addBoth(self._reached)
        return local

    def _reached(self, result: socket.socket | Failure) -> socket.socket | Failure:
        self._reaching -= 1
        return result

    def mayCome(self) -> bool:
        """Whether there is room for one more visitor."""
        if 0 < self._maxVisitors <= len(self._dialling) + self._reaching + len(self.relay):
            self._throng.happened(limit=self._maxVisitors)
            return False
        return True

    def stop(self) -> None:
        """Let go of the visitors that are not connected yet."""
        for visitor in list(self._dialling.values()):
            visitor.stop()
        for trouble in (self._crowd, self._throng, self.unaccepted, self._unserved):
            trouble.end()

    def noticed(self) -> None:
        """A visitor has come through to this client, whatever becomes of it."""
        if self.witness is not None:
            self.witness()

    def notServed(self, id: UUID, reason: Failure) -> None:
        """The local service could not be reached for a visitor."""
        error = describe(reason.value)
        self._unserved.happened(local=self.localName, error=error)
        if VisitorLog.wanted:
            self.log.debug("visitor {id}: cannot connect to {local}: {error}", id=id, local=self.localName, error=error)

    def served(self) -> None:
        """The local service was reached for a visitor."""
        if self._unserved.lasts:
            self._unserved.over("{local} answers again; visitors closed meanwhile: {count}")

    def left(self, id: UUID, ending: Ending) -> None:
        """A visitor has left."""
        if VisitorLog.wanted:
            self.log.debug(
                "visitor {id} is gone: {reason}; {fromVisitor} bytes from it, {toVisitor} to it",
                id=id,
                reason=ending.reason.value,
                fromVisitor=ending.toRight,
                toVisitor=ending.toLeft,
            )

    def settled(self, id: UUID) -> None:
        """This visitor is connected, or will never be."""
        self._dialling.pop(id, None)


class _Visitor:
    """
    One visitor on its way.

    Both connections are made at the same time. The visitor is accepted even if the local service cannot be reached:
    only then can it be told at once, by closing.

    :param refused: it is accepted for being told no, as there are too many.
    """

    __slots__ = ("_header", "_id", "_local", "_refused", "_server", "_steps", "_stopped", "_visitors")

    def __init__(self, visitors: Visitors, id: UUID, header: bytes, refused: bool) -> None:
        self._visitors = visitors
        self._id = id
        self._header = header
        self._server: Stream | None = None
        self._local: socket.socket | None = None
        self._refused = refused
        self._stopped = False
        self._steps: list[Deferred[None]] = []

    def start(self, server: Dials) -> None:
        if VisitorLog.wanted:
            self._visitors.log.debug("visitor {id}", id=self._id)
        local = None if self._refused else self._visitors.local.dial()
        if isinstance(local, Deferred):
            self._steps.append(local.addCallbacks(self._localReached, self._localFailed))
        else:
            self._local = local
        remote = self._visitors.connections.open(server, Accept(self._id))
        if isinstance(remote, Deferred):
            self._steps.append(remote.addCallbacks(self._accepted, self._acceptFailed))
        else:
            self._accepted(remote)

    def stop(self) -> None:
        """Close what is open."""
        self._stopped = True
        self._visitors.settled(self._id)
        for step in self._steps:
            step.cancel()
        if self._server is not None:
            self._server.socket.close()
        if self._local is not None:
            self._local.close()

    def _accepted(self, server: Stream) -> None:
        self._server = server
        self._join()

    def _acceptFailed(self, reason: Failure) -> None:
        if self._stopped:
            return
        error = describe(reason.value)
        self._visitors.unaccepted.happened(error=error)
        if VisitorLog.wanted:
            self._visitors.log.debug("visitor {id}: no data connection: {error}", id=self._id, error=error)
        self.stop()

    def _localReached(self, local: socket.socket) -> None:
        self._local = local
        self._join()

    def _localFailed(self, reason: Failure) -> None:
        if self._stopped:
            return
        self._visitors.notServed(self._id, reason)
        self._refused = True
        self._join()

    def _join(self) -> None:
        """Go on, if both connections have got as far as they can."""
        if self._server is None:
            return
        if self._refused:
            self.stop()
        elif self._local is not None:
            self._visitors.settled(self._id)
            self._visitors.served()
            server = Stream(self._server.socket, self._header + self._server.early)
            self._visitors.relay.join(server, Stream(self._local), partial(self._visitors.left, self._id))
