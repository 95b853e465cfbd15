"""
Lanes: data connections that carry one visitor after another.

Behind the Lane message a lane carries frames in both directions: one byte of kind, four bytes of length (big
endian), and the payload. Each side sends one last frame for a stream, END or RESET, or goes RAW. When both sides have
sent END or RESET, the lane is idle, and can have its next visitor; behind a long upload only when the client has sent
DONE as well: else the next visitor would wait behind what the local service has not taken yet.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias

from bore.wire.errors import ProtocolViolation

#: Server: puts a visitor on the lane. The payload is the value of Visitor, as JSON.
OPEN: Final = 1
#: Bytes of the visitor's stream, at least one.
DATA: Final = 2
#: This direction of the stream has ended.
END: Final = 3
#: The stream was cut. This side sends nothing more of it.
RESET: Final = 4
#: Bare bytes follow in this direction, up to the end of the connection.
RAW: Final = 5
#: Client: nothing of a long upload is left on the lane. Both directions have ended in order before.
DONE: Final = 6
#: Not a frame: bytes behind RAW.
BARE: Final = 0
#: Not a frame: the end of the connection. No kind of frame has this number, which does not fit a byte.
FIN: Final = 256

#: The longest payload of DATA, in bytes.
MAX_PAYLOAD: Final = 1 << 16

#: The longest payload of OPEN, in bytes.
MAX_OPEN: Final = 4096

#: A direction goes RAW after this many bytes of a stream.
RAW_THRESHOLD: Final = 1 << 18

#: It also goes RAW after this many frames of DATA: from there on that saves more than the lane is worth.
RAW_MESSAGES: Final = 32

#: A stream needs DONE if the server has sent more than this many bytes of it. As many are taken by the local service's
#: socket even if the service does not read.
LONG: Final = 1 << 15

#: A side that has sent RESET waits this long for the other side's last frame, in seconds. Then it resets the lane.
RESET_TIMEOUT: Final = 10.0

HEADER: Final = Struct("!BI")

_LONGEST: Final = {OPEN: MAX_OPEN, DATA: MAX_PAYLOAD, END: 0, RESET: 0, RAW: 0, DONE: 0}

END_FRAME: Final = HEADER.pack(END, 0)
RESET_FRAME: Final = HEADER.pack(RESET, 0)
RAW_FRAME: Final = HEADER.pack(RAW, 0)
DONE_FRAME: Final = HEADER.pack(DONE, 0)

#: The kind of a frame and its payload. DATA may be a part of a frame: it is passed on as it arrives.
Frame: TypeAlias = tuple[int, bytes]


class LaneDecoder:
    """
    Splits the bytes of a lane into frames, which are taken one by one.

    Once all frames were taken, it holds at most a header and the payload of OPEN, never bytes of a stream.

    :ivar raw: whether bare bytes follow.
    """

    __slots__ = ("_input", "_left", "_start", "raw")

    def __init__(self) -> None:
        self._input = b""
        self._start = 0
        self._left = 0
        self.raw = False

    def feed(self, data: bytes) -> None:
        """Add bytes from the peer, in any portions."""
        self._input = self._input[self._start :] + data if self._start < len(self._input) else data
        self._start = 0

    @property
    def kept(self) -> int:
        """The number of bytes that were fed and not taken yet."""
        return len(self._input) - self._start

    @property
    def endIsNext(self) -> bool:
        """Whether the next frame is END, and complete."""
        return not (self._left or self.raw) and self._input.startswith(END_FRAME, self._start)

    def next(self) -> Frame | None:
        """
        Take the next frame, or the available part of DATA; None if more bytes are needed.

        :raises ProtocolViolation: when the bytes are not a frame. The decoder cannot be used afterwards.
        """
        data, start = self._input, self._start
        if self._left or self.raw:
            return self._bytes() if start < len(data) else None
        if len(data) - start < HEADER.size:
            return None
        kind, length = HEADER.unpack_from(data, start)
        if length > _LONGEST.get(kind, -1) or (kind == DATA and not length):
            raise ProtocolViolation(f"a lane's frame of kind {kind} and of length {length}")
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
        """The available bytes of the stream."""
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
    DONE: Final = 3  # the last frame of a long stream was DONE
    OPEN: Final = 4
    RAW: Final = 5


#: Up to this one, no stream is open in the direction.
_RESTING: Final = Way.DONE


#: The state of a direction after each kind of frame. A pair that is not here is a violation.
AFTER: Final = {
    (Way.NONE, OPEN): Way.OPEN,
    (Way.ENDED, OPEN): Way.OPEN,
    (Way.RESET, OPEN): Way.OPEN,
    (Way.DONE, OPEN): Way.OPEN,
    (Way.OPEN, DATA): Way.OPEN,
    (Way.OPEN, END): Way.ENDED,
    (Way.OPEN, RESET): Way.RESET,
    (Way.OPEN, RAW): Way.RAW,
    (Way.ENDED, DONE): Way.DONE,
    (Way.RAW, BARE): Way.RAW,
    (Way.RAW, FIN): Way.ENDED,
}


class LaneSession:
    """
    The state of a lane, seen from one side.

    Each direction has a state of its own; :data:`AFTER` has what may follow what, and ``docs/states.rst`` shows it. The
    server alone sends OPEN, and only on an idle lane; it opens both directions.

    A lane is idle while no stream is open in either direction, no DONE is to come, no direction has ever been RAW, and
    the connection has not ended.

    :ivar serves: whether this is the server's side.
    :ivar long: whether the last stream needs DONE, if it has ended in order. Set when it leaves the lane.
    """

    def __init__(self, serves: bool) -> None:
        self.serves = serves
        self._sent: int = Way.NONE
        self._received: int = Way.NONE
        self._usedUp = False
        self.long = False

    @property
    def idle(self) -> bool:
        """Whether the lane can have its next visitor."""
        return not self._usedUp and self.over

    @property
    def maySend(self) -> bool:
        """Whether this side may still send frames of the stream."""
        return self._sent == Way.OPEN

    @property
    def concluded(self) -> bool:
        """Whether no stream is open in either direction."""
        return self._sent <= _RESTING and self._received <= _RESTING

    @property
    def over(self) -> bool:
        """Whether nothing more of the last stream is to be sent or to come."""
        return self._sent <= _RESTING and self._received <= _RESTING and not (self.long and self.lacksDone)

    @property
    def lacksDone(self) -> bool:
        """Whether the stream was long, has ended in order, and DONE was not sent, or has not come."""
        return self.long and self._sent == self._received == Way.ENDED and not self._usedUp

    def sent(self, kind: int) -> None:
        """Note a frame that this side sends. One that it must not send is a bug: AssertionError or KeyError."""
        if kind == OPEN:
            assert self.serves and self.idle, "a visitor for a lane that is not idle"
            self._sent = self._received = Way.OPEN
            self.long = False
            return
        assert kind != DONE or (self.lacksDone and not self.serves), "DONE of a stream that has not ended, or is short"
        self._sent = AFTER[self._sent, kind]
        if kind == RAW:
            self._usedUp = True

    def received(self, kind: int) -> None:
        """
        Note a frame that the other side has sent.

        :raises ProtocolViolation: when it must not send it.
        """
        if kind == DATA and self._received == Way.OPEN:
            return
        if kind == OPEN:
            if self.serves or not self.idle:
                raise ProtocolViolation("a visitor for a lane that is not idle")
            self._sent = self._received = Way.OPEN
            self.long = False
            return
        after = AFTER.get((self._received, kind))
        if after is None or (kind == DONE and (self._sent != Way.ENDED or self._usedUp or not self.serves)):
            raise ProtocolViolation(f"unexpected frame of kind {kind} on a lane")
        self._received = after

    def ended(self) -> bool:
        """
        The other side has ended the connection.

        :returns: whether that is the orderly end of a direction that is RAW. Otherwise an open stream was cut.
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
