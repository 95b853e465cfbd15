"""Addresses that another server may own."""

from __future__ import annotations

from bore.events.server import TunnelClosed, TunnelEnd
from bore.wire.extension import Closed
from bore.wire.publicaddress import PublicAddress
from tests.server.case import SessionCase
from tests.server.custodycase import CustodyCase
from tests.support import isOpen


class HeldVisitorsTests(SessionCase):
    """Visitors of an address that may have another owner meanwhile are left to the kernel."""

    def setUp(self) -> None:
        super().setUp()
        self.lost: set[PublicAddress] = set()
        self.server.unaccepted.mayServe = lambda address: address not in self.lost
        self.protocol, self.transport, self.opened = self.session()

    def waiting(self) -> int:
        return len(self.server.unaccepted)

    def test_theyAreAcceptedWhenItIsOwnedAgain(self) -> None:
        port = self.opened.port
        self.lost.add(port)
        self.visit(port)
        self.visit(port)
        for _ in range(8):
            self.reactor.advance(0.25)
            self.turn()
        self.assertEqual(self.waiting(), 0)
        self.lost.clear()
        self.reactor.advance(0.25)
        self.turn()
        self.assertEqual(self.waiting(), 2)

    def test_thoseThatWaitBeforeAreStillTaken(self) -> None:
        port = self.opened.port
        self.visit(port)
        self.lost.add(port)
        self.visit(port)
        self.assertEqual(self.waiting(), 1)
        tunnel = self.server.tunnels.get(port)
        assert tunnel is not None
        self.assertTrue(tunnel.holdsBack)
        self.lost.clear()
        self.reactor.advance(10)
        self.turn()
        self.assertFalse(tunnel.holdsBack)

    def test_thoseOfOtherAddressesAreAccepted(self) -> None:
        _, _, other = self.session()
        self.lost.add(self.opened.port)
        self.visit(self.opened.port)
        self.visit(other.port)
        self.assertEqual(self.waiting(), 1)
        self.reactor.advance(0.25)
        self.visit(other.port)
        self.assertEqual(self.waiting(), 2)

    def test_oneThatIsAcceptedWhenTheTimeIsJustOverIsClosed(self) -> None:
        answers = iter((True, False))
        self.server.unaccepted.mayServe = lambda address: next(answers, False)
        visit = self.visit(self.opened.port)
        self.assertEqual(self.waiting(), 0)
        self.assertEqual(visit.recv(1), b"")

    def test_theClientOfALostTunnelMayAskForItAgain(self) -> None:
        custody = self.server.whole
        assert custody is not None
        custody.lose(self.opened.port)
        [closed] = self.said(self.transport)
        assert isinstance(closed, Closed)
        self.assertEqual((closed.code, closed.retry), ("cluster-lost", True))
        self.assertFalse(isOpen(self.host, self.opened.port))


class LostAddressesTests(CustodyCase):
    """Custody of an address that the registry has lost."""

    def test_itEndsWithAHolderAndWithout(self) -> None:
        self.open(self.a)
        self.custody.lose(self.port)
        self.assertEqual(self.a.done, [(f"close {TunnelEnd.CLUSTER_LOST.name}", self.port)])
        self.assertEqual(len(self.custody), 0)
        self.custody.lose(self.port)
        self.open(self.a)
        self.a.die(self.custody)
        self.custody.lose(self.port)
        self.assertEqual(len(self.custody), 0)
        self.assertEqual([e.reason for e in self.events if isinstance(e, TunnelClosed)], [TunnelEnd.CLUSTER_LOST])
