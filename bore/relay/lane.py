"""
A lane: a connection that carries one plain stream after another.

Messages go as frames, header and bytes in one system call. A direction with many bytes, or many messages, goes RAW:
from there on its bytes are bare, and move as between plain streams. Nothing is buffered beyond what one read gives:
nothing is read that cannot be passed on.

The states of a lane, from one to the next:

======== =========================================================== ================================================
state    what it is doing                                            then
======== =========================================================== ================================================
IDLE     there is no stream on it, and there could be one            OPENED (client), JOINED (server), CLOSED
OPENED   its user is to join the visitor that has come, or refuse it JOINED, SETTLING (refused), CLOSED
JOINED   there is a stream on it                                     SETTLING
SETTLING the last frames of the last stream are under way            SETTLED, CLOSED
SETTLED  its user is to be called                                    IDLE, CLOSED
CLOSED   it is closed, or about to be
======== =========================================================== ================================================

What may come in each direction of a stream is in the table of :class:`bore.wire.lane.LaneSession`.
"""

from __future__ import annotations

import select
import socket
from functools import partial
from typing import Final

from bore.relay.carriedpair import CarriedPair
from bore.relay.flow import BUFFER_SIZE
from bore.relay.fromlane import CLOSED, IDLE, JOINED, OPENED, SETTLED, SETTLING, FromLane
from bore.relay.interface import LaneUser, Reason
from bore.relay.lanedeadlines import LaneDeadlines
from bore.relay.loop import SpliceLoop
from bore.streams.tcpinfo import unacknowledged
from bore.timing.turns import MIN_COST
from bore.wire.errors import ProtocolViolation
from bore.wire.lane import DONE, DONE_FRAME, HEADER, OPEN, RESET, RESET_FRAME

#: Bytes not yet acknowledged beyond which a lane is not used again: the next visitor would wait behind them.
_LITTLE: Final = 1 << 12

#: How many reads an idle lane may have in one turn: the other side cannot stop everything else.
_PER_TURN: Final = 16


class Lane(FromLane):
    """
    A lane, from its opening to its end.

    :param serves: whether this is the server's side.
    :param user: is called when its state changes.
    :ivar written: bytes written to the lane for the stream on it, or the last one, and unsent ones; inside TLS with
        what TLS adds.
    """

    __slots__ = ("_deadlines", "_left", "user", "written")

    loop: SpliceLoop

    def __init__(
        self,
        loop: SpliceLoop,
        deadlines: LaneDeadlines,
        sock: socket.socket,
        early: bytes,
        serves: bool,
        user: LaneUser,
    ) -> None:
        super().__init__(loop, sock, early, serves)
        self._deadlines = deadlines
        self.user = user
        self._left = 0
        self.written = 0

    @property
    def closed(self) -> bool:
        """See LaneHandle."""
        return self.state == CLOSED

    @property
    def hasBytes(self) -> bool:
        """See LaneHandle. What else may come here, END or RESET, has no payload."""
        return self.decoder.kept > HEADER.size

    @property
    def looksAlive(self) -> bool:
        """See LaneHandle."""
        if self.state == CLOSED:
            return False
        poll = select.poll()
        poll.register(self.fd, select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)

    def dismiss(self) -> None:
        """See LaneHandle."""
        if self.looksAlive:
            self.end(reset=False)

    def join(self, pair: CarriedPair, header: bytes) -> None:
        """
        Have a stream on the lane.

        :param header: what the stream is sent first.
        """
        self.on = self.pair = pair
        self.state = JOINED
        self.received = self.written = 0
        self.finished = self.bulk = False
        self.unsent = header

    def start(self) -> None:
        """Pass on what came before the lane was joined."""
        if self.unsent:
            self.deliver()
        elif self.decoder.kept:
            self.follow()
        if self.readable:
            self.pump()

    def leave(self) -> None:
        """Have no stream on the lane any more. It has to be settled, or ended."""
        if self.pipe is not None:
            self._returnPipe()
        self.state = SETTLING
        self.unsent = b""
        self.finished = True
        self.framed = True
        self.on = None
        del self.pair, self.other

    def settle(self, rest: bytes) -> None:
        """
        Go on without the stream that was on the lane.

        :param rest: frames that are still to be sent for it.
        """
        if self.state == CLOSED:
            return
        session = self.session
        if not rest and session.over:
            self._settled()
            return
        if session.lacksDone and not session.serves:
            session.sent(DONE)
            rest += DONE_FRAME
        self.outgoing = rest
        self._left = len(rest) + unacknowledged(self.fd)
        self._deadlines.unanswered.add(self, None)
        self.flush()
        if self.readable or self.decoder.kept:
            self.loop.afterwards(self, self.pump)  # the last frames are here already: no edge will report them

    def refuse(self) -> None:
        """See LaneHandle."""
        if self.state == CLOSED:
            return
        self.state = SETTLING
        self.session.sent(RESET)
        self.settle(RESET_FRAME)

    def flush(self) -> None:
        if self.outgoing:
            try:
                self.outgoing = self.outgoing[self.socket.send(self.outgoing) :]
            except BlockingIOError:
                pass
            except OSError:
                self.end(reset=True)
                return
            if self.outgoing:
                self.loop.awaitRoom(self)
        if not self.outgoing and self.session.over:
            self._deadlines.unanswered.take(self)
            self._settled()

    def _settled(self) -> None:
        """The last frames of both sides were sent, and have come."""
        usable = self.session.idle and not self.refusesData
        if usable and (not self.session.serves or self._underWay() <= _LITTLE):
            self.turnIdle()
        else:
            self.end(reset=False)  # what is under way arrives nevertheless

    def _underWay(self) -> int:
        """
        How many bytes may still be under way: no more than were written for the last stream, as what was sent before
        its OPEN had arrived when the other side's answer to that came.
        """
        return self.written if self.written <= _LITTLE else unacknowledged(self.fd)

    def turnIdle(self) -> None:
        """Call the user, who may have the next visitor for the lane, before anything else is read."""
        self.state = SETTLED
        self.loop.afterwards(self, self._callIdle)

    def _callIdle(self) -> None:
        if self.state == CLOSED:
            return
        self.state = IDLE
        self.user.idle(self)
        if self.state == IDLE and (self.readable or self.decoder.kept):
            self.pump()

    def _callOpened(self, visitor: bytes) -> None:
        if self.state != CLOSED:
            self.user.opened(self, visitor)

    def control(self, kind: int, payload: bytes) -> None:
        if kind == OPEN:
            if self.outgoing:
                raise ProtocolViolation("a visitor for a lane whose last stream has not ended yet")
            self.state = OPENED
            self.loop.afterwards(self, partial(self._callOpened, payload))
        elif self.session.over:
            self.flush()

    def listen(self) -> None:
        """Read from a lane with no stream on it: the next visitor, the last frame of the last one, or the end."""
        if self.state > JOINED:
            return
        if self.decoder.kept:
            self.follow()
        for _ in range(_PER_TURN):
            if not self.readable or self.state >= JOINED or self.queued:
                return
            self.loop.left -= MIN_COST
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
            if len(data) < BUFFER_SIZE and not (self.hungUp or (self.encrypted is not None and self.hasMore())):
                self.readable = False
            self.decoder.feed(data)
            self.follow()
        self.later()

    def refused(self, error: int | None) -> None:
        if self.on is not None:
            super().refused(error)
        else:
            self.cut()

    def cut(self) -> None:
        self.refusesData = self.wasReset = True
        if self.on is not None:
            self.on.laneLost()
        else:
            self.end(reset=True)

    def fail(self) -> None:
        if self.on is not None:
            self.on.stop(Reason.FAILED)
        else:
            self.end(reset=True)

    def unanswered(self) -> None:
        """The other side's last frame has not come in time. Wait on while it acknowledges what is under way."""
        left = len(self.outgoing) + unacknowledged(self.fd)
        if 0 < left < self._left:
            self._left = left
            self._deadlines.unanswered.add(self, None)
        else:
            self.end(reset=not self.session.lacksDone)  # where DONE alone is missing, all was sent

    def end(self, reset: bool) -> None:
        """See LaneHandle."""
        if self.loop.has(self):
            self.retire()
            self.loop.forget(self)
            self.close(reset)
            self.user.gone(self)

    def retire(self) -> None:
        """Remove the stream from the lane. The caller closes the lane, and calls its user."""
        self._deadlines.unanswered.take(self)
        self.state = CLOSED
