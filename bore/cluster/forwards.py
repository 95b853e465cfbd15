"""The tunnels that this node forwards to other nodes."""

from __future__ import annotations

from typing import Final

from bore.cluster.nodesession import NodeSession
from bore.cluster.offers import Memberships, Offer, OfferClaim, Offers
from bore.events import Sink
from bore.events.server import Loss, TunnelEnd
from bore.server.claim import Claim
from bore.server.custody import Wish
from bore.server.localcustody import LocalCustody
from bore.server.localholder import LocalHolder
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.server.tunnel import Tunnel
from bore.server.tunnels import Tunnels
from bore.streams.reactor import IReactor
from bore.timing.deadlines import Deadlines
from bore.wire.errors import TakenOver
from bore.wire.publicaddress import PublicAddress

#: How long an address that the last node has withdrawn is kept for another one, in seconds: the offer of a node to
#: which a client has moved may come behind the withdrawal of the node that it has left.
_GRACE: Final = 2.0


class Forwards(Tunnels):
    """
    Opens the tunnels that other nodes offer, and closes them.

    :param server: the server of this node, of which it uses all but the tunnels and sessions.
    :param custody: that of this node.
    :param sink: gets the events about the tunnels. Those about their visitors are emitted where their clients are.
    """

    def __init__(
        self,
        reactor: IReactor,
        server: Server,
        custody: LocalCustody,
        memberships: Memberships,
        sink: Sink,
        settings: ServerSettings,
    ) -> None:
        self._memberships = memberships
        self.offers = Offers(reactor, custody, memberships, self._epochOf, self._drop)
        super().__init__(reactor, sink, settings, self.offers, server.unaccepted, server.entrances)
        self.offers.holder = LocalHolder(self, server.withdraw)
        self._withdrawn: Deadlines[Tunnel, None] = Deadlines(reactor, _GRACE, self._isOver)

    def close(self, tunnel: Tunnel, reason: TunnelEnd) -> None:
        """
        Close a tunnel. One that its node withdraws is given to another node first, if one comes in time; the address is
        kept for a lease if this node owns it as well, or if the node has ended its session.
        """
        if tunnel.owner is None or reason not in (TunnelEnd.GIVEN_BACK, TunnelEnd.SESSION_CLOSED):
            super().close(tunnel, reason)
            return
        self.lost(tunnel, Loss.GONE, canResume=True)
        isFree = reason is TunnelEnd.GIVEN_BACK and not self._owns(tunnel.address)
        if isFree and tunnel.owner is None and not tunnel.closed:
            self._withdrawn.take(tunnel)
            self._withdrawn.add(tunnel, None)

    def closeEntrances(self) -> None:
        """Let no visitors in any more, and have no further tunnels; :meth:`closeAll` follows."""
        self.offers.stop()
        for tunnel in self.all():
            tunnel.closeEntrance()

    def closeAll(self) -> None:
        """See :meth:`~bore.server.tunnels.Tunnels.closeAll`."""
        self.offers.stop()
        super().closeAll()
        self._withdrawn.takeAll()

    def _owns(self, address: PublicAddress) -> bool:
        return isinstance(address, int) and self._memberships.epochOf(address) > 0

    def prefer(self, unfit: frozenset[int]) -> None:
        """
        Pass visitors on to other nodes than these, where others offer the same address. Those that are served stay.

        :param unfit: the numbers of nodes that seem to be away, or are about to stop.
        """
        self.offers.unfit = unfit
        for tunnel in self.all():
            session = tunnel.owner
            if isinstance(session, NodeSession) and session.node in unfit and self.offers.hasFit(tunnel.address):
                session.takeAway(tunnel, TakenOver())
                self.lost(tunnel, Loss.GONE, canResume=True)

    def _isOver(self, tunnel: Tunnel, _: None) -> None:
        if tunnel.owner is None and not tunnel.closed:
            super().close(tunnel, TunnelEnd.GIVEN_BACK)

    def _wishOf(self, claim: Claim, token: str | None) -> Wish:
        assert isinstance(claim, OfferClaim) and isinstance(claim.address, int)
        return Offer(claim.address, claim.epoch, claim.node)

    def _sessionOf(self, address: int) -> tuple[Tunnel, NodeSession] | None:
        """The tunnel at an address, and the session that serves it; None: none does."""
        tunnel = self.get(address)
        if tunnel is None or not isinstance(tunnel.owner, NodeSession):
            return None
        return tunnel, tunnel.owner

    def _epochOf(self, address: int) -> int:
        """The epoch of the offer that serves an address; 0: none does."""
        found = self._sessionOf(address)
        return 0 if found is None else found[1].epochOf(found[0].number)

    def _drop(self, address: int) -> None:
        """The epoch of the offer that serves an address is over."""
        found = self._sessionOf(address)
        if found is not None:
            tunnel, session = found
            session.end(tunnel, TakenOver())
            self.lost(tunnel, Loss.GONE, canResume=True)
