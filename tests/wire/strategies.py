"""What hypothesis builds bytes and messages from."""

from __future__ import annotations

import json
from ipaddress import ip_network
from itertools import chain, pairwise
from typing import Final, TypeAlias
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from bore.wire import extension, messages, serde
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.extension import (
    Alive,
    Close,
    Closed,
    Extended,
    ExtendedClientMessage,
    ExtendedServerMessage,
    Goodbye,
    HandedOn,
    Lane,
    MarkedHello,
    Moved,
    NextKey,
    Nodes,
    Open,
    Opened,
    Refused,
    Source,
    Visitor,
)
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
)
from bore.wire.publicaddress import OtherKind, PublicAddress, UnixPath
from bore.wire.rulesmessage import Rules
from bore.wire.workernumbers import MAX_WORKER

#: A slow machine is no fault of the code under test.
UNHURRIED: Final = settings(deadline=None)

#: A message of any vocabulary.
AnyMessage: TypeAlias = Message | ExtendedClientMessage | ExtendedServerMessage | MarkedHello | Lane | HandedOn

PORTS: Final = st.integers(0, 65535)
PORT_RANGES: Final = st.tuples(PORTS, PORTS).map(sorted).map(lambda ports: (ports[0], ports[1]))
UUIDS: Final = st.uuids()
WORKERS: Final = st.integers(1, MAX_WORKER)
_RANDOM: Final = st.text("0123456789ABCXYZabcxyz_-", min_size=16, max_size=64)
TOKENS: Final = _RANDOM | st.tuples(WORKERS, _RANDOM).map(lambda parts: f"{parts[0]}.{parts[1]}")

#: Public addresses of all kinds, of kinds that nobody knows, too.
PUBLIC_ADDRESSES: Final[SearchStrategy[PublicAddress]] = st.one_of(
    PORTS,
    st.builds(
        UnixPath,
        st.lists(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=8))
        .filter(lambda parts: parts and not {".", ".."} & set(parts) and len("/".join(parts).encode()) < 100)
        .map(lambda parts: "/" + "/".join(parts)),
    ),
    st.builds(OtherKind, st.text(max_size=18).filter(lambda kind: kind not in ("tcp", "unix"))),
)

#: IP addresses in their shortest form, link-local ones of an interface included.
ADDRESSES: Final = st.ip_addresses().map(str)
SOURCES: Final[SearchStrategy[Source]] = st.tuples(ADDRESSES, PORTS)

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

#: Networks of either kind; those of mapped addresses are read as IPv4.
NETWORKS: Final = st.builds(
    lambda address, bits: parseNetwork(str(ip_network((address, min(bits, address.max_prefixlen)), strict=False))),
    st.ip_addresses(),
    st.integers(0, 128),
)
_NETWORK_LISTS: Final = st.lists(NETWORKS, max_size=3).map(tuple)
RULES: Final[SearchStrategy[AddressRules]] = st.builds(AddressRules, _NETWORK_LISTS, _NETWORK_LISTS)

#: Numbers of tunnels; most of them are small, so that some of a session's messages are about the same tunnel.
NUMBERS: Final = st.integers(1, 4) | st.integers(1, 1 << 31)
EPOCHS: Final = st.integers(1, extension.MAX_EPOCH)
SECONDS: Final = st.sampled_from([0.25, 0.5, 1, 3, 60])

#: What a server calls a node of its cluster; whether it can be used is up to the client.
NODES: Final = TEXTS.filter(bool) | st.builds("tls://{}:{}".format, st.ip_addresses(v=4), PORTS)

FINGERPRINTS: Final = st.text("ABCabc019+/", min_size=43, max_size=43).map("SHA256:".__add__)

EXTENDED_CLIENT_MESSAGES: Final[SearchStrategy[ExtendedClientMessage]] = st.one_of(
    st.builds(Rules, RULES.filter(bool)),
    st.builds(Open, NUMBERS, PUBLIC_ADDRESSES, st.none() | TOKENS, st.none() | EPOCHS, st.none() | TOKENS),
    st.builds(Close, NUMBERS, st.booleans()),
    st.builds(Alive),
    st.builds(Goodbye),
)
EXTENDED_SERVER_MESSAGES: Final[SearchStrategy[ExtendedServerMessage]] = st.one_of(
    st.builds(Extended, st.integers(0, 65535), st.none() | TOKENS, SECONDS, SECONDS, st.integers(0, 1 << 31)),
    st.builds(Extended, st.just(1), user=st.just("alice"), rights=TEXTS),
    st.builds(Extended, st.just(1), hint=WORKERS),
    st.builds(Extended, st.just(1), here=NODES),
    st.builds(Opened, NUMBERS, PUBLIC_ADDRESSES, st.none() | TOKENS, st.integers(0, 1 << 31)),
    st.builds(Refused, TEXTS, TEXTS, st.booleans(), st.none() | NUMBERS, st.none() | PORT_RANGES),
    st.builds(Closed, NUMBERS),
    st.builds(Closed, NUMBERS, TEXTS, TEXTS, st.booleans()),
    st.builds(Visitor, NUMBERS, UUIDS, st.none() | SOURCES),
    st.builds(Heartbeat),
    st.builds(Moved, st.none() | TEXTS),
    st.builds(NextKey, FINGERPRINTS),
    st.builds(Nodes, st.lists(NODES, max_size=3).map(tuple)),
    st.builds(Goodbye),
)

ANY_MESSAGES: Final[SearchStrategy[AnyMessage]] = st.one_of(
    MESSAGES,
    EXTENDED_CLIENT_MESSAGES,
    EXTENDED_SERVER_MESSAGES,
    st.builds(Lane, TOKENS),
    st.builds(HandedOn, st.none() | UUIDS, SOURCES),
)

_NAMES: Final = st.sampled_from(
    "Challenge Authenticate Hello Heartbeat Connection Accept Error Extended Rules Open Opened Refused Close Closed "
    "Alive Visitor Moved NextKey Nodes Goodbye Lane HandedOn".split()
)

#: The names before values that are UUIDs.
_UUID_NAMES: Final = ("Challenge", "Connection", "Accept", "id", "challenge")


def decodeClientMessage(frame: bytes) -> ClientMessage:
    """Decode a message of the base protocol's clients as an original server does: ours knows Lane, too."""
    return serde.decode(messages.CLIENT_MESSAGES, frame)


def frameOf(message: AnyMessage) -> bytes:
    """A message of any vocabulary, encoded."""
    return messages.encode(message) if isinstance(message, Message) else extension.encode(message)


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
def spelledOut(draw: DrawFn, message: AnyMessage) -> bytes:
    """A frame without its NUL that means this message, in any of the ways that JSON has for it."""
    name = type(message).__name__
    sent = json.loads(frameOf(message)[:-1])
    spelled = draw(spellings(name))
    tokens = [spelled] if sent == name else ["{", spelled, ":", *_spelledValue(draw, name, sent[name]), "}"]
    if sent == name and draw(st.booleans()):
        tokens = ["{", spelled, ":", "null", "}"]
    space = draw(st.text(" \t\r\n", max_size=3))
    return (space + space.join(tokens) + space).encode()


def _spelledValue(draw: DrawFn, name: str, value: object) -> list[str]:
    """The tokens of the value of this name."""
    if isinstance(value, dict):
        return ["{", *_spelledFields(draw, value), "}"]
    if isinstance(value, list):
        elements = [[",", *_spelledValue(draw, "", element)] for element in value]
        return ["[", *list(chain(*elements))[1:], "]"]
    if isinstance(value, str):
        forms = uuidSpellings(UUID(value)) if name in _UUID_NAMES else [value]
        return [draw(st.sampled_from(forms).flatmap(spellings))]
    return [json.dumps(value)]


def _spelledFields(draw: DrawFn, known: dict[str, object]) -> list[str]:
    """The tokens of these fields, in any order: a null may be left out, and unknown ones may be among them."""
    fields = [
        [",", draw(spellings(name)), ":", *_spelledValue(draw, name, value)]
        for name, value in known.items()
        if value is not None or draw(st.booleans())
    ]
    unknown = draw(st.lists(st.tuples(TEXTS.filter(lambda name: name not in known), VALUES), max_size=2))
    fields += [[",", draw(spellings(name)), ":", json.dumps(value)] for name, value in unknown]
    return list(chain(*draw(st.permutations(fields))))[1:]


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
VALUES: Final[SearchStrategy[object]] = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_CODE_POINTS | _NAMES, inner, max_size=3)),
    max_leaves=6,
)

#: Names of messages with values that they mostly cannot have.
_ALMOST_MESSAGES: Final = st.dictionaries(_NAMES, VALUES, min_size=1, max_size=2)

#: Any JSON text, with a liking for those that are nearly messages.
JSON_TEXTS: Final[SearchStrategy[bytes]] = st.one_of(VALUES, _ALMOST_MESSAGES).map(lambda v: json.dumps(v).encode())

#: What may come instead of a frame, without a NUL of its own or with some. The extension has longer frames.
JUNK: Final[SearchStrategy[bytes]] = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda size: b"x" * size, st.integers(250, 4200)),
    JSON_TEXTS,
    ANY_MESSAGES.flatmap(spelledOut).flatmap(damaged),
)

#: What a peer may send: whole messages of either side, and anything else, most of it cut into frames.
STREAMS: Final[SearchStrategy[bytes]] = st.lists(
    st.one_of(
        ANY_MESSAGES.map(frameOf),
        st.builds(lambda frame: frame + b"\0", ANY_MESSAGES.flatmap(spelledOut)),
        JUNK,
        st.sampled_from([b"\0", b'{"Hello":0} \0', b'{"Extended":{"version":1}}\0']),
    ),
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
