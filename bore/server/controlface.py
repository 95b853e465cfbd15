"""What the connections to the control port and the port itself see of each other."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from bore.relay.interface import Stream
from bore.server.guesses import Guesses
from bore.server.lanepool import LanePool
from bore.server.settings import ServerSettings
from bore.server.strangers import Strangers
from bore.server.tunnel import Client, Tunnel
from bore.server.tunnellog import TunnelLog
from bore.server.tunnels import Tunnels
from bore.server.unclassified import UnclassifiedConnections
from bore.server.visitor import Visitor
from bore.streams.reactor import IReactor
from bore.streams.transport import IDetachable
from bore.timing.turns import Turns
from bore.wire.errors import Refusal


class ControlConnection(Client, Protocol):
    """A connection whose client has a tunnel, or had one."""

    transport: IDetachable

    def expel(self, refusal: Refusal) -> None:
        """End the session for good, as its client may not have it any more."""

    def shutDown(self) -> None:
        """Tell the client that the server stops, and give its port back."""


class ControlPort(Protocol):
    """What a connection to the control port shares with the others."""

    reactor: IReactor
    settings: ServerSettings
    unclassified: UnclassifiedConnections
    guesses: Guesses
    strangers: Strangers
    tunnelLog: TunnelLog
    tunnels: Tunnels
    turns: Turns

    def takeVisitor(self, id: UUID) -> Visitor:
        """Take a visitor that waits; a ProtocolViolation says that nobody waits under this id."""

    def join(self, visitor: Visitor, client: Stream) -> None:
        """Join a visitor with its data connection."""

    def offer(self, token: str) -> LanePool:
        """The lanes of the session with this token; a ProtocolViolation says that there is none."""

    def expects(self, data: bytes) -> bool:
        """Whether behind the proof of the secret there is what only a client with a tunnel knows."""

    def opened(self, connection: ControlConnection, tunnel: Tunnel, extended: bool) -> LanePool | None:
        """A connection has got a tunnel; its lanes, if there can be some."""

    def ended(self, lanes: LanePool) -> None:
        """A session with lanes is over."""

    def gone(self, connection: ControlConnection) -> None:
        """A connection is closed."""
