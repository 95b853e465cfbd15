"""
How values are written on the wire: the way Rust's serde writes an enum.

A message is its name as a JSON string if it has no value, and an object with one key if it has one. What a value may
be is said by the small readers below; a vocabulary is a table of names and readers.
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
    """A message's name came with a value that it cannot have."""


class _Object(list[tuple[str, object]]):
    """A JSON object with its keys as they came, a repeated key included."""


def _integer(digits: str) -> object:
    """serde, too, reads ``-0`` as a fraction, which is no port."""
    return -0.0 if digits == "-0" else int(digits)


_json = json.JSONDecoder(object_pairs_hook=_Object, parse_int=_integer)


def decode(vocabulary: dict[str, Callable[[object], _M]], frame: bytes) -> _M:
    """
    Read one message.

    :param vocabulary: what reads the value of each message; it gets None for a name alone.
    :param frame: a frame without its NUL.
    :raises UnknownMessage: when the vocabulary has no such message.
    :raises MalformedMessage: when it is no message at all, or has a value that it cannot have.
    """
    value = _parse(frame)
    if isinstance(value, str):
        name, content = value, None
    elif isinstance(value, _Object) and len(value) == 1:
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
    Read a value that is no message.

    :param reader: what reads it.
    :raises MalformedMessage: when it is not such a value.
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
    """The beginning of what a peer sent, fit for a log."""
    return ascii(frame[:60])[1:]


def quote(text: str) -> str:
    """A text as JSON."""
    return json.dumps(text, ensure_ascii=False)


def nothing(content: object) -> None:
    """Read the value of a message that has none."""
    if content is not None:
        raise BadContent("this message has no value")


def port(content: object) -> int:
    """Read a port."""
    return integer(content, 65535, "not a port from 0 to 65535")


def integer(content: object, highest: int, complaint: str) -> int:
    """Read a whole number from 0 on."""
    if type(content) is int and 0 <= content <= highest:
        return content
    raise BadContent(complaint)


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
    """Read an IP address, and write it in its shortest form. Scopes mean nothing on another machine."""
    if isinstance(content, str) and "%" not in content:
        try:
            return _canonical(content)
        except ValueError:
            pass
    raise BadContent("not an IP address")


@lru_cache(1024)
def _canonical(address: str) -> str:
    """The same address comes again and again."""
    return str(ip_address(address))


def text(content: object) -> str:
    """Read a text."""
    if isinstance(content, str):
        try:
            content.encode()
        except UnicodeEncodeError:
            pass  # a JSON escape can write half a surrogate pair, which is no character
        else:
            return content
    raise BadContent("not a text")


def fields(content: object, *names: str) -> list[object]:
    """
    Read an object with these keys, in this order. Others are ignored, so that a message can grow; a missing one is
    None.
    """
    if not isinstance(content, _Object):
        raise BadContent("not an object")
    found: dict[str, object] = {}
    for name, value in content:
        if name in found and name in names:
            raise BadContent(f"{name} is there twice")
        found[name] = value
    return [found.get(name) for name in names]
