"""A public address, and the visitors that come to it."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol
from uuid import UUID

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink, VisitorEnd
from bore.events.server import (
    TurnedAway,
    VisitorCame,
    VisitorLeft,
    VisitorNotTaken,
    VisitorOffLane,
    VisitorRefused,
    VisitorServed,
    VisitorsHeldBack,
    VisitorsLetIn,
)
from bore.relay.interface import Ending, LaneHandle, Reason
from bore.server.entrance import Entrance
from bore.server.registry import Grant
from bore.server.settings import Bounds
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.users import User
from bore.server.visitor import Visitor
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.tcpinfo import sinceReceived
from bore.timing.rate import VisitorRate
from bore.wire.errors import Refusal
from bore.wire.limits import ACCEPT_TIMEOUT

#: Visitors of one tunnel that are announced to its client and not taken yet; the next one is announced when one of
#: them is taken, or gone. A client that dials for each of them is not asked for more at the same time.
MAX_ANNOUNCED: Final = 256

#: Why a visitor has left, by the end of the pair of which it is the left stream.
_ENDS: Final = {
    Reason.FINISHED: VisitorEnd.FINISHED,
    Reason.LEFT_CUT: VisitorEnd.VISITOR_CUT,
    Reason.RIGHT_CUT: VisitorEnd.SERVICE_CUT,
    Reason.HALF_OPEN: VisitorEnd.HALF_OPEN,
    Reason.STOPPED: VisitorEnd.STOPPED,
    Reason.FAILED: VisitorEnd.FAILED,
}


class Owner(Protocol):
    """
    The session that a tunnel belongs to.

    :ivar user: whose session it is.
    :ivar peer: the address of its client, as ``HOST:PORT``.
    :ivar source: whom the client's address belongs to.
    """

    user: User
    peer: str
    source: str

    def serve(self, visitor: Visitor) -> bool:
        """Put a visitor on an idle lane, if there is one."""

    def announce(self, visitor: Visitor) -> None:
        """Send the announcement of a visitor to the client."""

    def takeAway(self, tunnel: Tunnel, refusal: Refusal) -> None:
        """The tunnel is not the session's any more, and the client is sent the reason."""

    def inDoubt(self) -> bool:
        """Whether the client may be gone: another client may have its tunnel then."""


class Tunnel:
    """
    One public address. It can be without a client for a while.

    Visitors are accepted as long as there is room for them to wait; then the entrance holds them back, and those that
    wait are served first. Visitors over a limit on their number or rate are closed.

    :param entrance: where the visitors come in; it belongs to the tunnel from now on.
    :ivar port: the public port.
    :ivar grant: the right to the port; its token resumes the tunnel.
    :ivar owner: the session that serves the visitors; None while the client is away.
    :ivar source: whom the address of the client belongs to, or of the last one.
    :ivar waiting: the visitors that no client has taken, by id; the oldest first.
    :ivar closed: the port was given back.
    :ivar serving: the visitors that are being served, and the connection of the client that each of them is on.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        entrance: Entrance,
        unaccepted: UnacceptedVisitors,
        bounds: Bounds,
        grant: Grant,
        owner: Owner,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._unaccepted = unaccepted
        self._bounds = bounds
        self._rate = VisitorRate(clock, bounds.visitorRate)
        self.grant = grant
        self.source = owner.source
        self.owner: Owner | None = owner
        self.waiting: OrderedDict[UUID, Visitor] = OrderedDict()
        self._unannounced: OrderedDict[UUID, Visitor] = OrderedDict()
        self._announced = 0
        self._held = 0
        self.serving: dict[Visitor, socket.socket] = {}
        self.closed = False
        self._entrance = entrance
        self.port = entrance.port
        entrance.open(self)

    def sinceReceived(self) -> float:
        """How many seconds ago bytes of the client came on the connections that serve visitors."""
        return min(map(sinceReceived, self.serving.values()), default=float("inf"))

    def announceAll(self) -> None:
        """Tell a client that is new to the tunnel of those who wait, the oldest first."""
        assert self.owner is not None
        self._unannounced = self.waiting.copy()
        self._announced = 0
        for visitor in self.waiting.values():
            visitor.announced = False
        self._announceMore()
        self.acceptAgain()

    def admit(self, visitor: Visitor, first: bool = False) -> None:
        """Have a visitor wait for the client; ahead of the others, if it has waited before."""
        if self.closed:
            self.drop(visitor, VisitorEnd.TUNNEL_CLOSED)
            return
        self._unaccepted.add(visitor, first)
        if self.owner is not None and (first or not (self._unannounced or self._announced >= MAX_ANNOUNCED)):
            self._announce(visitor, self.owner)
        else:
            visitor.announced = False
            self._unannounced[visitor.id] = visitor

    def takeFirst(self) -> Visitor | None:
        """Take the visitor out who has waited for the longest time; None if nobody waits."""
        for id in self.waiting:
            return self._unaccepted.take(id)
        return None

    def close(self) -> None:
        """Give the port back, and close who waits."""
        self.owner = None
        self.closed = True
        self._entrance.close()
        self._unaccepted.dismiss(self)
        self._unannounced.clear()

    def serve(
        self, visitor: Visitor, carrier: socket.socket, lane: LaneHandle | None = None
    ) -> Callable[[Ending], None]:
        """
        Count a visitor as one that is served.

        :param carrier: the connection of the client that it is on.
        :param lane: the same, if it is a lane.
        :returns: has to be called when the visitor has left.
        """
        self.serving[visitor] = carrier
        if self._sink.visitors:
            self._sink.emit(VisitorServed(visitor.name, self.port, None if lane is None else id(lane)))
        return partial(self._left, visitor)

    def takeBack(self, visitor: Visitor, early: bytes) -> None:
        """
        Count a visitor no longer as one that is served: its lane was dead.

        :param early: bytes that were read from it, and have not reached the client.
        """
        del self.serving[visitor]
        visitor.early = early
        visitor.lanesLost += 1
        if self._sink.visitors:
            self._sink.emit(VisitorOffLane(visitor.name, self.port))

    def drop(self, visitor: Visitor, reason: VisitorEnd) -> None:
        """Close a visitor that is not served, and does not wait any more."""
        visitor.socket.close()
        self._gone(visitor, 0, 0, reason)

    def noLongerWaits(self, visitor: Visitor) -> None:
        """A visitor does not wait any more: the next one may be announced, and accepted."""
        if visitor.announced:
            self._announced -= 1
        else:
            del self._unannounced[visitor.id]
        if self._unannounced and self.owner is not None:
            self._announceMore()
        # Not each for itself: to listen and to stop again costs as much as to accept.
        if self._held and len(self.waiting) <= self._held * 7 // 8:
            self.acceptAgain()

    def notTaken(self, visitor: Visitor) -> None:
        """No client has taken a visitor in time, and it is closed."""
        self._sink.emit(VisitorNotTaken(self.port, socketAddress(visitor.address), ACCEPT_TIMEOUT))

    def acceptAgain(self) -> None:
        """Accept visitors, if there is room for them again."""
        if self._held and not self.closed and self.mayAccept():
            self._held = 0
            self._entrance.resume()
            self._sink.emit(VisitorsLetIn(self.port))

    def _left(self, visitor: Visitor, ending: Ending) -> None:
        """A visitor that was served has left."""
        del self.serving[visitor]
        if self._sink.visitors:
            self._gone(visitor, ending.toRight, ending.toLeft, _ENDS[ending.reason])

    def _gone(self, visitor: Visitor, toClient: int, toVisitor: int, reason: VisitorEnd) -> None:
        if self._sink.visitors:
            seconds = 0.0 if visitor.since is None else self._clock.seconds() - visitor.since
            self._sink.emit(VisitorLeft(visitor.name, self.port, toClient, toVisitor, seconds, reason))

    def _announceMore(self) -> None:
        """Tell the client of those who wait without its knowledge, as far as it may know of more."""
        owner, waiting = self.owner, self._unannounced
        while owner is not None and waiting and self._announced < MAX_ANNOUNCED:
            _, visitor = waiting.popitem(last=False)
            if visitor.hasGone:
                self._unaccepted.forget(visitor, VisitorEnd.LEFT_EARLY)
            else:
                self._announce(visitor, owner)

    def _announce(self, visitor: Visitor, owner: Owner) -> None:
        visitor.announced = True
        self._announced += 1
        owner.announce(visitor)

    def mayAccept(self) -> bool:
        """Whether there is room for one more visitor; if not, further ones are held back from now on."""
        waiting = len(self.waiting)
        mayWait = self.owner is not None or waiting < self._bounds.waiting or not self._bounds.waiting
        if mayWait and self._unaccepted.mayGrow(waiting):
            return True
        self._holdBack(waiting)
        return False

    def _holdBack(self, waiting: int) -> None:
        """Stop accepting for a while."""
        self._held = waiting + 1
        self._entrance.pause()
        self._sink.emit(VisitorsHeldBack(self.port, waiting))
        if not waiting:
            self._unaccepted.hold(self)

    def visitorCame(self, sock: socket.socket, address: SocketAddress, early: bytes = b"") -> None:
        """Serve a visitor, or have it wait, or close it."""
        if not self._isAllowed(address):
            sock.close()
            return
        visitor = Visitor(sock, address, self, early)
        if self._sink.visitors:
            visitor.since = self._clock.seconds()
            self._sink.emit(VisitorCame(visitor.name, self.port, socketAddress(address)))
        if self.owner is None or not self.owner.serve(visitor):
            self.admit(visitor)

    def _isAllowed(self, address: SocketAddress) -> bool:
        """Whether a visitor is within the limits; a visitor that is not has to be closed."""
        bounds = self._bounds
        if self._rate.perSecond and not self._rate.allows(sourceOf(address)):
            why, limit = TurnedAway.RATE, bounds.visitorRate
        elif self.owner is None and not bounds.waiting:
            why, limit = TurnedAway.NO_CLIENT, 0
        elif 0 < bounds.visitors <= len(self.waiting) + len(self.serving):
            why, limit = TurnedAway.TOO_MANY, bounds.visitors
        else:
            return True
        self._sink.emit(VisitorRefused(self.port, sourceOf(address), why, limit))
        return False
