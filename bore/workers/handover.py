"""
The state of a supervisor, for its successor: the same process, which runs other code after exec(3).

It is JSON in a file in memory. What is not known is ignored, and what is missing has a default where there is one: the
previous version has to understand the next one, and the other way round. Times are those of the monotonic clock, which
goes on; descriptors keep their numbers.
"""

# Longer than 300 lines: the values, and how each of their fields is read.

from __future__ import annotations

import dataclasses
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from bore.server import custodystate
from bore.server.custodystate import BadState
from bore.streams.channel import Remains
from bore.streams.descriptorframes import LOST
from bore.wire.workersession import Position, State
from bore.workers.crew import Phase

#: The variable with the number of the descriptor of the state.
VARIABLE: Final = "TXBORE_STATE"

#: The format. A state with a greater number is read as far as it is understood.
FORMAT: Final = 1

#: More than any state has, in bytes.
_MOST: Final = 1 << 30

T = TypeVar("T")

_READY: Final = Position("READY", ())
_NOTHING: Final = Remains()


def _fd(**more: Any) -> Any:
    return field(metadata={"fd": True}, **more)


@dataclass(frozen=True)
class PortState:
    """A control port."""

    fd: int = _fd()
    encrypted: bool = False


@dataclass(frozen=True)
class ArrivalState:
    """
    A connection to a control port that was not passed on; see :class:`bore.workers.peeking.Arrival`.

    :ivar decided: whether it is clear where it belongs.
    :ivar proxied: whether it begins with a header of a trusted proxy, or what has come of that.
    """

    fd: int = _fd()
    encrypted: bool = False
    peer: Sequence[object] = ()
    early: bytes = b""
    challenge: str | None = None
    hint: int = 0
    decided: bool = False
    proxied: bool = False


@dataclass(frozen=True)
class HomelessState:
    """
    A session of the base protocol that waits for a worker.

    :ivar frame: its :class:`bore.wire.workermessages.BaseSession`.
    """

    fd: int = _fd()
    frame: bytes = b""


@dataclass(frozen=True)
class WorkerState:
    """
    A worker.

    :ivar channel: the supervisor's end of its channel; -1: it is over.
    :ivar output: the pipe from which its output is read; -1: it is over.
    :ivar phase: the name of a :class:`bore.workers.crew.Phase`.
    :ivar deadline: when it is killed; None: it is not.
    :ivar asked: how many questions about tunnels it was asked.
    """

    number: int
    generation: int
    pid: int
    channel: int = _fd()
    output: int = _fd()
    phase: str = "READY"
    since: float = 0.0
    readySince: float | None = None
    deadline: float | None = None
    fingerprint: str | None = None
    position: Position = _READY
    remains: Remains = _NOTHING
    asked: int = 0


@dataclass(frozen=True)
class SupervisorState:
    """
    A supervisor.

    :ivar version: that of its code.
    :ivar generation: that of its workers.
    :ivar lastNumber: the number of the worker that was started last.
    :ivar resting: the numbers that were used lately, and when their workers have ended.
    :ivar since: when the server was started.
    :ivar custody: the public addresses: see :mod:`bore.server.custodystate`.
    :ivar held: the descriptors that belong to that.
    :ivar counters: the table of visitors that all workers share.
    :ivar stored: the names of what the service manager keeps.
    :ivar statusPort: the listening socket of the status port.
    :ivar ending: the workers whose channel is over, and whose processes have to end.
    :ivar homeless: the sessions of the base protocol that no worker could take.
    :ivar history: what was done, for the status: see :class:`bore.workers.status.SupervisorStatus`.
    """

    version: str
    generation: int
    lastNumber: int
    since: float
    resting: Sequence[tuple[int, float]] = ()
    ports: Sequence[PortState] = ()
    workers: Sequence[WorkerState] = ()
    arrivals: Sequence[ArrivalState] = ()
    custody: Mapping[str, object] = field(default_factory=dict)
    held: Sequence[int] = field(default=(), metadata={"fd": True})
    counters: int = _fd(default=-1)
    history: object = None
    stored: Sequence[str] = ()
    statusPort: int = _fd(default=-1)
    ending: Sequence[WorkerState] = ()
    homeless: Sequence[HomelessState] = ()


def encode(state: SupervisorState) -> bytes:
    """Write a state."""
    return json.dumps({"format": FORMAT, **_plain(state)}).encode()


def decode(data: bytes) -> SupervisorState:
    """
    Read a state.

    :raises BadState: when it is not one, or needs what this version does not have.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise BadState(f"not JSON: {e}") from None
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise BadState("not the state of a supervisor")
    state = _made(SupervisorState, content)
    if state.custody:
        custodystate.check(state.custody)
    return state


def store(state: SupervisorState) -> int:
    """Write a state to a file in memory, and return its descriptor, which is inherited by programs that are run."""
    fd = os.memfd_create("bore-state", 0)
    data = memoryview(encode(state))
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def load(fd: int) -> SupervisorState:
    """
    Read a state from its file.

    :raises BadState: see :func:`decode`; also when the descriptor is not readable.
    """
    try:
        data = b""
        while part := os.pread(fd, 1 << 20, len(data)):
            data += part
            if len(data) > _MOST:
                raise BadState("too long")
    except OSError as e:
        raise BadState(f"not readable: {e.strerror}") from None
    return decode(data)


def takeState(fd: int) -> SupervisorState:
    """
    Read the state that an earlier process has left, and close its file. Its descriptors are inherited by nobody else.

    :raises BadState: see :func:`decode`.
    """
    try:
        state = load(fd)
    finally:
        os.close(fd)
    for each in descriptorsIn(state):
        os.set_inheritable(each, False)
    return state


def descriptorsIn(state: object) -> Iterator[int]:
    """All descriptors that belong to a state."""
    if isinstance(state, Remains):
        groups = [*(each[1] for each in state.batches), state.descriptors, *(each[1] for each in state.unsent)]
        yield from (fd for group in groups for fd in group if fd != LOST)
    elif dataclasses.is_dataclass(state):
        for each in dataclasses.fields(state):
            found = getattr(state, each.name)
            if each.metadata.get("fd"):
                yield from (fd for fd in (found if isinstance(found, Sequence) else (found,)) if fd >= 0)
            else:
                yield from descriptorsIn(found)
    elif isinstance(state, Sequence) and not isinstance(state, str | bytes):
        for each in state:
            yield from descriptorsIn(each)


def _plain(found: object) -> Any:
    """A value as JSON has it."""
    match found:
        case bytes():
            return b64encode(found).decode()
        case Remains():
            return {name: _plain(value) for name, value in found._asdict().items()}
        case Position():
            return {"state": found.state, "asked": _plain(found.asked)}
        case tuple() | list():
            return [_plain(each) for each in found]
        case dict():
            return found
        case _ if dataclasses.is_dataclass(found):
            return {each.name: _plain(getattr(found, each.name)) for each in dataclasses.fields(found)}
    return found


def _made(kind: type[T], content: object) -> T:
    """A dataclass from its JSON."""
    if not isinstance(content, Mapping):
        raise BadState(f"{kind.__name__} is not an object")
    values = {}
    for each in dataclasses.fields(cast(Any, kind)):
        if each.name in content:
            try:
                values[each.name] = _READERS[kind, each.name](content[each.name])
            except (TypeError, ValueError, KeyError, AttributeError) as e:
                raise BadState(f"{each.name} of {kind.__name__} is not valid: {e!r}") from None
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise BadState(f"{each.name} of {kind.__name__} is missing")
    return kind(**values)


def _of(*kinds: type) -> Callable[[object], Any]:
    def read(content: object) -> object:
        if isinstance(content, kinds) and (not isinstance(content, bool) or bool in kinds):
            return content
        raise ValueError(f"{content!r}")

    return read


def _orNull(inner: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda content: None if content is None else inner(content)


def _many(inner: Callable[[Any], Any]) -> Callable[[object], Any]:
    def read(content: object) -> object:
        if not isinstance(content, list):
            raise ValueError(f"{content!r}")
        return tuple(map(inner, content))

    return read


def _several(kind: type[T]) -> Callable[[object], Any]:
    return _many(lambda each: _made(kind, each))


def _pair(first: Callable[[object], Any], second: Callable[[object], Any]) -> Callable[[object], Any]:
    def read(content: object) -> object:
        one, two = cast("list[object]", content)
        return first(one), second(two)

    return read


def _readBytes(content: object) -> bytes:
    return b64decode(_TEXT(content), validate=True)


def _readPhase(content: object) -> str:
    return Phase[_TEXT(content)].name


def _readPosition(content: object) -> Position:
    found = cast("dict[str, object]", content)
    return Position(State[_TEXT(found["state"])].name, _many(_pair(_TEXT, _NUMBER))(found["asked"]))


def _readRemains(content: object) -> Remains:
    found = cast("dict[str, object]", content)
    numbers = _many(_NUMBER)

    def batch(each: object) -> tuple[int, tuple[int, ...], bool]:
        end, descriptors, lost = cast("list[object]", each)
        return _NUMBER(end), numbers(descriptors), _FLAG(lost)

    return Remains(
        _readBytes(found.get("received", "")),
        _many(batch)(found.get("batches", [])),
        numbers(found.get("descriptors", [])),
        _readBytes(found.get("begun", "")),
        _many(_pair(_readBytes, numbers))(found.get("unsent", [])),
    )


_NUMBER: Final = _of(int)
_TIME: Final = _of(int, float)
_TEXT: Final = _of(str)
_FLAG: Final = _of(bool)

#: How each field is read.
_READERS: Final[dict[tuple[type, str], Callable[[object], Any]]] = {
    (PortState, "fd"): _NUMBER,
    (PortState, "encrypted"): _FLAG,
    (ArrivalState, "fd"): _NUMBER,
    (ArrivalState, "encrypted"): _FLAG,
    (ArrivalState, "peer"): _many(_of(int, str)),
    (ArrivalState, "early"): _readBytes,
    (ArrivalState, "challenge"): _orNull(_TEXT),
    (ArrivalState, "hint"): _NUMBER,
    (ArrivalState, "decided"): _FLAG,
    (ArrivalState, "proxied"): _FLAG,
    (HomelessState, "fd"): _NUMBER,
    (HomelessState, "frame"): _readBytes,
    (WorkerState, "number"): _NUMBER,
    (WorkerState, "generation"): _NUMBER,
    (WorkerState, "pid"): _NUMBER,
    (WorkerState, "channel"): _NUMBER,
    (WorkerState, "output"): _NUMBER,
    (WorkerState, "phase"): _readPhase,
    (WorkerState, "since"): _TIME,
    (WorkerState, "readySince"): _orNull(_TIME),
    (WorkerState, "deadline"): _orNull(_TIME),
    (WorkerState, "fingerprint"): _orNull(_TEXT),
    (WorkerState, "position"): _readPosition,
    (WorkerState, "remains"): _readRemains,
    (WorkerState, "asked"): _NUMBER,
    (SupervisorState, "version"): _TEXT,
    (SupervisorState, "generation"): _NUMBER,
    (SupervisorState, "lastNumber"): _NUMBER,
    (SupervisorState, "since"): _TIME,
    (SupervisorState, "resting"): _many(_pair(_NUMBER, _TIME)),
    (SupervisorState, "ports"): _several(PortState),
    (SupervisorState, "workers"): _several(WorkerState),
    (SupervisorState, "arrivals"): _several(ArrivalState),
    (SupervisorState, "custody"): _of(dict),
    (SupervisorState, "held"): _many(_NUMBER),
    (SupervisorState, "counters"): _NUMBER,
    (SupervisorState, "stored"): _many(_TEXT),
    (SupervisorState, "statusPort"): _NUMBER,
    (SupervisorState, "ending"): _several(WorkerState),
    (SupervisorState, "homeless"): _several(HomelessState),
    (SupervisorState, "history"): lambda content: content,
}
