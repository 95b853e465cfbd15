"""What follows from the bytes that a session receives: the events of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from bore.wire.addressrules import NO_RULES, AddressRules
from bore.wire.extension import Source
from bore.wire.messages import ServerMessage


@dataclass(frozen=True, slots=True)
class SendData:
    """Both sides: these bytes have to be sent to the peer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TunnelAsked:
    """
    Server: the connection is a control connection, and its client wants a tunnel on this port (0: any).

    The session waits for :meth:`ServerSession.opened` or :meth:`ServerSession.refusal`, at once or later.

    :ivar resume: the token of a tunnel that the client had before; None: it shows none.
    :ivar rules: the tunnel's own rules on the addresses of its visitors.
    """

    port: int
    resume: str | None = None
    rules: AddressRules = NO_RULES


@dataclass(frozen=True, slots=True)
class VisitorTaken:
    """
    Server: the connection is a data connection. From here on it belongs to this visitor.

    :ivar rest: the bytes that came behind the message.
    """

    id: UUID
    rest: bytes


@dataclass(frozen=True, slots=True)
class LaneOffered:
    """
    Server: the connection is a lane of the session with this token.

    :ivar rest: the bytes that came behind the message.
    """

    token: str
    rest: bytes


@dataclass(frozen=True, slots=True)
class ClientAlive:
    """Server: the client has answered a heartbeat."""


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """Server: the client has ended the session on purpose."""


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """
    Client: the server listens on this port for us.

    :ivar resume: the token with which the tunnel can be resumed; None: it cannot be.
    :ivar lane: the token with which lanes are opened; None: there are none.
    :ivar maxLanes: how many idle lanes the server keeps; 0: any number.
    """

    port: int
    resume: str | None = None
    lane: str | None = None
    maxLanes: int = 0


@dataclass(frozen=True, slots=True)
class ServerProven:
    """Client: the server, inside TLS, has proved that it knows the secret."""


@dataclass(frozen=True, slots=True)
class ServerAlive:
    """Client: the server has sent a heartbeat."""


@dataclass(frozen=True, slots=True)
class VisitorCame:
    """
    Client: a visitor waits for a data connection with Accept and this id.

    :ivar source: where it comes from; None: the server does not tell.
    """

    id: UUID
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Unexpected:
    """Client: a message that means nothing here. The original ignores it, and so do we; the log should have a line."""

    message: ServerMessage


ServerEvent: TypeAlias = SendData | TunnelAsked | VisitorTaken | LaneOffered | ClientAlive | ClientLeft
ClientEvent: TypeAlias = SendData | ServerProven | TunnelOpened | ServerAlive | VisitorCame | Unexpected
