"""
The relay that keeps bytes in the kernel: for plain stream sockets on Linux.

All sockets are in one epoll of the relay's own, each registered once, for all events, edge-triggered; the reactor
watches that epoll as a single reader. So there is no reactor object for a stream, nothing is re-registered while bytes
flow, and a turn of the reactor serves many streams.

An edge tells that something may have changed, and nothing else: what is so, the next system call says. A stale event,
even one for a descriptor that was closed and used again in the same turn, costs a call that would block, and that is
all.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.relay.face import Ending, Pair, Reason, Relay, Stream
from bore.relay.pipes import Pipe, PipePool
from bore.streams.reactor import IReactor

#: Small messages are read into one buffer that all streams share. A read that fills it is the begin of bulk.
_BUFFER_SIZE: Final = 1 << 16

#: Bulk that has become a trickle is read like small messages again: so many bytes in one go.
_TRICKLE: Final = 1 << 14

#: The bytes that all busy streams together may move in one turn, and the least for each of them: so a small message
#: waits for no more than about a millisecond of other streams' bulk.
_TURN: Final = 1 << 20
_LEAST_SHARE: Final = 1 << 17

#: While small messages come, they are looked for again so often before the reactor has its turn: an answer mostly
#: follows within the time that the reactor itself needs.
_ROUNDS: Final = 4

#: Events that are taken from the kernel at once.
_EVENTS: Final = 512

# Urgent data (EPOLLPRI) ends a read early, and a splice as if the stream had ended: no short read is trusted then.
_ENDED: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR | select.EPOLLPRI
_READABLE: Final = select.EPOLLIN | _ENDED
_WRITABLE: Final = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_ALL: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLPRI | select.EPOLLET

_NONBLOCK: Final = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class _End:
    """
    One stream of a pair, and the direction from it to the other one.

    :ivar readable: reading may give something.
    :ivar ending: the peer has ended or cut the stream, or has sent urgent data: behind what a read gives there may be
        more, without a further event.
    :ivar held: bytes that were read and that the other stream has not taken yet. While there are some, or a pipe, no
        more are read.
    :ivar pipe: holds spliced bytes that the other stream has not taken yet.
    :ivar bulk: the last read filled the buffer: splice the next bytes.
    :ivar taken: bytes read from this stream.
    :ivar finished: the end of this direction was passed on.
    :ivar queued: it is among those that go on in the next turn.
    """

    __slots__ = (
        "bulk",
        "ending",
        "fd",
        "finished",
        "held",
        "other",
        "pair",
        "pipe",
        "queued",
        "readable",
        "socket",
        "taken",
    )

    other: _End

    def __init__(self, pair: _SplicePair, stream: Stream) -> None:
        self.pair = pair
        self.socket = stream.socket
        self.fd = stream.socket.fileno()
        self.held: bytes | memoryview = stream.early
        self.taken = len(stream.early)
        self.pipe: Pipe | None = None
        self.readable = self.ending = self.bulk = self.finished = self.queued = False


class _SplicePair(Pair):
    """Two ends."""

    __slots__ = ("left", "relay", "right")

    def __init__(self, relay: SpliceRelay, left: Stream, right: Stream) -> None:
        self.relay = relay
        self.left = _End(self, left)
        self.right = _End(self, right)
        self.left.other = self.right
        self.right.other = self.left

    @property
    def moved(self) -> int:
        return self.left.taken + self.right.taken

    def stop(self, reason: Reason) -> None:
        self.relay.end(self, reason)


@implementer(IReadDescriptor)
class SpliceRelay(Relay):
    """Joins plain sockets, and moves bulk by os.splice."""

    def __init__(self, reactor: IReactor, halfOpenTimeout: float) -> None:
        super().__init__(reactor, halfOpenTimeout)
        self._reactor = reactor
        self._epoll = select.epoll()
        self._ends: dict[int, _End] = {}
        self._pipes = PipePool()
        self._buffer = bytearray(_BUFFER_SIZE)
        self._view = memoryview(self._buffer)
        self._ready: list[_End] = []
        self._share = _TURN
        self._nextTurn: IDelayedCall | None = None
        reactor.addReader(self)

    def fileno(self) -> int:
        return -1 if self._epoll.closed else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "SpliceRelay"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends."""
        self.close()

    def close(self) -> None:
        """See :meth:`Relay.close`."""
        super().close()
        if self._nextTurn is not None:
            self._nextTurn.cancel()
            self._nextTurn = None
        if not self._epoll.closed:
            self._reactor.removeReader(self)
            self._epoll.close()
            self._pipes.close()

    def doRead(self) -> None:
        """Serve the streams to which something has happened, then those that had not come to an end before."""
        ready, self._ready = self._ready, []
        self._share = max(_LEAST_SHARE, _TURN // (1 + len(ready)))
        epoll, get, serve = self._epoll, self._ends.get, self._serve
        for _ in range(_ROUNDS):
            if epoll.closed:  # the last pair has ended, and with it the relay
                return
            events = epoll.poll(0, _EVENTS)
            for fd, event in events:
                end = get(fd)
                if end is not None:
                    try:
                        serve(end, event)
                    except Exception:
                        self._broken(end)
            if not events or self._ready:
                break
        for end in ready:
            end.queued = False
            try:
                self._pump(end)
            except Exception:
                self._broken(end)
        if self._ready and self._nextTurn is None:
            self._nextTurn = self._reactor.callLater(0, self._turn)

    def _serve(self, end: _End, event: int) -> None:
        if event & _ENDED:
            unread = end.finished or end.held or end.pipe is not None
            if event & select.EPOLLERR and unread and end.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._cut(end)  # nobody reads from it just now, and so nobody else would find out
                return
            end.ending = True
        if event & _READABLE and not end.finished:
            end.readable = True
        other = end.other
        if event & _WRITABLE and (other.held or other.pipe is not None):
            self._pump(other)
        if end.readable:
            self._pump(end)

    def _broken(self, end: _End) -> None:
        """A fault of ours: it costs this pair, and no other."""
        self._log.failure("a pair failed")
        if self._ends.get(end.fd) is end:
            self.end(end.pair, Reason.FAILED)

    def _turn(self) -> None:
        self._nextTurn = None
        self.doRead()

    def _makePair(self, left: Stream, right: Stream) -> Pair:
        pair = _SplicePair(self, left, right)
        for end in (pair.left, pair.right):
            self._epoll.register(end.fd, _ALL)  # tells of what is readable already
        for end in (pair.left, pair.right):
            self._ends[end.fd] = end
        return pair

    def _begin(self, pair: Pair) -> None:
        assert isinstance(pair, _SplicePair)
        for end in (pair.left, pair.right):
            if end.held and not end.finished:
                self._deliver(end)

    def end(self, pair: _SplicePair, reason: Reason) -> None:
        """Close both streams; by a reset, unless they have finished."""
        if self._ends.get(pair.left.fd) is not pair.left:
            return  # it has ended already
        for end in (pair.left, pair.right):
            if end.pipe is not None:
                self._pipes.give(end.pipe)
                end.pipe = None
            end.finished = True
            end.readable = False
            end.held = b""
            del self._ends[end.fd]
            if reason is not Reason.FINISHED:
                end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            end.socket.close()
        self.pairEnded(pair, Ending(reason, toRight=pair.left.taken, toLeft=pair.right.taken))
        # Without these cycles they are gone at once, and the garbage collector has nothing to look for.
        del pair.left.other, pair.left.pair, pair.right.other, pair.right.pair

    def _cut(self, end: _End) -> None:
        """The peer of this end has cut its stream: cut the other one, too."""
        self.end(end.pair, Reason.LEFT_CUT if end is end.pair.left else Reason.RIGHT_CUT)

    def _pump(self, end: _End) -> None:
        """Move what can be moved from this end to the other one, within this stream's share of the turn."""
        limit = end.taken + self._share
        if (end.held or end.pipe is not None) and not self._deliver(end):
            return
        while end.readable and not end.held and end.pipe is None:
            if end.taken >= limit:
                if not end.queued:
                    end.queued = True
                    self._ready.append(end)
                return
            if end.bulk:
                self._moveBulk(end)
            else:
                self._moveSmall(end)

    def _moveSmall(self, end: _End) -> None:
        """Read once, and write what was read."""
        try:
            count = end.socket.recv_into(self._buffer)
        except BlockingIOError:
            end.readable = False
            return
        except OSError:
            self._cut(end)
            return
        if count == 0:
            self._finish(end)
            return
        end.taken += count
        if count == _BUFFER_SIZE:
            end.bulk = True
        elif not end.ending:
            end.readable = False  # all that was there: what comes now has an edge of its own
        data = self._view[:count]
        try:
            sent = end.other.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._cut(end.other)
            return
        if sent < count:
            end.held = bytes(data[sent:])

    def _moveBulk(self, end: _End) -> None:
        """Splice once into a pipe, and out of it."""
        pipe = self._pipes.take()
        if pipe is None:
            end.bulk = False
            self._moveSmall(end)
            return
        try:
            count = os.splice(end.fd, pipe.writer, pipe.size, flags=_NONBLOCK)
        except BlockingIOError:
            count = 0
        except OSError:
            self._pipes.give(pipe)
            self._cut(end)
            return
        if count == 0:
            # Nothing more, for now or for ever; or a mark of urgent data, at which splice stops: recv tells.
            self._pipes.give(pipe)
            self._moveSmall(end)
            return
        end.taken += count
        end.bulk = count >= _TRICKLE
        pipe.fill = count
        end.pipe = pipe
        self._deliver(end)

    def _deliver(self, end: _End) -> bool:
        """Write what is held for the other end, and say whether nothing is held any more."""
        sink = end.other
        try:
            if end.held:
                sent = sink.socket.send(end.held)
                end.held = memoryview(end.held)[sent:] if sent < len(end.held) else b""
                if end.held:
                    return False
            pipe = end.pipe
            if pipe is not None:
                while pipe.fill:
                    pipe.fill -= os.splice(pipe.reader, sink.fd, pipe.fill, flags=_NONBLOCK)
                end.pipe = None
                self._pipes.give(pipe)
        except BlockingIOError:
            return False
        except OSError:
            self._cut(sink)
            return False
        return True

    def _finish(self, end: _End) -> None:
        """Nothing more comes from this end, and all that came was passed on: pass the end on."""
        end.finished = True
        end.readable = False
        if end.other.finished:
            self.end(end.pair, Reason.FINISHED)  # to close is to end, where nothing is left to read
            return
        try:
            end.other.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._cut(end.other)
        else:
            self.halfOpened(end.pair)
