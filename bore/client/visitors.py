"""The visitors of all tunnels of this client: what they share, and which of them are served."""
# Longer than 300 lines: what becomes of a visitor, from its announcement to its end, is read in one place.

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from bore.client.opentunnel import OpenTunnel
from bore.client.patience import Patience
from bore.client.tunnel import Tunnel
from bore.client.visitor import ArrivingVisitor
from bore.events import Sink, VisitorEnd
from bore.events.client import (
    NoDescriptors,
    TurnedAway,
    VisitorCame,
    VisitorLeft,
    VisitorRefused,
    VisitorServed,
    VisitorUnserved,
)
from bore.relay.interface import Ending, Reason, Relay, Stream
from bore.streams.addresses import hostPort
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors
from bore.wire.extension import Source
from bore.wire.limits import ACCEPT_TIMEOUT

if TYPE_CHECKING:
    from bore.client.errorpage import ErrorPages

#: Visitors that may be on their way to the local service at the same time; further ones wait.
MAX_DIALLING: Final = 1024

#: Visitors that may wait to be connected. Our own server announces 256 at a time; an original one announces all that
#: it has, which is bounded by its descriptors.
MAX_QUEUED: Final = 1 << 14

#: While visitors wait for descriptors, the client looks for some at this interval, in seconds.
_LOOK: Final = 0.25

#: The server's stream is the left one of each pair.
_ENDS: Final = {
    Reason.FINISHED: VisitorEnd.FINISHED,
    Reason.LEFT_CUT: VisitorEnd.VISITOR_CUT,
    Reason.RIGHT_CUT: VisitorEnd.SERVICE_CUT,
    Reason.HALF_OPEN: VisitorEnd.HALF_OPEN,
    Reason.CUT: VisitorEnd.TUNNEL_CLOSED,
    Reason.STOPPED: VisitorEnd.STOPPED,
    Reason.FAILED: VisitorEnd.FAILED,
}


class Lanes(Protocol):
    """The lanes of a session."""

    def giveWay(self) -> bool:
        """Close an idle lane, if there is one that no visitor waits for."""


class ServedVisitor:
    """
    A visitor that is joined with the local service. Its pair in the relay calls it at its end.

    :ivar id: its id.
    :ivar at: the tunnel that it visits, in the session that has brought it.
    :ivar socket: its connection to the server.
    :ivar source: where it comes from; None: that is not known.
    :ivar since: when the local service was reached for it, by the clock.
    """

    __slots__ = ("_visitors", "at", "id", "since", "socket", "source")

    def __init__(
        self, visitors: Visitors, id: UUID | str, at: OpenTunnel, sock: socket.socket, source: Source | None, now: float
    ) -> None:
        self._visitors = visitors
        self.id = id
        self.at = at
        self.socket = sock
        self.source = source
        self.since = now

    def __call__(self, ending: Ending) -> None:
        self._visitors.left(self, ending)


class Visitors:
    """
    Brings visitors to the local services.

    :param descriptors: visitors are not accepted beyond this number of open descriptors; 0: no limit.
    :ivar relay: joins the streams of all visitors.
    :ivar lanes: those of all sessions.
    :ivar reaching: the attempts to reach a local service for a visitor on a lane: its id, its tunnel, and where it
        comes from.
    :ivar count: the number of visitors that are served, or on their way.
    """

    def __init__(self, reactor: IReactor, relay: Relay, descriptors: int, sink: Sink) -> None:
        self._reactor = reactor
        self._dialling: dict[UUID, ArrivingVisitor] = {}
        self._queue: OrderedDict[UUID, tuple[float, OpenTunnel, Source | None]] = OrderedDict()
        self._looking: IDelayedCall | None = None
        self._soon = False
        self._since: dict[UUID | str, float] = {}  # only of those whose events are wanted
        self.relay = relay
        self.sink = sink
        self.patience = Patience(reactor, self._giveWay)
        self.descriptors = Descriptors(reactor, descriptors)
        self.lanes: set[Lanes] = set()
        self.reaching: dict[Deferred[socket.socket], tuple[UUID | str, OpenTunnel, Source | None]] = {}
        self.count = 0
        self._errorPages: ErrorPages | None = None

    def announced(self, id: UUID, at: OpenTunnel, source: Source | None = None) -> None:
        """
        Serve a visitor that has to be accepted on a connection of its own, as soon as that is possible.

        :param at: the tunnel that it visits, in the session that has announced it.
        :param source: where it comes from.
        """
        at.tunnel.noticed()
        if id in self._dialling:
            self._dialling[id].announcedAgain(at, source)
            return
        if id in self._queue:
            self._queue[id] = self._queue[id][0], at, source
            return
        if len(self._queue) >= MAX_QUEUED:
            self.sink.emit(VisitorRefused(at.tunnel.name, TurnedAway.TOO_MANY_WAITING, MAX_QUEUED, at.tunnel.label))
            return
        self._queue[id] = self._reactor.seconds() + ACCEPT_TIMEOUT, at, source
        if self._looking is None:
            self._serveQueue()

    def admit(self, id: UUID | str, tunnel: Tunnel, lane: int | None = None) -> bool:
        """
        Count a visitor that has come through to this client.

        :param lane: the number of its lane, or None.
        :returns: whether there is room for it, so that it is brought to the local service.
        """
        limit = tunnel.spec.maxVisitors
        full = 0 < limit <= tunnel.visitors
        self.count += 1
        tunnel.visitors += 1
        if self.sink.ends:
            self._since[id] = self._reactor.seconds()
            if self.sink.visitors:
                self.sink.emit(VisitorCame(str(id), tunnel.name, lane))
        if full:
            self.sink.emit(VisitorRefused(tunnel.name, TurnedAway.TOO_MANY, limit, tunnel.label))
        return not full

    def hasDescriptors(self, wanted: int) -> bool:
        """
        Whether this many descriptors may be opened for visitors that wait.

        Idle lanes give way first. Streams that only linger do so last, because an answer may still be on its way.
        """
        while not self.descriptors.has(wanted) and self._giveWay():
            self.descriptors.closed()
        if self.descriptors.has(wanted) or (self.relay.relieve() and self.descriptors.has(wanted)):
            return True
        self.sink.emit(NoDescriptors(self.descriptors.limit))
        return False

    def stop(self) -> None:
        """Let go of the visitors that are not connected yet."""
        self._queue.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        for visitor in list(self._dialling.values()):
            visitor.stop()
        for dial in list(self.reaching):
            dial.cancel()
        if self._errorPages is not None:
            self._errorPages.stop()

    def waiting(self) -> Iterator[tuple[UUID | str, OpenTunnel, Source | None]]:
        """The visitors that are not connected with the local service yet: each one's id, tunnel, and source."""
        yield from self.reaching.values()
        for visitor in self._dialling.values():
            yield visitor.described
        for id, (_, at, source) in self._queue.items():
            yield id, at, source

    def served(
        self, id: UUID | str, at: OpenTunnel, sock: socket.socket, source: Source | None = None
    ) -> ServedVisitor:
        """
        The local service was reached for a visitor.

        :param sock: the visitor's connection to the server.
        :param source: where it comes from; None: that is not known.
        :returns: has to be called when the visitor has left.
        """
        at.connections.carriers.add(sock)
        if not at.tunnel.health.isUp:
            at.tunnel.reached()
        if self.sink.visitors:
            self.sink.emit(VisitorServed(str(id), at.tunnel.name))
        return ServedVisitor(self, id, at, sock, source, self._reactor.seconds())

    def errorPage(self, tunnel: Tunnel, visitor: socket.socket | None = None) -> socket.socket | None:
        """
        Have a visitor whose local service cannot be reached get an error page, if it speaks HTTP.

        :param visitor: its connection to the server; None: it is on a lane.
        :returns: the socket to join it with instead of the local service; None: it is to be closed.
        """
        if not tunnel.spec.errorPage or not self.descriptors.has(2):
            return None
        if self._errorPages is None:
            from bore.client.errorpage import ErrorPages

            self._errorPages = ErrorPages(self._reactor, self.relay)
        page = self._errorPages.open(visitor)
        if page is not None:
            self.descriptors.opened(2)
        return page

    def gone(self, id: UUID | str, tunnel: Tunnel, why: str) -> None:
        """A visitor that was counted is gone without being served."""
        self.count -= 1
        tunnel.visitors -= 1
        tunnel.usage.unserved += 1
        if self.sink.ends:
            self._since.pop(id, None)
            self.sink.emit(VisitorUnserved(str(id), tunnel.name, why))

    def left(self, visitor: ServedVisitor, ending: Ending) -> None:
        """A visitor that was served has left."""
        at = visitor.at
        tunnel = at.tunnel
        self.count -= 1
        tunnel.visitors -= 1
        tunnel.usage.left(ending)
        at.connections.carriers.discard(visitor.socket)
        if self.sink.ends:
            now, id = self._reactor.seconds(), visitor.id
            seconds = now - self._since.pop(id, now)
            end = _ENDS[ending.reason]
            source = "" if visitor.source is None else hostPort(*visitor.source)
            self.sink.emit(VisitorLeft(str(id), tunnel.name, ending.toRight, ending.toLeft, seconds, end, source))
        if self._queue:
            self._serveSoon()

    def join(self, id: UUID, at: OpenTunnel, source: Source | None, server: Stream, local: Stream) -> None:
        """Join the two connections of a visitor, which is on its way no more."""
        del self._dialling[id]
        left = self.served(id, at, server.socket, source)
        at.limit(server.socket, local.socket)
        self.relay.join(server, local, left)
        if self._queue:
            self._serveSoon()

    def explain(self, id: UUID, at: OpenTunnel, server: Stream, why: str) -> bool:
        """
        Have a visitor that cannot be joined get an error page.

        :param server: its connection to the server.
        :param why: why it is not served.
        :returns: whether it is on its way no more.
        """
        page = self.errorPage(at.tunnel, server.socket)
        if page is None:
            return False
        self.relay.join(server, Stream(page), lambda ending: self.gone(id, at.tunnel, why))
        self.settled(id)
        return True

    def settled(self, id: UUID) -> None:
        """A visitor is on its way no more, and will not be joined."""
        self._dialling.pop(id, None)
        if self._queue:
            self._serveSoon()

    def _serveQueue(self) -> None:
        """Connect the visitors that wait, oldest first, while there is room. The server has closed the expired ones."""
        self._looking = None
        self._soon = False
        now = self._reactor.seconds()
        try:
            while self._queue and len(self._dialling) < MAX_DIALLING and self.hasDescriptors(2):
                id, (until, at, source) = self._queue.popitem(last=False)
                if until > now:
                    self.descriptors.opened(2)
                    welcome = self.admit(id, at.tunnel)
                    visitor = self._dialling[id] = ArrivingVisitor(self, id, at, source, welcome)
                    visitor.start()
        finally:
            if self._queue:
                self._looking = self._reactor.callLater(_LOOK, self._serveQueue)

    def _serveSoon(self) -> None:
        """Serve the queue in the next turn, not inside the step that has made room for a visitor."""
        if self._looking is not None and not self._soon:
            self._soon = True
            self._looking.reset(0)

    def _giveWay(self) -> bool:
        return any(lanes.giveWay() for lanes in self.lanes)
