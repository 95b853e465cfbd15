"""What hypothesis builds bytes and messages from."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Final
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from bore.wire.messages import (
    Accept,
    Authenticate,
    Challenge,
    ClientMessage,
    Connection,
    Error,
    Heartbeat,
    Hello,
    Message,
    ServerMessage,
    encode,
)

#: A slow machine is no fault of the code under test.
UNHURRIED: Final = settings(deadline=None)

PORTS: Final = st.integers(0, 65535)
UUIDS: Final = st.uuids()

#: Any text that UTF-8 can write, short enough for a frame even if every character is escaped.
TEXTS: Final = st.text(max_size=18)

#: Half surrogate pairs too, which a JSON escape can write.
_CODE_POINTS: Final = st.text(st.characters(exclude_categories=()), max_size=18)

CLIENT_MESSAGES: Final[SearchStrategy[ClientMessage]] = st.one_of(
    st.builds(Authenticate, TEXTS), st.builds(Hello, PORTS), st.builds(Accept, UUIDS)
)
SERVER_MESSAGES: Final[SearchStrategy[ServerMessage]] = st.one_of(
    st.builds(Challenge, UUIDS),
    st.builds(Hello, PORTS),
    st.builds(Heartbeat),
    st.builds(Connection, UUIDS),
    st.builds(Error, TEXTS),
)
MESSAGES: Final[SearchStrategy[Message]] = st.one_of(CLIENT_MESSAGES, SERVER_MESSAGES)

_NAMES: Final = st.sampled_from(["Challenge", "Authenticate", "Hello", "Heartbeat", "Connection", "Accept", "Error"])


def uuidSpellings(id: UUID) -> list[str]:
    """All that the original reads as this UUID: four forms, with hex digits of either case."""
    return [
        form.format(digits)
        for form, text in (("{}", id.hex), ("{}", str(id)), ("urn:uuid:{}", str(id)), ("{{{}}}", str(id)))
        for digits in (text, text.upper())
    ]


def spellings(text: str) -> SearchStrategy[str]:
    """JSON strings that stand for a text: plain, ASCII only, and with nothing but escapes."""
    units = text.encode("utf-16-be")
    escapes = "".join(f"\\u{high:02X}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))
    return st.sampled_from([json.dumps(text, ensure_ascii=False), json.dumps(text), f'"{escapes}"'])


@st.composite
def spelledOut(draw: DrawFn, message: Message) -> bytes:
    """A frame without its NUL that means this message, in any of the ways that JSON has for it."""
    name = draw(spellings(type(message).__name__))
    match message:
        case Heartbeat():
            if draw(st.booleans()):
                return _spaced(draw, name)
            value = "null"
        case Hello(port):
            value = str(port)
        case Challenge(id) | Connection(id) | Accept(id):
            value = draw(st.sampled_from(uuidSpellings(id)).flatmap(spellings))
        case Authenticate(text) | Error(text):
            value = draw(spellings(text))
    return _spaced(draw, "{", name, ":", value, "}")


def _spaced(draw: DrawFn, *tokens: str) -> bytes:
    space = draw(st.text(" \t\r\n", max_size=3))
    return (space + space.join(tokens) + space).encode()


@st.composite
def damaged(draw: DrawFn, frame: bytes) -> bytes:
    """A frame with a few bytes of it replaced, lost or added in one place."""
    at = draw(st.integers(0, len(frame)))
    behind = at + draw(st.integers(0, 4))
    return frame[:at] + draw(st.binary(max_size=4)) + frame[behind:]


_SCALARS: Final[SearchStrategy[object]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    _CODE_POINTS,
    _NAMES,
    UUIDS.flatmap(lambda id: st.sampled_from(uuidSpellings(id))),
    UUIDS.flatmap(lambda id: st.sampled_from(uuidSpellings(id))).map(str.swapcase),
)

#: What a JSON text may mean, NaN and the infinities included, which Python writes though JSON has no word for them.
_VALUES: Final[SearchStrategy[object]] = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_CODE_POINTS | _NAMES, inner, max_size=3)),
    max_leaves=6,
)

#: Names of messages with values that they mostly cannot have.
_ALMOST_MESSAGES: Final = st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=2)

#: Any JSON text, with a liking for those that are nearly messages.
JSON_TEXTS: Final[SearchStrategy[bytes]] = st.one_of(_VALUES, _ALMOST_MESSAGES).map(lambda v: json.dumps(v).encode())

#: What may come instead of a frame, without a NUL of its own or with some.
JUNK: Final[SearchStrategy[bytes]] = st.one_of(
    st.binary(max_size=300),
    JSON_TEXTS,
    MESSAGES.flatmap(spelledOut).flatmap(damaged),
)

#: What a peer may send: whole messages of either side, and anything else, most of it cut into frames.
STREAMS: Final[SearchStrategy[bytes]] = st.lists(
    st.one_of(MESSAGES.map(encode), MESSAGES.flatmap(spelledOut).map(lambda text: text + b"\0"), JUNK, st.just(b"\0")),
    max_size=5,
).map(b"".join)


def portions(data: bytes) -> SearchStrategy[list[bytes]]:
    """The same bytes in any portions: byte by byte, whole, and everything between, empty portions included."""
    return st.one_of(
        st.just([data[at : at + 1] for at in range(len(data))]),
        st.lists(st.integers(0, len(data)), max_size=6).map(
            lambda cuts: [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]
        ),
    )


def inPortions(streams: SearchStrategy[bytes]) -> SearchStrategy[tuple[bytes, list[bytes]]]:
    """Bytes, and the same bytes in portions."""
    return streams.flatmap(lambda data: st.tuples(st.just(data), portions(data)))
