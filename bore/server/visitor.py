"""A visitor, and what it needs of the tunnel that it has come to."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol
from uuid import UUID

from bore.events import VisitorEnd
from bore.relay.interface import Ending, LaneHandle, Reason
from bore.server.users import User
from bore.server.visitorids import newId
from bore.streams.addresses import SocketAddress, plainHost
from bore.wire.extension import Source
from bore.wire.publicaddress import PublicAddress

#: Why a visitor has left, by the reason for the end of its pair, in which it is the left stream.
ENDS: Final = {
    Reason.FINISHED: VisitorEnd.FINISHED,
    Reason.LEFT_CUT: VisitorEnd.VISITOR_CUT,
    Reason.RIGHT_CUT: VisitorEnd.SERVICE_CUT,
    Reason.HALF_OPEN: VisitorEnd.HALF_OPEN,
    Reason.CUT: VisitorEnd.TUNNEL_CLOSED,
    Reason.STOPPED: VisitorEnd.STOPPED,
    Reason.FAILED: VisitorEnd.FAILED,
}


class VisitorOwner(Protocol):
    """
    The tunnel that visitors have come to.

    :ivar address: its public address.
    :ivar number: the number of the tunnel in the session that serves it.
    :ivar user: whose tunnel it is.
    :ivar waiting: the visitors that no client has taken, by name; the oldest first.
    :ivar taken: how many of those that have waited a client has taken.
    :ivar closed: the tunnel is closed, and serves only the visitors that it serves already.
    """

    address: PublicAddress
    number: int
    user: User
    waiting: OrderedDict[str, Visitor]
    taken: int
    closed: bool

    def enqueue(self, visitor: Visitor, first: bool = False) -> None:
        """Have a visitor wait for the client; in front of the others, if it has waited before."""

    def serve(
        self, visitor: Visitor, carrier: socket.socket, lane: LaneHandle | None = None
    ) -> Callable[[Ending], None]:
        """Count a visitor as served. The result has to be called when the visitor has left."""

    def takeBack(self, visitor: Visitor, early: bytes) -> None:
        """Count a visitor as not served: its lane was dead."""

    def left(self, visitor: Visitor, ending: Ending) -> None:
        """A visitor that was served has left."""

    def drop(self, visitor: Visitor, reason: VisitorEnd) -> None:
        """Close a visitor that is not served and does not wait."""

    def noLongerWaits(self, visitor: Visitor) -> None:
        """A visitor has left the queue."""

    def notTaken(self, visitor: Visitor) -> None:
        """A visitor was closed, as no client has taken it in time."""

    def acceptAgain(self) -> None:
        """Accept visitors, if there are descriptors for them again."""


class Visitor:
    """
    A connection to a tunnel's public address. Its pair in the relay calls it at its end.

    :ivar name: its id, as text.
    :ivar socket: its stream.
    :ivar address: its address.
    :ivar tunnel: the tunnel that it has come to.
    :ivar early: bytes that were read from it and have not reached the client.
    :ivar lanesLost: how many lanes that it was on turned out to be dead.
    :ivar announced: whether it was announced to the client.
    :ivar since: when it came, by the clock of the tunnel.
    """

    __slots__ = ("address", "announced", "early", "lanesLost", "name", "since", "socket", "tunnel")

    def __init__(self, sock: socket.socket, address: SocketAddress, tunnel: VisitorOwner, early: bytes = b"") -> None:
        self.name = newId()
        self.socket = sock
        self.early = early
        self.lanesLost = 0
        self.announced = False
        self.since = 0.0
        self.address = address
        self.tunnel = tunnel

    def __call__(self, ending: Ending) -> None:
        self.tunnel.left(self, ending)

    @property
    def id(self) -> UUID:
        """Its id, for the messages to the client."""
        return UUID(self.name)

    @property
    def source(self) -> Source | None:
        """Its address as the client gets it: without the scope, which means something on this machine only."""
        try:
            return plainHost(self.address).partition("%")[0], int(self.address[1])
        except IndexError:  # NO_ADDRESS; to look first would take each other visitor longer
            return None

    @property
    def isReset(self) -> bool:
        """Whether it has reset its connection. A visitor that has ended its stream may still wait for an answer."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
