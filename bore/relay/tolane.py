"""The plain stream on a lane, whose bytes are put into frames."""

from __future__ import annotations

import socket

from bore.relay.carriedpair import CarriedPair
from bore.relay.flow import BUFFER_SIZE, Flow
from bore.relay.halves import Loop
from bore.wire.lane import (
    DATA,
    END,
    END_FRAME,
    HEADER,
    MAX_PAYLOAD,
    OPEN,
    RAW,
    RAW_FRAME,
    RAW_MESSAGES,
    RAW_THRESHOLD,
    LaneSession,
)


class ToLane(Flow):
    """
    A plain stream, and the direction from it to the lane. What is unsent are frames.

    :ivar session: what may be sent on the lane.
    :ivar endFramed: END was written, or is unsent.
    :ivar messages: how many times it was read from.
    """

    __slots__ = ("endFramed", "messages", "session")

    pair: CarriedPair

    def __init__(self, loop: Loop, sock: socket.socket, session: LaneSession) -> None:
        super().__init__(loop, sock)
        self.framed = True
        self.session = session
        self.endFramed = False
        self.messages = 0

    def open(self, opening: bytes, early: bytes) -> None:
        """
        Start the stream: send the first frame, and what can be read already, in one write.

        :param opening: the first frame; empty: none.
        :param early: bytes of the stream that were read already.
        """
        data = early
        if opening and not early:
            try:
                data = self.socket.recv(BUFFER_SIZE)
            except BlockingIOError:
                pass
            except OSError:
                self.pair.cutBeforeOpening()
                return
            self.readable = len(data) == BUFFER_SIZE
        if opening:
            self.session.sent(OPEN)
        if data:
            self.received = len(data)
            self.pair.remember(data)
            while len(data) > MAX_PAYLOAD:
                opening += HEADER.pack(DATA, MAX_PAYLOAD) + data[:MAX_PAYLOAD]
                data = data[MAX_PAYLOAD:]
            opening += HEADER.pack(DATA, len(data)) + data
        if opening:
            self.pair.wrote(len(opening))
            self.write(opening)

    def moveFramed(self) -> None:
        pair = self.pair
        if pair.unproven is not None and pair.mustWait():
            self.readable = False
            if self.hungUp and (error := self.error()):
                self.refused(error)  # nothing is read just now that would report the error
            return
        data = self.receive()
        if not data:
            return
        over = wasReset = False
        if self.hungUp and len(data) < BUFFER_SIZE:
            more, over, wasReset = self._readBehind(BUFFER_SIZE - len(data))
            data += more
        self.received += len(data)
        if pair.unproven is not None:
            pair.remember(data)
        frame = HEADER.pack(DATA, len(data)) + data
        if over:
            frame += END_FRAME
            self.readable = False
            self.endFramed = True
            self.session.sent(END)
        pair.wrote(len(frame))
        self.write(frame)
        if self.finished:
            return  # the lane has turned out to be dead
        if over:
            self._complete()
        elif wasReset:
            self.cut()
        else:
            self.messages += 1
            if self.received >= RAW_THRESHOLD or self.messages >= RAW_MESSAGES:
                self.goRaw()

    def _readBehind(self, room: int) -> tuple[bytes, bool, bool]:
        """
        Read once more from a peer that has ended its stream, so that the end goes along with the last bytes.

        :returns: what there was, whether the stream has ended, and whether it was cut.
        """
        try:
            more = self.socket.recv(room)
        except BlockingIOError:
            return b"", False, self.refusesData
        except OSError:
            return b"", False, True
        over = not more
        return more, over and not self.wasReset, over and self.wasReset

    def goRaw(self) -> None:
        """Send bare bytes from here on, unless another lane may have to be given what is sent: it is not kept then."""
        if self.pair.unproven is None:
            self.session.sent(RAW)
            self.framed = False
            self._send(RAW_FRAME)

    def _send(self, frame: bytes) -> None:
        """Send a frame behind all that is unsent."""
        self.pair.wrote(len(frame))
        if self.unsent:
            self.unsent = b"".join((self.unsent, frame))
        else:
            self.write(frame)

    def discard(self) -> None:
        if self.pair.unproven is None:  # else the lane may turn out to have been dead, and another one is given all
            super().discard()

    def finish(self) -> None:
        if self.wasReset:
            self.cut()
            return
        if not self.framed:
            self.session.sentEnd()
            super().finish()
            return
        self.readable = False
        self.endFramed = True
        self.session.sent(END)
        self._send(END_FRAME)
        self._complete()

    def deliver(self) -> bool:
        if not super().deliver():
            return False
        self._complete()
        return True

    def _complete(self) -> None:
        """If the kernel has taken END, the end of this direction was passed on."""
        if self.endFramed and not self.unsent and not self.finished:
            self.finished = True
            self.pair.finished(self)
