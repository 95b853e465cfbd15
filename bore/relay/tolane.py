"""The plain stream of a lane's visitor: what comes from it is said in frames."""

from __future__ import annotations

import socket

from bore.relay.ends import BUFFER_SIZE, End, Loop
from bore.relay.laneinterface import CarriedPair
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


class ToLane(End):
    """
    A plain stream, and the direction from it to the lane. What it holds are frames.

    :ivar ended: END has been said, and may still be held.
    :ivar session: what may be sent on the lane.
    :ivar messages: how many times it was read from.
    """

    __slots__ = ("ended", "messages", "session")

    pair: CarriedPair

    def __init__(self, loop: Loop, sock: socket.socket, session: LaneSession) -> None:
        super().__init__(loop, sock)
        self.framed = True
        self.session = session
        self.ended = False
        self.messages = 0

    def begin(self, opening: bytes, early: bytes) -> None:
        """
        Start the stream: say what is there to say in one go.

        :param opening: what goes ahead of the stream.
        :param early: bytes of the stream that were read already.
        """
        data = early
        if opening and not early:
            try:
                data = self.socket.recv(BUFFER_SIZE)
            except BlockingIOError:
                pass
            except OSError:
                self.pair.cutBefore()
                return
            self.readable = len(data) == BUFFER_SIZE
        if opening:
            self.session.sent(OPEN)
        if data:
            self.taken = len(data)
            self.pair.remember(data)
            while len(data) > MAX_PAYLOAD:
                opening += HEADER.pack(DATA, MAX_PAYLOAD) + data[:MAX_PAYLOAD]
                data = data[MAX_PAYLOAD:]
            opening += HEADER.pack(DATA, len(data)) + data
        if opening:
            self.pair.said(len(opening))
            self.write(opening)

    def moveFramed(self) -> None:
        pair = self.pair
        if pair.unproven is not None and pair.mustWait():
            self.readable = False
            if self.ending and (error := self.error()):
                self.refused(error)  # nobody reads just now, and so nobody else would find out
            return
        data = self.receive()
        if not data:
            return
        over = broken = False
        if self.ending and len(data) < BUFFER_SIZE:
            more, over, broken = self._lookBehind(BUFFER_SIZE - len(data))
            data += more
        self.taken += len(data)
        if pair.unproven is not None:
            pair.remember(data)
        frame = HEADER.pack(DATA, len(data)) + data
        if over:
            frame += END_FRAME
            self.readable = False
            self.ended = True
            self.session.sent(END)
        pair.said(len(frame))
        self.write(frame)
        if self.finished:
            return  # the lane has turned out to be dead
        if over:
            self._complete()
        elif broken:
            self.cut()
        else:
            self.messages += 1
            if self.taken >= RAW_THRESHOLD or self.messages >= RAW_MESSAGES:
                self._goRaw()

    def _lookBehind(self, room: int) -> tuple[bytes, bool, bool]:
        """
        Read behind what was just read from a peer that has ended its stream, so that the end goes along with it.

        :returns: what there was, whether the stream has ended, and whether it was cut.
        """
        try:
            more = self.socket.recv(room)
        except BlockingIOError:
            return b"", False, self.deaf
        except OSError:
            return b"", False, True
        over = not more
        return more, over and not self.broken, over and self.broken

    def _goRaw(self) -> None:
        """Say no frames any more, unless another lane may have to be given what is said: it would not be known."""
        if self.pair.unproven is None:
            self.session.sent(RAW)
            self.framed = False
            self.say(RAW_FRAME)

    def say(self, frame: bytes) -> None:
        """Say something behind all that was said."""
        self.pair.said(len(frame))
        if self.held:
            self.held = b"".join((self.held, frame))
        else:
            self.write(frame)

    def discard(self) -> None:
        if self.pair.unproven is None:  # else the lane may turn out to have been dead, and another one is given all
            super().discard()

    def finish(self) -> None:
        if self.broken:
            self.cut()
            return
        if not self.framed:
            self.session.sentEnd()
            super().finish()
            return
        self.readable = False
        self.ended = True
        self.session.sent(END)
        self.say(END_FRAME)
        self._complete()

    def deliver(self) -> bool:
        if not super().deliver():
            return False
        self._complete()
        return True

    def _complete(self) -> None:
        """The end has been passed on, if it is with the kernel."""
        if self.ended and not self.held and not self.finished:
            self.finished = True
            self.pair.finished(self)
