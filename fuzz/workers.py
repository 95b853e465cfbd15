"""Targets: what the supervisor and a worker send to each other."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, TypeAlias

from bore.wire import workermessages
from bore.wire.errors import FrameTooLong, MalformedMessage, ProtocolViolation
from bore.wire.workermessages import decodeSupervisorMessage, decodeWorkerMessage, descriptorsOf
from bore.wire.workersession import Position, State, SupervisorEnd, WorkerEnd

#: Questions that were asked, with numbers that are easily found.
_ASKED: Final = tuple((name, 1) for name in ("Claim", "HandOver", "Examine", "Report", "Order")) + (("Ping", 0),) * 2

_ENDS: Final[tuple[type[SupervisorEnd | WorkerEnd], ...]] = (SupervisorEnd, WorkerEnd)

_End: TypeAlias = SupervisorEnd | WorkerEnd


def workerMessages(data: bytes) -> None:
    """The messages of both; what they read can be written, and is read again as the same."""
    for decode in decodeWorkerMessage, decodeSupervisorMessage:
        try:
            message = decode(data)
        except MalformedMessage:
            continue
        assert descriptorsOf(message) in (0, 1)
        with suppress(FrameTooLong):  # a text may need more bytes when it is written with other escapes
            assert decode(workermessages.encode(message)) == message, message


def channelEnds(data: bytes) -> None:
    """Both ends; the first byte chooses an end and its state, and each frame begins with its number of descriptors."""
    if not data:
        return
    states = list(State)
    end: _End = _ENDS[data[0] % 2](Position(states[data[0] // 2 % len(states)].name, _ASKED))
    for frame in data[1:].split(b"\0"):
        before = end.position
        try:
            message = end.receive(frame[1:], frame[0] & 1 if frame else 0)
        except ProtocolViolation:
            assert end.position == before, "a frame that must not come has changed something"
            return
        if message is None:
            assert end.position == before, "a message of another version has changed something"
        assert type(end)(end.position).position == end.position
        assert len(end.position.asked) <= len(_ASKED)
