"""Which visitors of a tunnel are closed: by their address, their rate and their number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from bore.events.server import TurnedAway
from bore.server.settings import Bounds
from bore.streams.addresses import SocketAddress, plainHost, sourceOf
from bore.timing.ratelimits import RateLimit
from bore.wire.addressrules import AddressFilter, AddressRules


@dataclass(frozen=True, slots=True)
class Allowance:
    """
    A limit that several tunnels have together.

    :ivar limit: returns how many visitors there may be; 0: any number.
    :ivar count: returns how many there are.
    :ivar admitted: called before one more is there; None: that is of no concern to others.
    """

    limit: Callable[[], int]
    count: Callable[[], int]
    admitted: Callable[[], object] | None = None


class VisitorLimits:
    """
    The limits of one tunnel. They may change while it is open, for visitors that come afterwards.

    :param filter: the server's rules on addresses; None: there are none.
    :ivar bounds: the limits of the server.
    :ivar changed: called when there is a visitor less, or one more from another process; None: that is of no concern
        to others.
    """

    def __init__(self, clock: IReactorTime, bounds: Bounds, filter: AddressFilter | None) -> None:
        self.bounds = bounds
        self._rate = RateLimit(clock, bounds.visitorRate)
        self._server = filter
        self._own: AddressFilter | None = None
        self._shared: Allowance | None = None
        self.changed: Callable[[], object] | None = None

    def share(self, allowance: Allowance) -> None:
        """Have the tunnel share in a limit of several."""
        self._shared = allowance

    def setRules(self, rules: AddressRules) -> None:
        """Set the tunnel's own rules on addresses; the server's come first."""
        self._own = AddressFilter(rules) if rules else None

    def apply(self, bounds: Bounds, filter: AddressFilter | None) -> None:
        """Apply other limits and rules of the server."""
        self.bounds = bounds
        self._rate.perSecond = bounds.visitorRate
        self._server = filter

    def exceeded(self, address: SocketAddress, count: int, away: bool) -> tuple[TurnedAway, int] | None:
        """
        Return why a visitor has to be closed, and the limit; None if it has not.

        Rules and rates concern addresses: a visitor without one meets neither.

        :param count: the visitors that are there.
        :param away: whether the client is away.
        """
        bounds = self.bounds
        if self._server is not None and address and not self._server.allows(plainHost(address)):
            return TurnedAway.ADDRESS, 0
        if self._own is not None and address and not self._own.allows(plainHost(address)):
            return TurnedAway.ADDRESS, 0
        if self._rate.perSecond and address and not self._rate.allows(sourceOf(address)):
            return TurnedAway.RATE, bounds.visitorRate
        if away and not bounds.waiting:
            return TurnedAway.NO_CLIENT, 0
        if 0 < bounds.visitors <= count:
            return TurnedAway.TOO_MANY, bounds.visitors
        return None if self._shared is None else _exceeded(self._shared)


def _exceeded(shared: Allowance) -> tuple[TurnedAway, int] | None:
    """Return whether one more visitor would be too many, as :meth:`VisitorLimits.exceeded` does."""
    if 0 < (limit := shared.limit()) <= shared.count():
        return TurnedAway.TOO_MANY_OF_USER, limit
    if limit and shared.admitted is not None:
        shared.admitted()
    return None
