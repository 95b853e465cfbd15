"""
Messages as JSON, in the way in which Rust's serde writes an enum.

A message without a value is its name, as a JSON string; one with a value is an object with one key. The readers below
check values; a vocabulary is a table of names and readers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeVar
from uuid import UUID

from bore.wire.errors import MalformedMessage, UnknownMessage

_M = TypeVar("_M")


class BadContent(Exception):
    """A message has a value that is not valid."""


class Object(list[tuple[str, object]]):
    """A JSON object with its keys in their order, repeated ones included."""


def _integer(digits: str) -> object:
    """As in serde, ``-0`` is a fraction, and thus not a port."""
    return -0.0 if digits == "-0" else int(digits)


_json = json.JSONDecoder(object_pairs_hook=Object, parse_int=_integer)


def decode(vocabulary: dict[str, Callable[[object], _M]], frame: bytes) -> _M:
    """
    Decode a message.

    :param vocabulary: the reader of each message's value; a reader gets None for a name alone.
    :param frame: a frame without its NUL.
    :raises UnknownMessage: when the vocabulary has no such message.
    :raises MalformedMessage: when it is not a message, or its value is not valid.
    """
    value = _parse(frame)
    if isinstance(value, str):
        name, content = value, None
    elif isinstance(value, Object) and len(value) == 1:
        name, content = value[0]
    else:
        raise MalformedMessage(f"neither a name nor an object with one name: {_excerpt(frame)}")
    try:
        return vocabulary[name](content)
    except KeyError:
        raise UnknownMessage(f"unknown message: {_excerpt(frame)}") from None
    except BadContent as e:
        raise MalformedMessage(f"{e}: {_excerpt(frame)}") from None


def decodeValue(reader: Callable[[object], _M], data: bytes) -> _M:
    """
    Decode a value outside of a message.

    :raises MalformedMessage: when it is not valid.
    """
    try:
        return reader(_parse(data))
    except BadContent as e:
        raise MalformedMessage(f"{e}: {_excerpt(data)}") from None


def _parse(data: bytes) -> object:
    try:
        return _json.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        raise MalformedMessage(f"not a JSON text: {_excerpt(data)}") from e


def _excerpt(frame: bytes) -> str:
    """The first bytes of a frame, in a form that is safe in a log."""
    return ascii(frame[:60])[1:]


def quote(text: str) -> str:
    """A text as JSON."""
    return json.dumps(text, ensure_ascii=False)


def nothing(content: object) -> None:
    """Read the value of a message that has none."""
    if content is not None:
        raise BadContent("this message has no value")


def valueless(message: _M) -> Callable[[object], _M]:
    """A reader for this message, which has no value."""

    def read(content: object) -> _M:
        nothing(content)
        return message

    return read


def port(content: object) -> int:
    """Read a port."""
    return integer(content, 65535, "not a port from 0 to 65535")


def integer(content: object, highest: int, complaint: str) -> int:
    """Read a whole number from 0 to ``highest``."""
    if type(content) is int and 0 <= content <= highest:
        return content
    raise BadContent(complaint)


def seconds(content: object, highest: float) -> float:
    """Read a number of seconds, more than 0 and up to ``highest``."""
    if isinstance(content, int | float) and not isinstance(content, bool) and 0 < content <= highest:
        return content
    raise BadContent("not a number of seconds")


def boolean(content: object) -> bool:
    """Read true or false."""
    if isinstance(content, bool):
        return content
    raise BadContent("neither true nor false")


#: The four ways to write a UUID that the original understands.
_UUID = re.compile(
    r"H{32}|(urn:uuid:)?H{8}-H{4}-H{4}-H{4}-H{12}|\{H{8}-H{4}-H{4}-H{4}-H{12}\}".replace("H", "[0-9A-Fa-f]")
)


def uuid(content: object) -> UUID:
    """Read a UUID."""
    if isinstance(content, str) and _UUID.fullmatch(content):
        return UUID(content)
    raise BadContent("not a UUID")


def ipAddress(content: object) -> str:
    """Read an IP address, in its shortest form. One with a scope is not valid: it means nothing on another machine."""
    if isinstance(content, str) and "%" not in content:
        try:
            return _canonical(content)
        except ValueError:
            pass
    raise BadContent("not an IP address")


@lru_cache(1024)
def _canonical(address: str) -> str:
    """Cached, as the same addresses arrive again and again."""
    return str(ip_address(address))


def text(content: object) -> str:
    """Read a text."""
    if isinstance(content, str):
        try:
            content.encode()
        except UnicodeEncodeError:
            pass  # a JSON escape can write half a surrogate pair, which is not a character
        else:
            return content
    raise BadContent("not a text")


def fields(content: object, *names: str) -> list[object]:
    """
    Read the values of these keys of an object, in this order.

    A missing key gives None. Other keys are ignored, so that a message can get further ones.
    """
    if not isinstance(content, Object):
        raise BadContent("not an object")
    found: dict[str, object] = {}
    for name, value in content:
        if name in found and name in names:
            raise BadContent(f"{name} is there twice")
        found[name] = value
    return [found.get(name) for name in names]
