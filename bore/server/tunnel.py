"""A public port, and the visitors that wait for the client to take them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bore.streams.addresses import SocketAddress, socketAddress
from bore.streams.bursts import Burst
from bore.streams.deadlines import Deadlines
from bore.streams.listener import Listener
from bore.streams.reactor import IReactor
from bore.streams.visitorlog import VisitorLog
from bore.wire.limits import ACCEPT_TIMEOUT

#: Visitors of one tunnel that may wait for its client at the same time. A client that lives takes one within a round
#: trip; behind one that does not, no more descriptors than these are held.
MAX_WAITING: Final = 1024


class Visitor:
    """Somebody who has connected to a public port."""

    __slots__ = ("address", "id", "socket", "tunnel")

    def __init__(self, sock: socket.socket, address: SocketAddress, tunnel: Tunnel) -> None:
        self.id = uuid4()
        self.socket = sock
        self.address = address
        self.tunnel = tunnel


class WaitingRoom:
    """
    All visitors that no client has taken yet, by id.

    A client takes a visitor on a new connection that says nothing but the id: so the room is one for all tunnels.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._visitors: Deadlines[UUID, Visitor] = Deadlines(clock, ACCEPT_TIMEOUT, self._expired)

    def __len__(self) -> int:
        return len(self._visitors)

    def add(self, visitor: Visitor) -> None:
        """Let a visitor wait."""
        self._visitors.add(visitor.id, visitor)
        visitor.tunnel.waiting.add(visitor.id)

    def take(self, id: UUID) -> Visitor | None:
        """Take a visitor out; None if nobody waits under this id, or no more."""
        visitor = self._visitors.take(id)
        if visitor is not None:
            visitor.tunnel.waiting.discard(id)
        return visitor

    def shrink(self) -> bool:
        """
        Close half of the visitors, those that came last, and say whether there was one.

        When visitors have taken the last descriptors there is none for the connections that would take them on: all
        would wait in vain. This way half of them are served.
        """
        count = (len(self._visitors) + 1) // 2
        for _ in range(count):
            visitor = self._visitors.takeNewest()
            visitor.tunnel.waiting.discard(visitor.id)
            visitor.socket.close()
        return count > 0

    def dismiss(self, tunnel: Tunnel) -> None:
        """Close everybody who waits for one tunnel's client."""
        for id in list(tunnel.waiting):
            visitor = self.take(id)
            if visitor is not None:
                visitor.socket.close()

    def close(self) -> None:
        """Close everybody who waits."""
        for visitor in self._visitors.takeAll():
            visitor.tunnel.waiting.discard(visitor.id)
            visitor.socket.close()

    def _expired(self, id: UUID, visitor: Visitor) -> None:
        visitor.tunnel.waiting.discard(id)
        visitor.socket.close()
        if visitor.tunnel.neglect.begins():
            self._log.warn(
                "port {port}: the client did not take the visitor {visitor} in {seconds} s",
                port=visitor.tunnel.port,
                visitor=socketAddress(visitor.address),
                seconds=ACCEPT_TIMEOUT,
            )


class Tunnel:
    """
    One client's public port.

    :param sock: the listening socket.
    :param announce: tells the client the id of each visitor.
    :ivar waiting: the ids of this tunnel's visitors that wait.
    :ivar neglect: visitors that the client has not taken.
    """

    _log = VisitorLog()

    def __init__(
        self, reactor: IReactor, sock: socket.socket, room: WaitingRoom, announce: Callable[[UUID], None]
    ) -> None:
        self._room = room
        self._announce = announce
        self._crowd = Burst(reactor)
        self.neglect = Burst(reactor)
        self.waiting: set[UUID] = set()
        self._listener = Listener(reactor, sock, self._visitorCame)

    @property
    def port(self) -> int:
        """The public port."""
        return self._listener.port

    def close(self) -> None:
        """Give the port back, and close who waits."""
        self._listener.stop()
        self._room.dismiss(self)

    def _visitorCame(self, sock: socket.socket, address: SocketAddress) -> None:
        if len(self.waiting) >= MAX_WAITING:
            sock.close()
            if self._crowd.begins():
                self._log.warn("port {port}: {limit} visitors wait, more are closed", port=self.port, limit=MAX_WAITING)
            return
        visitor = Visitor(sock, address, self)
        self._room.add(visitor)
        if VisitorLog.wanted:
            self._log.debug(
                "port {port}: visitor {visitor} is {id}", port=self.port, visitor=socketAddress(address), id=visitor.id
            )
        self._announce(visitor.id)
