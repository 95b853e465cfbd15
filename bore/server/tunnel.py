"""A public port, and the visitors that wait for the client to take them."""

from __future__ import annotations

import socket
from typing import Final, Protocol
from uuid import UUID

from twisted.internet.interfaces import IReactorTime

from bore.server.rate import VisitorRate
from bore.server.settings import Bounds
from bore.streams.addresses import SocketAddress, plainHost, socketAddress, sourceOf
from bore.streams.bursts import Overflow
from bore.streams.deadlines import Deadlines
from bore.streams.listener import Listener, Starvation
from bore.streams.reactor import IReactor
from bore.streams.visitorlog import VisitorLog
from bore.wire.errors import Refusal
from bore.wire.extension import Source
from bore.wire.limits import ACCEPT_TIMEOUT
from bore.wire.token import newId, newToken

#: Visitors of one tunnel that may wait for a client that is there. One that lives takes each within a round trip;
#: behind one that does not, no more descriptors than these are held.
MAX_ANNOUNCED: Final = 1024


class Visitor:
    """
    Somebody who has connected to a public port.

    :ivar name: its id, as text.
    :ivar early: bytes that were read from it already.
    :ivar lanesLost: how many lanes it was on that turned out to be dead.
    """

    __slots__ = ("_id", "address", "early", "lanesLost", "name", "socket", "tunnel")

    def __init__(self, sock: socket.socket, address: SocketAddress, tunnel: Tunnel) -> None:
        self.name = newId()
        self._id: UUID | None = None
        self.socket = sock
        self.early = b""
        self.lanesLost = 0
        self.address = address
        self.tunnel = tunnel

    @property
    def id(self) -> UUID:
        """What the client takes it by, if it has to wait; most never do."""
        if self._id is None:
            self._id = UUID(self.name)
        return self._id

    @property
    def source(self) -> Source:
        """Where the visitor comes from, without the scope that only this machine knows."""
        return plainHost(self.address).partition("%")[0], int(self.address[1])


class WaitingRoom:
    """
    All visitors that no client has taken yet, by id.

    A client takes a visitor on a new connection that says nothing but the id: so the room is one for all tunnels.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._visitors: Deadlines[UUID, Visitor] = Deadlines(clock, ACCEPT_TIMEOUT, self._expired)

    def __len__(self) -> int:
        return len(self._visitors)

    def add(self, visitor: Visitor) -> None:
        """Let a visitor wait."""
        self._visitors.add(visitor.id, visitor)
        visitor.tunnel.waiting[visitor.id] = visitor

    def take(self, id: UUID) -> Visitor | None:
        """Take a visitor out; None if nobody waits under this id, or no more."""
        visitor = self._visitors.take(id)
        if visitor is not None:
            del visitor.tunnel.waiting[id]
        return visitor

    def shrink(self) -> bool:
        """
        Close half of the visitors, those that came last, and say whether there was one.

        When visitors have taken the last descriptors there is none for the connections that would take them on: all
        would wait in vain. This way half of them are served.
        """
        count = (len(self._visitors) + 1) // 2
        for _ in range(count):
            self._close(self._visitors.takeNewest())
        return count > 0

    def dismiss(self, tunnel: Tunnel) -> None:
        """Close everybody who waits for one tunnel's client."""
        for visitor in list(tunnel.waiting.values()):
            self._visitors.take(visitor.id)
            self._close(visitor)

    def close(self) -> None:
        """Close everybody who waits."""
        for visitor in self._visitors.takeAll():
            self._close(visitor)

    def _close(self, visitor: Visitor) -> None:
        del visitor.tunnel.waiting[visitor.id]
        visitor.socket.close()

    def _expired(self, id: UUID, visitor: Visitor) -> None:
        self._close(visitor)
        visitor.tunnel.neglected(visitor)


class Client(Protocol):
    """Whoever serves a tunnel's visitors: a control connection."""

    def serve(self, visitor: Visitor) -> bool:
        """Put a visitor on an idle lane, if there is one."""

    def announce(self, visitor: Visitor) -> None:
        """Tell the client of a visitor."""

    def end(self, refusal: Refusal) -> None:
        """Tell the client that it has lost the tunnel, and why, and close the connection."""


class Tunnel:
    """
    One public port. It can be without a client for a while.

    :param sock: the listening socket.
    :param source: whom the client's address belongs to.
    :ivar token: for this a client gets the tunnel back.
    :ivar client: who serves the visitors; None while the client is away.
    :ivar waiting: the visitors that no client has taken, by id; the oldest first.
    :ivar closed: the port was given back.
    :ivar running: how many visitors are being served.
    """

    _log = VisitorLog()

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        room: WaitingRoom,
        starvation: Starvation,
        bounds: Bounds,
        source: str,
        client: Client,
    ) -> None:
        self._room = room
        self._bounds = bounds
        self._rate = VisitorRate(reactor, bounds.visitorRate)
        self._neglect = Overflow(reactor, "port {port}: nobody has taken the visitor {visitor} in {seconds:.0f} s")
        self._crowd = Overflow(reactor, "port {port}: {limit} visitors may wait, more are closed")
        self._throng = Overflow(reactor, "port {port}: {limit} visitors may be there, more are closed")
        self._shortage = Overflow(reactor, "port {port}: the last descriptors are for clients, visitors are closed")
        self._rush = Overflow(
            reactor, "port {port}: more than {limit} new visitors per second from {source}, they are closed"
        )
        self.token = newToken()
        self.source = source
        self.client: Client | None = client
        self.waiting: dict[UUID, Visitor] = {}
        self.running = 0
        self.closed = False
        self._listener = Listener(reactor, sock, self._visitorCame, starvation)

    @property
    def port(self) -> int:
        """The public port."""
        return self._listener.port

    def announceAll(self) -> None:
        """Tell a client that is new to the tunnel of everybody who waits."""
        assert self.client is not None
        for visitor in self.waiting.values():
            self.client.announce(visitor)

    def admit(self, visitor: Visitor) -> None:
        """Have a visitor wait for the client."""
        if self.closed:
            visitor.socket.close()
            return
        self._room.add(visitor)
        if self.client is not None:
            self.client.announce(visitor)

    def takeFirst(self) -> Visitor | None:
        """Take the visitor out who has waited for the longest time; None if nobody waits."""
        for id in self.waiting:
            return self._room.take(id)
        return None

    def close(self) -> None:
        """Give the port back, and close who waits."""
        self.client = None
        self.closed = True
        self._listener.stop()
        self._room.dismiss(self)

    def neglected(self, visitor: Visitor) -> None:
        """Nobody has taken a visitor, and it is closed."""
        self._neglect.happened(port=self.port, visitor=socketAddress(visitor.address), seconds=ACCEPT_TIMEOUT)

    def _visitorCame(self, sock: socket.socket, address: SocketAddress) -> None:
        if not self._hasRoom(sock, address):
            sock.close()
            return
        visitor = Visitor(sock, address, self)
        if VisitorLog.wanted:
            self._log.debug(
                "port {port}: visitor {visitor} is {id}",
                port=self.port,
                visitor=socketAddress(address),
                id=visitor.name,
            )
        if self.client is None or not self.client.serve(visitor):
            self.admit(visitor)

    def _hasRoom(self, sock: socket.socket, address: SocketAddress) -> bool:
        bounds = self._bounds
        # Everybody who waits will need one more, for the connection that the client makes.
        if 0 < bounds.descriptors <= sock.fileno() + len(self._room):
            self._shortage.happened(port=self.port)
            return False
        if self._rate.perSecond and not self._rate.allows(source := sourceOf(address)):
            self._rush.happened(port=self.port, limit=bounds.visitorRate, source=source)
            return False
        waiting = len(self.waiting)
        limit = MAX_ANNOUNCED if self.client is not None else bounds.waiting
        if waiting >= limit:
            self._crowd.happened(port=self.port, limit=limit)
            return False
        if 0 < bounds.visitors <= waiting + self.running:
            self._throng.happened(port=self.port, limit=bounds.visitors)
            return False
        return True
