"""
Which addresses this node forwards to other nodes, and to which of them.

Each node offers the others all addresses of which it is a member. An offer waits without an answer while a client of
this node has the tunnel, or another offer serves it. When that is lost, the next one gets the tunnel, with the visitors
that wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.server.claim import Claim
from bore.server.custody import Holder, Opened, Waiting, Wish
from bore.server.localcustody import LocalCustody
from bore.server.registry import Grant
from bore.server.tunnel import Owner
from bore.server.users import NODES, User
from bore.wire.errors import TakenOver
from bore.wire.publicaddress import PublicAddress


class Memberships(Protocol):
    """
    The addresses that this node owns, together with other nodes or alone.

    :ivar changed: called with each address that it owns since then, or does not own any more.
    """

    changed: Callable[[int], None]

    def addresses(self) -> Sequence[int]:
        """The addresses of which it is a member."""

    def epochOf(self, address: int) -> int:
        """The epoch of an address of which it is a member; 0: it is none."""

    def isHere(self, address: int) -> bool:
        """Whether the client of an address that it owns has it here, or was here last: then the node offers it."""

    def mayServe(self, address: PublicAddress) -> bool:
        """Whether visitors may be accepted at an address now: not while another node may own it."""

    def lend(self, address: PublicAddress, user: User) -> Grant:
        """
        Grant an address to what passes its visitors on: its client is at other nodes. See
        :meth:`bore.server.registry.LocalRegistry.lend`.
        """

    def supersede(self, address: int, epoch: int) -> None:
        """Another node owns an address with this later epoch: this node is not a member any more."""


class OfferClaim(Claim):
    """
    The offer of a node, as its session has it.

    :ivar epoch: the epoch with which the node owns the address.
    :ivar node: the number of the node; 0: it had none.
    """

    __slots__ = ("epoch", "node")

    def __init__(self, owner: Owner, address: int, epoch: int, node: int) -> None:
        super().__init__(owner, address, None)
        self.epoch = epoch
        self.node = node


class Offer(Wish):
    """
    The offer of a node, as custody has it.

    :ivar port: the address.
    :ivar epoch: the epoch with which the node owns it.
    :ivar node: the number of the node; 0: it had none.
    """

    __slots__ = ("epoch", "node", "port")

    def __init__(self, port: int, epoch: int, node: int = 0) -> None:
        super().__init__(port, None, NODES, "", lasting=True)
        self.port = port
        self.epoch = epoch
        self.node = node


class Offers:
    """
    See :class:`~bore.server.custody.Custody`: the custody of the addresses that this node forwards.

    An offer of a lower epoch than another one, or than that of this node, is refused: its node has lost the address,
    and may not know that yet.

    :param whole: the custody of this node.
    :param serving: returns the epoch of the offer that serves an address; 0: none does.
    :param drop: ends the offer that serves an address, whose epoch is over.
    :ivar came: called with each address of which there is a new offer.
    :ivar unfit: the numbers of the nodes whose offers are used only if there are no others.
    """

    def __init__(
        self,
        clock: IReactorTime,
        whole: LocalCustody,
        memberships: Memberships,
        serving: Callable[[int], int],
        drop: Callable[[int], None],
    ) -> None:
        self._clock = clock
        self._whole = whole
        self._share = whole.forHolder()
        self._memberships = memberships
        self._serving = serving
        self._drop = drop
        self._waiting: dict[PublicAddress, dict[Offer, Deferred[Opened]]] = {}
        self._lent: dict[PublicAddress, int] = {}  # the epochs of the offers that were served last
        self._new: set[int] = set()  # addresses with offers that were not looked at
        self._looking: IDelayedCall | None = None
        self.unfit: frozenset[int] = frozenset()
        self.came: Callable[[int], None] = lambda address: None
        whole.standIn = self

    @property
    def holder(self) -> Holder:
        """What serves the tunnels."""
        return self._share.holder

    @holder.setter
    def holder(self, holder: Holder) -> None:
        self._share.holder = holder

    def waits(self, address: PublicAddress) -> bool:
        """Whether there is an offer of an address that waits."""
        return address in self._waiting

    def nodesOf(self, address: PublicAddress) -> list[int]:
        """The numbers of the nodes with an offer of an address that waits, the first one first; 0: it had none."""
        return [each.node for each in self._waiting.get(address, ())]

    def waitsWith(self, address: int, epoch: int) -> bool:
        """Whether there is an offer of an address with this epoch that waits."""
        return any(each.epoch == epoch for each in self._waiting.get(address, ()))

    def hasFit(self, address: PublicAddress) -> bool:
        """Whether there is an offer of an address that waits, of a node that is fit."""
        return any(each.node not in self.unfit for each in self._waiting.get(address, ()))

    def fence(self, address: int, epoch: int) -> None:
        """An address has this epoch, at least: refuse the offers of lower ones."""
        for offer, waiting in list(self._waiting.get(address, {}).items()):
            if offer.epoch < epoch:
                self._take(offer)
                waiting.errback(TakenOver())
        if 0 < self._serving(address) < epoch:
            self._drop(address)

    def takes(self, address: PublicAddress) -> bool:
        """See :class:`~bore.server.localcustody.StandIn`."""
        if not isinstance(address, int) or address not in self._waiting or not self._whole.isVacant(address):
            return False
        offers = self._waiting[address]
        offer = next((each for each in offers if each.node not in self.unfit), next(iter(offers)))
        waiting = offers[offer]
        self._take(offer)
        self._lent[address] = offer.epoch
        grant = self._memberships.lend(address, NODES)
        self._whole.lend(grant, self._share).chainDeferred(waiting)
        return True

    def fits(self, address: PublicAddress) -> bool:
        """See :class:`~bore.server.localcustody.StandIn`."""
        epoch = self._memberships.epochOf(address) if isinstance(address, int) else 0
        return epoch > 0 and self._lent.get(address) == epoch

    # The methods of :class:`~bore.server.custody.Custody`.

    def open(self, wish: Wish) -> Deferred[Opened]:
        """Have an offer wait until it is needed, which may be in the next turn of the reactor."""
        assert isinstance(wish, Offer)
        own = self._memberships.epochOf(wish.port)
        if 0 < own < wish.epoch:
            self._memberships.supersede(wish.port, wish.epoch)
        waiting = self._waiting.get(wish.port, {})
        if wish.epoch < max(own, self._serving(wish.port), *(offer.epoch for offer in waiting), 0):
            return fail(TakenOver())
        self.fence(wish.port, wish.epoch)
        answer: Deferred[Opened] = Deferred()
        self._waiting.setdefault(wish.port, {})[wish] = answer
        self._new.add(wish.port)
        if self._looking is None:
            self._looking = self._clock.callLater(0, self._look)
        return answer

    def abandon(self, wish: Wish) -> None:
        """See :meth:`~bore.server.custody.Custody.abandon`."""
        if isinstance(wish, Offer):
            self._take(wish)

    def confirm(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.confirm`. The grants of offers have no token."""

    def renew(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.renew`."""
        self._share.renew(grant)

    def release(self, grant: Grant) -> None:
        """See :meth:`~bore.server.custody.Custody.release`."""
        self._share.release(grant)

    def limit(self, user: User, most: int) -> None:
        """See :meth:`~bore.server.custody.Custody.limit`. No limit counts offers."""

    def forward(self, grant: Grant, visitor: Waiting) -> None:
        """See :meth:`~bore.server.custody.Custody.forward`."""
        self._share.forward(grant, visitor)

    def close(self) -> None:
        """See :meth:`~bore.server.custody.Custody.close`."""
        self.stop()
        self._share.close()

    def stop(self) -> None:
        """Give no address to an offer any more. May be called twice."""
        self._whole.standIn = None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _take(self, offer: Offer) -> None:
        """An offer does not wait any more."""
        waiting = self._waiting.get(offer.port, {})
        waiting.pop(offer, None)
        if not waiting:
            self._waiting.pop(offer.port, None)

    def _look(self) -> None:
        """Give the addresses that no client is there for to those that have offered them."""
        self._looking = None
        new, self._new = self._new, set()
        for address in new:
            if not self.takes(address):
                self.came(address)
