"""Visitors, as the client sees them: for each one a connection to the server and one to the local service."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final, Protocol
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from bore.client.dataconnections import DataConnections
from bore.client.patience import Patience
from bore.client.reasons import describe
from bore.client.settings import ClientSettings
from bore.relay.interface import Ending, Relay, Stream
from bore.streams.dial import Dialer, Dials
from bore.streams.reactor import IReactor
from bore.streams.sockets import sinceReceived
from bore.streams.visitorlog import VisitorLog
from bore.system.descriptors import Descriptors
from bore.timing.bursts import Burst, Overflow
from bore.wire.limits import ACCEPT_TIMEOUT
from bore.wire.messages import Accept

#: Visitors that may be on their way to the local service at the same time; further ones wait.
MAX_DIALLING: Final = 1024

#: Visitors that may wait to be connected. Our own server announces 256 at a time; an original one announces all that
#: it has, which is bounded by its descriptors.
MAX_QUEUED: Final = 1 << 14

#: While visitors wait for descriptors, it is looked for some at this interval, in seconds.
_LOOK: Final = 0.25


class Lanes(Protocol):
    """The lanes of a session, some of which are idle."""

    def giveWay(self) -> bool:
        """Close an idle lane, and say whether there was one."""


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
        self.local: Dials = Dialer(reactor, settings.localHost, settings.localPort)
        self.localName = settings.local
        self.patience = Patience(reactor, self._giveWay)
        self.connections = DataConnections(reactor, settings.secret)
        self.descriptors = Descriptors(reactor, settings.descriptors)
        self.lanes: set[Lanes] = set()
        self.witness: Callable[[], None] | None = None
        self._maxVisitors = settings.maxVisitors
        self._dialling: dict[UUID, _Visitor] = {}
        self._queue: OrderedDict[UUID, tuple[float, Dials, bytes]] = OrderedDict()
        self._looking: IDelayedCall | None = None
        self._soon = False
        self._carriers: dict[UUID, tuple[Dials, socket.socket]] = {}
        self._reaching = 0
        self._shortage = Burst(reactor)
        self._crowd = Overflow(reactor, "{limit} visitors wait to be connected, more are left out")
        self._throng = Overflow(reactor, "{limit} visitors may be there, more are turned away")
        self.unaccepted = Overflow(reactor, "no connection to the server for a visitor: {error}")
        self._unserved = Overflow(reactor, "cannot connect to {local} for a visitor: {error}")

    def came(self, id: UUID, server: Dials, header: bytes = b"") -> None:
        """
        Serve a visitor, as soon as that is possible.

        :param server: dials the server that has announced it.
        :param header: what the local service is told first.
        """
        self.noticed()
        if id in self._dialling:
            self._dialling[id].announcedAgain(server, header)
            return
        if id in self._queue:
            self._queue[id] = self._queue[id][0], server, header
            return
        if len(self._queue) >= MAX_QUEUED:
            self._crowd.happened(limit=MAX_QUEUED)
            return
        self._queue[id] = self.reactor.seconds() + ACCEPT_TIMEOUT, server, header
        if self._looking is None:
            self._serveQueue()

    def sinceReceived(self, server: Dials) -> float:
        """How many seconds ago bytes of a server came on the connections of the visitors that are being served."""
        return min((sinceReceived(sock) for dials, sock in self._carriers.values() if dials is server), default=inf)

    def reach(self) -> socket.socket | Deferred[socket.socket]:
        """Dial the local service for a visitor that is on a lane."""
        self.descriptors.opened()
        local = self.patience.dial(self.local)
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

    def hasDescriptors(self, wanted: int) -> bool:
        """
        Whether this many descriptors may be opened for visitors that wait; if not, the log says so once.

        Idle lanes give way first. Streams that only linger do so last, because an answer may still be on its way.
        """
        while not self.descriptors.has(wanted) and self._giveWay():
            pass
        if self.descriptors.has(wanted) or (self.relay.relieve() and self.descriptors.has(wanted)):
            return True
        if self._shortage.begins():
            self.log.warn(
                "no descriptors are left for visitors: new ones wait until others leave; {limit} may be open, "
                "the limit (ulimit -n) less a few",
                limit=self.descriptors.limit,
            )
        return False

    def stop(self) -> None:
        """Let go of the visitors that are not connected yet."""
        self._queue.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
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

    def served(self, id: UUID, server: Dials, sock: socket.socket) -> None:
        """
        The local service was reached for a visitor.

        :param server: the server that it came from.
        :param sock: the connection with that server on which it is.
        """
        self._carriers[id] = server, sock
        if self._unserved.lasts:
            self._unserved.over("{local} answers again; visitors closed meanwhile: {count}")

    def left(self, id: UUID, ending: Ending) -> None:
        """A visitor has left."""
        self._carriers.pop(id, None)
        if VisitorLog.wanted:
            self.log.debug(
                "visitor {id} is gone: {reason}; {fromVisitor} bytes from it, {toVisitor} to it",
                id=id,
                reason=ending.reason.value,
                fromVisitor=ending.toRight,
                toVisitor=ending.toLeft,
            )
        if self._queue:
            self._serveSoon()

    def settled(self, id: UUID) -> None:
        """This visitor is connected, or will never be."""
        self._dialling.pop(id, None)
        if self._queue:
            self._serveSoon()

    def _serveQueue(self) -> None:
        """Connect those who wait, the first one first, as far as there is room; the server has dropped the oldest."""
        self._looking = None
        self._soon = False
        now = self.reactor.seconds()
        try:
            while self._queue and len(self._dialling) < MAX_DIALLING and self.hasDescriptors(2):
                id, (until, server, header) = self._queue.popitem(last=False)
                if until > now:
                    self.descriptors.opened(2)
                    visitor = self._dialling[id] = _Visitor(self, id, server, header, not self.mayCome())
                    visitor.start()
        finally:
            if self._queue:
                self._looking = self.reactor.callLater(_LOOK, self._serveQueue)

    def _serveSoon(self) -> None:
        """Look at those who wait in the next turn, and not inside the step that has made room for one."""
        if self._looking is not None and not self._soon:
            self._soon = True
            self._looking.reset(0)

    def _giveWay(self) -> bool:
        return any(lanes.giveWay() for lanes in self.lanes)


class _Visitor:
    """
    One visitor on its way.

    Both connections are made at the same time. The visitor is accepted even if the local service cannot be reached:
    only then can it be told at once, by closing.

    :param server: dials the server that has announced it.
    :param refused: it is accepted for being told no, as there are too many.
    """

    __slots__ = (
        "_accepting",
        "_dials",
        "_header",
        "_id",
        "_local",
        "_reached",
        "_reaching",
        "_refused",
        "_server",
        "_stopped",
        "_visitors",
    )

    def __init__(self, visitors: Visitors, id: UUID, server: Dials, header: bytes, refused: bool) -> None:
        self._visitors = visitors
        self._id = id
        self._dials = server
        self._header = header
        self._server: Stream | None = None
        self._local: socket.socket | None = None
        self._refused = refused
        self._stopped = False
        self._reached = False
        self._reaching: Deferred[None] | None = None
        self._accepting: Deferred[None] | None = None

    def start(self) -> None:
        if VisitorLog.wanted:
            self._visitors.log.debug("visitor {id}", id=self._id)
        patience = self._visitors.patience
        local = None if self._refused else patience.dial(self._visitors.local)
        if isinstance(local, Deferred):
            self._reaching = local.addCallbacks(self._localReached, self._localFailed)
        else:
            self._local = local
        self._accept()

    def announcedAgain(self, server: Dials, header: bytes) -> None:
        """
        A session that took over has announced it, too.

        The server may be at another address for that one, or this machine, and the dial that is under way lead nowhere.
        """
        if self._reached or server is self._dials:
            return  # what is said there already may have been heard
        self._dials, self._header = server, header
        if self._accepting is not None:
            self._accepting.cancel()
        self._accept()

    def stop(self) -> None:
        """Close what is open."""
        self._stopped = True
        self._visitors.settled(self._id)
        for step in (self._reaching, self._accepting):
            if step is not None:
                step.cancel()
        if self._server is not None:
            self._server.socket.close()
        if self._local is not None:
            self._local.close()

    def _accept(self) -> None:
        """Open the connection to the server."""
        visitors = self._visitors
        server = visitors.connections.open(self._dials, Accept(self._id), visitors.patience, self._serverReached)
        if isinstance(server, Deferred):
            self._accepting = server.addCallbacks(self._accepted, self._acceptFailed)
        else:
            self._accepted(server)

    def _serverReached(self) -> None:
        self._reached = True

    def _accepted(self, server: Stream) -> None:
        self._server = server
        self._join()

    def _acceptFailed(self, reason: Failure) -> None:
        if self._stopped or reason.check(CancelledError):
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
            self._visitors.served(self._id, self._dials, self._server.socket)
            server = Stream(self._server.socket, self._header + self._server.early)
            self._visitors.relay.join(server, Stream(self._local), partial(self._visitors.left, self._id))
