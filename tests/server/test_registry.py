"""Who owns a port, and for how long."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.server.registry import Grant, LocalRegistry
from bore.server.users import NAMELESS, User
from bore.wire.errors import PortInUse

T = TypeVar("T")

ALICE, BOB = User("alice"), User("bob")


class LocalRegistryTests(SynchronousTestCase):
    """The registry of a single server."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.registry = LocalRegistry(self.clock, 60)
        self.expired: list[Grant] = []
        self.registry.expired = self.expired.append
        self.addCleanup(self.assertEqual, self.clock.getDelayedCalls(), [])
        self.addCleanup(self.registry.close)

    def now(self, answer: Deferred[T]) -> T:
        """What a Deferred has fired with already."""
        return self.successResultOf(answer)

    def claim(self, port: int = 7, user: User = ALICE) -> Grant:
        return self.now(self.registry.claim(port, user))

    def resume(self, token: str, user: User = ALICE) -> Grant | None:
        return self.now(self.registry.resume(token, user))

    def test_aPortHasOneOwner(self) -> None:
        grant = self.claim()
        self.assertEqual((grant.address, grant.user), (7, ALICE))
        for user in (ALICE, BOB):
            self.failureResultOf(self.registry.claim(7, user), PortInUse)
        self.assertNotEqual(self.claim(8).token, grant.token)

    def test_aPortThatIsGivenBackCanBeClaimed(self) -> None:
        first = self.claim()
        self.now(self.registry.release(first))
        self.assertGreater(self.claim(user=BOB).epoch, first.epoch)
        self.assertIsNone(self.resume(first.token))

    def test_itsOwnerResumesItWithTheTokenAndTheFormerGrantIsVoid(self) -> None:
        first = self.claim()
        second = self.resume(first.token)
        assert second is not None
        self.assertEqual((second.address, second.user), (first.address, first.user))
        self.assertNotEqual(second.token, first.token)
        self.assertGreater(second.epoch, first.epoch)
        self.now(self.registry.release(first))
        self.now(self.registry.renew(first))
        self.clock.advance(100)
        self.failureResultOf(self.registry.claim(7, BOB), PortInUse)
        self.assertEqual(self.expired, [])

    def test_theTokenThatWasShownIsValidUntilTheNewOneIsShown(self) -> None:
        tokens = [self.claim().token]
        for _ in range(3):  # the answers are lost
            grant = self.resume(tokens[0])
            assert grant is not None
            tokens.append(grant.token)
        self.assertEqual(len(set(tokens)), 4)
        for lost in tokens[1:3]:
            self.assertIsNone(self.resume(lost))
        grant = self.resume(tokens[3])
        assert grant is not None
        self.assertIsNone(self.resume(tokens[0]))
        self.now(self.registry.release(grant))
        self.assertEqual((self.registry._byToken, self.registry._valid), ({}, {}))

    def test_orUntilTheNewOneIsConfirmed(self) -> None:
        first = self.claim()
        second = self.resume(first.token)
        assert second is not None
        self.now(self.registry.confirm(first))
        self.assertIsNotNone(second)
        for _ in range(2):
            self.now(self.registry.confirm(second))
            self.assertIsNone(self.resume(first.token))
        self.assertIsNotNone(self.resume(second.token))

    def test_aTokenIsWorthNothingToAnotherUser(self) -> None:
        grant = self.claim()
        for user in (BOB, NAMELESS):
            self.assertIsNone(self.resume(grant.token, user))
        self.now(self.registry.release(grant))
        self.assertEqual(len(self.registry), 0)

    def test_anUnknownTokenResumesNothing(self) -> None:
        self.claim()
        self.assertIsNone(self.resume("0" * 32))

    def test_withoutALeaseItIsKeptForGood(self) -> None:
        self.claim()
        self.clock.advance(1e6)
        self.assertEqual((len(self.registry), self.expired), (1, []))

    def test_aLeaseEndsUnlessTheOwnerComesBack(self) -> None:
        first, other = self.claim(7), self.claim(8)
        for grant in (first, other):
            self.now(self.registry.renew(grant))
        self.clock.advance(59)
        second = self.resume(first.token)
        assert second is not None
        self.clock.advance(1)
        self.assertEqual(self.expired, [other])
        self.assertIsNone(self.resume(other.token))
        self.now(self.registry.renew(second))
        self.clock.advance(60)
        self.assertEqual(self.expired, [other, second])
        self.assertEqual(len(self.registry), 0)

    def test_aLeaseThatIsRenewedBeginsAnew(self) -> None:
        grant = self.claim()
        for _ in range(3):
            self.now(self.registry.renew(grant))
            self.clock.advance(59)
        self.assertEqual(self.expired, [])
        self.clock.advance(1)
        self.assertEqual(self.expired, [grant])
