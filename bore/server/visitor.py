"""A visitor, and what it sees of the tunnel that it has come to."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from bore.events import VisitorEnd
from bore.relay.interface import Ending, LaneHandle
from bore.streams.addresses import SocketAddress, plainHost
from bore.wire.extension import Source
from bore.wire.token import newId


class Visited(Protocol):
    """
    What visitors have come to: a tunnel.

    :ivar waiting: the visitors that no client has taken, by id; the oldest first.
    :ivar closed: no visitor is served any more that is not served already.
    """

    waiting: OrderedDict[UUID, Visitor]
    closed: bool

    def admit(self, visitor: Visitor, first: bool = False) -> None:
        """Have a visitor wait for the client; ahead of the others, if it has waited before."""

    def serve(
        self, visitor: Visitor, carrier: socket.socket, lane: LaneHandle | None = None
    ) -> Callable[[Ending], None]:
        """Count a visitor as one that is served; the result has to be called when it has left."""

    def takeBack(self, visitor: Visitor, early: bytes) -> None:
        """Count a visitor no longer as one that is served: its lane was dead."""

    def noLongerWaits(self, visitor: Visitor) -> None:
        """A visitor does not wait any more."""

    def drop(self, visitor: Visitor, reason: VisitorEnd) -> None:
        """Close a visitor that is not served, and does not wait any more."""

    def notTaken(self, visitor: Visitor) -> None:
        """No client has taken a visitor in time, and it is closed."""

    def acceptAgain(self) -> None:
        """Accept visitors, if there are descriptors for them again."""


class Visitor:
    """
    Somebody who has connected to a public port.

    :ivar name: its id, as text.
    :ivar early: bytes that were read from it, and have not reached the client.
    :ivar lanesLost: how many lanes it was on that turned out to be dead.
    :ivar announced: it was announced to the tunnel's client.
    :ivar since: when it came; None: no subscriber wanted to know of visitors then.
    """

    __slots__ = ("_id", "address", "announced", "early", "lanesLost", "name", "since", "socket", "tunnel")

    def __init__(self, sock: socket.socket, address: SocketAddress, tunnel: Visited, early: bytes = b"") -> None:
        self.name = newId()
        self._id: UUID | None = None
        self.socket = sock
        self.early = early
        self.lanesLost = 0
        self.announced = False
        self.since: float | None = None
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

    @property
    def hasGone(self) -> bool:
        """Whether the visitor has reset its connection. One that has ended its stream may still wait for an answer."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
