"""
The messages between the supervisor and a worker, on the channel between them (:mod:`bore.streams.channel`).

Each message is a JSON object with one key, and may have descriptors with it. Unknown messages and unknown keys are
ignored: during an upgrade the other end is the previous or the next version. What one version adds has to be optional
for the other: a missing key is read as null.
"""
# Longer than 300 lines: the messages, how they are written and how they are read are read together.

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from bore.wire import serde
from bore.wire.errors import FrameTooLong
from bore.wire.publicaddress import OtherKind, PublicAddress, UnixPath, parseUnixPath
from bore.wire.values import value

#: The longest frame, in bytes: bytes of a visitor that were read already (up to 64 KiB) fit in, as base64.
MAX_WORKER_FRAME: Final = 1 << 17

#: The longest part of a report, in bytes.
MAX_PART: Final = 60_000

#: The number of the last report of a worker, for which there is no question.
FINAL_REPORT: Final = 0

#: The address of a socket's peer, as the socket module has it: ``(host, port)``, or ``(host, port, flow, scope)`` for
#: IPv6; empty: it has none.
PeerAddress: TypeAlias = tuple[Any, ...]

#: The lowest and the highest port of a range.
PortRange: TypeAlias = tuple[int, int]

#: Larger numbers are not valid: all JSON readers have this many exactly.
_MOST: Final = 1 << 53


# Worker to supervisor.


@value
class Ready:
    """
    Worker: it has started, and serves connections from now on.

    :ivar version: the version of its code.
    :ivar fingerprint: of the key that it shows in TLS; None: there is no TLS.
    """

    version: str
    fingerprint: str | None


@value
class Failed:
    """
    Worker: it cannot start. It ends.

    :ivar code: the exit code that is right for the reason (:mod:`bore.exits`).
    :ivar reason: for people, in one or several lines.
    """

    code: int
    reason: str


@value
class Load:
    """
    Worker: the answer to Ping.

    :ivar sessions: how many sessions it has.
    :ivar visitors: how many visitors are served, and how many wait.
    :ivar cpu: the CPU time that its process has used, in seconds.
    """

    sessions: int
    visitors: int
    cpu: float


@value
class Pending:
    """
    Worker: its unclassified connections.

    :ivar seen: how many Connections it has received since it started.
    :ivar counts: the number of unclassified connections of each source whose number has changed.
    """

    seen: int
    counts: tuple[tuple[str, int], ...]


@value
class ClaimRights:
    """
    What the users file says about the tunnels of a user; see :class:`bore.users.rights.Rights`.

    :ivar maxTunnels: tunnels at the same time; 0: no limit of the user's own.
    """

    ports: tuple[PortRange, ...]
    exclusive: tuple[PortRange, ...]
    maxTunnels: int


@value
class Claim:
    """
    Worker: a session asks for a tunnel. The answer is Granted, with Waiting before it, or Refused.

    :ivar id: the worker's number for this question.
    :ivar address: the public address that is asked for; 0: any port.
    :ivar token: the token of an earlier tunnel; None: it shows none.
    :ivar user: the name of the user; empty: one without a name.
    :ivar source: what limits count the client's address under.
    :ivar lasting: whether the client can come back with a token.
    :ivar rights: what the user may do; None: there is no users file.
    """

    id: int
    address: PublicAddress
    token: str | None
    user: str
    source: str
    lasting: bool
    rights: ClaimRights | None


@value
class Abandon:
    """
    Worker: the session does not wait for its tunnel any more. The answer to the Claim comes all the same.

    :ivar id: that of the Claim.
    """

    id: int


@value
class Confirm:
    """Worker: the client has the token of this grant, and an earlier one is not valid any more."""

    address: PublicAddress
    epoch: int


@value
class Renew:
    """Worker: the client of this grant is lost, and its lease begins."""

    address: PublicAddress
    epoch: int


@value
class Release:
    """Worker: the address is given back."""

    address: PublicAddress
    epoch: int


@value
class LimitTunnels:
    """
    Worker: the newest tunnels of a user above this number are withdrawn, whichever workers have them.

    :ivar most: at least 1.
    """

    user: str
    most: int


@value
class HandedOver:
    """Worker: the answer to HandOver, behind the Waiting of each visitor that waited."""

    id: int


@value
class Doubtful:
    """Worker: the answer to Examine: the first address whose client may be gone; None: there is none."""

    id: int
    address: PublicAddress | None


@value
class HandOn:
    """
    Worker, with a connection to the plain control port: it belongs to another worker.

    :ivar worker: the number of that worker.
    :ivar early: what was read from it, its first message included.
    :ivar challenge: the challenge that it was sent, which is answered in ``early``; None: it was sent none.
    """

    worker: int
    peer: PeerAddress
    early: bytes
    challenge: UUID | None


@value
class Reported:
    """
    Worker: a part of the answer to Report, or of the report that a worker sends before Bye.

    :ivar id: that of Report; FINAL_REPORT: it is sent without a question.
    :ivar part: at most MAX_PART bytes of it.
    :ivar last: whether it is complete now.
    """

    id: int
    part: bytes
    last: bool


@value
class Done:
    """
    Worker: an Order is carried out.

    :ivar counts: what was asked for, such as the numbers of sessions, tunnels and visitors that a kick has ended.
    :ivar lines: what has changed, for people.
    :ivar problem: why it could not be carried out, for people, in one or several lines; None: it was.
    """

    id: int
    counts: tuple[int, ...]
    lines: tuple[str, ...]
    problem: str | None


@value
class Bye:
    """Worker: nothing is left, and it ends."""


# Both ways.


@value
class Waiting:
    """
    With a visitor's socket: a visitor that waits for a tunnel moves to the worker that has the tunnel now.

    :ivar id: from a worker, that of HandOver; to a worker, that of Claim.
    :ivar peer: the visitor's address.
    :ivar early: what was read from it.
    :ivar age: seconds since it came.
    """

    id: int
    peer: PeerAddress
    early: bytes
    age: float


@value
class Late:
    """
    With a visitor's socket: a visitor of a tunnel that has moved waits again, as the lane that it was on was dead.

    :ivar address: the public address of the tunnel.
    :ivar epoch: from a worker, that of its former grant; to a worker, that of the present one.
    :ivar peer: the visitor's address.
    :ivar early: what was read from it.
    :ivar age: seconds since it came.
    """

    address: PublicAddress
    epoch: int
    peer: PeerAddress
    early: bytes
    age: float


@value
class BaseSession:
    """
    With a control connection: a session of the base protocol moves to another worker, with its tunnel.

    :ivar peer: the address of its client, as ``HOST:PORT``.
    :ivar source: what limits count that address under.
    :ivar user: the name of its user; empty: one without a name.
    :ivar secret: the key of the secret that the client has proved; None: it had to prove none.
    :ivar address: the public address of its tunnel.
    :ivar token: the token of its tunnel, with which the other worker asks for it.
    """

    peer: str
    source: str
    user: str
    secret: bytes | None
    address: PublicAddress
    token: str


# Supervisor to worker.


@value
class Welcome:
    """
    Supervisor, with the descriptor of the counters that all workers share: the first message.

    :ivar version: the version of its code.
    :ivar worker: the number of the worker.
    :ivar generation: that of the worker.
    :ivar workers: how many workers there are.
    """

    version: str
    worker: int
    generation: int
    workers: int


@value
class Ping:
    """Supervisor: the worker has to answer with Load."""


@value
class Connection:
    """
    Supervisor, with a connection to a control port.

    :ivar encrypted: whether it came to the port with TLS.
    :ivar early: what was read from it, by another worker, which has found that it belongs here.
    :ivar challenge: the challenge that it was sent, which is answered in ``early``; None: it was sent none.
    """

    encrypted: bool
    peer: PeerAddress
    early: bytes
    challenge: UUID | None


@value
class Granted:
    """
    Supervisor, with the listening socket unless ``here``: the answer to a Claim.

    :ivar id: that of the Claim.
    :ivar here: the worker has the tunnel already: it moves from one of its sessions to another one.
    :ivar resumed: whether the token has brought the tunnel back.
    """

    id: int
    address: PublicAddress
    user: str
    token: str
    epoch: int
    here: bool
    resumed: bool


#: The code of Refused when the session does not wait any more.
ABANDONED: Final = "abandoned"


@value
class Refused:
    """
    Supervisor: the answer to a Claim; see :class:`bore.wire.errors.Refusal`.

    :ivar range: the lowest and the highest public port of the server; None: it is not the reason.
    """

    id: int
    code: str
    message: str
    retry: bool
    range: PortRange | None


@value
class Examine:
    """Supervisor: the worker has to answer with Doubtful."""

    id: int
    addresses: tuple[PublicAddress, ...]


@value
class GiveUp:
    """Supervisor: the tunnel is taken from its client, which seems to be gone."""

    address: PublicAddress
    epoch: int


@value
class HandOver:
    """Supervisor: the tunnel moves to another worker. The answer is HandedOver; running streams stay."""

    id: int
    address: PublicAddress
    epoch: int


@value
class CloseTunnel:
    """
    Supervisor: the tunnel is closed.

    :ivar reason: the name of a :class:`~bore.events.server.TunnelEnd`.
    """

    address: PublicAddress
    epoch: int
    reason: str


@value
class Expired:
    """Supervisor: the lease of the tunnel is over."""

    address: PublicAddress
    epoch: int


@value
class DropOldest:
    """Supervisor: there are too many unclassified connections, and the oldest one of this source has to go."""

    source: str


@value
class Order:
    """
    Supervisor: an order of the operator. The answer is Done.

    :ivar order: ``reload``, ``rotate``, ``kick`` or ``drain``.
    :ivar user: whom to kick; None: not a user.
    :ivar address: the tunnel to kick; None: not a tunnel.
    :ivar seconds: how long to drain.
    """

    id: int
    order: str
    user: str | None
    address: PublicAddress | None
    seconds: float


@value
class Report:
    """
    Supervisor: the worker has to answer with Reported.

    :ivar question: what is asked for.
    """

    id: int
    question: str


@value
class Retire:
    """
    Supervisor: the worker has to give all its sessions away, and ends when its streams have ended.

    :ivar seconds: how long these may go on.
    """

    seconds: float


@value
class End:
    """Supervisor: the worker has to end, as on SIGTERM."""


WorkerMessage: TypeAlias = (
    Ready
    | Failed
    | Load
    | Pending
    | Claim
    | Abandon
    | Confirm
    | Renew
    | Release
    | LimitTunnels
    | Waiting
    | HandedOver
    | Doubtful
    | HandOn
    | Late
    | BaseSession
    | Reported
    | Done
    | Bye
)
SupervisorMessage: TypeAlias = (
    Welcome
    | Ping
    | Connection
    | Granted
    | Refused
    | Waiting
    | Examine
    | GiveUp
    | HandOver
    | CloseTunnel
    | Expired
    | DropOldest
    | Order
    | Report
    | Late
    | BaseSession
    | Retire
    | End
)
ChannelMessage: TypeAlias = WorkerMessage | SupervisorMessage


def descriptorsOf(message: ChannelMessage) -> int:
    """How many descriptors belong to a message."""
    match message:
        case Welcome() | Connection() | Waiting() | Late() | HandOn() | BaseSession() | Granted(here=False):
            return 1
        case _:
            return 0


def encode(message: ChannelMessage) -> bytes:
    """
    Encode a message as a frame, without its NUL.

    :raises bore.wire.errors.FrameTooLong: when it does not fit a frame.
    """
    kind = type(message)
    names = kind.__match_args__
    content = {name: field.write(getattr(message, name)) for name, field in zip(names, _FIELDS[kind], strict=True)}
    frame = json.dumps({kind.__name__: content}, ensure_ascii=False, separators=(",", ":")).encode()
    if len(frame) > MAX_WORKER_FRAME:
        raise FrameTooLong(f"{len(frame)} bytes do not fit a frame of {MAX_WORKER_FRAME}")
    return frame


def decodeWorkerMessage(frame: bytes) -> WorkerMessage:
    """
    Decode a worker's message.

    :param frame: a frame without its NUL.
    :raises bore.wire.errors.UnknownMessage: when a worker has no such message.
    :raises bore.wire.errors.MalformedMessage: when it is not a message, or its value is not valid.
    """
    return serde.decode(_WORKER_MESSAGES, frame)


def decodeSupervisorMessage(frame: bytes) -> SupervisorMessage:
    """
    Decode a supervisor's message.

    :param frame: a frame without its NUL.
    :raises bore.wire.errors.UnknownMessage: when a supervisor has no such message.
    :raises bore.wire.errors.MalformedMessage: when it is not a message, or its value is not valid.
    """
    return serde.decode(_SUPERVISOR_MESSAGES, frame)


class _Field(NamedTuple):
    """How the values of a field are read and written."""

    read: Callable[[object], Any]
    write: Callable[[Any], object] = lambda each: each


def _orNull(field: _Field) -> _Field:
    def read(content: object) -> object:
        return None if content is None else field.read(content)

    def write(each: object) -> object:
        return None if each is None else field.write(each)

    return _Field(read, write)


def _many(field: _Field) -> _Field:
    def read(content: object) -> tuple[object, ...]:
        if type(content) is not list:
            raise serde.BadContent("not a list")
        return tuple(map(field.read, content))

    def write(each: Sequence[object]) -> list[object]:
        return list(map(field.write, each))

    return _Field(read, write)


def _pair(first: _Field, second: _Field) -> _Field:
    def read(content: object) -> tuple[object, object]:
        if type(content) is not list or len(content) != 2:
            raise serde.BadContent("not a pair")
        return first.read(content[0]), second.read(content[1])

    return _Field(read, list)


def _number(content: object) -> int:
    return serde.integer(content, _MOST, "not a number")


def _amount(content: object) -> float:
    if isinstance(content, int | float) and not isinstance(content, bool) and 0 <= content <= _MOST:
        return float(content)
    raise serde.BadContent("not an amount")


def _readBytes(content: object) -> bytes:
    try:
        return b64decode(serde.text(content).encode(), validate=True)
    except ValueError:
        raise serde.BadContent("not base64") from None


def _writeBytes(data: bytes) -> str:
    return b64encode(data).decode()


def _readAddress(content: object) -> PublicAddress:
    if isinstance(content, serde.Object):
        (kind,) = serde.fields(content, "kind")
        return OtherKind(serde.text(kind))
    if not isinstance(content, str):
        return serde.port(content)
    try:
        return parseUnixPath(serde.text(content))
    except ValueError:
        raise serde.BadContent("not the path of a Unix socket") from None


def _writeAddress(address: PublicAddress) -> object:
    match address:
        case UnixPath(path):
            return path
        case OtherKind(kind):
            return {"kind": kind}
        case _:
            return address


def _readPeer(content: object) -> PeerAddress:
    if type(content) is not list or len(content) not in (0, 2, 3, 4):
        raise serde.BadContent("not the address of a socket")
    if not content:
        return ()
    host = serde.text(content[0])
    serde.ipAddress(host.partition("%")[0])  # a scope means something on this machine
    return host, serde.port(content[1]), *map(_number, content[2:])


def _writePeer(peer: PeerAddress) -> list[object]:
    """The peers of Unix sockets have no address that means anything."""
    return list(peer) if len(peer) > 1 else []


def _readRights(content: object) -> ClaimRights:
    ports, exclusive, most = serde.fields(content, "ports", "exclusive", "maxTunnels")
    return ClaimRights(_RANGES.read(ports), _RANGES.read(exclusive), _number(most))


def _writeRights(rights: ClaimRights) -> object:
    ports, exclusive = _RANGES.write(rights.ports), _RANGES.write(rights.exclusive)
    return {"ports": ports, "exclusive": exclusive, "maxTunnels": rights.maxTunnels}


_NUMBER: Final = _Field(_number)
_AMOUNT: Final = _Field(_amount)
_TEXT: Final = _Field(serde.text)
_UUID: Final = _Field(serde.uuid, str)
_FLAG: Final = _Field(serde.boolean)
_BYTES: Final = _Field(_readBytes, _writeBytes)
_ADDRESS: Final = _Field(_readAddress, _writeAddress)
_PEER: Final = _Field(_readPeer, _writePeer)
_PORT: Final = _Field(serde.port)
_RANGE: Final = _pair(_PORT, _PORT)
_RANGES: Final = _many(_RANGE)
_RIGHTS: Final = _Field(_readRights, _writeRights)
_COUNTS: Final = _many(_pair(_TEXT, _NUMBER))

#: The fields of each message, in their order.
_FIELDS: Final[dict[type, tuple[_Field, ...]]] = {
    Ready: (_TEXT, _orNull(_TEXT)),
    Failed: (_NUMBER, _TEXT),
    Load: (_NUMBER, _NUMBER, _AMOUNT),
    Pending: (_NUMBER, _COUNTS),
    Claim: (_NUMBER, _ADDRESS, _orNull(_TEXT), _TEXT, _TEXT, _FLAG, _orNull(_RIGHTS)),
    Abandon: (_NUMBER,),
    Confirm: (_ADDRESS, _NUMBER),
    Renew: (_ADDRESS, _NUMBER),
    Release: (_ADDRESS, _NUMBER),
    LimitTunnels: (_TEXT, _NUMBER),
    Waiting: (_NUMBER, _PEER, _BYTES, _AMOUNT),
    HandedOver: (_NUMBER,),
    Late: (_ADDRESS, _NUMBER, _PEER, _BYTES, _AMOUNT),
    Doubtful: (_NUMBER, _orNull(_ADDRESS)),
    HandOn: (_NUMBER, _PEER, _BYTES, _orNull(_UUID)),
    BaseSession: (_TEXT, _TEXT, _TEXT, _orNull(_BYTES), _ADDRESS, _TEXT),
    Reported: (_NUMBER, _BYTES, _FLAG),
    Done: (_NUMBER, _many(_NUMBER), _many(_TEXT), _orNull(_TEXT)),
    Bye: (),
    Welcome: (_TEXT, _NUMBER, _NUMBER, _NUMBER),
    Ping: (),
    Connection: (_FLAG, _PEER, _BYTES, _orNull(_UUID)),
    Granted: (_NUMBER, _ADDRESS, _TEXT, _TEXT, _NUMBER, _FLAG, _FLAG),
    Refused: (_NUMBER, _TEXT, _TEXT, _FLAG, _orNull(_RANGE)),
    Examine: (_NUMBER, _many(_ADDRESS)),
    GiveUp: (_ADDRESS, _NUMBER),
    HandOver: (_NUMBER, _ADDRESS, _NUMBER),
    CloseTunnel: (_ADDRESS, _NUMBER, _TEXT),
    Expired: (_ADDRESS, _NUMBER),
    DropOldest: (_TEXT,),
    Order: (_NUMBER, _TEXT, _orNull(_TEXT), _orNull(_ADDRESS), _AMOUNT),
    Report: (_NUMBER, _TEXT),
    Retire: (_AMOUNT,),
    End: (),
}


def _readers(union: Any) -> dict[str, Callable[[object], Any]]:
    return {kind.__name__: _reader(kind) for kind in union.__args__}


def _reader(kind: type[Any]) -> Callable[[object], Any]:
    names: tuple[str, ...] = kind.__match_args__
    fields = _FIELDS[kind]

    def read(content: object) -> Any:
        values = serde.fields(content, *names)
        return kind(*(field.read(each) for field, each in zip(fields, values, strict=True)))

    return read


_WORKER_MESSAGES: Final[dict[str, Callable[[object], WorkerMessage]]] = _readers(WorkerMessage)
_SUPERVISOR_MESSAGES: Final[dict[str, Callable[[object], SupervisorMessage]]] = _readers(SupervisorMessage)
