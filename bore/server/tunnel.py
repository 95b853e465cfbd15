"""A public address, and the visitors that come to it."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol
from uuid import UUID

from twisted.internet.interfaces import IReactorTime

from bore.relay.interface import Ending
from bore.server.entrance import Entrance
from bore.server.registry import Grant
from bore.server.settings import Bounds
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.users import User
from bore.server.visitor import Visitor
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.tcpinfo import sinceReceived
from bore.streams.visitorlog import VisitorLog
from bore.timing.bursts import Burst, Overflow
from bore.timing.rate import VisitorRate
from bore.wire.errors import Refusal
from bore.wire.limits import ACCEPT_TIMEOUT

#: Visitors of one tunnel that are announced to its client and not taken yet; the next one is announced when one of
#: them is taken, or gone. A client that dials for each of them is not asked for more at the same time.
MAX_ANNOUNCED: Final = 256


class Owner(Protocol):
    """
    The session that a tunnel belongs to.

    :ivar user: whose session it is.
    :ivar source: whom the client's address belongs to.
    """

    user: User
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

    _log = VisitorLog()

    def __init__(
        self,
        clock: IReactorTime,
        entrance: Entrance,
        unaccepted: UnacceptedVisitors,
        bounds: Bounds,
        grant: Grant,
        owner: Owner,
    ) -> None:
        self._unaccepted = unaccepted
        self._bounds = bounds
        self._rate = VisitorRate(clock, bounds.visitorRate)
        self._neglect = Overflow(clock, "port {port}: nobody has taken the visitor {visitor} in {seconds:.0f} s")
        self._absence = Overflow(clock, "port {port}: the client is away, visitors are closed")
        self._throng = Overflow(clock, "port {port}: {limit} visitors may be there, more are closed")
        self._crowd = Burst(clock)
        self._rush = Overflow(
            clock, "port {port}: more than {limit} new visitors per second from {source}, they are closed"
        )
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
            visitor.socket.close()
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

    def serve(self, visitor: Visitor, carrier: socket.socket) -> Callable[[Ending], None]:
        """
        Count a visitor as one that is served.

        :param carrier: the connection of the client that it is on.
        :returns: has to be called when the visitor has left.
        """
        self.serving[visitor] = carrier
        return partial(self._left, visitor)

    def takeBack(self, visitor: Visitor, early: bytes) -> None:
        """
        Count a visitor no longer as one that is served: its lane was dead.

        :param early: bytes that were read from it, and have not reached the client.
        """
        del self.serving[visitor]
        visitor.early = early
        visitor.lanesLost += 1
        if VisitorLog.wanted:
            self._log.debug("visitor {id} was on a dead lane", id=visitor.name)

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

    def neglected(self, visitor: Visitor) -> None:
        """No client has taken a visitor in time, and it is closed."""
        self._neglect.happened(port=self.port, visitor=socketAddress(visitor.address), seconds=ACCEPT_TIMEOUT)

    def acceptAgain(self) -> None:
        """Accept visitors, if there is room for them again."""
        if self._held and not self.closed and self.mayAccept():
            self._held = 0
            self._entrance.resume()

    def _left(self, visitor: Visitor, ending: Ending) -> None:
        """A visitor that was served has left."""
        del self.serving[visitor]
        if VisitorLog.wanted:
            self._log.debug(
                "the visitor {id} is gone: {reason}; {toClient} bytes to the client, {toVisitor} to the visitor",
                id=visitor.name,
                reason=ending.reason.value,
                toClient=ending.toRight,
                toVisitor=ending.toLeft,
            )

    def _announceMore(self) -> None:
        """Tell the client of those who wait without its knowledge, as far as it may know of more."""
        owner, waiting = self.owner, self._unannounced
        while owner is not None and waiting and self._announced < MAX_ANNOUNCED:
            _, visitor = waiting.popitem(last=False)
            if visitor.hasGone:
                self._unaccepted.forget(visitor)
            else:
                self._announce(visitor, owner)

    def _announce(self, visitor: Visitor, owner: Owner) -> None:
        visitor.announced = True
        self._announced += 1
        owner.announce(visitor)

    def mayAccept(self) -> bool:
        """Whether there is room for one more visitor; else the kernel holds it."""
        waiting = len(self.waiting)
        if self.owner is None and waiting >= self._bounds.waiting > 0:
            crowded = True
        elif self._unaccepted.mayGrow(waiting):
            return True
        else:
            crowded = waiting > 0
        self._hold(waiting, crowded)
        return False

    def _hold(self, waiting: int, crowded: bool) -> None:
        """Stop accepting for a while."""
        self._held = waiting + 1
        self._entrance.pause()
        if crowded and self._crowd.begins():
            self._log.warn(
                "port {port}: {count} visitors wait for the client, more are not accepted yet",
                port=self.port,
                count=waiting,
            )
        if not waiting:
            self._unaccepted.hold(self)

    def visitorCame(self, sock: socket.socket, address: SocketAddress, early: bytes = b"") -> None:
        """Serve a visitor, or have it wait, or close it."""
        if not self._isAllowed(address):
            sock.close()
            return
        visitor = Visitor(sock, address, self, early)
        if VisitorLog.wanted:
            self._log.debug(
                "port {port}: visitor {visitor} is {id}",
                port=self.port,
                visitor=socketAddress(address),
                id=visitor.name,
            )
        if self.owner is None or not self.owner.serve(visitor):
            self.admit(visitor)

    def _isAllowed(self, address: SocketAddress) -> bool:
        """Whether a visitor is within the bounds that it is closed for, if it is not."""
        bounds = self._bounds
        if self._rate.perSecond and not self._rate.allows(source := sourceOf(address)):
            self._rush.happened(port=self.port, limit=bounds.visitorRate, source=source)
            return False
        if self.owner is None and not bounds.waiting:
            self._absence.happened(port=self.port)
            return False
        if 0 < bounds.visitors <= len(self.waiting) + len(self.serving):
            self._throng.happened(port=self.port, limit=bounds.visitors)
            return False
        return True
