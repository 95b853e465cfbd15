"""
The relay's third body: a plain stream joined with a lane, a connection that outlives it and carries the next one.

Small messages go as frames, header and bytes in one system call. A direction that has become bulk goes RAW: from
there on its bytes are bare, and the other body's splice moves them. Nothing is buffered beyond what one read gives:
who cannot pass bytes on does not read.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from twisted.internet.interfaces import IDelayedCall

from bore.relay.ends import BUFFER_SIZE, READABLE, STREAM_ENDED, WRITABLE, End, JoinedPair, Loop
from bore.relay.face import Ending, Reason
from bore.streams.sockets import RECORD, sealedSize
from bore.wire.errors import Violation
from bore.wire.lane import (
    BARE,
    DATA,
    END,
    END_FRAME,
    HEADER,
    OPEN,
    RAW,
    RAW_FRAME,
    RAW_THRESHOLD,
    RESET,
    RESET_FRAME,
    LaneDecoder,
    LaneSession,
)

#: A lane on which more than that is still under way is not used again: the next visitor would wait behind it.
_LITTLE: Final = 1 << 12

#: So many bytes are taken by the local service's socket, even if nobody reads them.
_PASSED_ON: Final = 1 << 15

#: How many frames of a lane are followed before others have their turn.
_FRAMES_PER_TURN: Final = 256

#: How many visitors a lane may have, or reads without one, in one turn: the other side cannot stop everything else.
_PER_TURN: Final = 16

#: Linux: how many bytes of a socket the peer's kernel has not acknowledged (SIOCOUTQ).
_SIOCOUTQ: Final = 0x5411


#: Takes a stream back whose lane was dead: the bytes that were read from it, and whether silence alone has shown it.
GiveBack: TypeAlias = Callable[[bytes, bool], None]


class LaneOwner(Protocol):
    """Whoever keeps lanes, and is told what becomes of each."""

    def opened(self, lane: Lane, visitor: bytes) -> None:
        """The server has put a visitor on the lane; it waits to be joined, or refused."""

    def idle(self, lane: Lane) -> None:
        """The visitor has left, and the lane can have the next one."""

    def gone(self, lane: Lane) -> None:
        """The lane is closed."""


class Lanes(Loop, Protocol):
    """What a lane needs of the relay."""

    def watch(self, end: End) -> None:
        """Serve a stream."""

    def has(self, end: End) -> bool:
        """Whether a stream is served."""

    def forget(self, end: End) -> None:
        """Serve a stream no more, as it is about to be closed."""

    def release(self, end: End) -> None:
        """Serve a stream no more; it stays open."""

    def resetSent(self, lane: Lane) -> None:
        """The lane waits for the other side's last frame."""

    def resetAnswered(self, lane: Lane) -> None:
        """It waits no more."""

    def proved(self, pair: LanePair) -> None:
        """The lane of a pair has shown that it is alive."""

    def stalled(self, pair: LanePair) -> IDelayedCall:
        """A stream waits for its lane to prove itself: look again soon."""

    def goesOn(self, pair: LanePair, elsewhere: Callable[[Ending], None]) -> None:
        """The stream of a pair that is about to end goes on elsewhere."""

    def pairEnded(self, pair: LanePair, ending: Ending) -> None:
        """A pair has come to its end."""

    def halfOpened(self, pair: LanePair) -> None:
        """One direction of a pair has ended."""


class ToLane(End):
    """
    A plain stream, and the direction from it to the lane. What it holds are frames.

    :ivar raw: the direction is RAW.
    :ivar ended: END has been said, and may still be held.
    """

    __slots__ = ("ended", "raw")

    pair: LanePair

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        super().__init__(loop, sock)
        self.raw = self.ended = False

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
        elif self.taken >= RAW_THRESHOLD:
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


class Lane(End):
    """
    A lane, and the direction from it to the stream that is on it.

    :param serves: whether this is the server's side.
    :param owner: is told what becomes of it.
    :ivar on: what is on the lane.
    """

    __slots__ = ("_awaited", "_following", "_outgoing", "_waiting", "decoder", "on", "owner", "session")

    loop: Lanes

    def __init__(self, loop: Lanes, sock: socket.socket, early: bytes, serves: bool, owner: LaneOwner) -> None:
        super().__init__(loop, sock)
        self.session = LaneSession(serves)
        self.decoder = LaneDecoder()
        self.decoder.feed(early)
        self.owner = owner
        self.on: LanePair | None = None
        self._outgoing = b""
        self._awaited = self._following = self._waiting = False

    @property
    def closed(self) -> bool:
        """Whether the lane is of no use any more."""
        return self.socket.fileno() < 0

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
        if event & READABLE:
            self.readable = True
        if event & STREAM_ENDED:
            self.ending = True
            unread = self.on is None or self.finished or self.held or self.pipe is not None
            if event & select.EPOLLERR and unread and self.wasCut():
                self.cut()
                return
        if event & WRITABLE:
            if self._outgoing:
                self._flush()
            elif self.on is not None and (self.other.held or self.other.pipe is not None):
                self.other.pump()
        self.pump()
        behind = event & select.EPOLLERR and self.on is not None and self.finished and not self.closed
        if behind and self.wasCut():
            self.cut()  # what was read last came ahead of the reset

    def pump(self) -> None:
        for _ in range(_PER_TURN):
            if self._following or self.closed:
                return
            pair = self.on
            if pair is None:
                self._listen()
            else:
                if self.decoder.kept and not self.held:
                    self._follow()
                if self.on is pair:
                    super().pump()
            if self.on is pair:
                return
        self.later()

    def join(self, pair: LanePair, header: bytes) -> None:
        """
        Have a stream on the lane.

        :param header: what the stream is told first.
        """
        self.on = self.pair = pair
        self._waiting = False
        self.taken = 0
        self.finished = self.bulk = False
        self.held = header

    def start(self) -> None:
        """Pass on what came while the lane was not joined yet."""
        if self._following:
            return  # what has led to here goes on with it
        if self.held or self.decoder.kept:
            self.deliver()
        self.pump()

    def leave(self) -> None:
        """Have nothing on the lane any more."""
        if self.pipe is not None:
            self.loop.pipes.give(self.pipe)
            self.pipe = None
        self.held = b""
        self.finished = True
        self.on = None
        del self.pair, self.other

    def moveSmall(self) -> None:
        if self.decoder.raw:
            super().moveSmall()
            return
        before = self.taken
        count = self.read(self.loop.buffer)
        if count:
            self.bulk = False
            self.taken = before
            self.decoder.feed(self.loop.view[:count])
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

    def cut(self) -> None:
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
            self.close(reset)
            self.owner.gone(self)

    def refuse(self) -> None:
        """Tell the server that its visitor cannot be served."""
        self._waiting = False
        self.session.sent(RESET)
        self.settle(RESET_FRAME)
        self.pump()

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
            try:
                count = self.socket.recv_into(self.loop.buffer, BUFFER_SIZE)
            except BlockingIOError:
                self.readable = False
                return
            except OSError:
                count = 0
            if count == 0:
                self.end(reset=not self.session.idle)
                return
            if count < BUFFER_SIZE and not self.ending:
                self.readable = False
            self.decoder.feed(self.loop.view[:count])
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
            self._await(False)
            if self.session.idle and (not self.session.serves or _unacknowledged(self) <= _LITTLE):
                self.owner.idle(self)
            else:
                self.end(reset=False)  # what is under way arrives all the same

    def _follow(self) -> None:
        """Do what the frames say that have come."""
        if self._following:
            return  # by way of what a frame has led to: it will be gone on with behind that
        self._following = True
        decoder = self.decoder
        try:
            for _ in range(_FRAMES_PER_TURN):
                if self.closed or self.held or self._waiting:
                    break
                frame = decoder.next()
                if frame is None:
                    break
                kind, payload = frame
                self.session.received(kind)
                if decoder.kept:
                    decoder.keep()  # what follows may need the memory for something else
                if self.on is not None:
                    self._pass(kind, payload)
                elif kind == OPEN:
                    self._waiting = True
                    self.owner.opened(self, bytes(payload))
                elif kind == RAW:
                    self.end(reset=True)  # what comes now has no end that could be waited for
                elif self.session.over:
                    self._flush()
            else:
                self.later()
            decoder.keep()
        except Violation:
            self.cut()
        finally:
            self._following = False

    def _pass(self, kind: int, payload: bytes | memoryview) -> None:
        """Pass on what has come for the stream on the lane."""
        pair = self.on
        assert pair is not None
        if pair.unproven is not None:
            payload = bytes(payload)
            self.decoder.keep()
            pair.proved()
            if self.on is not pair:
                return  # the stream was cut, and there may be another one already
        if kind in (DATA, BARE):
            self.taken += len(payload)
            if payload:
                self.write(memoryview(payload))
        elif kind == END:
            self.finished = True
            self.passEnd()
        elif kind == RESET:
            pair.cutByPeer()

    def _await(self, yes: bool) -> None:
        if yes != self._awaited:
            self._awaited = yes
            if yes:
                self.loop.resetSent(self)
            else:
                self.loop.resetAnswered(self)


def _unacknowledged(lane: Lane) -> int:
    """How many bytes that were said on a lane the other side's kernel has not acknowledged; 0 if it cannot be told."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(lane.fd, _SIOCOUTQ, b"\0\0\0\0"))[0])
    except OSError:
        return 0


class LanePair(JoinedPair):
    """
    A plain stream and a lane.

    :param plainIsLeft: whether the plain stream is the left one of the two.
    :param giveBack: takes the plain stream back, when the lane turns out to have been dead; None: the stream is cut
        then.
    :ivar unproven: what the stream has sent on a lane that may be dead; None: it is alive.
    """

    __slots__ = ("_giveBack", "_looking", "_loop", "_plainIsLeft", "_said", "lane", "plain", "unproven")

    def __init__(
        self,
        loop: Lanes,
        plain: socket.socket,
        lane: Lane,
        plainIsLeft: bool,
        giveBack: GiveBack | None,
    ) -> None:
        self._loop = loop
        self._plainIsLeft = plainIsLeft
        self._giveBack = giveBack
        self.unproven = None if giveBack is None else b""
        self._said = 0
        self._looking: IDelayedCall | None = None
        self.plain = ToLane(loop, plain)
        self.lane = lane
        self.plain.pair = self
        self.plain.other = lane
        lane.other = self.plain

    @property
    def moved(self) -> int:
        return self.plain.taken + self.lane.taken

    def remember(self, data: bytes) -> None:
        """Keep what the stream has sent, until the lane has shown that it is alive."""
        if self.unproven is not None:
            self.unproven += data

    def said(self, size: int) -> None:
        """So many bytes were said on the lane, or are held for it."""
        self._said += sealedSize(size) if self.lane.sealed else size

    def proved(self) -> None:
        """The lane has shown that it is alive."""
        self.unproven = None
        self._giveBack = None
        self._loop.proved(self)
        if self._stopLooking() and not self.plain.ended and not self.plain.finished:
            self.plain.readable = True
            self.plain.pump()

    def mustWait(self) -> bool:
        """Whether no more may be read, as another lane could not be given it, should this one turn out to be dead."""
        if self.unproven is None or len(self.unproven) < BUFFER_SIZE:
            return False
        if self._hasArrived():
            self._stopLooking()  # who asks goes on by itself
            self.proved()
            return False
        if self._looking is None:
            self._looking = self._loop.stalled(self)
        return True

    def _stopLooking(self) -> bool:
        """Look no more whether the lane has proved itself, and say whether the stream has waited for that."""
        looking, self._looking = self._looking, None
        if looking is not None and looking.active():
            looking.cancel()
        return looking is not None

    def look(self) -> None:
        """The stream waits for its lane to prove itself: see whether it has."""
        if self.unproven is not None and self._hasArrived():
            self.proved()
        elif self.unproven is not None:
            self._looking = self._loop.stalled(self)

    def check(self) -> None:
        """Nothing has come on the lane for a while: see whether anything that was said on it has arrived."""
        if self._hasArrived():
            self.proved()
        else:
            self._lose(silent=True)

    def _hasArrived(self) -> bool:
        """Whether the other side's kernel has acknowledged anything of this stream."""
        held = len(self.plain.held)
        if self.lane.sealed:
            held = sealedSize(max(0, held - RECORD))  # a part of the first record may be said already
        return _unacknowledged(self.lane) < self._said - held

    def stop(self, reason: Reason) -> None:
        if self._loop.has(self.plain):
            if reason is Reason.HALF_OPEN:
                self._cutPlain(reason)
            else:
                self._cutAll(reason)

    def cutAt(self, end: End) -> None:
        """The peer of the plain stream has cut it; a lane knows by itself what to do."""
        self._cutPlain(self._sideOf(self.plain))

    def cutBefore(self) -> None:
        """The plain stream was cut before anything was said about it: the lane is as idle as it was."""
        self._closePlain(self._sideOf(self.plain))
        self.lane.owner.idle(self.lane)

    def cutByPeer(self) -> None:
        """The other side says that the stream was cut there."""
        self._cutPlain(self._sideOf(self.lane))

    def laneLost(self) -> None:
        """The lane is dead, or has ended in the middle of a stream."""
        if self._giveBack is not None and self._hasArrived():
            self._giveBack = None  # somebody may have acted on it: it must not be said again
        self._lose(silent=False)

    def _lose(self, silent: bool) -> None:
        if self._giveBack is None:
            self._cutAll(self._sideOf(self.lane))
            return
        plain, lane, giveBack, data = self.plain, self.lane, self._giveBack, self.unproven or b""
        self._loop.release(plain)
        plain.drop()
        self._loop.goesOn(self, lambda _: giveBack(data, silent))
        self._part(Reason.FAILED)
        lane.end(reset=True)

    def finished(self, end: End) -> None:
        if not (self.plain.finished and self.lane.finished) or self.plain.owing:
            self._loop.halfOpened(self)
            return
        plain, lane = self.plain, self.lane
        self._closePlain(Reason.FINISHED)
        if end is plain and plain.taken > _PASSED_ON and lane.session.serves:
            # The service ended first, and may not have read all yet: the next visitor would wait behind that.
            lane.end(reset=False)
            return
        lane.settle(b"")
        lane.pump()

    def _cutPlain(self, reason: Reason) -> None:
        """Cut the plain stream; the lane goes on, if the other side can be told."""
        plain, lane = self.plain, self.lane
        rest = bytes(plain.held)
        told = lane.session.over
        if lane.session.maySend and not lane.decoder.raw:
            lane.session.sent(RESET)
            rest += RESET_FRAME
            told = True
        self._closePlain(reason)
        if told:
            lane.settle(rest)
            lane.pump()
        else:
            # Where there are frames, the lane's end in the middle of a stream is a cut; a reset would destroy what is
            # still under way of the stream before.
            lane.end(reset=plain.raw)

    def _cutAll(self, reason: Reason) -> None:
        self._closePlain(reason)
        self.lane.end(reset=True)

    def _closePlain(self, reason: Reason) -> None:
        """Close the plain stream, by a reset unless it has finished, and part from the lane."""
        self._loop.forget(self.plain)
        self.plain.close(reset=reason is not Reason.FINISHED)
        self._part(reason)

    def _part(self, reason: Reason) -> None:
        """The stream is not on the lane any more."""
        plain, lane = self.plain, self.lane
        toLane, fromLane = plain.taken, lane.taken
        lane.leave()
        if self.unproven is not None:
            self._loop.proved(self)
            self.unproven = None
        self._stopLooking()
        ending = Ending(reason, toLane, fromLane) if self._plainIsLeft else Ending(reason, fromLane, toLane)
        self._loop.pairEnded(self, ending)
        del plain.other, plain.pair

    def _sideOf(self, end: End) -> Reason:
        return Reason.LEFT_CUT if (end is self.plain) == self._plainIsLeft else Reason.RIGHT_CUT
