"""A public address, and the visitors that come to it."""
# Longer than 300 lines: all that becomes of a visitor, from its coming to its end, is read together.

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from bore.events import Sink, VisitorEnd
from bore.events.server import (
    VisitorCame,
    VisitorLeft,
    VisitorNotTaken,
    VisitorOffLane,
    VisitorRefused,
    VisitorServed,
    VisitorsHeldBack,
    VisitorsLetIn,
)
from bore.relay.interface import Ending, LaneHandle
from bore.server.custody import Waiting
from bore.server.entrance import Entrance
from bore.server.registry import Grant
from bore.server.settings import Bounds
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.uptake import MEASURED, Uptake
from bore.server.usage import Usage
from bore.server.users import Login, User
from bore.server.visitor import ENDS, Visitor
from bore.server.visitorlimits import VisitorLimits
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.socketoptions import pace
from bore.streams.tcpinfo import sinceReceived
from bore.wire.addressrules import AddressFilter
from bore.wire.errors import Refusal
from bore.wire.limits import ACCEPT_TIMEOUT

#: Visitors of one tunnel that are announced to its client and not taken yet, at most. The next one is announced when
#: one of them was taken or is gone, so a client that dials for each of them dials no more than that at the same time.
MAX_ANNOUNCED: Final = 256


class Owner(Protocol):
    """
    The session that a tunnel belongs to.

    :ivar user: whose session it is.
    :ivar login: how its client has come in.
    :ivar peer: the address of its client, as ``HOST:PORT``.
    :ivar source: what limits count the client's address under: see :func:`~bore.streams.addresses.sourceOf`.
    """

    user: User
    login: Login
    peer: str
    source: str

    def serve(self, visitor: Visitor) -> bool:
        """Put a visitor on an idle lane, and return whether there was one."""

    def announce(self, visitor: Visitor) -> None:
        """Send the announcement of a visitor to the client."""

    def takeAway(self, tunnel: Tunnel, refusal: Refusal) -> None:
        """The session has lost a tunnel. Send the client the reason."""

    def inDoubt(self) -> bool:
        """Whether the client may be gone. If so, another client may have its tunnel."""


class Tunnel:
    """
    A public address, and the visitors that come to it. A tunnel can be without a session for a while.

    Visitors are accepted as long as there is room for them to wait; then the entrance holds further ones back. Visitors
    that wait are served before those that come. Visitors over a limit on their number or rate are closed.

    :param entrance: where the visitors come in; it belongs to the tunnel from now on.
    :param filter: the server's rules on the addresses of visitors; None: there are none.
    :param handedOver: visitors that waited elsewhere, the oldest first. See :meth:`adopt`.
    :ivar address: the public address.
    :ivar grant: the right to the address; its token resumes the tunnel.
    :ivar user: whose tunnel it is.
    :ivar owner: the session that serves the visitors; None while the client is away.
    :ivar number: its number in that session.
    :ivar login: how the client of its session, or of its last session, has come in.
    :ivar source: the key of limits per source: that of its session, or of its last session.
    :ivar waiting: the visitors that no client has taken, by name; the oldest first.
    :ivar taken: how many of those that have waited the client has taken.
    :ivar closed: the public address was given back.
    :ivar limits: decides which visitors are closed.
    :ivar bandwidth: bytes per second of each visitor's stream and direction; 0: no limit; None: there never was one.
    :ivar usage: what it is used for. From its end on, that of all tunnels that were closed.
    :ivar since: when it was opened, by the clock.
    :ivar awaySince: since when it has no session; None: it has one.
    :ivar serving: the visitors that are served, and the connection of the client that each of them is on.
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
        filter: AddressFilter | None = None,
        handedOver: Sequence[Waiting] = (),
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._unaccepted = unaccepted
        self.limits = VisitorLimits(clock, bounds, filter)
        self.grant = grant
        self.user = grant.user
        self.login = owner.login
        self.source = owner.source
        self.owner: Owner | None = owner
        self.number = 0
        self.waiting: OrderedDict[str, Visitor] = OrderedDict()
        self._unannounced: OrderedDict[str, Visitor] = OrderedDict()
        self._announced = 0
        self.taken = 0
        self._uptake = Uptake(clock)
        # 0: accepting; else one more than the number of visitors that waited when accepting stopped.
        self._heldBackAt = 0
        self.bandwidth: int | None = None
        self.usage = Usage()
        self.since = clock.seconds()
        self.awaySince: float | None = None
        self.serving: dict[Visitor, socket.socket] = {}
        self.closed = False
        self._handedOver = handedOver
        self._keepsAnnounced = False
        self._forward: Callable[[Waiting], None] | None = None
        self._entrance = entrance
        self.address = entrance.address
        entrance.open(self)

    @property
    def holdsBack(self) -> bool:
        """Whether it accepts no visitors for a while."""
        return self._heldBackAt > 0

    def sinceReceived(self) -> float:
        """Seconds since bytes of the client came on a connection that serves a visitor; infinite without such."""
        return min(map(sinceReceived, self.serving.values()), default=float("inf"))

    def mayAccept(self) -> bool:
        """Whether there is room for one more visitor. If not, further ones are held back from now on."""
        waiting = len(self.waiting)
        if self.owner is None:
            mayWait = waiting < self.limits.bounds.waiting or not self.limits.bounds.waiting
        else:
            mayWait = waiting < MEASURED or self._uptake.allows(waiting, self.taken)
        mayServe = self._unaccepted.mayServe
        if mayWait and (mayServe is None or mayServe(self.address)) and self._unaccepted.hasRoom(waiting):
            return True
        self._holdBack(waiting)
        return False

    def visitorCame(self, sock: socket.socket, address: SocketAddress, early: bytes = b"") -> None:
        """Serve a visitor, enqueue it, or close it if it is over a limit."""
        mayServe = self._unaccepted.mayServe
        # If the process was stopped behind mayAccept, the visitor may have come to another owner of the address.
        if (mayServe is not None and not mayServe(self.address)) or not self._isAllowed(address):
            sock.close()
            return
        visitor = Visitor(sock, address, self, early)
        visitor.since = self._clock.seconds()
        if self._sink.visitors:
            self._sink.emit(VisitorCame(visitor.name, self.address, socketAddress(address)))
        if self.owner is None or not self.owner.serve(visitor):
            self.enqueue(visitor)

    def adopt(self) -> None:
        """Have the visitors wait that were handed over. Called once, before the first announcement."""
        handedOver, self._handedOver = self._handedOver, ()
        for waiting in handedOver:
            visitor = self._hasWaited(waiting)
            self._unaccepted.add(visitor)
            self._unannounced[visitor.name] = visitor
        if handedOver and self.limits.changed is not None:
            self.limits.changed()

    def takeIn(self, waiting: Waiting) -> None:
        """Serve a visitor that has waited at a former holder of the address, or enqueue it in front of the others."""
        visitor = self._hasWaited(waiting)
        if self.owner is None or not self.owner.serve(visitor):
            self.enqueue(visitor, first=True)
        if self.limits.changed is not None:
            self.limits.changed()

    def _hasWaited(self, waiting: Waiting) -> Visitor:
        visitor = Visitor(waiting.socket, waiting.address, self, waiting.early)
        visitor.since = self._clock.seconds() - waiting.age
        if self._sink.visitors:
            self._sink.emit(VisitorCame(visitor.name, self.address, socketAddress(visitor.address)))
        return visitor

    def depart(self) -> None:
        """
        The session goes to another process, and the tunnel will follow. The visitors that are announced stay: the
        client takes them where they wait.
        """
        self.owner = None
        self.awaySince = self._clock.seconds()
        self._keepsAnnounced = True

    def handOver(self, forward: Callable[[Waiting], None]) -> list[Waiting]:
        """
        Give the public address to another process, with the visitors that wait. Those that are served stay.

        :param forward: called with each visitor that was to be served, and waits again.
        :returns: the visitors, the oldest first.
        """
        self.owner = None
        self.closed = True
        self._forward = forward
        self._entrance.release()
        visitors = self._unaccepted.releaseAllOf(self, self._keepsAnnounced)
        handedOver = [self._leaves(visitor) for visitor in visitors]
        if self.limits.changed is not None:
            self.limits.changed()
        self._unannounced.clear()
        self._announced = len(self.waiting)
        return [*self._handedOver, *handedOver]

    def _leaves(self, visitor: Visitor) -> Waiting:
        """A visitor goes to another process."""
        self._gone(visitor, 0, 0, VisitorEnd.HANDED_OVER)
        return Waiting(visitor.socket, visitor.address, visitor.early, self._clock.seconds() - visitor.since)

    def announceAll(self) -> None:
        """Announce the visitors that wait to a session that is new to the tunnel, the oldest first."""
        assert self.owner is not None
        self._unannounced = self.waiting.copy()
        self._announced = 0
        for visitor in self.waiting.values():
            visitor.announced = False
        self._announceMore()
        self.acceptAgain()

    def enqueue(self, visitor: Visitor, first: bool = False) -> None:
        """Have a visitor wait for the client; in front of the others, if it has waited before."""
        if self.closed:
            if self._forward is None:
                self.drop(visitor, VisitorEnd.TUNNEL_CLOSED)
            else:
                self._forward(self._leaves(visitor))
            return
        self._unaccepted.add(visitor, first)
        if self.owner is not None and (first or not (self._unannounced or self._announced >= MAX_ANNOUNCED)):
            self._announce(visitor, self.owner)
        else:
            visitor.announced = False
            self._unannounced[visitor.name] = visitor

    def takeFirst(self) -> Visitor | None:
        """Take the visitor that has waited for the longest time; None if no visitor waits."""
        for visitor in self.waiting.values():
            self._unaccepted.take(visitor)
            return visitor
        return None

    def closeEntrance(self) -> None:
        """Let no visitors in any more; those that are here stay, and :meth:`close` follows."""
        self._entrance.finish()

    def close(self) -> None:
        """Give the public address back, and close the visitors that wait. Those that are served stay."""
        self.owner = None
        self.closed = True
        self._entrance.close()
        self._unaccepted.closeAllOf(self)
        for waiting in self._handedOver:
            waiting.socket.close()
        self._unannounced.clear()

    def serve(
        self, visitor: Visitor, carrier: socket.socket, lane: LaneHandle | None = None
    ) -> Callable[[Ending], None]:
        """
        Count a visitor as served.

        :param carrier: the connection of the client that it is on.
        :param lane: the lane that it is on; None: the connection is not a lane.
        :returns: has to be called when the visitor has left.
        """
        self.serving[visitor] = carrier
        if self.bandwidth is not None:
            pace(visitor.socket, self.bandwidth)
            pace(carrier, self.bandwidth)
        if self._sink.visitors:
            self._sink.emit(VisitorServed(visitor.name, self.address, None if lane is None else id(lane)))
        return visitor

    def takeBack(self, visitor: Visitor, early: bytes) -> None:
        """
        Count a visitor as not served: its lane was dead.

        :param early: bytes that were read from it and have not reached the client.
        """
        del self.serving[visitor]
        visitor.early = early
        visitor.lanesLost += 1
        if self._sink.visitors:
            self._sink.emit(VisitorOffLane(visitor.name, self.address))

    def left(self, visitor: Visitor, ending: Ending) -> None:
        """A visitor that was served has left."""
        del self.serving[visitor]
        self.usage.left(ending)
        if self.limits.changed is not None:
            self.limits.changed()
        if self._sink.ends:
            self._gone(visitor, ending.toRight, ending.toLeft, ENDS[ending.reason])

    def drop(self, visitor: Visitor, reason: VisitorEnd) -> None:
        """Close a visitor that is not served and does not wait."""
        visitor.socket.close()
        self.usage.unserved += 1
        if self.limits.changed is not None:
            self.limits.changed()
        self._gone(visitor, 0, 0, reason)

    def noLongerWaits(self, visitor: Visitor) -> None:
        """A visitor has left the queue: others may be announced, and accepted."""
        if visitor.announced:
            self._announced -= 1
        else:
            del self._unannounced[visitor.name]
        if self._unannounced and self.owner is not None:
            self._announceMore()
        # Not after each visitor: to resume and pause the entrance costs as much as to accept a visitor.
        if self._heldBackAt and len(self.waiting) <= self._heldBackAt * 7 // 8:
            self.acceptAgain()

    def notTaken(self, visitor: Visitor) -> None:
        """A visitor was closed, as no client has taken it in time."""
        self._sink.emit(VisitorNotTaken(self.address, socketAddress(visitor.address), ACCEPT_TIMEOUT))

    def acceptAgain(self) -> None:
        """Accept visitors, if there is room for them again."""
        if self._heldBackAt and not self.closed and self.mayAccept():
            self._heldBackAt = 0
            self._entrance.resume()
            self._sink.emit(VisitorsLetIn(self.address))

    def _gone(self, visitor: Visitor, toClient: int, toVisitor: int, reason: VisitorEnd) -> None:
        if self._sink.ends:
            seconds = self._clock.seconds() - visitor.since
            who = socketAddress(visitor.address), self.user.name
            self._sink.emit(VisitorLeft(visitor.name, self.address, toClient, toVisitor, seconds, reason, *who))

    def _announceMore(self) -> None:
        """Announce visitors that were not announced, as far as the limit allows."""
        owner, waiting = self.owner, self._unannounced
        while owner is not None and waiting and self._announced < MAX_ANNOUNCED:
            _, visitor = waiting.popitem(last=False)
            if visitor.isReset:
                self._unaccepted.remove(visitor, VisitorEnd.LEFT_EARLY)
            else:
                self._announce(visitor, owner)

    def _announce(self, visitor: Visitor, owner: Owner) -> None:
        visitor.announced = True
        self._announced += 1
        owner.announce(visitor)

    def _holdBack(self, waiting: int) -> None:
        """Accept no visitors until some of those that wait are taken, or until there are descriptors."""
        self._heldBackAt = waiting + 1
        self._entrance.pause()
        self._sink.emit(VisitorsHeldBack(self.address, waiting))
        if not waiting:
            self._unaccepted.resumeLater(self)

    def _isAllowed(self, address: SocketAddress) -> bool:
        """Whether a visitor is allowed by the rules and within the limits; a visitor that is not has to be closed."""
        exceeded = self.limits.exceeded(address, len(self.waiting) + len(self.serving), self.owner is None)
        if exceeded is None:
            return True
        self.usage.refused += 1
        who = socketAddress(address), self.user.name
        self._sink.emit(VisitorRefused(self.address, sourceOf(address), *exceeded, *who))
        return False
