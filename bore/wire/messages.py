"""
The vocabulary of the base protocol.

A message is written the way Rust's serde writes an enum: ``"Heartbeat"`` for a name alone, ``{"Hello":8000}`` for a
name with a value. What a client may say and what a server may say are two different sets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar
from uuid import UUID

from bore.wire.errors import MalformedMessage
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
            return encodeFrame(f'{{"{name}":{json.dumps(text, ensure_ascii=False)}}}')


def decodeClientMessage(frame: bytes) -> ClientMessage:
    """
    Read what a client said.

    :param frame: a frame without its NUL.
    :raises MalformedMessage: when it is anything else than one message of a client.
    """
    return _decode(_CLIENT_MESSAGES, frame)


def decodeServerMessage(frame: bytes) -> ServerMessage:
    """
    Read what a server said.

    :param frame: a frame without its NUL.
    :raises MalformedMessage: when it is anything else than one message of a server.
    """
    return _decode(_SERVER_MESSAGES, frame)


_M = TypeVar("_M")


def _decode(vocabulary: dict[str, Callable[[object], _M]], frame: bytes) -> _M:
    try:
        value = _json.decode(frame.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        raise MalformedMessage(f"not a JSON text: {_excerpt(frame)}") from e
    if isinstance(value, str):
        name, content = value, None
    elif isinstance(value, _Object) and len(value) == 1:
        name, content = value[0]
    else:
        raise MalformedMessage(f"neither a name nor an object with one name: {_excerpt(frame)}")
    try:
        return vocabulary[name](content)
    except KeyError:
        raise MalformedMessage(f"unknown message: {_excerpt(frame)}") from None
    except _BadContent as e:
        raise MalformedMessage(f"{e}: {_excerpt(frame)}") from None


def _excerpt(frame: bytes) -> str:
    """The beginning of what a peer sent, fit for a log."""
    return ascii(frame[:60])[1:]


class _Object(list[tuple[str, object]]):
    """A JSON object with its keys as they came, a repeated key included."""


def _integer(digits: str) -> object:
    """serde, too, reads ``-0`` as a fraction, which is no port."""
    return -0.0 if digits == "-0" else int(digits)


_json = json.JSONDecoder(object_pairs_hook=_Object, parse_int=_integer)


class _BadContent(Exception):
    """A message's name came with a value that it cannot have."""


def _port(content: object) -> int:
    if type(content) is int and 0 <= content <= 65535:
        return content
    raise _BadContent("not a port from 0 to 65535")


#: The four ways to write a UUID that the original understands.
_UUID = re.compile(
    r"H{32}|(urn:uuid:)?H{8}-H{4}-H{4}-H{4}-H{12}|\{H{8}-H{4}-H{4}-H{4}-H{12}\}".replace("H", "[0-9A-Fa-f]")
)


def _uuid(content: object) -> UUID:
    if isinstance(content, str) and _UUID.fullmatch(content):
        return UUID(content)
    raise _BadContent("not a UUID")


def _text(content: object) -> str:
    if isinstance(content, str):
        try:
            content.encode()
        except UnicodeEncodeError:
            pass  # a JSON escape can write half a surrogate pair, which is no character
        else:
            return content
    raise _BadContent("not a text")


def _heartbeat(content: object) -> Heartbeat:
    if content is None:
        return Heartbeat()
    raise _BadContent("a heartbeat has no value")


_CLIENT_MESSAGES: dict[str, Callable[[object], ClientMessage]] = {
    "Authenticate": lambda content: Authenticate(_text(content)),
    "Hello": lambda content: Hello(_port(content)),
    "Accept": lambda content: Accept(_uuid(content)),
}

_SERVER_MESSAGES: dict[str, Callable[[object], ServerMessage]] = {
    "Challenge": lambda content: Challenge(_uuid(content)),
    "Hello": lambda content: Hello(_port(content)),
    "Heartbeat": _heartbeat,
    "Connection": lambda content: Connection(_uuid(content)),
    "Error": lambda content: Error(_text(content)),
}
