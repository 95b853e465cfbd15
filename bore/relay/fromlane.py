"""A lane, as long as a stream is on it: what comes is taken out of its frames."""

from __future__ import annotations

import errno
import select
import socket
from typing import Final

from bore.relay.carriedpair import CarriedPair
from bore.relay.flow import READABLE, STREAM_ENDED, WRITABLE, Flow
from bore.relay.halves import Loop
from bore.timing.turns import MIN_COST
from bore.wire.errors import ProtocolViolation
from bore.wire.lane import END, RESET, LaneDecoder, LaneSession

# What a lane is doing. In the first three states what comes is handled at once; in the others it waits. The numbers are
# compared several times for each visitor, which rules an enumeration out.

#: There is no stream on the lane, and there could be one.
IDLE: Final = 0
#: The last stream is over, but its last frames are not sent, or the other side's have not come.
SETTLING: Final = 1
#: There is a stream on the lane.
JOINED: Final = 2
#: The server has put a visitor on the lane, which is to be joined with a stream, or refused, by the lane's user.
OPENED: Final = 3
#: The last stream is over, its last frames were sent and have come, and the lane's user is to be called.
SETTLED: Final = 4
#: The lane is closed, or about to be.
CLOSED: Final = 5


class FromLane(Flow):
    """
    A lane, and the direction from it to the stream that is on it.

    :ivar session: what may be sent on the lane, and what may come.
    :ivar decoder: takes the frames apart.
    :ivar state: what the lane is doing.
    :ivar on: the pair whose stream is on the lane; None unless it is JOINED.
    """

    __slots__ = ("decoder", "on", "outgoing", "session", "state")

    def __init__(self, loop: Loop, sock: socket.socket, early: bytes, serves: bool) -> None:
        super().__init__(loop, sock)
        self.framed = True
        self.session = LaneSession(serves)
        self.decoder = LaneDecoder()
        self.decoder.feed(early)
        self.state: int = IDLE
        self.on: CarriedPair | None = None
        self.outgoing = b""

    def control(self, kind: int, payload: bytes) -> None:
        """
        Handle a frame that has come while there is no stream on the lane.

        :raises ProtocolViolation: when it is not allowed.
        """
        raise NotImplementedError

    def listen(self) -> None:
        """Read from a lane with no stream on it."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send the rest of the last stream."""
        raise NotImplementedError

    def serve(self, event: int) -> None:
        if not (self.framed or event & STREAM_ENDED):
            Flow.serve(self, event)  # for each message of a stream that is RAW, and super() takes longer
            return
        if event & READABLE:
            self.readable = True
        if event & STREAM_ENDED:
            self.hungUp = True
            unread = self.on is None or self.finished or self.unsent or self.pipe is not None
            if event & select.EPOLLERR and unread and (error := self.error()):
                self.refused(error)
                return
        if event & WRITABLE:
            if self.outgoing:
                self.flush()
            elif self.on is not None and (self.other.unsent or self.other.pipe is not None or self.other.endPending):
                self.other.pump()
        self.pump()
        if event & STREAM_ENDED and self.on is not None and self.finished:
            self._endBehind(event)

    def _endBehind(self, event: int) -> None:
        """What was read last came ahead of a reset; or of an end, which is a cut where there are frames."""
        if event & select.EPOLLERR and (error := self.error()):
            self.refused(error)
        elif event & select.EPOLLRDHUP and not self.decoder.raw:
            self.refused(errno.ECONNRESET)

    def pump(self) -> None:
        if not self.framed:
            Flow.pump(self)
            return
        pair = self.on
        if pair is None:
            self.listen()
            return
        if self.decoder.kept and not self.unsent:
            self.follow()
        if self.on is pair:
            self.framed = not self.decoder.raw or self.decoder.kept > 0
            Flow.pump(self)

    def moveFramed(self) -> None:
        data = self.receive()
        if data:
            self.decoder.feed(data)
            self.follow()

    def deliver(self) -> bool:
        if not super().deliver():
            return False
        if self.decoder.kept:
            self.follow()
        return not self.unsent

    def follow(self) -> None:
        """Handle the frames that have come, within the lane's share of the turn."""
        loop = self.loop
        try:
            while loop.left > loop.reserved:
                if self.unsent or self.state > JOINED:
                    return  # what is kept is handled later
                frame = self.decoder.next()
                if frame is None:
                    return
                loop.left -= MIN_COST
                kind, payload = frame
                self.session.received(kind)
                if self.on is not None:
                    self._pass(self.on, kind, payload)
                else:
                    self.control(kind, payload)
            self.later()
        except ProtocolViolation:
            self.cut()

    def _pass(self, pair: CarriedPair, kind: int, payload: bytes) -> None:
        """Pass on what has come for the stream on the lane."""
        if pair.unproven is not None:
            pair.proved()
            if self.on is not pair:
                return  # the stream was cut, and there may be another one already
        if payload:  # bytes of the stream, framed or bare
            self.received += len(payload)
            self.write(payload, socket.MSG_MORE if self.decoder.endIsNext else 0)  # the end goes along in one segment
        elif kind == END:
            self.finished = True
            self.passEnd()
        elif kind == RESET:
            pair.cutByPeer()

    def finish(self) -> None:
        """The lane's own end: that of a direction that is RAW, or a cut."""
        if self.session.ended():
            super().finish()
        else:
            self.cut()
