"""The lanes of sessions."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink, VisitorEnd
from bore.events.server import LaneClosed, LaneOpened
from bore.relay.interface import PROOF_TIMEOUT, LaneCarrier, LaneHandle, Relay, Stream
from bore.server.users import User
from bore.server.visitor import Visitor
from bore.streams.socketoptions import prepareLane
from bore.system.descriptors import Descriptors
from bore.wire.laneopen import openFrame
from bore.wire.token import digest, newToken
from bore.wire.workernumbers import NO_WORKER

#: A visitor that was on more dead lanes than that is closed: waiting for one more would not help.
_MAX_LANES_LOST: Final = 3

#: Idle lanes of all sessions use at most one fourth of the descriptors for visitors, and none of the last eighth.
_LANES_PART: Final = 4
_LAST_PART: Final = 8


class LaneBudget:
    """
    Limits the idle lanes of all sessions together: they hold descriptors that visitors may need.

    :param descriptors: the descriptors for visitors.
    :ivar count: the number of idle lanes.
    """

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether no more idle lanes are kept."""
        limit = self._descriptors.limit
        return limit > 0 and (self.count >= limit // _LANES_PART or not self._descriptors.has(limit // _LAST_PART))


class LanePool:
    """
    The lanes of one session: puts the visitors of its tunnels on them.

    The lane that was idle for the shortest time is used first: it is the most likely to be alive, and its window the
    widest open. A visitor on a lane that turns out to be dead waits for another one.

    :param user: whose session it is.
    :param peer: the address of the client, as ``HOST:PORT``.
    :param nextVisitor: takes the next visitor that waits for the session; None: there is none.
    :param owns: returns whether a visitor has come to a tunnel of the session.
    :param bound: the number of idle lanes that are kept; 0: any number.
    :param budget: the idle lanes of all sessions.
    :param worker: the number of this worker of the server; NO_WORKER: it has none.
    :ivar token: with this the client opens lanes.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        relay: LaneCarrier,
        user: User,
        peer: str,
        nextVisitor: Callable[[], Visitor | None],
        owns: Callable[[Visitor], bool],
        bound: int,
        budget: LaneBudget,
        worker: int = NO_WORKER,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._relay = relay
        self.user = user
        self._peer = peer
        self._nextVisitor = nextVisitor
        self._owns = owns
        self._bound = bound
        self._budget = budget
        self._idle: dict[LaneHandle, float] = {}
        self._open = True
        self.token = newToken(worker)

    def __len__(self) -> int:
        """The number of idle lanes."""
        return len(self._idle)

    def arrived(self, sock: socket.socket, early: bytes) -> None:
        """Add a lane that the client has opened."""
        prepareLane(sock)
        try:
            lane = self._relay.adopt(sock, early, True, self)
        except (OSError, ValueError):  # no room for it, or the server stops
            sock.close()
            return
        if self._sink.visitors:
            self._sink.emit(LaneOpened(self._peer, id(lane)))
        self.idle(lane)

    def serve(self, visitor: Visitor) -> bool:
        """Put a visitor on an idle lane, if there is one."""
        while self._idle:
            lane = self._take(next(reversed(self._idle)))
            if not lane.closed:
                self._join(visitor, lane)
                return True
        return False

    def shrink(self) -> bool:
        """Close half of the idle lanes to free their descriptors, and return whether there was one."""
        count = (len(self._idle) + 1) // 2
        for lane in list(self._idle)[:count]:
            lane.end(reset=False)
        return count > 0

    def close(self) -> None:
        """Close idle lanes, and the others when their visitors have left: the session is over."""
        self._open = False
        self._nextVisitor, self._owns = _none, _no  # lanes in use keep the pool, which keeps nothing of the session
        while self._idle:
            self._take(next(reversed(self._idle))).end(reset=False)

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        """See LaneUser: only servers send visitors."""
        raise AssertionError("a client cannot send visitors")

    def idle(self, lane: LaneHandle) -> None:
        """See LaneUser: a visitor that waits is next."""
        if not self._open:
            lane.end(reset=False)
            return
        visitor = self._nextVisitor()
        if visitor is not None:
            self._join(visitor, lane)
            return
        if self._budget.full:
            lane.end(reset=False)
            return
        self._idle[lane] = self._clock.seconds()
        self._budget.count += 1
        if 0 < self._bound < len(self._idle):
            next(iter(self._idle)).end(reset=False)

    def gone(self, lane: LaneHandle) -> None:
        """See LaneUser: the lane is closed."""
        if lane in self._idle:
            self._take(lane)
        if self._sink.visitors:
            self._sink.emit(LaneClosed(self._peer, id(lane)))

    def _join(self, visitor: Visitor, lane: LaneHandle) -> None:
        self._relay.joinWithLane(
            Stream(visitor.socket, visitor.early),
            lane,
            visitor.tunnel.serve(visitor, lane.socket, lane),
            openFrame(visitor.tunnel.number, visitor.name, visitor.source, visitor.announced),
            giveBack=partial(self._giveBack, visitor),
        )

    def _giveBack(self, visitor: Visitor, early: bytes, silent: bool) -> None:
        """
        Put a visitor on another lane, as its lane was dead.

        :param silent: whether the lane was dead because nothing came on it. The lanes that were idle meanwhile were
            silent for longer, and are dead as well.
        """
        visitor.tunnel.takeBack(visitor, early)
        if silent:
            since = self._clock.seconds() - PROOF_TIMEOUT
            for lane in [lane for lane, idleSince in self._idle.items() if idleSince <= since]:
                lane.end(reset=True)
        if visitor.lanesLost > _MAX_LANES_LOST:
            visitor.tunnel.drop(visitor, VisitorEnd.NO_LANE)
        elif visitor.tunnel.closed or not (self._open and self._owns(visitor) and self._serveAgain(visitor)):
            visitor.tunnel.enqueue(visitor, first=True)

    def _serveAgain(self, visitor: Visitor) -> bool:
        """Put a visitor on a lane that is not dead as well, if there is one."""
        for lane in reversed(list(self._idle)):
            if lane.looksAlive:
                self._join(visitor, self._take(lane))
                return True
        return False

    def _take(self, lane: LaneHandle) -> LaneHandle:
        """Remove a lane from the idle ones."""
        del self._idle[lane]
        self._budget.count -= 1
        return lane


def _none() -> None:
    """Replace a callback whose owner is gone."""


def _no(visitor: Visitor) -> bool:
    """Replace a callback whose owner is gone."""
    return False


class LanePools:
    """
    The lane pools of all sessions, by token.

    :param bound: the number of idle lanes that each of them keeps; 0: any number.
    :param budget: limits the idle lanes of all of them together.
    :ivar worker: the number of this worker or node; NO_WORKER: it has none.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        relay: Relay,
        bound: int,
        budget: LaneBudget,
        worker: int = NO_WORKER,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._relay = relay.lanes
        self._bound = bound
        self._budget = budget
        self.worker = worker
        self._pools: dict[bytes, LanePool] = {}

    def apply(self, bound: int) -> None:
        """Apply another limit to the sessions that begin from now on."""
        self._bound = bound

    def make(
        self, user: User, peer: str, nextVisitor: Callable[[], Visitor | None], owns: Callable[[Visitor], bool]
    ) -> LanePool | None:
        """Make the pool of one session; None if this system's relay has no lanes."""
        if self._relay is None:
            return None
        bounds = self._bound, self._budget, self.worker
        pool = LanePool(self._clock, self._sink, self._relay, user, peer, nextVisitor, owns, *bounds)
        self._pools[digest(pool.token)] = pool
        return pool

    def find(self, token: str) -> LanePool | None:
        """The pool with this token; None if there is no such pool."""
        return self._pools.get(digest(token))

    def close(self, pool: LanePool) -> None:
        """Close a pool, as its session is over."""
        del self._pools[digest(pool.token)]
        pool.close()

    def shrink(self) -> bool:
        """Close half of the idle lanes of each pool to free their descriptors, and return whether there was one."""
        return sum([pool.shrink() for pool in self._pools.values()]) > 0
