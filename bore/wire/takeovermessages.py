"""
What a server hands to another process that takes over from it, before that is its supervisor and it is a worker of it
(:mod:`bore.wire.workermessages`).

The two may be of different versions: a message, or a key, that is not known is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from bore.wire import serde
from bore.wire.values import value

#: The longest frame, in bytes.
MAX_TAKEOVER_FRAME: Final = 1 << 14

#: The most descriptors with one message: fewer than the system sends at once.
MAX_DESCRIPTORS: Final = 200

#: The longest part of a state, in characters: each may take six bytes in a JSON text.
MAX_PART: Final = 2048


@value
class ControlPort:
    """
    With the listening socket of a control port.

    :ivar encrypted: whether it speaks TLS.
    """

    encrypted: bool


@value
class StatusPort:
    """With the listening socket of the status port."""


@value
class Descriptors:
    """
    With the next descriptors that the state refers to.

    :ivar count: how many.
    """

    count: int


@value
class State:
    """
    The next part of the state of custody (:mod:`bore.server.custodystate`).

    :ivar part: a part of a JSON text, at most MAX_PART characters.
    """

    part: str


@value
class Everything:
    """The last message: there is nothing more."""


@value
class Taken:
    """
    From the other process, with its end of a channel: it is the server from now on, and a supervisor on that channel.
    """


@value
class Declined:
    """From the other process: it does not take over."""

    reason: str


TakeOverMessage: TypeAlias = ControlPort | StatusPort | Descriptors | State | Everything | Taken | Declined


def descriptorsOf(message: TakeOverMessage) -> int:
    """How many descriptors belong to a message."""
    match message:
        case ControlPort() | StatusPort() | Taken():
            return 1
        case Descriptors(count):
            return count
    return 0


def encode(message: TakeOverMessage) -> bytes:
    """Encode a message as a frame, without its NUL."""
    content = {name: getattr(message, name) for name in type(message).__match_args__}
    return json.dumps({type(message).__name__: content}).encode()


def decode(frame: bytes) -> TakeOverMessage:
    """
    Decode a frame without its NUL.

    :raises bore.wire.errors.UnknownMessage: when there is no such message.
    :raises bore.wire.errors.MalformedMessage: when it is not a message, or its value is not valid.
    """
    return serde.decode(_READERS, frame)


def _count(content: object) -> int:
    return serde.integer(content, MAX_DESCRIPTORS, "not a number of descriptors")


def _reader(kind: type[Any], *fields: Callable[[object], Any]) -> Callable[[object], Any]:
    def read(content: object) -> Any:
        found = serde.fields(content, *kind.__match_args__)
        return kind(*(field(each) for field, each in zip(fields, found, strict=True)))

    return read


_READERS: Final[dict[str, Callable[[object], TakeOverMessage]]] = {
    "ControlPort": _reader(ControlPort, serde.boolean),
    "StatusPort": _reader(StatusPort),
    "Descriptors": _reader(Descriptors, _count),
    "State": _reader(State, serde.text),
    "Everything": _reader(Everything),
    "Taken": _reader(Taken),
    "Declined": _reader(Declined, serde.text),
}
