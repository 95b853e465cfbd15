"""A model of lanes: how frames are encoded, what a stream of bytes means, and what may be sent when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from bore.wire.errors import ProtocolViolation
from bore.wire.lane import BARE, DATA, DONE, END, FIN, OPEN, RAW, RESET, LaneDecoder

#: A frame, or what neighbouring frames of bytes have together.
Sent: TypeAlias = tuple[int, bytes]

#: What comes of bytes: frames, and in the end perhaps a violation.
Outcomes: TypeAlias = list[Sent | type[ProtocolViolation]]

#: The longest payload of each kind.
LONGEST: Final = {OPEN: 4096, DATA: 65536, END: 0, RESET: 0, RAW: 0, DONE: 0}

#: The shortest.
SHORTEST: Final = {OPEN: 0, DATA: 1, END: 0, RESET: 0, RAW: 0, DONE: 0}


def header(kind: int, length: int) -> bytes:
    """One byte of kind, four bytes of length."""
    return kind.to_bytes(1, "big") + length.to_bytes(4, "big")


def frame(kind: int, payload: bytes = b"") -> bytes:
    """A frame; BARE has none."""
    return payload if kind == BARE else header(kind, len(payload)) + payload


def written(frames: Iterable[Sent]) -> bytes:
    """These frames, one behind the other."""
    return b"".join(frame(*sent) for sent in frames)


def joined(frames: Iterable[Sent]) -> list[Sent]:
    """The same frames, with bytes joined that come one behind the other."""
    result: list[Sent] = []
    for kind, group in groupby(frames, lambda sent: sent[0]):
        together = list(group)
        result += [(kind, b"".join(payload for _, payload in together))] if kind in (DATA, BARE) else together
    return result


def byTheBook(data: bytes) -> Outcomes:
    """What bytes from the beginning of a lane mean."""
    sent: list[Sent] = []
    while len(data) >= 5:
        kind, length, data = data[0], int.from_bytes(data[1:5], "big"), data[5:]
        if not SHORTEST.get(kind, 0) <= length <= LONGEST.get(kind, -1):
            return [*joined(sent), ProtocolViolation]
        payload, data = data[:length], data[length:]
        if len(payload) == length or (kind == DATA and payload):
            sent.append((kind, payload))
        if kind == RAW:
            sent += [(BARE, data)] if data else []
            break
    return [*joined(sent)]


def framesOf(decoder: LaneDecoder) -> Iterator[Sent]:
    """The frames that a decoder has, as long as there are any."""
    while (taken := decoder.next()) is not None:
        yield taken


def outcomes(decoder: LaneDecoder, *portions: bytes) -> Outcomes:
    """What a decoder makes of these bytes."""
    sent: list[Sent] = []
    try:
        for portion in portions:
            decoder.feed(portion)
            sent.extend(framesOf(decoder))
    except ProtocolViolation:
        return [*joined(sent), ProtocolViolation]
    return [*joined(sent)]


_PAYLOADS: Final = st.binary(max_size=20) | st.builds(lambda size: bytes(range(256)) * size, st.integers(0, 2))
_FRAMES: Final[SearchStrategy[Sent]] = st.one_of(
    st.tuples(st.just(OPEN), _PAYLOADS),
    st.tuples(st.just(DATA), _PAYLOADS.filter(bool)),
    st.tuples(st.sampled_from([END, RESET, DONE]), st.just(b"")),
)
_BULK: Final[SearchStrategy[list[Sent]]] = st.one_of(
    st.just([]),
    st.builds(lambda bare: [(RAW, b""), (BARE, bare)], st.binary(min_size=1) | _FRAMES.map(lambda sent: frame(*sent))),
)

#: Any frames, in any order, RAW and bytes behind it perhaps the last.
FRAMES: Final[SearchStrategy[list[Sent]]] = st.builds(
    lambda frames, bulk: frames + bulk, st.lists(_FRAMES, max_size=6), _BULK
)

#: All that can come on a lane, a kind that there is not included.
KINDS: Final = {
    OPEN: "OPEN",
    DATA: "DATA",
    END: "END",
    RESET: "RESET",
    RAW: "RAW",
    DONE: "DONE",
    BARE: "bare bytes",
    7: "unknown",
    FIN: "end of the connection",
}

#: The table of :mod:`bore.wire.lane` without OPEN and DONE. A direction that was RAW has its own way to be ENDED.
WAYS: Final[dict[str, dict[int, str]]] = {
    "NONE": {},
    "OPEN": {DATA: "OPEN", END: "ENDED", RESET: "RESET", RAW: "RAW"},
    "RAW": {BARE: "RAW", FIN: "ENDED behind RAW"},
    "ENDED": {},
    "RESET": {},
    "DONE": {},
    "ENDED behind RAW": {},
}


@dataclass(frozen=True)
class State:
    """
    What a side of a lane knows of it.

    :ivar serves: whether it is the server's side.
    :ivar sent: the state of the direction from here.
    :ivar received: the state of the other one.
    :ivar long: whether the server has sent so much that the stream needs DONE. That is known when it has left the lane.
    """

    serves: bool
    sent: str = "NONE"
    received: str = "NONE"
    long: bool = False

    @property
    def idle(self) -> bool:
        """Whether the lane can have its next visitor."""
        return all(way in ("NONE", "ENDED", "RESET", "DONE") for way in (self.sent, self.received)) and self.over

    @property
    def over(self) -> bool:
        """Whether no visitor is on the lane, and nothing of the last one."""
        return all(way not in ("OPEN", "RAW") for way in (self.sent, self.received)) and not (
            self.long and self.hasEnded
        )

    @property
    def hasEnded(self) -> bool:
        """Whether both directions have ended in order, and there was no DONE."""
        return self.sent == self.received == "ENDED"

    def sending(self) -> dict[int, State]:
        """What this side may send, and where that leads to."""
        opened = {OPEN: State(self.serves, "OPEN", "OPEN")} if self.serves and self.idle else {}
        done = {DONE: replace(self, sent="DONE")} if self.long and not self.serves and self.hasEnded else {}
        return opened | done | {kind: replace(self, sent=way) for kind, way in WAYS[self.sent].items()}

    def receiving(self) -> dict[int, State]:
        """What the other side may send, and where that leads to."""
        opened = {OPEN: State(self.serves, "OPEN", "OPEN")} if not self.serves and self.idle else {}
        done = {DONE: replace(self, received="DONE")} if self.serves and self.hasEnded else {}
        return opened | done | {kind: replace(self, received=way) for kind, way in WAYS[self.received].items()}
