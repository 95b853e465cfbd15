"""The visitors that no client has taken yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.events import Sink, VisitorEnd
from bore.events.server import NoDescriptors
from bore.server.visitor import Visitor, VisitorOwner
from bore.system.descriptors import Descriptors
from bore.timing.deadlines import Deadlines
from bore.wire.limits import ACCEPT_TIMEOUT
from bore.wire.publicaddress import PublicAddress

#: How often descriptors are looked for while there are none for any visitor, in seconds.
_INTERVAL: Final = 0.25

#: Descriptors of a visitor that waits: its own, and that of the connection on which the client takes it.
_PER_VISITOR: Final = 2


class UnacceptedVisitors:
    """
    The visitors of all tunnels that no client has taken yet, by id, and the descriptors that they may use.

    A client takes a visitor on a new connection whose first message has nothing but the id, so the ids of all tunnels
    stand here together.

    As many places stay free as one tunnel has visitors waiting. A tunnel can thus use half of all places if it is the
    only one, a third if another one has as many, and so on, and cannot keep the visitors of other tunnels out.

    :param descriptors: the descriptors for visitors.
    :param idleLanes: returns how many descriptors idle lanes hold.
    :param giveWay: closes idle lanes for their descriptors, and returns whether it has closed one.
    :ivar mayServe: whether this server may take new visitors of an address now; None: it always may.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        descriptors: Descriptors,
        idleLanes: Callable[[], int],
        giveWay: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._descriptors = descriptors
        self._idleLanes = idleLanes
        self._giveWay = giveWay
        self.mayServe: Callable[[PublicAddress], bool] | None = None
        self._visitors: Deadlines[str, Visitor] = Deadlines(clock, ACCEPT_TIMEOUT, self._expired)
        self._paused: dict[VisitorOwner, None] = {}
        self._resuming: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._visitors)

    def hasRoom(self, waiting: int) -> bool:
        """
        Whether there are descriptors for one more visitor of a tunnel.

        :param waiting: how many visitors of the tunnel wait already.
        """
        wanted = len(self._visitors) + _PER_VISITOR * (1 + waiting)
        return self._descriptors.has(wanted) or self._find(wanted)

    def resumeLater(self, tunnel: VisitorOwner) -> None:
        """Have a tunnel without waiting visitors accept again when it may."""
        self._paused[tunnel] = None
        if self._resuming is None:
            self._resuming = self._clock.callLater(_INTERVAL, self._resume)

    def add(self, visitor: Visitor, first: bool = False) -> None:
        """Have a visitor wait; in front of the others of its tunnel, if it has waited before."""
        self._visitors.add(visitor.name, visitor)
        waiting = visitor.tunnel.waiting
        waiting[visitor.name] = visitor
        if first:
            waiting.move_to_end(visitor.name, last=False)

    def find(self, id: UUID) -> Visitor | None:
        """A visitor; None if there is no such visitor."""
        return self._visitors.get(str(id))

    def take(self, visitor: Visitor) -> None:
        """Take a visitor out, as it is served from now on."""
        self._visitors.take(visitor.name)
        visitor.tunnel.taken += 1
        self._removed(visitor)

    def remove(self, visitor: Visitor, reason: VisitorEnd) -> None:
        """Close a visitor at its tunnel's request. The tunnel has taken it out of its own lists."""
        self._visitors.take(visitor.name)
        del visitor.tunnel.waiting[visitor.name]
        visitor.tunnel.drop(visitor, reason)

    def closeNewest(self) -> bool:
        """
        Close the visitor that came last, and return whether there was one.

        Visitors that have taken the last descriptors leave none for the connections on which clients would take them:
        all of them would wait in vain.
        """
        if not len(self._visitors):
            return False
        self._close(self._visitors.takeNewest(), VisitorEnd.NO_DESCRIPTOR)
        return True

    def closeAllOf(self, tunnel: VisitorOwner) -> None:
        """Close the visitors of a tunnel that is closed."""
        self._paused.pop(tunnel, None)
        for visitor in list(tunnel.waiting.values()):
            self.remove(visitor, VisitorEnd.TUNNEL_CLOSED)

    def releaseAllOf(self, tunnel: VisitorOwner, butAnnounced: bool) -> list[Visitor]:
        """
        Take the visitors out of a tunnel that another process serves from now on, the oldest first.

        :param butAnnounced: whether those that are announced stay.
        """
        self._paused.pop(tunnel, None)
        visitors = [each for each in tunnel.waiting.values() if not (butAnnounced and each.announced)]
        for visitor in visitors:
            self._visitors.take(visitor.name)
            del tunnel.waiting[visitor.name]
        return visitors

    def close(self) -> None:
        """Close all visitors."""
        for visitor in self._visitors.takeAll():
            self._close(visitor, VisitorEnd.STOPPED)
        self._paused.clear()
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None

    def _find(self, wanted: int) -> bool:
        """Whether there are that many descriptors, with those of idle lanes, some of which are closed if need be."""
        needed = len(self._visitors) + _PER_VISITOR
        descriptors = self._descriptors
        if not descriptors.has(needed) and self._giveWay():
            descriptors.renew()
        if descriptors.spare < needed:
            self._sink.emit(NoDescriptors(descriptors.limit))
            return False
        return descriptors.spare + self._idleLanes() >= wanted

    def _resume(self) -> None:
        """Have the tunnels that are paused accept again, in their order, as long as there are descriptors."""
        self._resuming = None
        paused, self._paused = self._paused, {}
        ready = [tunnel for tunnel in paused if self.mayServe is None or self.mayServe(tunnel.address)]
        for tunnel in ready:
            if not self.hasRoom(0):
                break
            del paused[tunnel]
            tunnel.acceptAgain()
        for tunnel in [*paused, *self._paused]:
            self.resumeLater(tunnel)

    def _removed(self, visitor: Visitor) -> None:
        del visitor.tunnel.waiting[visitor.name]
        visitor.tunnel.noLongerWaits(visitor)

    def _close(self, visitor: Visitor, reason: VisitorEnd) -> None:
        visitor.tunnel.drop(visitor, reason)
        self._removed(visitor)

    def _expired(self, name: str, visitor: Visitor) -> None:
        self._close(visitor, VisitorEnd.NOT_TAKEN)
        visitor.tunnel.notTaken(visitor)
