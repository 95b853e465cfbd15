"""
The vocabulary of the base protocol.

``"Heartbeat"`` is a name alone, ``{"Hello":8000}`` a name with a value. What a client may say and what a server may
say are two different sets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from bore.wire import serde
from bore.wire.framing import encodeFrame


@dataclass(frozen=True, slots=True)
class Challenge:
    """Server: prove that you know the secret."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Client: the proof, as hex digits."""

    proof: str


@dataclass(frozen=True, slots=True)
class Hello:
    """Client: I want this port (0: any). Server: you have this port."""

    port: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Server: I am alive."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Server: a visitor came."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Accept:
    """Client, on a connection of its own: the bytes behind this are for that visitor."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Error:
    """Server: no, and why. It closes then."""

    text: str


ClientMessage: TypeAlias = Authenticate | Hello | Accept
ServerMessage: TypeAlias = Challenge | Hello | Heartbeat | Connection | Error
Message: TypeAlias = ClientMessage | ServerMessage


def encode(message: Message) -> bytes:
    """
    Write a message as a frame, byte for byte as the original does.

    :raises bore.wire.errors.FrameTooLong: when an Error's or Authenticate's text does not fit a frame.
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
    Read what a server said.

    :param frame: a frame without its NUL.
    :raises MalformedMessage: when it is anything else than one message of a server.
    """
    return serde.decode(SERVER_MESSAGES, frame)


def heartbeat(content: object) -> Heartbeat:
    """Read a heartbeat, which has no value."""
    serde.nothing(content)
    return Heartbeat()


CLIENT_MESSAGES: Final[dict[str, Callable[[object], ClientMessage]]] = {
    "Authenticate": lambda content: Authenticate(serde.text(content)),
    "Hello": lambda content: Hello(serde.port(content)),
    "Accept": lambda content: Accept(serde.uuid(content)),
}

SERVER_MESSAGES: Final[dict[str, Callable[[object], ServerMessage]]] = {
    "Challenge": lambda content: Challenge(serde.uuid(content)),
    "Hello": lambda content: Hello(serde.port(content)),
    "Heartbeat": heartbeat,
    "Connection": lambda content: Connection(serde.uuid(content)),
    "Error": lambda content: Error(serde.text(content)),
}
