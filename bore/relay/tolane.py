"""The plain stream of a lane's visitor: what comes from it is said in frames."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from bore.relay.ends import BUFFER_SIZE, End, Loop
from bore.wire.lane import DATA, END, END_FRAME, HEADER, OPEN, RAW, RAW_FRAME, RAW_MESSAGES, RAW_THRESHOLD

if TYPE_CHECKING:
    from bore.relay.lanepair import LanePair


class ToLane(End):
    """
    A plain stream, and the direction from it to the lane. What it holds are frames.

    :ivar raw: the direction is RAW.
    :ivar ended: END has been said, and may still be held.
    :ivar messages: how many times it was read from.
    """

    __slots__ = ("ended", "messages", "raw")

    pair: LanePair

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        super().__init__(loop, sock)
        self.raw = self.ended = False
        self.messages = 0

    def begin(self, opening: bytes, early: bytes) -> None:
        """
        Start the stream: say what is there to say in one go.

        :param opening: what goes ahead of the stream.
        :param early: bytes of the stream that were read already.
        """
        head = opening
        count = 0
        broken = False
        if early:
            self.taken = len(early)
            head += b"".join(
                HEADER.pack(DATA, len(part)) + part
                for part in (early[n : n + BUFFER_SIZE] for n in range(0, len(early), BUFFER_SIZE))
            )
            self.pair.remember(early)
        elif opening:
            try:
                count = self.socket.recv_into(self.loop.framed, BUFFER_SIZE)
            except BlockingIOError:
                pass
            except OSError:
                broken = True
        if count:
            self.taken = count
            self.readable = count == BUFFER_SIZE
            HEADER.pack_into(self.loop.buffer, 0, DATA, count)
            self.pair.remember(bytes(self.loop.framed[:count]))
        if broken and opening:
            self.pair.cutBefore()
            return
        if opening:
            self.pair.lane.session.sent(OPEN)
        if not head:
            return
        data = self.loop.view[: HEADER.size + count] if count else memoryview(b"")
        self.pair.said(len(head) + len(data))
        try:
            sent = self.other.socket.sendmsg((head, data))
        except BlockingIOError:
            sent = 0
        except OSError:
            self.other.cut()
            return
        if sent < len(head) + len(data):
            self.held = b"".join((head, data))[sent:]

    def moveSmall(self) -> None:
        if self.raw:
            super().moveSmall()
            return
        if self.pair.mustWait():
            self.readable = False
            if self.ending and self.wasCut():
                self.cut()  # nobody reads just now, and so nobody else would find out
            return
        count = self.read(self.loop.framed)
        if not count:
            return
        if self.ending and count < BUFFER_SIZE:
            more, over, broken = self._lookBehind(count)
            count += more
        else:
            over = broken = False
        HEADER.pack_into(self.loop.buffer, 0, DATA, count)
        if self.pair.unproven is not None:
            self.pair.remember(bytes(self.loop.framed[:count]))
        size = HEADER.size + count
        if over:
            self.loop.buffer[size : size + HEADER.size] = END_FRAME
            size += HEADER.size
            self.readable = False
            self.ended = True
            self.pair.lane.session.sent(END)
        self.pair.said(size)
        self.write(self.loop.view[:size])
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

    def _goRaw(self) -> None:
        """Say no frames any more, unless another lane may have to be given what is said: it would not be known."""
        if self.pair.unproven is None:
            self.pair.lane.session.sent(RAW)
            self.raw = True
            self.say(RAW_FRAME)

    def _lookBehind(self, count: int) -> tuple[int, bool, bool]:
        """
        Read behind what was just read from a peer that has ended its stream, so that the end goes along with it.

        :returns: how much more there was, whether the stream has ended, and whether it was cut.
        """
        try:
            more = self.socket.recv_into(self.loop.framed[count:BUFFER_SIZE])
        except BlockingIOError:
            return 0, False, False
        except OSError:
            return 0, False, True
        self.taken += more
        return more, more == 0, False

    def moveBulk(self) -> None:
        if self.raw:
            super().moveBulk()
        else:
            self.moveSmall()

    def say(self, frame: bytes) -> None:
        """Say something behind all that was said."""
        self.pair.said(len(frame))
        if self.held:
            self.held = b"".join((self.held, frame))
        else:
            self.write(memoryview(frame))

    def finish(self) -> None:
        if self.raw:
            self.pair.lane.session.sentEnd()
            super().finish()
            return
        self.readable = False
        self.ended = True
        self.pair.lane.session.sent(END)
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
