"""The visitors that no client has taken yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.events import Sink, VisitorEnd
from bore.events.server import NoDescriptors
from bore.server.visitor import Visited, Visitor
from bore.system.descriptors import Descriptors
from bore.timing.deadlines import Deadlines
from bore.wire.limits import ACCEPT_TIMEOUT

#: When no tunnel may accept because there are no descriptors, it is looked for some at this interval, in seconds.
_LOOK: Final = 0.25

#: A visitor that waits takes so many descriptors: its own, and that of the connection on which the client takes it.
_EACH: Final = 2


class UnacceptedVisitors:
    """
    All visitors that no client has taken yet, by id, and the descriptors that they may use.

    A client takes a visitor on a new connection that says nothing but the id: so the room is one for all tunnels.

    Each tunnel may have as many waiting as there are places left beside them: half of all, if no other tunnel has any;
    a third, if one other is as crowded; and so on. So no crowd keeps the visitors of another tunnel out.

    :param descriptors: how many there are for visitors.
    :param idleLanes: says how many descriptors idle lanes hold.
    :param giveWay: closes idle lanes, to have their descriptors, and says whether there were some.
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
        self._visitors: Deadlines[UUID, Visitor] = Deadlines(clock, ACCEPT_TIMEOUT, self._expired)
        self._held: dict[Visited, None] = {}
        self._looking: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._visitors)

    def __contains__(self, id: UUID) -> bool:
        return id in self._visitors

    def mayGrow(self, waiting: int) -> bool:
        """
        Whether there are descriptors for one more visitor.

        :param waiting: how many wait for the same tunnel.
        """
        wanted = len(self._visitors) + _EACH * (1 + waiting)
        return self._descriptors.has(wanted) or self._find(wanted)

    def hold(self, tunnel: Visited) -> None:
        """Tell a tunnel for which nobody waits when there are descriptors again."""
        self._held[tunnel] = None
        if self._looking is None:
            self._looking = self._clock.callLater(_LOOK, self._look)

    def add(self, visitor: Visitor, first: bool = False) -> None:
        """Let a visitor wait."""
        self._visitors.add(visitor.id, visitor)
        waiting = visitor.tunnel.waiting
        waiting[visitor.id] = visitor
        if first:
            waiting.move_to_end(visitor.id, last=False)

    def take(self, id: UUID) -> Visitor | None:
        """Take a visitor out; None if there is no such visitor."""
        visitor = self._visitors.take(id)
        if visitor is not None:
            self._part(visitor)
        return visitor

    def forget(self, visitor: Visitor, reason: VisitorEnd) -> None:
        """Close a visitor at its tunnel's request."""
        self._visitors.take(visitor.id)
        del visitor.tunnel.waiting[visitor.id]
        visitor.tunnel.drop(visitor, reason)

    def closeNewest(self) -> bool:
        """
        Close the visitor that came last, and say whether there was one.

        When visitors have taken the last descriptors there is none for the connections that would take them on: all
        would wait in vain.
        """
        if not len(self._visitors):
            return False
        self._close(self._visitors.takeNewest(), VisitorEnd.NO_DESCRIPTOR)
        return True

    def dismiss(self, tunnel: Visited) -> None:
        """Close everybody who waits for one tunnel's client, which is closed."""
        self._held.pop(tunnel, None)
        for visitor in list(tunnel.waiting.values()):
            self.forget(visitor, VisitorEnd.TUNNEL_CLOSED)

    def close(self) -> None:
        """Close everybody who waits."""
        for visitor in self._visitors.takeAll():
            self._close(visitor, VisitorEnd.STOPPED)
        self._held.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _find(self, wanted: int) -> bool:
        """Whether so many descriptors are free, or could be; those of idle lanes are."""
        promised = len(self._visitors)
        descriptors = self._descriptors
        if not descriptors.has(promised + _EACH) and self._giveWay():
            descriptors.renew()
        if descriptors.spare < promised + _EACH:
            self._sink.emit(NoDescriptors(descriptors.limit))
            return False
        return descriptors.spare + self._idleLanes() >= wanted

    def _look(self) -> None:
        self._looking = None
        held, self._held = self._held, {}
        while held and self.mayGrow(0):
            tunnel = next(iter(held))
            del held[tunnel]
            tunnel.acceptAgain()
        for tunnel in [*held, *self._held]:
            self.hold(tunnel)

    def _part(self, visitor: Visitor) -> None:
        del visitor.tunnel.waiting[visitor.id]
        visitor.tunnel.noLongerWaits(visitor)

    def _close(self, visitor: Visitor, reason: VisitorEnd) -> None:
        visitor.tunnel.drop(visitor, reason)
        self._part(visitor)

    def _expired(self, id: UUID, visitor: Visitor) -> None:
        self._close(visitor, VisitorEnd.NOT_TAKEN)
        visitor.tunnel.notTaken(visitor)
