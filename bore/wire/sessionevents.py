"""What follows from the bytes that a session receives: the events of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from bore.wire.addressrules import NO_RULES, AddressRules
from bore.wire.errors import Refusal
from bore.wire.extension import Source
from bore.wire.limits import HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL
from bore.wire.messages import ServerMessage
from bore.wire.publicaddress import PublicAddress
from bore.wire.refusals import refusalForCode
from bore.wire.values import value
from bore.wire.workernumbers import NO_WORKER

#: The number of the tunnel of a session of the base protocol, which has one and no number for it.
BASE_TUNNEL: Final = 1


@value
class SendData:
    """Both sides: these bytes have to be sent to the peer."""

    data: bytes


@value
class SessionAsked:
    """
    Server: the connection is the control connection of a client of the extension.

    The bytes of :meth:`ServerSession.agreed` have to be sent at once.
    """


@value
class TunnelAsked:
    """
    Server: the connection is a control connection, and its client wants a tunnel at this public address (0: any port).

    The tunnel waits for :meth:`ServerSession.opened`, or for :meth:`ServerSession.refused` (in the base protocol:
    :meth:`ServerSession.refusal`), at once or later.

    :ivar tunnel: the client's number for it; in the base protocol :data:`BASE_TUNNEL`.
    :ivar resume: the token of a tunnel that the client had before; None: it shows none.
    :ivar rules: the tunnel's own rules on the addresses of its visitors.
    :ivar epoch: in the session of a node: the epoch of the address; None: none was sent.
    :ivar key: the lasting key of the tunnel, which all its sessions show; None: it has none.
    """

    tunnel: int
    address: PublicAddress
    resume: str | None = None
    rules: AddressRules = NO_RULES
    epoch: int | None = None
    key: str | None = None


@value
class TunnelLeft:
    """
    Server: the client gives a tunnel back, or does not wait for it any more.

    :ivar kept: from a node: whether somebody still owns the port.
    """

    tunnel: int
    kept: bool = False


@dataclass(frozen=True, slots=True)
class VisitorTaken:
    """
    Server: the connection is a data connection. From here on it belongs to this visitor.

    :ivar rest: the bytes that came behind the message.
    """

    id: UUID
    rest: bytes


@value
class LaneOffered:
    """
    Server: the connection is a lane of the session with this token.

    :ivar rest: the bytes that came behind the message.
    """

    token: str
    rest: bytes


@value
class NodeSessionAsked:
    """
    Server, from a node: as :class:`SessionAsked`.

    :ivar number: the number of the node; 0: it has none yet.
    """

    number: int


@dataclass(frozen=True, slots=True)
class ConnectionHandedOn:
    """
    Server, from a node: the connection is the one of a client that belongs to this node.

    :ivar challenge: the challenge that the client was sent; None: it was sent none.
    :ivar source: the client's address.
    :ivar rest: the bytes that came behind the message.
    """

    challenge: UUID | None
    source: Source
    rest: bytes


@value
class ClientAlive:
    """Server: the client has answered a heartbeat."""


@value
class ClientLeft:
    """Server: the client has ended the session on purpose."""


@value
class SessionOpened:
    """
    Client: the server knows the extension, and waits for tunnels to be asked for.

    :ivar lane: the token with which lanes are opened; None: there are none.
    :ivar maxLanes: how many idle lanes the server keeps; 0: any number.
    :ivar heartbeat: the interval of heartbeats while there are visitors, in seconds.
    :ivar idleHeartbeat: their interval while there are none.
    :ivar user: the user that we are; empty: one without a name.
    :ivar rights: what this user may do, for people.
    :ivar hint: the worker of the server to which further connections inside TLS should lead; NO_WORKER: there is none.
    :ivar here: the address of the node of a cluster to which further connections should go; empty: there is no cluster.
    """

    lane: str | None = None
    maxLanes: int = 0
    heartbeat: float = HEARTBEAT_INTERVAL
    idleHeartbeat: float = IDLE_HEARTBEAT_INTERVAL
    user: str = ""
    rights: str = ""
    hint: int = NO_WORKER
    here: str = ""


@value
class TunnelOpened:
    """
    Client: the server listens at this public address for us.

    :ivar tunnel: the number of the tunnel; in the base protocol :data:`BASE_TUNNEL`.
    :ivar resume: the token with which the tunnel can be resumed; None: it cannot be.
    """

    tunnel: int
    address: PublicAddress
    resume: str | None = None


@value
class TunnelRefused:
    """Client: a tunnel is refused, and the session goes on. The fields are those of Refused."""

    tunnel: int
    code: str
    message: str
    retry: bool
    range: tuple[int, int] | None = None

    @property
    def refusal(self) -> Refusal:
        """Why it is refused."""
        return refusalForCode(self.code, self.message, self.retry, self.range)


@value
class TunnelClosed:
    """
    Client: a tunnel is closed, and the session goes on. The fields are those of Closed.

    :ivar code: why; None: the client has given it back.
    """

    tunnel: int
    code: str | None = None
    message: str | None = None
    retry: bool = False

    @property
    def refusal(self) -> Refusal | None:
        """Why the server has closed it; None: the client has given it back."""
        return None if self.code is None else refusalForCode(self.code, self.message or "", self.retry)


@value
class SessionMoved:
    """
    Client: the server gives the session away, and this one is over. Its tunnels can be resumed in another one.

    :ivar to: the server to go to; None: the same one.
    :ivar within: the time in which that should be, in seconds; None: a second.
    """

    to: str | None
    within: float | None = None


@value
class ServerProven:
    """Client: the server, inside TLS, has proved that it knows the secret."""


@value
class KeyAnnounced:
    """
    Client: the server will have another key.

    :ivar key: its fingerprint.
    """

    key: str


@value
class NodesNamed:
    """
    Client: the server has named the other nodes of its cluster that take new sessions.

    :ivar addresses: theirs.
    """

    addresses: tuple[str, ...]


@value
class ServerAlive:
    """Client: the server has sent a heartbeat."""


@dataclass(frozen=True, slots=True)
class VisitorCame:
    """
    Client: a visitor waits for a data connection with Accept and this id.

    :ivar tunnel: the number of the tunnel that it visits; in the base protocol :data:`BASE_TUNNEL`.
    :ivar source: where it comes from; None: the server does not tell.
    """

    tunnel: int
    id: UUID
    source: Source | None = None


@value
class Unexpected:
    """Client: a message that means nothing here. The original ignores it, and so do we; the log should have a line."""

    message: ServerMessage


ServerEvent: TypeAlias = (
    SendData
    | SessionAsked
    | NodeSessionAsked
    | TunnelAsked
    | TunnelLeft
    | VisitorTaken
    | LaneOffered
    | ConnectionHandedOn
    | ClientAlive
    | ClientLeft
)
ClientEvent: TypeAlias = (
    SendData
    | ServerProven
    | SessionOpened
    | TunnelOpened
    | TunnelRefused
    | TunnelClosed
    | SessionMoved
    | KeyAnnounced
    | NodesNamed
    | ServerAlive
    | VisitorCame
    | Unexpected
)
