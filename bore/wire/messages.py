"""
The messages of the base protocol.

``"Heartbeat"`` is a name alone, ``{"Hello":8000}`` a name with a value. Clients and servers send different messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from bore.wire import serde
from bore.wire.framing import encodeFrame
from bore.wire.values import value


@value
class Challenge:
    """Server: requests the proof of the secret."""

    id: UUID


@value
class Authenticate:
    """Client: the proof of the secret, as hex digits."""

    proof: str


@value
class Hello:
    """Client: requests this port (0: any). Server: the tunnel is open, on this port."""

    port: int


@value
class Heartbeat:
    """Server: a sign of life."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Server: a visitor waits for a data connection."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Accept:
    """Client, on a data connection: the bytes behind this message are the visitor's."""

    id: UUID


@value
class Error:
    """Server: a refusal, with its reason. The server closes the connection then."""

    text: str


ClientMessage: TypeAlias = Authenticate | Hello | Accept
ServerMessage: TypeAlias = Challenge | Hello | Heartbeat | Connection | Error
Message: TypeAlias = ClientMessage | ServerMessage


def encode(message: Message) -> bytes:
    """
    Encode a message as a frame, byte for byte as the original does.

    :raises bore.wire.errors.FrameTooLong: when the text of an Error or Authenticate does not fit a frame.
    """
    name = type(message).__name__
    match message:
        case Heartbeat():
            return encodeFrame(f'"{name}"')
        case Hello(port):
            return encodeFrame(f'{{"{name}":{port}}}')
        case Challenge(id) | Connection(id) | Accept(id):
            return encodeFrame(f'{{"{name}":"{id}"}}')
        case Authenticate(text) | Error(text):
            return encodeFrame(f'{{"{name}":{serde.quote(text)}}}')


def decodeServerMessage(frame: bytes) -> ServerMessage:
    """
    Decode a server's message.

    :param frame: a frame without its NUL.
    :raises MalformedMessage: when it is not a message of a server.
    """
    return serde.decode(SERVER_MESSAGES, frame)


CLIENT_MESSAGES: Final[dict[str, Callable[[object], ClientMessage]]] = {
    "Authenticate": lambda content: Authenticate(serde.text(content)),
    "Hello": lambda content: Hello(serde.port(content)),
    "Accept": lambda content: Accept(serde.uuid(content)),
}

SERVER_MESSAGES: Final[dict[str, Callable[[object], ServerMessage]]] = {
    "Challenge": lambda content: Challenge(serde.uuid(content)),
    "Hello": lambda content: Hello(serde.port(content)),
    "Heartbeat": serde.valueless(Heartbeat()),
    "Connection": lambda content: Connection(serde.uuid(content)),
    "Error": lambda content: Error(serde.text(content)),
}
