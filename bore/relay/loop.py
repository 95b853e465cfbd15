"""
The loop of the relay that keeps bytes in the kernel: which half is served when, and how much of a turn it may use.

All sockets are in one epoll of the relay's own, edge-triggered; the reactor watches that epoll as a single reader. So
there is no reactor object for a stream, nothing is re-registered while bytes flow, and a turn of the reactor serves
many streams. That a socket can be written to is reported from the first time on that it could not: it is so when it is
registered, and for most sockets always, which would be an event without a meaning.

An edge reports that something may have changed, and nothing else; the next system call reports what it is. A stale
event, even one for a descriptor that was closed and used again in the same turn, costs a call that would block.
"""

from __future__ import annotations

import contextlib
import select
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.relay.flow import BUFFER_SIZE
from bore.relay.halves import Half
from bore.relay.lingering import TAKE_TIMEOUT
from bore.relay.pipes import PipePool
from bore.streams.encryption import STUCK_TIMEOUT, stuckAt
from bore.streams.reactor import IReactor
from bore.timing.deadlines import Deadlines
from bore.timing.turns import MIN_COST

#: How much all streams together may use of one turn: the bytes that they move, and MIN_COST for each read and frame.
#: So a turn takes a few milliseconds at most, and then the rest of the program has its own.
_TURN: Final = 1 << 23

#: How much one stream may use of a turn, divided by the number of busy streams, and the least of that.
_SHARE: Final = 1 << 20
_LEAST_SHARE: Final = 1 << 17

#: While small messages come, the epoll is polled again this many times before the reactor has its turn: an answer
#: mostly follows within the time that the reactor itself needs.
_ROUNDS: Final = 4

#: Events that are taken from the kernel at once: all of them are handled, whatever is left of the turn.
_EVENTS: Final = 64

#: How many steps may follow from one event before other streams have their turn.
_STEPS: Final = 32

_INPUT: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLPRI | select.EPOLLET
_ALL: Final = _INPUT | select.EPOLLOUT


@implementer(IReadDescriptor)
class SpliceLoop:
    """
    Serves halves, each within its share of a turn.

    :param descriptors: see :class:`PipePool`.
    :param reactorEnds: called when the reactor ends.
    :ivar share: how much one stream may use of a turn, in bytes.
    :ivar ready: the halves that go on in the next turn, in the order in which they came to wait.

    The other variables are those of :class:`bore.relay.halves.Loop`.
    """

    _log = Logger()

    def __init__(self, reactor: IReactor, descriptors: int, reactorEnds: Callable[[], None]) -> None:
        self._reactor = reactor
        self._reactorEnds = reactorEnds
        self._epoll = select.epoll()
        self._halves: dict[int, Half] = {}
        self._refused: Deadlines[Half, int] = Deadlines(reactor, TAKE_TIMEOUT, self._notTaken)
        self._stuck: Deadlines[Half, int] = Deadlines(reactor, STUCK_TIMEOUT, self._stuckForLong)
        self._afterwards: deque[tuple[Half, Callable[[], object]]] = deque()
        self._nextTurn: IDelayedCall | None = None
        self._serving = False
        self.pipes = PipePool(descriptors)
        self.buffer = bytearray(BUFFER_SIZE)
        self.view = memoryview(self.buffer)
        self.ready: list[Half] = []
        self.share = _SHARE
        self.left = _TURN
        self.reserved = _TURN - _SHARE
        reactor.addReader(self)

    @property
    def closed(self) -> bool:
        """Whether nothing is served any more."""
        return self._epoll.closed

    @property
    def halves(self) -> list[Half]:
        """The halves that are served."""
        return list(self._halves.values())

    def fileno(self) -> int:
        return -1 if self._epoll.closed else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "SpliceLoop"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends."""
        self._reactorEnds()

    def close(self) -> None:
        """Serve nothing any more. All halves have to be closed."""
        while self._afterwards:
            self._runSteps()
        self._refused.takeAll()
        self._stuck.takeAll()
        if self._nextTurn is not None:
            self._nextTurn.cancel()
            self._nextTurn = None
        if not self._epoll.closed:
            self._reactor.removeReader(self)
            self._epoll.close()
            self.pipes.close()

    def add(self, half: Half) -> None:
        """Take a half that is to be watched soon: it can be closed by then."""
        self._halves[half.fd] = half

    def watch(self, half: Half) -> None:
        """
        Serve a half from now on; if its stream is readable already, there is an event.

        :raises OSError: when the system has no room for it; a ValueError when the loop is closed already.
        """
        self._epoll.register(half.fd, _ALL if half.awaitsRoom else _INPUT)
        self._halves[half.fd] = half

    def has(self, half: Half) -> bool:
        """Whether a half is served."""
        return self._halves.get(half.fd) is half

    def forget(self, half: Half) -> None:
        """Stop to serve a half that is about to be closed."""
        del self._halves[half.fd]
        if half.refusesData:
            self._refused.take(half)

    def release(self, half: Half) -> None:
        """Stop to serve a half that stays open."""
        self.forget(half)
        with contextlib.suppress(OSError):  # it may not be registered yet
            self._epoll.unregister(half.fd)

    def awaitRoom(self, half: Half) -> None:
        """See Loop."""
        if not half.awaitsRoom:
            half.awaitsRoom = True
            with contextlib.suppress(OSError, ValueError):  # it may not be registered yet, or the loop be closed
                self._epoll.modify(half.fd, _ALL)

    def later(self, half: Half) -> None:
        """See Loop."""
        self.ready.append(half)
        self._wake()

    def afterwards(self, half: Half, do: Callable[[], object]) -> None:
        """
        Call something when the current step is over. If it fails, that costs this half's stream.

        What follows from an event is queued here where it would otherwise recurse: the visitor of a lane leaves, the
        lane gets the next one, which has left as well.
        """
        self._afterwards.append((half, do))
        if not self._serving:
            self._wake()

    def _wake(self) -> None:
        if not self._serving and self._nextTurn is None and not self._epoll.closed:
            self._nextTurn = self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        self._nextTurn = None
        self.doRead()

    def doRead(self) -> None:
        """Serve the streams with events, then those that had used up their share before."""
        self._serving = True
        try:
            self._serveAll()
        finally:
            self._serving = False
        self._reserve()  # for what is moved between turns
        if (self.ready or self._afterwards) and self._nextTurn is None and not self._epoll.closed:
            self._nextTurn = self._reactor.callLater(0, self._turn)

    def _serveAll(self) -> None:
        ready, self.ready = self.ready, []
        self.share = max(_LEAST_SHARE, _SHARE // (1 + len(ready)))
        self.left = _TURN // 2 if ready else _TURN  # the other half is for those that wait
        epoll, get, share = self._epoll, self._halves.get, self.share
        if self._afterwards:
            self._runSteps()
        for _ in range(_ROUNDS):
            if epoll.closed:  # the last pair has ended, and with it the relay
                return
            events = epoll.poll(0, max(1, min(_EVENTS, self.left // MIN_COST)))
            for fd, event in events:
                half = get(fd)
                if half is not None:
                    left = self.left
                    self.reserved = left - share if left > share else 0  # _reserve() takes three times as long
                    try:
                        half.serve(event)
                    except Exception:
                        self._failed(half)
                if self._afterwards:
                    self._runSteps()
            if not events or self.ready or self.left <= 0:
                break
        if ready:
            self.left = max(1, self.left + _TURN // 2)
            self._pumpAll(ready)

    def _reserve(self) -> None:
        """Leave all but one share of this turn to others than the half that is served next."""
        self.reserved = max(0, self.left - self.share)

    def _pumpAll(self, ready: list[Half]) -> None:
        """Serve those that had used up their share before, in the order in which they came to wait."""
        for number, half in enumerate(ready):
            if self.left <= 0:
                self.ready[:0] = ready[number:]
                return
            half.queued = False
            self._reserve()
            try:
                half.pump()
            except Exception:
                self._failed(half)
            if self._afterwards:
                self._runSteps()

    def _runSteps(self) -> None:
        """Do what follows from the last step, and from that, within bounds and within its share."""
        for _ in range(_STEPS):
            if not self._afterwards:
                return
            half, do = self._afterwards.popleft()
            try:
                do()
            except Exception:
                self._failed(half)

    def _failed(self, half: Half) -> None:
        """Handle an exception that is being raised by a fault of ours: it ends this pair, and no other."""
        self._log.failure("a pair failed")
        if self.has(half):
            half.fail()

    def refused(self, half: Half) -> None:
        """See Loop."""
        self._refused.add(half, half.acknowledged)

    def notRefused(self, half: Half) -> None:
        """The bytes that a half sent before its peer stopped to receive are no longer waited for."""
        self._refused.take(half)

    def _notTaken(self, half: Half, before: int) -> None:
        """For TAKE_TIMEOUT seconds a half has refused data: cut it, unless the other peer takes what it had sent."""
        try:
            if half.acknowledged > before:
                self.refused(half)
            else:
                half.cut()
        except Exception:
            self._failed(half)

    def stuck(self, half: Half) -> None:
        """See Loop."""
        if half not in self._stuck:
            self._stuck.add(half, stuckAt(half.socket))

    def _stuckForLong(self, half: Half, since: int) -> None:
        """The time is over that a half has for what it must write before it reads; it may be stuck for another time."""
        if not self.has(half):
            return
        now = stuckAt(half.socket)
        if now == since:
            try:
                half.cut()
            except Exception:
                self._failed(half)
        elif now:
            self._stuck.add(half, now)
