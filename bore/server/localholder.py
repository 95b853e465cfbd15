"""The tunnels of this process, as custody sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed

from bore.events.server import TunnelEnd
from bore.server.custody import Waiting
from bore.server.registry import Grant
from bore.server.tunnel import Tunnel
from bore.server.tunnels import Tunnels
from bore.wire.errors import ClusterLost, PresumedGone, TakenOver
from bore.wire.publicaddress import PublicAddress


class LocalHolder:
    """
    See :class:`~bore.server.custody.Holder`. All answers are there at once.

    :param withdraw: closes tunnels that a user may not have any more, and the streams of their visitors.
    """

    def __init__(self, tunnels: Tunnels, withdraw: Callable[[Sequence[Tunnel]], None]) -> None:
        self._tunnels = tunnels
        self._withdraw = withdraw

    def doubtful(self, addresses: Sequence[PublicAddress]) -> Deferred[PublicAddress | None]:
        """See :meth:`~bore.server.custody.Holder.doubtful`."""
        for address in addresses:
            tunnel = self._tunnels.get(address)
            if tunnel is not None and tunnel.owner is not None and tunnel.owner.inDoubt():
                return succeed(address)
        return succeed(None)

    def giveUp(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Holder.giveUp`."""
        tunnel = self._tunnel(grant)
        if tunnel is not None:
            self._tunnels.takeAway(tunnel, TunnelEnd.PRESUMED_GONE, PresumedGone())

    def handOver(self, grant: Grant) -> Deferred[Sequence[Waiting]]:
        """See :meth:`~bore.server.custody.Holder.handOver`."""
        tunnel = self._tunnel(grant)
        if tunnel is None:
            return succeed(())
        owner = tunnel.owner
        waiting = self._tunnels.handOver(tunnel)
        if owner is not None:
            owner.takeAway(tunnel, TakenOver())
        return succeed(waiting)

    def close(self, grant: Grant, reason: TunnelEnd) -> None:
        """See :meth:`~bore.server.custody.Holder.close`."""
        tunnel = self._tunnel(grant)
        if tunnel is not None:
            tunnel.grant = grant
            if reason is TunnelEnd.RIGHT_WITHDRAWN:
                self._withdraw([tunnel])
            else:
                lost = reason is TunnelEnd.CLUSTER_LOST
                self._tunnels.takeAway(tunnel, reason, ClusterLost() if lost else TakenOver())

    def expired(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Holder.expired`."""
        tunnel = self._tunnel(grant)
        if tunnel is not None:
            self._tunnels.remove(tunnel, TunnelEnd.LEASE_OVER)

    def visitorCame(self, grant: Grant, visitor: Waiting) -> None:
        """See :meth:`~bore.server.custody.Holder.visitorCame`."""
        tunnel = self._tunnel(grant)
        if tunnel is None:
            visitor.socket.close()
        else:
            tunnel.takeIn(visitor)

    def _tunnel(self, grant: Grant) -> Tunnel | None:
        tunnel = self._tunnels.get(grant.address)
        return tunnel if tunnel is not None and tunnel.grant.epoch <= grant.epoch else None
