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

import contextlib
import select
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.relay.ends import BUFFER_SIZE, End, JoinedPair
from bore.relay.interface import Ending, Pair, Reason, Relay, Stream
from bore.relay.lingering import TAKE_TIMEOUT, mayResetNow
from bore.relay.pipes import PipePool
from bore.streams.encryption import STUCK_TIMEOUT, stuckAt
from bore.streams.reactor import IReactor
from bore.timing.deadlines import Deadlines
from bore.timing.turns import LEAST

#: How much all streams together may use of one turn: the bytes that they move, and LEAST for each read and each frame.
#: So a turn takes a few milliseconds at most, whatever comes, and then the rest of the program has its own.
_TURN: Final = 1 << 23

#: How much one stream may use of a turn, divided by those that are busy, and the least of that.
_SHARE: Final = 1 << 20
_LEAST_SHARE: Final = 1 << 17

#: While small messages come, they are looked for again so often before the reactor has its turn: an answer mostly
#: follows within the time that the reactor itself needs.
_ROUNDS: Final = 4

#: Events that are taken from the kernel at once: all of them are followed, whatever is left of the turn.
_EVENTS: Final = 64

#: How many steps may follow from one event before other streams have their turn.
_STEPS: Final = 32

_ALL: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLPRI | select.EPOLLET


class _SplicePair(JoinedPair):
    """Two plain streams."""

    __slots__ = ("left", "relay", "right")

    def __init__(self, relay: SpliceRelay, left: Stream, right: Stream) -> None:
        self.relay = relay
        self.left = End(relay, left.socket, left.early)
        self.right = End(relay, right.socket, right.early)
        self.left.other = self.right
        self.right.other = self.left
        self.left.pair = self.right.pair = self

    @property
    def moved(self) -> int:
        return self.left.taken + self.right.taken

    def stop(self, reason: Reason) -> None:
        if not self.relay.has(self.left):
            return  # it has ended already
        for end in (self.left, self.right):
            self.relay.forget(end)
            end.close(reset=reason is not Reason.FINISHED)
        self.relay.pairEnded(self, self._ending(reason))
        self._part()

    def cutAt(self, end: End) -> None:
        reason = Reason.LEFT_CUT if end is self.left else Reason.RIGHT_CUT
        if end.other.deaf:
            self.stop(reason)
            return
        other = end.other
        self.relay.forget(end)
        end.close(reset=True)
        self.relay.linger(self, other, self._ending(reason))
        self._part()

    def finished(self, end: End) -> None:
        if end.other.finished and not (end.owing or end.other.owing):
            self.stop(Reason.FINISHED)
        elif end.deaf and not end.owing:
            self.cutAt(end)
        else:
            self.relay.halfOpened(self)

    def _ending(self, reason: Reason) -> Ending:
        return Ending(reason, toRight=self.left.taken, toLeft=self.right.taken)

    def _part(self) -> None:
        # Without these cycles they are gone at once, and the garbage collector has nothing to look for.
        del self.left.other, self.left.pair, self.right.other, self.right.pair


@implementer(IReadDescriptor)
class SpliceRelay(Relay):
    """
    Joins plain sockets, and moves bulk by os.splice.

    :param descriptors: see :class:`PipePool`.
    """

    def __init__(self, reactor: IReactor, halfOpenTimeout: float, descriptors: int = 0) -> None:
        super().__init__(reactor, halfOpenTimeout)
        self._epoll = select.epoll()
        self._ends: dict[int, End] = {}
        self._refused: Deadlines[End, int] = Deadlines(reactor, TAKE_TIMEOUT, self._notTaken)
        self._nextTurn: IDelayedCall | None = None
        self._afterwards: deque[tuple[End, Callable[[], object]]] = deque()
        self._serving = False
        self._stuck: Deadlines[End, int] = Deadlines(reactor, STUCK_TIMEOUT, self._stuckForLong)
        self.pipes = PipePool(descriptors)
        self.buffer = bytearray(BUFFER_SIZE)
        self.view = memoryview(self.buffer)
        self.ready: list[End] = []
        self.share = _SHARE
        self.left = _TURN
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
        self._stopAll()
        while self._afterwards:
            self._follow()
        super().close()
        self._stuck.takeAll()
        if self._nextTurn is not None:
            self._nextTurn.cancel()
            self._nextTurn = None
        if not self._epoll.closed:
            self._reactor.removeReader(self)
            self._epoll.close()
            self.pipes.close()

    def _stopAll(self) -> None:
        """Have nothing run any more: the reactor ends, and nobody has waited for it."""
        self._cutAll()
        self._refused.takeAll()

    def doRead(self) -> None:
        """Serve the streams to which something has happened, then those that had not come to an end before."""
        self._serving = True
        try:
            self._serveAll()
        finally:
            self._serving = False
        if (self.ready or self._afterwards) and self._nextTurn is None and not self._epoll.closed:
            self._nextTurn = self._reactor.callLater(0, self._turn)

    def later(self, end: End) -> None:
        """See Loop."""
        self.ready.append(end)
        self._wake()

    def afterwards(self, end: End, do: Callable[[], object]) -> None:
        """
        Call something when the current step is over. If it fails, that costs this end's stream.

        What follows from an event is queued here where it would otherwise recurse: the visitor of a lane leaves, the
        lane takes the next one, who has left as well.
        """
        self._afterwards.append((end, do))
        if not self._serving:
            self._wake()

    def _wake(self) -> None:
        if not self._serving and self._nextTurn is None and not self._epoll.closed:
            self._nextTurn = self._reactor.callLater(0, self._turn)

    def _follow(self) -> None:
        """Do what follows from the last step, and from that, within bounds."""
        for _ in range(_STEPS):
            if not self._afterwards:
                return
            end, do = self._afterwards.popleft()
            try:
                do()
            except Exception:
                self._broken(end)

    def stuck(self, end: End) -> None:
        """See Loop."""
        if end not in self._stuck:
            self._stuck.add(end, stuckAt(end.socket))

    def _stuckForLong(self, end: End, since: int) -> None:
        """The time is over that an end has for what it must write before it reads; it may have done so, and again."""
        if not self.has(end):
            return
        now = stuckAt(end.socket)
        if now == since:
            try:
                end.cut()
            except Exception:
                self._broken(end)
        elif now:
            self._stuck.add(end, now)

    def _serveAll(self) -> None:
        ready, self.ready = self.ready, []
        self.share = max(_LEAST_SHARE, _SHARE // (1 + len(ready)))
        self.left = _TURN // 2 if ready else _TURN  # the other half is for those that wait
        epoll, get = self._epoll, self._ends.get
        if self._afterwards:
            self._follow()
        for _ in range(_ROUNDS):
            if epoll.closed:  # the last pair has ended, and with it the relay
                return
            events = epoll.poll(0, max(1, min(_EVENTS, self.left // LEAST)))
            for fd, event in events:
                end = get(fd)
                if end is not None:
                    try:
                        end.serve(event)
                    except Exception:
                        self._broken(end)
                if self._afterwards:
                    self._follow()
            if not events or self.ready or self.left <= 0:
                break
        if ready:
            self.left = max(1, self.left + _TURN // 2)
            self._pumpAll(ready)

    def _pumpAll(self, ready: list[End]) -> None:
        """Have those go on that had not come to an end before, in the order in which they came to wait."""
        for number, end in enumerate(ready):
            if self.left <= 0:
                self.ready[:0] = ready[number:]
                return
            end.queued = False
            try:
                end.pump()
            except Exception:
                self._broken(end)
            if self._afterwards:
                self._follow()

    def watch(self, end: End) -> None:
        """
        Serve a stream from now on; what is readable already is told.

        :raises OSError: when the system has no room for it, or the relay is closed already (then a ValueError).
        """
        self._epoll.register(end.fd, _ALL)
        self._ends[end.fd] = end

    def has(self, end: End) -> bool:
        """Whether a stream is served."""
        return self._ends.get(end.fd) is end

    def forget(self, end: End) -> None:
        """Serve a stream no more; it is about to be closed."""
        del self._ends[end.fd]
        if end.deaf:
            self._refused.take(end)

    def release(self, end: End) -> None:
        """Serve a stream no more; it stays open."""
        self.forget(end)
        with contextlib.suppress(OSError):  # it may not have come that far
            self._epoll.unregister(end.fd)

    def refused(self, end: End) -> None:
        """See Loop."""
        self._refused.add(end, end.acknowledged)

    def parted(self, end: End) -> None:
        """See LaneLoop."""
        self._refused.take(end)

    def _notTaken(self, end: End, before: int) -> None:
        """What is left of a stream was not taken for TAKE_TIMEOUT seconds; or it was, by and by."""
        try:
            if end.acknowledged > before:
                self.refused(end)
            else:
                end.cut()
        except Exception:
            self._broken(end)

    def linger(self, pair: Pair, end: End, ending: Ending) -> None:
        """Said by a pair that is at its end: reset this stream when its peer has acknowledged all."""
        end.drop()
        if mayResetNow(end.socket):
            self.forget(end)
            end.close(reset=True)
            self.pairEnded(pair, ending)
        else:
            self.release(end)
            self.resetLater(pair, end.socket, ending)

    def _broken(self, end: End) -> None:
        """A fault of ours: it costs this pair, and no other."""
        self._log.failure("a pair failed")
        if self.has(end):
            end.fail()

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
                end.deliver()
