"""Custody with several holders: a tunnel passes from one to another, whatever becomes of them meanwhile."""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred

from bore.events.server import TunnelClosed, TunnelEnd
from bore.server.custody import HAND_OVER_TIMEOUT, Abandoned, Opened, Waiting
from bore.wire.errors import TakenOver
from tests.ports import freePort
from tests.server.custodycase import LEASE, CustodyCase
from tests.support import isOpen


class HandOverTests(CustodyCase):
    """A client comes back at another holder."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.open(self.a)

    def back(self, opened: Opened | None = None) -> Deferred[Opened]:
        """The client comes back at holder b."""
        return self.ask(self.b, self.wish((opened or self.first).grant.token))

    def test_theTunnelAndItsVisitorsMove(self) -> None:
        visitors = [self.visit(self.a, early)[1] for early in (b"first", b"second")]
        opened = self.successResultOf(self.back())
        self.assertEqual((self.a.has, self.a.done), ({}, [("handOver", self.port)]))
        self.assertEqual(list(opened.waiting), visitors)
        self.assertTrue(opened.resumed)
        self.assertGreater(opened.grant.epoch, self.first.grant.epoch)
        assert opened.place is not None and self.first.place is not None
        self.assertIs(opened.place.socket, self.first.place.socket)
        self.assertTrue(isOpen(self.host, self.port))

    def test_toTheSameHolderItMovesWithoutIt(self) -> None:
        opened = self.open(self.a, self.wish(self.first.grant.token))
        self.assertEqual((opened.place, opened.resumed, self.a.done), (None, True, []))

    def test_theFormerHolderHasNothingToSayAnyMore(self) -> None:
        self.successResultOf(self.back())
        self.a.share.release(self.first.grant)
        self.a.share.renew(self.first.grant)
        self.reactor.pump([1.0] * (LEASE + 1))
        self.assertEqual(list(self.b.has), [self.port])
        self.assertTrue(isOpen(self.host, self.port))

    def test_aHolderThatNeverAnswersIsNotWaitedFor(self) -> None:
        self.a.slow = True
        visitor, _ = self.visit(self.a)
        opened = self.back()
        self.reactor.advance(HAND_OVER_TIMEOUT - 0.1)
        self.assertNoResult(opened)
        self.reactor.advance(0.1)
        self.assertEqual(self.successResultOf(opened).waiting, [])
        self.a.answer()
        self.assertFalse(self.isCut(visitor))
        self.assertEqual(len(self.b.visitors[self.port]), 1)

    def test_withAHolderThatIsStoppedMeanwhileTheTunnelEnds(self) -> None:
        self.a.slow = True
        opened = self.back()
        place = self.first.place
        assert place is not None
        place.socket.close()
        self.a.answer()
        self.failureResultOf(opened, Abandoned)
        self.assertEqual((len(self.custody), len(self.registry)), (0, 0))

    def test_aVisitorThatComesLaterFollowsTheTunnel(self) -> None:
        self.successResultOf(self.back())
        visitor, late = self.late()
        self.assertEqual((self.b.visitors[self.port], self.isCut(visitor)), ([late], False))
        self.successResultOf(self.ask(self.c, self.wish(self.b.has[self.port].token)))
        _, other = self.late()
        self.assertEqual(self.c.visitors[self.port], [late, other])

    def test_withoutAHolderItWaitsForTheNextOne(self) -> None:
        opened = self.successResultOf(self.back())
        self.b.die(self.custody)
        _, late = self.late()
        self.assertEqual(self.open(self.c, self.wish(opened.grant.token)).waiting, [late])

    def test_whenAnotherProcessHasTheAddressItGoesThere(self) -> None:
        forwarded: list[Waiting] = []
        self.custody.handedOver(lambda grant, visitor: forwarded.append(visitor))
        visitor, late = self.late()
        self.assertEqual((forwarded, self.isCut(visitor)), ([late], False))
        self.registry.release(self.first.grant)

    def test_itDoesNotComeToAnotherClientThatHasTheAddressNow(self) -> None:
        self.successResultOf(self.back())
        self.b.giveBack(self.port)
        self.assertTrue(self.isCut(self.late()[0]))
        self.open(self.c)
        self.assertTrue(self.isCut(self.late()[0]))

    def late(self) -> tuple[socket.socket, Waiting]:
        """A visitor waits again at the first holder, which has handed its tunnel over."""
        mine, theirs = socket.socketpair()
        self.addCleanup(mine.close)
        mine.settimeout(0)
        waiting = Waiting(theirs, ("192.0.2.7", 4711), b"late", 1.0)
        self.a.share.forward(self.first.grant, waiting)
        return mine, waiting

    def test_aHolderThatFailsIsNotWaitedFor(self) -> None:
        self.a.slow = True
        opened = self.back()
        self.a.questions.pop()[0].errback(RuntimeError("a fault"))
        self.assertEqual(self.successResultOf(opened).waiting, [])
        self.flushLoggedErrors(RuntimeError)

    def test_aHolderThatDiesWhenItIsAskedIsNotWaitedFor(self) -> None:
        self.a.slow = True
        opened = self.back()
        self.a.die(self.custody)
        self.assertEqual(self.successResultOf(opened).waiting, [])
        self.assertEqual(list(self.b.has), [self.port])

    def test_ofTwoSessionsTheLaterOneHasTheTunnel(self) -> None:
        self.a.slow = True
        _, waiting = self.visit(self.a)
        earlier = self.back()
        later = self.ask(self.c, self.wish(self.first.grant.token))
        self.a.answer()
        self.failureResultOf(earlier, TakenOver)
        self.assertEqual(self.successResultOf(later).waiting, [waiting])
        self.assertEqual(([*self.a.has], [*self.b.has], [*self.c.has]), ([], [], [self.port]))

    def test_itMayComeBackToTheHolderThatHandsItOver(self) -> None:
        self.a.slow = True
        _, waiting = self.visit(self.a)
        earlier = self.back()
        later = self.ask(self.a, self.wish(self.first.grant.token))
        self.assertNoResult(later)
        self.a.answer()
        self.failureResultOf(earlier, TakenOver)
        self.assertEqual(self.successResultOf(later).waiting, [waiting])

    def test_aNewHolderThatDiesMeanwhileLeavesItWithItsVisitors(self) -> None:
        self.a.slow = True
        visitor, waiting = self.visit(self.a)
        earlier = self.back()
        self.b.die(self.custody)
        self.a.answer()
        self.failureResultOf(earlier, Abandoned)
        self.assertFalse(self.isCut(visitor))
        later = self.open(self.c, self.wish(self.first.grant.token))
        self.assertEqual(later.waiting, [waiting])

    def test_whatNobodyComesForIsClosedWhenTheLeaseIsOver(self) -> None:
        self.a.slow = True
        visitor, _ = self.visit(self.a)
        opened = self.back()
        self.b.die(self.custody)
        self.a.answer()
        self.failureResultOf(opened, Abandoned)
        self.reactor.pump([1.0] * LEASE)
        self.assertTrue(self.isCut(visitor))
        self.assertFalse(isOpen(self.host, self.port))

    def test_anotherAddressClosesTheTunnelAtItsHolder(self) -> None:
        other = freePort(self.host)
        opened = self.open(self.b, self.wish(self.first.grant.token, other))
        self.assertEqual((opened.grant.address, opened.resumed), (other, False))
        self.assertEqual(self.a.done, [("close OTHER_PORT", self.port)])
        self.assertFalse(isOpen(self.host, self.port))

    def test_anotherAddressClosesTheTunnelThatIsHandedOver(self) -> None:
        self.a.slow = True
        visitor, _ = self.visit(self.a)
        earlier = self.back()
        self.open(self.c, self.wish(self.first.grant.token, freePort(self.host)))
        self.a.answer()
        self.failureResultOf(earlier, TakenOver)
        self.assertTrue(self.isCut(visitor))
        self.assertFalse(isOpen(self.host, self.port))

    def test_aLeaseThatEndsWhileTheTunnelIsHandedOverDoesNotEndIt(self) -> None:
        self.a.lose(self.port)
        self.reactor.pump([1.0] * (LEASE - 1))
        self.a.slow = True
        opened = self.back()
        self.reactor.advance(0.9)
        self.a.answer()
        self.successResultOf(opened)
        self.reactor.pump([1.0] * LEASE)
        self.assertEqual(list(self.b.has), [self.port])

    def test_aSessionThatIsOverGetsItAllTheSame(self) -> None:
        self.a.slow = True
        wish = self.wish(self.first.grant.token)
        opened = self.ask(self.b, wish)
        self.b.share.abandon(wish)
        self.a.answer()
        self.assertTrue(self.successResultOf(opened).resumed)


class DeathTests(CustodyCase):
    """A holder dies."""

    def test_aTunnelWaitsForItsClientInTheKernel(self) -> None:
        first = self.open(self.a)
        self.a.die(self.custody)
        with socket.create_connection((self.host, self.port)):
            opened = self.open(self.b, self.wish(first.grant.token))
            assert opened.place is not None
            opened.place.socket.accept()[0].close()

    def test_itEndsWhenItsLeaseIsOver(self) -> None:
        self.open(self.a)
        self.a.die(self.custody)
        self.reactor.pump([1.0] * (LEASE - 1))
        self.assertTrue(isOpen(self.host, self.port))
        self.reactor.advance(1.0)
        self.assertFalse(isOpen(self.host, self.port))
        [closed] = [event for event in self.events if isinstance(event, TunnelClosed)]
        self.assertEqual((closed.address, closed.reason), (self.port, TunnelEnd.LEASE_OVER))

    def test_aTunnelWhoseClientCannotComeBackEndsAtOnce(self) -> None:
        self.open(self.a, self.wish(lasting=False))
        self.a.die(self.custody)
        self.assertFalse(isOpen(self.host, self.port))
        [closed] = [event for event in self.events if isinstance(event, TunnelClosed)]
        self.assertEqual(closed.reason, TunnelEnd.NOT_KEPT)

    def test_theOthersStay(self) -> None:
        self.open(self.a)
        other = self.open(self.b, self.wish(address=freePort(self.host)))
        self.a.die(self.custody)
        self.reactor.pump([1.0] * LEASE)
        self.assertEqual(list(self.b.has), [other.grant.address])
        self.assertTrue(isOpen(self.host, other.grant.address))


class WithoutLeaseTests(CustodyCase):
    """A server that keeps no address without a session."""

    lease = 0

    def test_whatAHolderHadEndsWithIt(self) -> None:
        self.open(self.a)
        self.a.die(self.custody)
        self.assertFalse(isOpen(self.host, self.port))
