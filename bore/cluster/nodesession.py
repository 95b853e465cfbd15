"""The session of another node at this one, which offers the addresses that it owns."""

from __future__ import annotations

from bore.cluster.offers import OfferClaim
from bore.events.server import Loss
from bore.server.session import ControlConnection, Session, SessionContext
from bore.server.tunnel import Tunnel
from bore.server.users import Login
from bore.wire.errors import PortNotAllowed, Refusal
from bore.wire.publicaddress import ANY_PORT, PublicAddress


class NodeSession(Session):
    """
    The session of another node.

    A tunnel that it has lost to a client of this node, or to another node, is asked for again, and waits. The number of
    tunnels is limited by that of ports, since each is asked for once.

    :ivar node: the number of the node; 0: it had none.
    """

    def __init__(self, context: SessionContext, connection: ControlConnection, login: Login, source: str) -> None:
        super().__init__(context, connection, login, source)
        self._epochs: dict[int, int] = {}
        self.node = 0

    def start(self) -> None:
        """Send heartbeats from now on: a node that owns nothing has a session as well."""
        self._heartbeats.start()

    def offer(self, number: int, address: PublicAddress, epoch: int | None) -> None:
        """
        The node owns an address.

        :param number: its number for the tunnel.
        :param epoch: that of the address; None: it has sent none.
        """
        if not isinstance(address, int) or address == ANY_PORT or epoch is None:
            self._refuse(number, address, PortNotAllowed("a node has offered what it cannot own"))
            return
        self._epochs[number] = epoch
        self._claim(number, OfferClaim(self, address, epoch, self.node))

    def epochOf(self, number: int) -> int:
        """The epoch of an offer."""
        return self._epochs[number]

    def giveBack(self, number: int) -> None:
        """The node withdraws an offer."""
        super().giveBack(number)
        del self._epochs[number]

    def suspend(self, number: int) -> None:
        """The node does not offer an address for a while, of which somebody is the owner."""
        if number in self._claims:
            self.giveBack(number)
            return
        tunnel = self.tunnels.pop(number)
        self._turns.pop(number, None)
        del self._epochs[number]
        self._context.tunnels.lost(tunnel, Loss.GONE, canResume=True)

    def takeAway(self, tunnel: Tunnel, refusal: Refusal) -> None:
        """The client of a tunnel is at this node now: the offer waits."""
        number = tunnel.number
        if self.tunnels.get(number) is tunnel:
            assert isinstance(tunnel.address, int)
            epoch = self.epochOf(number)
            del self.tunnels[number]
            self._turns.pop(number, None)
            self.offer(number, tunnel.address, epoch)

    def end(self, tunnel: Tunnel, refusal: Refusal) -> None:
        """End an offer whose epoch is over."""
        super().takeAway(tunnel, refusal)
        del self._epochs[tunnel.number]

    def _refuse(self, number: int, asked: PublicAddress, refusal: Refusal) -> None:
        super()._refuse(number, asked, refusal)
        self._epochs.pop(number, None)
