"""Which offer gets an address, and which is refused as its epoch is over."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred

from bore.cluster.offers import Offer, Offers
from bore.server.custody import Opened, Waiting, Wish
from bore.server.registry import LocalRegistry
from bore.server.users import NAMELESS
from bore.streams.reactor import IReactor
from bore.wire.errors import PortInUse, TakenOver
from bore.wire.publicaddress import PublicAddress
from tests.server.custodycase import SOURCE, CustodyCase, FakeHolder


class Owned:
    """What this node owns."""

    def __init__(self, registry: LocalRegistry) -> None:
        self.lend = registry.lend
        self.epochs: dict[int, int] = {}
        self.changed: Callable[[int], None] = lambda address: None
        self.superseded: list[tuple[int, int]] = []

    def addresses(self) -> list[int]:
        return list(self.epochs)

    def epochOf(self, address: int) -> int:
        return self.epochs.get(address, 0)

    def isHere(self, address: int) -> bool:
        return address in self.epochs

    def mayServe(self, address: PublicAddress) -> bool:
        return True

    def supersede(self, address: int, epoch: int) -> None:
        self.superseded.append((address, epoch))


class OffersCase(CustodyCase):
    """Custody whose holder ``a`` has the tunnels of clients, and whose holder ``b`` those that are passed on."""

    def setUp(self) -> None:
        super().setUp()
        self.owned = Owned(self.registry)
        self.served: dict[int, Offer] = {}
        self.dropped: list[int] = []
        self.offers = Offers(cast(IReactor, self.reactor), self.custody, self.owned, self._serving, self.dropped.append)
        self.forwards = FakeHolder(self.custody)
        self.custody._depart(self.forwards.share)
        self.forwards.share = self.offers._share
        self.offers.holder = self.forwards
        self.addCleanup(self._leave)

    def _leave(self) -> None:
        self.offers.stop()
        self.forwards.die(self.custody)

    def _serving(self, address: int) -> int:
        return self.served[address].epoch if address in self.served else 0

    def offer(self, epoch: int = 1) -> tuple[Offer, Deferred[Opened]]:
        """A node offers the port."""
        offer = Offer(self.port, epoch)
        answer = self.offers.open(offer)
        answer.addCallback(self._opened, offer)
        return offer, answer

    def _opened(self, opened: Opened, offer: Offer) -> Opened:
        self.served[offer.port] = offer
        self.forwards.opened(opened)
        return opened

    def own(self) -> Opened:
        """A client of this node opens the port."""
        opened = self.successResultOf(self.a.share.open(Wish(self.port, None, NAMELESS, SOURCE, True)))
        self.a.opened(opened)
        return opened

    def visitor(self) -> Waiting:
        """A visitor that waits."""
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return Waiting(far, ("192.0.2.9", 4711), b"", 0.0)


class OffersTests(OffersCase):
    """Offers of the nodes that own an address."""

    def test_aFreeAddressIsListenedAtInTheNextTurn(self) -> None:
        _, answer = self.offer()
        self.assertNoResult(answer)
        self.reactor.advance(0)
        opened = self.successResultOf(answer)
        assert opened.place is not None
        self.assertEqual(opened.place.socket.getsockname()[1], self.port)
        self.assertEqual(self.custody.held()[0].user.name, "@nodes")

    def test_anOfferWaitsWhileAClientIsThereAndGetsItsVisitorsWhenItIsLost(self) -> None:
        self.own()
        _, answer = self.offer()
        self.reactor.advance(1)
        self.assertNoResult(answer)
        waits = self.visitor()
        self.a.visitors[self.port] = [waits]
        self.a.lose(self.port)
        opened = self.successResultOf(answer)
        self.assertIsNotNone(opened.place, "the same listening socket, in other hands")
        self.assertEqual(list(opened.waiting), [waits])
        self.assertEqual(self.a.done, [("handOver", self.port)])

    def test_theNextOfferGetsTheAddressWhenTheOneThatHasItIsLost(self) -> None:
        _, first = self.offer()
        _, second = self.offer()
        self.reactor.advance(0)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.offers.renew(self.forwards.has[self.port])
        self.assertIsNone(self.successResultOf(second).place, "the holder has the tunnel")

    def test_withoutAnotherOfferTheAddressIsKeptForALease(self) -> None:
        self.offer()
        self.reactor.advance(0)
        self.offers.renew(self.forwards.has[self.port])
        self.reactor.advance(self.lease - 1)
        _, answer = self.offer()
        self.reactor.advance(0)
        self.successResultOf(answer)
        self.offers.renew(self.forwards.has[self.port])
        self.reactor.advance(self.lease)
        self.assertEqual(self.forwards.done, [("expired", self.port)])
        self.assertEqual(self.custody.held(), [])

    def test_anOfferThatWasAbandonedGetsNothing(self) -> None:
        offer, answer = self.offer()
        self.offers.abandon(offer)
        self.reactor.advance(0)
        self.assertNoResult(answer)
        self.assertFalse(self.offers.waits(self.port))
        self.assertEqual(self.custody.held(), [])

    def test_whoCannotListenRefuses(self) -> None:
        with socket.create_server((self.host, self.port)):
            _, answer = self.offer()
            self.reactor.advance(0)
        self.failureResultOf(answer, PortInUse)
        self.assertEqual(len(self.registry), 0)

    def test_lentAddressesCountTowardsNoLimit(self) -> None:
        self.offer()
        self.reactor.advance(0)
        held = self.custody._held
        self.assertEqual((len(held), held.lent), (1, 1))


class EpochTests(OffersCase):
    """An owner of a lower epoch has lost the address, and may not know."""

    def test_aLowerEpochThanTheOneThatIsServedIsRefused(self) -> None:
        self.offer(2)
        self.reactor.advance(0)
        _, answer = self.offer(1)
        self.failureResultOf(answer, TakenOver)

    def test_aLowerEpochThanTheOwnIsRefused(self) -> None:
        self.owned.epochs = {self.port: 3}
        _, answer = self.offer(2)
        self.failureResultOf(answer, TakenOver)
        self.assertEqual(self.owned.superseded, [])

    def test_aGreaterEpochEndsTheOffersOfLowerOnes(self) -> None:
        self.offer(1)
        _, waiting = self.offer(1)
        self.reactor.advance(0)
        self.assertNoResult(waiting)
        _, later = self.offer(2)
        self.failureResultOf(waiting, TakenOver)
        self.assertEqual(self.dropped, [self.port], "that one is served")
        self.assertNoResult(later)

    def test_aGreaterEpochThanTheOwnIsReported(self) -> None:
        self.owned.epochs = {self.port: 3}
        self.offer(4)
        self.assertEqual(self.owned.superseded, [(self.port, 4)])

    def test_whatThisNodeIsGrantedEndsLowerOffers(self) -> None:
        _, answer = self.offer(1)
        self.offers.fence(self.port, 2)
        self.failureResultOf(answer, TakenOver)

    def test_aClientThatOwnsTheAddressWithTheNodesGetsTheirVisitorsAndAnotherOneDoesNot(self) -> None:
        for epoch, asked in ((1, "handOver"), (2, "giveUp")):
            self.forwards.done.clear()
            self.offer(1)
            self.reactor.advance(0)
            self.owned.epochs = {self.port: epoch}
            opened = self.own()
            self.assertIsNotNone(opened.place)
            self.assertEqual(self.forwards.done, [(asked, self.port)])
            self.a.giveBack(self.port)
            self.served.clear()
            self.owned.epochs = {}
