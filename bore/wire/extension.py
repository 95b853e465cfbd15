"""
The messages of the extension, which an original peer never receives (docs/protocol.rst, "The extension").

A client that knows the extension sends a space behind its Hello; white space means nothing to an original server. A
server that knows it answers Extended. From there on frames may be longer, and both sides use the messages below.
Unknown keys are ignored, so that messages can get further ones.
"""
# Longer than 300 lines: the messages, how they are written and how they are read are read together.

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from bore.wire import binding, messages, serde
from bore.wire.binding import BindingChallenge
from bore.wire.errors import MalformedMessage
from bore.wire.framing import encodeFrame
from bore.wire.limits import (
    HEARTBEAT_INTERVAL,
    IDLE_HEARTBEAT_INTERVAL,
    LONGEST_MOVE,
    MAX_EXTENDED_FRAME,
    MAX_NODE_ADDRESS,
    MAX_NODES,
)
from bore.wire.messages import Heartbeat, Hello
from bore.wire.pins import isFingerprint
from bore.wire.publicaddress import OtherKind, PublicAddress, UnixPath, parseUnixPath
from bore.wire.rulesmessage import Rules, rulesFrom, rulesText
from bore.wire.values import value
from bore.wire.workernumbers import NO_WORKER, hintOf, workerOfHint

#: The last byte of a marked Hello, in front of the NUL.
_MARK: Final = " "

#: Where a visitor comes from: an IP address as text, and a port.
Source: TypeAlias = tuple[str, int]


@value
class MarkedHello:
    """Client: a Hello with the mark, as a client sends it that knows the extension."""

    port: int


@value
class Extended:
    """
    Server, in answer to a marked Hello: what belongs to the session, whatever tunnels it has.

    :ivar version: the version of the extension that the server speaks.
    :ivar lane: the token with which lanes are opened; None: there are none.
    :ivar heartbeat: the interval of heartbeats while there are visitors, in seconds.
    :ivar idleHeartbeat: their interval while there are none.
    :ivar maxLanes: the number of idle lanes that are kept; 0: any number.
    :ivar user: the user that the client is; empty: one without a name.
    :ivar rights: what this user may do, for people.
    :ivar hint: the number of the worker that has the session, to which further connections inside TLS should lead;
        NO_WORKER: there is none.
    :ivar here: the address of the node of a cluster that has the session, such as ``tls://node1.example.com:7835``, to
        which further connections should go; empty: there is no cluster.
    """

    version: int
    lane: str | None = None
    heartbeat: float = HEARTBEAT_INTERVAL
    idleHeartbeat: float = IDLE_HEARTBEAT_INTERVAL
    maxLanes: int = 0
    user: str = ""
    rights: str = ""
    hint: int = NO_WORKER
    here: str = ""


@value
class Open:
    """
    Client: requests a tunnel at this public address (0: any port). A session can have several.

    :ivar tunnel: the client's number for it, greater than those of all Opens before it in the session.
    :ivar resume: the token of an earlier tunnel, which is resumed if it still exists; None: there is none.
    :ivar epoch: in the session of a node: the epoch of the address, of which the node is a member; None: it is none.
    :ivar key: to a node of a cluster: the lasting key of the tunnel, a token that the client has chosen. The sessions
        that show the same one share the tunnel. None: there is none.
    """

    tunnel: int
    address: PublicAddress
    resume: str | None = None
    epoch: int | None = None
    key: str | None = None


@value
class Opened:
    """
    Server: a tunnel is open.

    :ivar resume: the token with which the tunnel can be resumed.
    :ivar lease: the time after the loss of the session in which it can be, in seconds.
    """

    tunnel: int
    address: PublicAddress
    resume: str | None
    lease: int


@value
class Lane:
    """Client, on a connection of its own: opens a lane of the session with this token."""

    token: str


@value
class HandedOn:
    """
    Node, on a connection of its own: the connection of a client that belongs to the other node. Its bytes follow.

    :ivar challenge: the challenge that the client was sent; None: it was sent none.
    :ivar source: the client's address.
    """

    challenge: UUID | None
    source: Source


@value
class Refused:
    """
    Server: a refusal.

    :ivar code: for programs; the message is for people.
    :ivar retry: whether the same request may be granted later.
    :ivar tunnel: the tunnel that is refused, while the session goes on; None: the session is refused, and closed.
    :ivar range: the lowest and the highest public port of the server, if the requested one is outside; else None.
    """

    code: str
    message: str
    retry: bool
    tunnel: int | None = None
    range: tuple[int, int] | None = None


@value
class Close:
    """
    Client: gives a tunnel back on purpose. The visitors that are served stay. The answer is Closed.

    :ivar kept: of a node: whether somebody still owns the port, so that visitors may wait there.
    """

    tunnel: int
    kept: bool = False


@value
class Closed:
    """
    Server: a tunnel is closed, and the session goes on.

    :ivar code: why, for programs; None: the client has sent Close.
    :ivar message: why, for people.
    :ivar retry: whether the tunnel may be granted again later.
    """

    tunnel: int
    code: str | None = None
    message: str | None = None
    retry: bool = False


@value
class Alive:
    """Client: the answer to each Heartbeat."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """
    Server: a visitor waits for a data connection.

    :ivar tunnel: the tunnel that it visits.
    :ivar source: the visitor's address; None: it has none.
    """

    tunnel: int
    id: UUID
    source: Source | None


@value
class NextKey:
    """
    Server, inside TLS: it will have another key. A client that trusts it remembers that key.

    :ivar key: its fingerprint.
    """

    key: str


@value
class Nodes:
    """
    Server, to a client that has sent the key of a tunnel: the other nodes of the cluster that take new sessions.

    :ivar addresses: such as ``tls://node2.example.com:7835``; at most MAX_NODES.
    """

    addresses: tuple[str, ...]


@value
class Moved:
    """
    Server: gives the session away. The client begins another one within some time, at random, and shows its tokens.

    The streams of visitors go on. Nothing that either side sends behind it means anything, Goodbye included: the public
    addresses of the tunnels stay reserved.

    :ivar to: the server to go to, such as ``tls://example.com:7835``; None: the same one.
    :ivar within: that time in seconds; None: a second.
    """

    to: str | None
    within: float | None = None


@value
class Goodbye:
    """Either side: ends the session on purpose. All its ports are free at once."""


ExtendedClientMessage: TypeAlias = Rules | Open | Close | Alive | Goodbye
Request: TypeAlias = messages.ClientMessage | MarkedHello | Lane
NodeRequest: TypeAlias = MarkedHello | Lane | HandedOn
ExtendedServerMessage: TypeAlias = (
    Extended | Opened | Refused | Closed | Visitor | Heartbeat | Moved | NextKey | Nodes | Goodbye
)


def markedHello(port: int) -> bytes:
    """Encode a Hello with the mark, as a frame."""
    return encode(MarkedHello(port))


def encode(message: ExtendedClientMessage | ExtendedServerMessage | NodeRequest) -> bytes:
    """
    Encode a message as a frame.

    :raises bore.wire.errors.FrameTooLong: when a text does not fit a frame.
    """
    name = type(message).__name__
    match message:
        case Alive() | Heartbeat() | Goodbye():
            text = f'"{name}"'
        case Visitor(tunnel, id, source):
            text = f'{{"{name}":{visitorText(tunnel, id, source)}}}'
        case Extended(version, lane, heartbeat, idle, most, user, rights, hint, here):
            about = f'"lane":{_orNull(lane)}'
            if not here or (heartbeat, idle) != (HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL):  # else there is no room
                about += f',"heartbeat":{_secondsText(heartbeat)},"idleHeartbeat":{_secondsText(idle)}'
            who = f',"user":{serde.quote(user)}' if user else ""
            who += f',"rights":{serde.quote(rights)}' if user and (rights or not here) else ""
            where = f',"hint":"{hintOf(hint)}"' if hint else ""
            where += f',"here":{serde.quote(here)}' if here else ""
            text = f'{{"{name}":{{"version":{version},{about},"maxLanes":{most}{who}{where}}}}}'
        case Rules(rules):
            text = f'{{"{name}":{rulesText(rules)}}}'
        case Open(tunnel, address, resume, epoch, key):
            about = f'{_addressText(address)},"resume":{_orNull(resume)}' + (f',"epoch":{epoch}' if epoch else "")
            shared = "" if key is None else f',"key":"{key}"'
            text = f'{{"{name}":{{"tunnel":{tunnel},{about}{shared}}}}}'
        case Opened(tunnel, address, resume, lease):
            about = f'{_addressText(address)},"resume":{_orNull(resume)},"lease":{lease}'
            text = f'{{"{name}":{{"tunnel":{tunnel},{about}}}}}'
        case Close(tunnel, True):
            text = f'{{"{name}":{{"tunnel":{tunnel},"kept":true}}}}'
        case Close(tunnel) | Closed(tunnel, None):
            text = f'{{"{name}":{{"tunnel":{tunnel}}}}}'
        case Closed(tunnel, code, reason, retry):
            text = f'{{"{name}":{{"tunnel":{tunnel},{_reasonText(code, reason, retry)}}}}}'
        case MarkedHello(port):
            text = f'{{"Hello":{port}}}{_MARK}'
        case Moved(to, within):
            soon = "" if within is None else f',"within":{_secondsText(within)}'
            text = f'{{"{name}":{{"to":{_orNull(to)}{soon}}}}}'
        case Nodes(addresses):
            text = f'{{"{name}":[{",".join(map(serde.quote, addresses))}]}}'
        case Lane(text) | NextKey(text):
            text = f'{{"{name}":{serde.quote(text)}}}'
        case HandedOn(challenge, (host, port)):
            asked = "null" if challenge is None else f'"{challenge}"'
            text = f'{{"{name}":{{"challenge":{asked},"from":["{host}",{port}]}}}}'
        case Refused(code, reason, retry, tunnel, ports):
            which = "" if tunnel is None else f'"tunnel":{tunnel},'
            allowed = "" if ports is None else f',"range":[{ports[0]},{ports[1]}]'
            text = f'{{"{name}":{{{which}{_reasonText(code, reason, retry)}{allowed}}}}}'
    return encodeFrame(text, MAX_EXTENDED_FRAME)


def _reasonText(code: str | None, reason: str | None, retry: bool) -> str:
    return f'"code":{_orNull(code)},"message":{_orNull(reason)},"retry":{"true" if retry else "false"}'


def visitorText(tunnel: int, id: UUID | str, source: Source | None, announced: bool = False) -> str:
    """
    The value of Visitor, as JSON.

    :param announced: on a lane only: whether the session was sent this visitor before.
    """
    where = "null" if source is None else f'["{source[0]}",{source[1]}]'
    return f'{{"tunnel":{tunnel},"id":"{id}","from":{where}' + (',"announced":true}' if announced else "}")


def _addressText(address: PublicAddress) -> str:
    match address:
        case UnixPath(path):
            return f'"kind":"unix","path":{serde.quote(path)}'
        case OtherKind(kind):
            return f'"kind":{serde.quote(kind)}'
        case _:
            return f'"port":{address}'


def _secondsText(seconds: float) -> str:
    return str(int(seconds) if seconds == int(seconds) else seconds)


def _orNull(text: str | None) -> str:
    return "null" if text is None else serde.quote(text)


def decodeRequest(frame: bytes) -> Request:
    """
    Decode a client's first message, or the first behind its proof: one of the base protocol, or Lane.

    :returns: the message; a Hello with the mark as a :class:`MarkedHello`.
    :raises MalformedMessage: when it is neither.
    """
    request = serde.decode(_REQUESTS, frame)
    if isinstance(request, Hello) and frame.endswith(_MARK.encode()):
        return MarkedHello(request.port)
    return request


def decodeNodeRequest(frame: bytes) -> NodeRequest:
    """
    Decode a node's first message behind its proof.

    :raises MalformedMessage: when a node has no such message.
    """
    request = serde.decode(_NODE_REQUESTS, frame)
    if isinstance(request, Hello):
        if not frame.endswith(_MARK.encode()):
            raise MalformedMessage("a node's Hello without the mark")
        return MarkedHello(request.port)
    return request


def decodeClientMessage(frame: bytes) -> ExtendedClientMessage:
    """
    Decode a client's message.

    :param frame: a frame without its NUL.
    :raises UnknownMessage: when a client has no such message.
    :raises MalformedMessage: when it is not a message, or its value is not valid.
    """
    return serde.decode(_CLIENT_MESSAGES, frame)


def decodeServerMessage(frame: bytes) -> ExtendedServerMessage:
    """
    Decode a server's message.

    :param frame: a frame without its NUL.
    :raises UnknownMessage: when a server has no such message.
    :raises MalformedMessage: when it is not a message, or its value is not valid.
    """
    return serde.decode(_SERVER_MESSAGES, frame)


def decodeAnswer(frame: bytes) -> messages.ServerMessage | Extended | BindingChallenge:
    """
    Decode a server's answer to a marked Hello, or its first message: one of the base protocol, Extended or
    BindingChallenge.

    :raises MalformedMessage: when it is none of them.
    """
    return serde.decode(_ANSWERS, frame)


#: Each server chooses how it writes the random bits of a token. Fewer characters would have too few of them. That of a
#: lane can begin with the number of a worker.
_TOKEN = re.compile(r"([1-9][0-9]{0,4}\.)?[0-9A-Za-z_-]{16,64}")

#: Larger numbers of seconds or lanes are not valid.
_MOST: Final = 1 << 31

#: The highest epoch: an engine counts with integers of 63 bits.
MAX_EPOCH: Final = (1 << 63) - 1


def isToken(text: str) -> bool:
    """Whether a text can be a token."""
    return _TOKEN.fullmatch(text) is not None


def _token(content: object) -> str | None:
    if content is None or (isinstance(content, str) and isToken(content)):
        return content
    raise serde.BadContent("not a token")


def _lane(content: object) -> Lane:
    token = _token(content)
    if token is None:
        raise serde.BadContent("not a token")
    return Lane(token)


def _number(content: object) -> int:
    """The number of a tunnel."""
    number = serde.integer(content, _MOST, "not the number of a tunnel")
    if not number:
        raise serde.BadContent("not the number of a tunnel")
    return number


def _seconds(content: object, missing: float) -> float:
    return missing if content is None else serde.seconds(content, _MOST)


def _extended(content: object) -> Extended:
    keys = "version", "lane", "heartbeat", "idleHeartbeat", "maxLanes", "user", "rights", "hint", "here"
    version, lane, heartbeat, idle, most, user, rights, hint, here = serde.fields(content, *keys)
    return Extended(
        serde.integer(version, 65535, "not a version"),
        _token(lane),
        _seconds(heartbeat, HEARTBEAT_INTERVAL),
        _seconds(idle, IDLE_HEARTBEAT_INTERVAL),
        0 if most is None else serde.integer(most, _MOST, "not a number of lanes"),
        "" if user is None else binding.userName(user),
        "" if user is None or rights is None else serde.text(rights),
        NO_WORKER if hint is None else _hint(hint),
        "" if here is None else _node(here),
    )


def _hint(content: object) -> int:
    worker = workerOfHint(content) if isinstance(content, str) else NO_WORKER
    if not worker:
        raise serde.BadContent("not the hint of a worker from 1 to 65535")
    return worker


def _address(content: object) -> PublicAddress:
    """The public address in an Open or Opened; the kind of a port may be missing."""
    kind, port, path = serde.fields(content, "kind", "port", "path")
    match "tcp" if kind is None else serde.text(kind):
        case "tcp":
            return serde.port(port)
        case "unix":
            return _unixPath(serde.text(path))
        case other:
            return OtherKind(other)


def _unixPath(path: str) -> UnixPath:
    try:
        return parseUnixPath(path)
    except ValueError:
        raise serde.BadContent("not the path of a Unix socket") from None


def _open(content: object) -> Open:
    tunnel, resume, epoch, key = serde.fields(content, "tunnel", "resume", "epoch", "key")
    number = None if epoch is None else _epoch(epoch)
    return Open(_number(tunnel), _address(content), _token(resume), number, _token(key))


def _epoch(content: object) -> int:
    epoch = serde.integer(content, MAX_EPOCH, "not an epoch")
    if not epoch:
        raise serde.BadContent("not an epoch")
    return epoch


def _handedOn(content: object) -> HandedOn:
    challenge, source = serde.fields(content, "challenge", "from")
    return HandedOn(None if challenge is None else serde.uuid(challenge), _source(source))


def _opened(content: object) -> Opened:
    tunnel, resume, lease = serde.fields(content, "tunnel", "resume", "lease")
    seconds = serde.integer(lease, _MOST, "not a number of seconds")
    return Opened(_number(tunnel), _address(content), _token(resume), seconds)


def _refused(content: object) -> Refused:
    code, message, retry, tunnel, ports = serde.fields(content, "code", "message", "retry", "tunnel", "range")
    number = None if tunnel is None else _number(tunnel)
    allowed = None if ports is None else _range(ports)
    return Refused(serde.text(code), serde.text(message), serde.boolean(retry), number, allowed)


def _range(content: object) -> tuple[int, int]:
    """The lowest and the highest public port."""
    if isinstance(content, list) and len(content) == 2:
        lowest, highest = serde.port(content[0]), serde.port(content[1])
        if lowest <= highest:
            return lowest, highest
    raise serde.BadContent("not a range of ports")


def _close(content: object) -> Close:
    tunnel, kept = serde.fields(content, "tunnel", "kept")
    return Close(_number(tunnel), kept is not None and serde.boolean(kept))


def _closed(content: object) -> Closed:
    tunnel, code, message, retry = serde.fields(content, "tunnel", "code", "message", "retry")
    if code is None:
        return Closed(_number(tunnel))
    return Closed(_number(tunnel), serde.text(code), serde.text(message), serde.boolean(retry))


def _nextKey(content: object) -> NextKey:
    if isinstance(content, str) and isFingerprint(content):
        return NextKey(content)
    raise serde.BadContent("not the fingerprint of a key")


def _nodes(content: object) -> Nodes:
    if isinstance(content, list) and not isinstance(content, serde.Object) and len(content) <= MAX_NODES:
        return Nodes(tuple(map(_node, content)))
    raise serde.BadContent(f"not a list of at most {MAX_NODES} nodes")


def _node(content: object) -> str:
    """The address of a node. Whether it can be used is up to the client, as with that in Moved."""
    address = serde.text(content)
    if 0 < len(address) <= MAX_NODE_ADDRESS:
        return address
    raise serde.BadContent(f"not the address of a node, with up to {MAX_NODE_ADDRESS} characters")


def _moved(content: object) -> Moved:
    to, within = serde.fields(content, "to", "within")
    time = None if within is None else serde.seconds(within, LONGEST_MOVE)
    return Moved(None if to is None else serde.text(to), time)


def visitorFrom(content: object) -> Visitor:
    """Read the value of Visitor."""
    tunnel, id, source = serde.fields(content, "tunnel", "id", "from")
    return Visitor(_number(tunnel), serde.uuid(id), None if source is None else _source(source))


def _source(content: object) -> Source:
    if isinstance(content, list) and len(content) == 2:
        return serde.ipAddress(content[0]), serde.port(content[1])
    raise serde.BadContent("not an address and a port")


_CLIENT_MESSAGES: Final[dict[str, Callable[[object], ExtendedClientMessage]]] = {
    "Rules": rulesFrom,
    "Open": _open,
    "Close": _close,
    "Alive": serde.valueless(Alive()),
    "Goodbye": serde.valueless(Goodbye()),
}

_SERVER_MESSAGES: Final[dict[str, Callable[[object], ExtendedServerMessage]]] = {
    "Extended": _extended,
    "Opened": _opened,
    "Refused": _refused,
    "Closed": _closed,
    "Visitor": visitorFrom,
    "Heartbeat": serde.valueless(Heartbeat()),
    "Moved": _moved,
    "NextKey": _nextKey,
    "Nodes": _nodes,
    "Goodbye": serde.valueless(Goodbye()),
}

_REQUESTS: Final[dict[str, Callable[[object], Request]]] = {**messages.CLIENT_MESSAGES, "Lane": _lane}

_NODE_REQUESTS: Final[dict[str, Callable[[object], Hello | Lane | HandedOn]]] = {
    "Hello": lambda content: Hello(serde.port(content)),
    "Lane": _lane,
    "HandedOn": _handedOn,
}

_ANSWERS: Final[dict[str, Callable[[object], messages.ServerMessage | Extended | BindingChallenge]]] = {
    **messages.SERVER_MESSAGES,
    "BindingChallenge": binding.challenge,
    "Extended": _extended,
}
