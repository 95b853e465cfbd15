"""
The relay's third backend: a plain stream joined with a lane, a connection that outlives it and carries the next one.

Messages go as frames, header and bytes in one system call. A direction of much, or of many messages, goes RAW: from
there on its bytes are bare, and move as in the other backend. Nothing is buffered beyond what one read gives:
who cannot pass bytes on does not read.
"""

from __future__ import annotations

import errno
import select
import socket
from functools import partial
from typing import Final

from bore.relay.ends import BUFFER_SIZE, READABLE, STREAM_ENDED, WRITABLE, End
from bore.relay.interface import Ending, LaneUser, Reason
from bore.relay.laneinterface import CarriedPair, LaneLoop
from bore.streams.tcpinfo import unacknowledged
from bore.timing.turns import LEAST
from bore.wire.errors import ProtocolViolation
from bore.wire.lane import END, OPEN, RESET, RESET_FRAME, LaneDecoder, LaneSession

#: A lane on which more than that is still under way is not used again: the next visitor would wait behind it.
_LITTLE: Final = 1 << 12

#: How many reads an idle lane may have in one turn: the other side cannot stop everything else.
_PER_TURN: Final = 16


class Lane(End):
    """
    A lane, and the direction from it to the stream that is on it.

    :param serves: whether this is the server's side.
    :param user: is told what becomes of it.
    :ivar on: what is on the lane.
    :ivar said: how many bytes were said of the stream on it, or the last one; inside TLS: with what TLS adds.
    :ivar closed: it is of no use any more.
    """

    __slots__ = (
        "_awaited",
        "_left",
        "_outgoing",
        "_waiting",
        "closed",
        "decoder",
        "on",
        "said",
        "session",
        "user",
    )

    loop: LaneLoop

    def __init__(self, loop: LaneLoop, sock: socket.socket, early: bytes, serves: bool, user: LaneUser) -> None:
        super().__init__(loop, sock)
        self.session = LaneSession(serves)
        self.decoder = LaneDecoder()
        self.decoder.feed(early)
        self.user = user
        self.on: CarriedPair | None = None
        self._outgoing = b""
        self._left = 0
        self.said = 0
        self._awaited = self._waiting = self.closed = False
        self.framed = True

    def dismiss(self) -> None:
        """Close an idle lane, unless something has just come on it, which is a visitor: it is served first."""
        if self.looksAlive:
            self.end(reset=False)

    @property
    def looksAlive(self) -> bool:
        """Whether nothing has happened to an idle lane that the next turn would show to be its end."""
        if self.closed:
            return False
        poll = select.poll()
        poll.register(self.fd, select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)

    def serve(self, event: int) -> None:
        if not (self.framed or event & STREAM_ENDED):
            super().serve(event)
            return
        if event & READABLE:
            self.readable = True
        if event & STREAM_ENDED:
            self.ending = True
            unread = self.on is None or self.finished or self.held or self.pipe is not None
            if event & select.EPOLLERR and unread and (error := self.error()):
                self.refused(error)
                return
        if event & WRITABLE:
            if self._outgoing:
                self._flush()
            elif self.on is not None and (self.other.held or self.other.pipe is not None or self.other.owing):
                self.other.pump()
        self.pump()
        if event & STREAM_ENDED and self.on is not None and self.finished and not self.closed:
            self._endBehind(event)

    def _endBehind(self, event: int) -> None:
        """What was read last came ahead of a reset; or of an end, which is a cut where there are frames."""
        if event & select.EPOLLERR and (error := self.error()):
            self.refused(error)
        elif event & select.EPOLLRDHUP and not self.decoder.raw:
            self.refused(errno.ECONNRESET)

    def pump(self) -> None:
        if not self.framed:
            super().pump()
            return
        if self.closed:
            return
        pair = self.on
        if pair is None:
            self._listen()
            return
        if self.decoder.kept and not self.held:
            self._follow()
        if self.on is pair:
            self.framed = not self.decoder.raw or self.decoder.kept > 0
            super().pump()

    def join(self, pair: CarriedPair, header: bytes) -> None:
        """
        Have a stream on the lane.

        :param header: what the stream is told first.
        """
        self.on = self.pair = pair
        self._waiting = False
        self.taken = self.said = 0
        self.finished = self.bulk = False
        self.held = header

    def start(self) -> None:
        """Pass on what came while the lane was not joined yet."""
        if self.held or self.decoder.kept:
            self.deliver()
        if self.readable:
            self.pump()

    def leave(self) -> None:
        """Have nothing on the lane any more."""
        if self.pipe is not None:
            self.loop.pipes.give(self.pipe)
            self.pipe = None
        self.held = b""
        self.finished = True
        self.framed = True
        self.on = None
        del self.pair, self.other

    def moveFramed(self) -> None:
        data = self.receive()
        if data:
            self.decoder.feed(data)
            self._follow()

    def deliver(self) -> bool:
        if not super().deliver():
            return False
        if self.decoder.kept:
            self._follow()
        return not self.held

    def finish(self) -> None:
        """The lane's own end: that of a direction that is RAW, or a cut."""
        if self.session.ended():
            super().finish()
        else:
            self.cut()

    def refused(self, error: int | None) -> None:
        if self.on is not None:
            super().refused(error)
        else:
            self.cut()

    def cut(self) -> None:
        self.deaf = self.broken = True
        if self.on is not None:
            self.on.laneLost()
        else:
            self.end(reset=True)

    def fail(self) -> None:
        if self.on is not None:
            self.on.stop(Reason.FAILED)
        else:
            self.end(reset=True)

    def end(self, reset: bool) -> None:
        """Close the lane, on which nothing is."""
        if self.loop.has(self):
            self._await(False)
            self.loop.forget(self)
            self.closed = True
            self.close(reset)
            self.user.gone(self)

    def endLater(self, pair: CarriedPair, ending: Ending) -> None:
        """
        Reset the lane, on which nothing is, when the other side has acknowledged all.

        :param pair: the pair whose stream was on it, and which ends then.
        """
        self._await(False)
        self.closed = True
        self.loop.linger(pair, self, ending)
        self.user.gone(self)

    def refuse(self) -> None:
        """Tell the server that its visitor cannot be served."""
        self._waiting = False
        self.session.sent(RESET)
        self.settle(RESET_FRAME)
        self.pump()

    def unanswered(self) -> None:
        """The other side's last frame has not come in time. It is waited for as long as it takes what is under way."""
        left = len(self._outgoing) + unacknowledged(self.fd)
        if 0 < left < self._left:
            self._left = left
            self.loop.resetSent(self)
        else:
            self.end(reset=True)

    def settle(self, rest: bytes) -> None:
        """
        Go on without the stream that was on the lane.

        :param rest: what is still to be said about it.
        """
        if self.closed:
            return
        self._outgoing = rest
        if rest or not self.session.over:
            self._await(True)
        self._flush()

    def _listen(self) -> None:
        """Read from a lane with nothing on it: the next visitor, the last frame of the last one, or the lane's end."""
        if self.decoder.kept:
            self._follow()
        for _ in range(_PER_TURN):
            if not self.readable or self.on is not None or self.closed or self._waiting or self.queued:
                return
            self.loop.left -= LEAST
            try:
                data = self.socket.recv(BUFFER_SIZE)
            except BlockingIOError:
                self.drained()
                return
            except OSError:
                data = b""
            if not data:
                self.end(reset=not self.session.idle)
                return
            if len(data) < BUFFER_SIZE and not (self.ending or (self.encrypted and self.hasMore())):
                self.readable = False
            self.decoder.feed(data)
            self._follow()
        self.later()

    def _flush(self) -> None:
        if self.closed:
            return
        if self._outgoing:
            try:
                self._outgoing = self._outgoing[self.socket.send(self._outgoing) :]
            except BlockingIOError:
                return
            except OSError:
                self.end(reset=True)
                return
        if not self._outgoing and self.session.over:
            if self._awaited:
                self._await(False)
            usable = self.session.idle and not self.deaf
            if usable and (not self.session.serves or self._underWay() <= _LITTLE):
                self.turnIdle()
            else:
                self.end(reset=False)  # what is under way arrives all the same

    def turnIdle(self) -> None:
        """Wait for the user, which is told that the lane can have its next visitor, before anything else is read."""
        self._waiting = True
        self.loop.afterwards(self, self._tellIdle)

    def _tellIdle(self) -> None:
        self._waiting = False
        if self.closed:
            return
        self.user.idle(self)
        if self.on is None and (self.readable or self.decoder.kept):
            self.pump()

    def _tellOpened(self, visitor: bytes) -> None:
        if not self.closed:
            self.user.opened(self, visitor)

    def _underWay(self) -> int:
        """
        How many bytes may still be under way: no more than were said of the last stream, as what was said before its
        OPEN had arrived when the other side's answer to that came.
        """
        return self.said if self.said <= _LITTLE else unacknowledged(self.fd)

    def _follow(self) -> None:
        """Do what the frames say that have come."""
        loop = self.loop
        others = loop.left - loop.share if loop.left > loop.share else 0
        try:
            while loop.left > others:
                if self.held or self._waiting or self.closed:
                    return  # what is kept is followed later
                frame = self.decoder.next()
                if frame is None:
                    return
                loop.left -= LEAST
                kind, payload = frame
                self.session.received(kind)
                if self.on is not None:
                    self._pass(self.on, kind, payload)
                elif kind == OPEN:
                    if self._outgoing:
                        raise ProtocolViolation("a visitor for a lane whose last stream has not ended yet")
                    self._waiting = True
                    loop.afterwards(self, partial(self._tellOpened, payload))
                elif self.session.over:
                    self._flush()
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
            self.taken += len(payload)
            self.write(payload, socket.MSG_MORE if self.decoder.endIsNext else 0)  # the end goes along in one segment
        elif kind == END:
            self.finished = True
            self.passEnd()
        elif kind == RESET:
            pair.cutByPeer()

    def _await(self, yes: bool) -> None:
        if yes != self._awaited:
            self._awaited = yes
            if yes:
                self._left = len(self._outgoing) + unacknowledged(self.fd)
                self.loop.resetSent(self)
            else:
                self.loop.resetAnswered(self)
