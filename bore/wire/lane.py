"""
Lanes: data connections that carry one visitor after another.

From the Lane message on a lane carries frames in both directions: one byte of kind, four bytes of length (big endian),
and so many bytes. Each side sends one last frame for a stream, END or RESET, or goes RAW; when both have, the lane can
have its next visitor.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Final, TypeAlias
from uuid import UUID

from bore.wire import serde
from bore.wire.errors import ProtocolViolation
from bore.wire.extension import Source, Visitor, visitorFrom, visitorText

#: Server: a visitor is on this lane from here on. The payload says who, as JSON.
OPEN: Final = 1
#: Bytes of the visitor's stream, at least one: a frame that says nothing would be work for nothing.
DATA: Final = 2
#: This direction of the stream has ended.
END: Final = 3
#: The stream was cut, and nothing more of it comes from this side.
RESET: Final = 4
#: The rest of this direction is bare bytes, up to the end of the connection.
RAW: Final = 5
#: Not a frame: bytes behind RAW.
BARE: Final = 0
#: Not a frame: the end of the connection. No byte of kind is so large.
FIN: Final = 256

#: The most bytes in one frame.
MAX_PAYLOAD: Final = 1 << 16

#: The most bytes that say who a visitor is.
MAX_OPEN: Final = 4096

#: A stream that has sent so many bytes in one direction goes RAW in it.
RAW_THRESHOLD: Final = 1 << 18

#: So does one that has sent so many frames of DATA: what it saves from there on is worth more than the lane.
RAW_MESSAGES: Final = 32

#: A side that has sent RESET and has not got the other one's last frame by then resets the lane, in seconds.
RESET_TIMEOUT: Final = 10.0

HEADER: Final = Struct("!BI")

_LONGEST: Final = {OPEN: MAX_OPEN, DATA: MAX_PAYLOAD, END: 0, RESET: 0, RAW: 0}

END_FRAME: Final = HEADER.pack(END, 0)
RESET_FRAME: Final = HEADER.pack(RESET, 0)
RAW_FRAME: Final = HEADER.pack(RAW, 0)

#: The kind of a frame and its payload, or a part of it: DATA is passed on as it comes.
Frame: TypeAlias = tuple[int, bytes]


def openFrame(id: UUID | str, source: Source | None, announced: bool = False) -> bytes:
    """
    The frame that puts a visitor on a lane, with its id and where it comes from.

    :param announced: whether the session was told before that it waits.
    """
    text = visitorText(id, source, announced).encode()
    return HEADER.pack(OPEN, len(text)) + text


#: What openFrame writes, mostly. Read like this it takes a third of the time; it may be spelled in other ways as well.
_USUAL: Final = re.compile(
    rb'\{"id":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})","from":\["([0-9a-f.:]{2,45})",([1-9][0-9]{0,4})\]'
    rb'(,"announced":true)?\}'
)


def readOpen(payload: bytes) -> Visitor:
    """
    Read who is on a lane.

    :raises MalformedMessage: when it does not say so.
    """
    usual = _USUAL.fullmatch(payload)
    if usual is not None:
        id, host, port, announced = usual.groups()
        try:
            source = serde.ipAddress(host.decode()), serde.port(int(port))
            return Visitor(UUID(id.decode()), source, announced is not None)
        except serde.BadContent:
            return serde.decodeValue(visitorFrom, payload)  # which says what is wrong
    return serde.decodeValue(visitorFrom, payload)


class LaneDecoder:
    """
    Cuts what comes on a lane into frames. Frames are taken one by one; what was not taken is kept.

    Besides what was fed last it holds at most a header and a visitor's description, never bytes of a stream.

    :ivar raw: what comes are bare bytes.
    """

    __slots__ = ("_input", "_left", "_start", "raw")

    def __init__(self) -> None:
        self._input = b""
        self._start = 0
        self._left = 0
        self.raw = False

    def feed(self, data: bytes) -> None:
        """Take bytes that came from the peer."""
        self._input = self._input[self._start :] + data if self._start < len(self._input) else data
        self._start = 0

    @property
    def kept(self) -> int:
        """How many bytes were fed and not taken yet."""
        return len(self._input) - self._start

    @property
    def endIsNext(self) -> bool:
        """Whether the next frame is END, and is there already."""
        return not (self._left or self.raw) and self._input.startswith(END_FRAME, self._start)

    def next(self) -> Frame | None:
        """
        Take the next frame, or as much of it as is there; None if more has to come first.

        :raises ProtocolViolation: when what came is no frame: then the decoder is of no use any more.
        """
        data, start = self._input, self._start
        if self._left or self.raw:
            return self._bytes() if start < len(data) else None
        if len(data) - start < HEADER.size:
            return None
        kind, length = HEADER.unpack_from(data, start)
        if length > _LONGEST.get(kind, -1) or (kind == DATA and not length):
            raise ProtocolViolation(f"a lane's frame of kind {kind} with {length} bytes")
        start += HEADER.size
        stop = start + length
        if stop <= len(data):
            self._start = stop
            self.raw = kind == RAW
            return kind, data[start:stop]
        if kind == OPEN:
            return None
        self._start = start
        self._left = length
        return self._bytes() if start < len(data) else None

    def _bytes(self) -> Frame:
        """As many bytes of the stream as there are."""
        start = self._start
        if self.raw:
            self._start = len(self._input)
            return BARE, self._input[start:]
        payload = self._input[start : start + self._left]
        self._start += len(payload)
        self._left -= len(payload)
        return DATA, payload


class Way:
    """The states of a direction. Plain numbers: they are compared several times for each visitor."""

    NONE: Final = 0  # no stream yet
    ENDED: Final = 1  # the last frame of a stream was END, or the end of a connection that was RAW
    RESET: Final = 2  # the last frame of a stream was RESET
    OPEN: Final = 3
    RAW: Final = 4


#: Up to this one, no stream is open in the direction.
_RESTING: Final = Way.RESET


#: The state of a direction after each kind of frame. A pair that is not here is a violation.
AFTER: Final = {
    (Way.NONE, OPEN): Way.OPEN,
    (Way.ENDED, OPEN): Way.OPEN,
    (Way.RESET, OPEN): Way.OPEN,
    (Way.OPEN, DATA): Way.OPEN,
    (Way.OPEN, END): Way.ENDED,
    (Way.OPEN, RESET): Way.RESET,
    (Way.OPEN, RAW): Way.RAW,
    (Way.RAW, BARE): Way.RAW,
    (Way.RAW, FIN): Way.ENDED,
}


class LaneSession:
    """
    The state of a lane, seen from one side.

    Each direction has a state of its own; :data:`AFTER` has what may follow what, and ``docs/states.rst`` shows it. The
    server alone sends OPEN, and only on an idle lane; it opens both directions.

    A lane is idle while no stream is open in either direction, no direction has ever been RAW, and the connection has
    not ended.

    :ivar serves: whether this is the server's side, which sends OPEN.
    """

    def __init__(self, serves: bool) -> None:
        self.serves = serves
        self._sent: int = Way.NONE
        self._received: int = Way.NONE
        self._usedUp = False

    @property
    def idle(self) -> bool:
        """Whether no visitor is on the lane, and one could be."""
        return not self._usedUp and self._sent <= _RESTING and self._received <= _RESTING

    @property
    def maySend(self) -> bool:
        """Whether this side has not sent its last frame yet, and still sends frames."""
        return self._sent == Way.OPEN

    @property
    def over(self) -> bool:
        """Whether both directions of the stream are done, or there is none."""
        return self._sent <= _RESTING and self._received <= _RESTING

    def sent(self, kind: int) -> None:
        """Note what this side sends. To send what it must not is a fault of the program."""
        if kind == OPEN:
            assert self.serves and self.idle, "a visitor for a lane that is not idle"
            self._sent = self._received = AFTER[self._sent, OPEN]
            return
        self._sent = AFTER[self._sent, kind]
        if kind == RAW:
            self._usedUp = True

    def received(self, kind: int) -> None:
        """
        Note what the other side has sent.

        :raises ProtocolViolation: when it must not.
        """
        if kind == DATA and self._received == Way.OPEN:
            return
        if kind == OPEN:
            if self.serves or not self.idle:
                raise ProtocolViolation("a visitor for a lane that is not idle")
            self._sent = self._received = AFTER[self._received, OPEN]
            return
        after = AFTER.get((self._received, kind))
        if after is None:
            raise ProtocolViolation(f"a lane's frame of kind {kind} where it does not belong")
        self._received = after

    def ended(self) -> bool:
        """
        The other side has ended the connection.

        :returns: whether that is the orderly end of a direction that is RAW; else whatever runs on the lane was cut.
        """
        self._usedUp = True
        after = AFTER.get((self._received, FIN))
        if after is None:
            return False
        self._received = after
        return True

    def sentEnd(self) -> None:
        """This side has ended the connection: the orderly end of a direction that is RAW."""
        self._sent = AFTER[self._sent, FIN]
