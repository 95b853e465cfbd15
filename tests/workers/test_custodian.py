"""The supervisor serves custody to its workers."""

from __future__ import annotations

import os
import socket

from bore.server.custody import HAND_OVER_TIMEOUT
from bore.streams.descriptorframes import LOST
from bore.wire.publicaddress import PublicAddress, UnixPath
from bore.wire.workermessages import (
    ABANDONED,
    Abandon,
    Claim,
    ClaimRights,
    CloseTunnel,
    Confirm,
    Doubtful,
    Examine,
    Expired,
    GiveUp,
    Granted,
    HandedOver,
    HandOver,
    Late,
    LimitTunnels,
    Ready,
    Refused,
    Release,
    Renew,
    Waiting,
)
from tests.ports import freePort
from tests.server.custodycase import LEASE
from tests.support import isOpen
from tests.workers.custodiancase import PEER, CustodianCase


class ClaimTests(CustodianCase):
    """A session of a worker asks for a tunnel."""

    def test_aWorkerGetsAListeningSocketOfItsOwn(self) -> None:
        self.one.received(Claim(7, self.port, None, "alice", "192.0.2.1", True, None))
        [(granted, [descriptor])] = self.sent[self.one]
        assert isinstance(granted, Granted)
        self.assertEqual((granted.id, granted.address, granted.user), (7, self.port, "alice"))
        self.assertEqual((granted.here, granted.resumed), (False, False))
        with socket.socket(fileno=os.dup(descriptor)) as sock, socket.create_connection((self.host, self.port)):
            sock.accept()[0].close()

    def test_aRefusalHasItsReason(self) -> None:
        self.claim(self.one)
        self.two.received(Claim(8, self.port, None, "", "192.0.2.1", True, None))
        self.assertEqual(self.take(self.two), [])  # the client of the other worker is examined first
        self.assertEqual(self.take(self.one), [Examine(1, (self.port,))])
        self.one.received(Doubtful(1, None))
        text = f"port {self.port} is already in use on the server"
        self.assertEqual(self.take(self.two), [Refused(8, "port-in-use", text, True, None)])

    def test_aClientInDoubtLosesItsAddress(self) -> None:
        first = self.claim(self.one)
        self.two.received(Claim(8, self.port, None, "", "192.0.2.1", True, None))
        self.take(self.one)
        self.one.received(Doubtful(1, self.port))
        self.assertEqual(self.take(self.one), [GiveUp(self.port, first.epoch)])
        [granted] = self.take(self.two)
        assert isinstance(granted, Granted)
        self.assertEqual((granted.address, granted.resumed), (self.port, False))
        self.one.received(Release(self.port, first.epoch))  # too late
        self.assertTrue(isOpen(self.host, self.port))

    def test_rightsAreThoseOfTheUser(self) -> None:
        mine = freePort(self.host)
        claim = Claim(1, 0, None, "alice", "192.0.2.1", True, ClaimRights(((mine, mine),), (), 1))
        self.one.received(claim)
        [granted] = self.take(self.one)
        assert isinstance(granted, Granted)
        self.assertEqual(granted.address, mine)
        self.one.received(claim)
        self.assertEqual(self.take(self.one), [Examine(1, (mine,))])
        self.one.received(Doubtful(1, None))
        [refused] = self.take(self.one)
        assert isinstance(refused, Refused)
        self.assertEqual(refused.code, "too-many-tunnels-of-user")

    def test_aSessionThatDoesNotWaitTakesNothingFromAnybody(self) -> None:
        self.claim(self.one)
        self.two.received(Claim(8, self.port, None, "", "192.0.2.1", True, None))
        self.two.received(Abandon(8))
        self.two.received(Abandon(9))
        self.one.received(Doubtful(1, self.port))
        self.assertEqual(self.take(self.two), [Refused(8, ABANDONED, "", True, None)])
        self.assertEqual(self.take(self.one), [Examine(1, (self.port,))])

    def test_nothingIsSentToAWorkerThatIsGone(self) -> None:
        self.claim(self.one)
        self.two.received(Claim(8, self.port, None, "", "192.0.2.1", True, None))
        self.two.gone()
        self.one.received(Doubtful(1, self.port))
        self.assertEqual(self.take(self.two), [])

    def test_usersWithTunnelsAreNamed(self) -> None:
        rights = ClaimRights(((1, 65535),), (), 0)
        for number, (user, mine) in enumerate([("alice", rights), ("", rights), ("bob", None)]):
            self.one.received(Claim(number, 0, None, user, "192.0.2.1", True, mine))
        self.assertEqual(self.names, ["alice"])

    def test_aFaultIsLoggedAndAnswered(self) -> None:
        def fault(*_: object) -> None:
            raise RuntimeError("a fault")

        self.registry.claim = fault  # type: ignore[assignment,method-assign]
        self.one.received(Claim(1, self.port, None, "", "192.0.2.1", True, None))
        [refused] = self.take(self.one)
        assert isinstance(refused, Refused)
        self.assertEqual((refused.code, refused.retry), ("bind-failed", True))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_otherMessagesAreNotTaken(self) -> None:
        self.assertFalse(self.one.received(Ready("0.3.0", None)))

    def test_manyAddressesAreExaminedInParts(self) -> None:
        addresses: list[PublicAddress] = [UnixPath(f"/run/{number}/{'x' * 90}") for number in range(600)]
        answer = self.one.doubtful(addresses)
        asked = self.take(self.one)
        parts = [part for each in asked if isinstance(each, Examine) for part in each.addresses]
        self.assertEqual(parts, addresses)
        for each in reversed(asked):
            assert isinstance(each, Examine)
            self.one.received(Doubtful(each.id, None if each.id == 1 else each.addresses[-1]))
        self.assertEqual(self.successResultOf(answer), addresses[511])


class GrantTests(CustodianCase):
    """What a worker says about the grants that it has."""

    def test_aReleasedAddressIsFree(self) -> None:
        granted = self.claim(self.one)
        self.one.received(Release(self.port, granted.epoch))
        self.assertFalse(isOpen(self.host, self.port))

    def test_itIsFreeBeforeTheWorkerHasClosedItsCopy(self) -> None:
        granted = self.claim(self.one)
        self.one.received(Release(self.port, granted.epoch))
        self.claim(self.two)

    def test_anEarlierGrantIsVoid(self) -> None:
        first = self.claim(self.one)
        second = self.claim(self.one, first.token)
        self.assertTrue(second.here)
        for message in (Release(self.port, first.epoch), Renew(self.port, first.epoch)):
            self.one.received(message)
        self.reactor.pump([1.0] * (LEASE + 1))
        self.assertEqual(self.take(self.one), [])
        self.assertTrue(isOpen(self.host, self.port))

    def test_theLeaseOfALostClientEnds(self) -> None:
        granted = self.claim(self.one)
        self.one.received(Renew(self.port, granted.epoch))
        self.reactor.pump([1.0] * LEASE)
        self.assertEqual(self.take(self.one), [Expired(self.port, granted.epoch)])
        self.assertFalse(isOpen(self.host, self.port))

    def test_aConfirmedTokenMakesTheEarlierOneVoid(self) -> None:
        first = self.claim(self.one)
        second = self.claim(self.one, first.token)
        self.one.received(Confirm(self.port, second.epoch))
        self.two.received(Claim(8, self.port, first.token, "", "192.0.2.1", True, None))
        self.assertEqual(self.take(self.two), [])  # it asks as anyone does: the client is examined
        self.one.received(Doubtful(1, None))


class MoveTests(CustodianCase):
    """A tunnel moves from one worker to another."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.claim(self.one)
        self.two.received(Claim(8, self.port, self.first.token, "", "192.0.2.1", True, None))
        [self.asked] = self.take(self.one)
        assert isinstance(self.asked, HandOver)

    def test_itsVisitorsComeFirstAndInOrder(self) -> None:
        for early in (b"first", b"second"):
            _, message, descriptor = self.visitor(1, early)
            self.one.received(message, (descriptor,))
        self.assertEqual(self.take(self.two), [])
        self.one.received(HandedOver(1))
        *visitors, granted = [message for message, _ in self.sent[self.two]]
        self.assertEqual(visitors, [Waiting(8, PEER, b"first", 1.5), Waiting(8, PEER, b"second", 1.5)])
        assert isinstance(granted, Granted)
        self.assertEqual((granted.id, granted.here, granted.resumed), (8, False, True))
        self.assertEqual([len(descriptors) for _, descriptors in self.sent[self.two]], [1, 1, 1])

    def test_aVisitorThatComesTooLateFollows(self) -> None:
        self.reactor.advance(HAND_OVER_TIMEOUT)
        visitor, message, descriptor = self.visitor(1)
        self.one.received(message, (descriptor,))
        self.one.received(HandedOver(1))
        self.assertFalse(self.isCut(visitor))
        self.assertEqual([type(each) for each in self.take(self.two)], [Granted, Late])
        _, message, descriptor = self.visitor(1)
        self.one.received(message, (descriptor,))
        self.assertRaises(OSError, os.close, descriptor)

    def test_aDescriptorThatWasLostOnTheWayIsOneVisitorLess(self) -> None:
        self.one.received(Waiting(1, PEER, b"", 0.0), (LOST,))
        self.one.received(HandedOver(1))
        self.assertEqual([type(each) for each in self.take(self.two)], [Granted])

    def test_aVisitorThatWaitsAgainFollowsTheTunnel(self) -> None:
        self.one.received(HandedOver(1))
        [granted] = self.take(self.two)
        assert isinstance(granted, Granted)
        visitor, _, descriptor = self.visitor(1)
        self.one.received(Late(self.port, self.first.epoch, PEER, b"late", 2.5), (descriptor,))
        self.one.received(Late(self.port, self.first.epoch, PEER, b"late", 2.5), (LOST,))
        self.assertEqual(self.take(self.two), [Late(self.port, granted.epoch, PEER, b"late", 2.5)])
        self.assertFalse(self.isCut(visitor))

    def test_aWorkerThatDiesMeanwhileHasPassedSomeOn(self) -> None:
        visitor, message, descriptor = self.visitor(1)
        self.one.received(message, (descriptor,))
        self.one.gone()
        self.assertEqual([type(each) for each in self.take(self.two)], [Waiting, Granted])
        self.assertFalse(self.isCut(visitor))

    def test_anotherAddressClosesIt(self) -> None:
        self.one.received(HandedOver(1))
        [granted] = self.take(self.two)
        assert isinstance(granted, Granted)
        other = freePort(self.host)
        self.one.received(Claim(9, other, granted.token, "", "192.0.2.1", True, None))
        self.assertEqual(self.take(self.two), [CloseTunnel(self.port, granted.epoch + 1, "OTHER_PORT")])
        [answer] = self.take(self.one)
        assert isinstance(answer, Granted)
        self.assertEqual((answer.address, answer.resumed), (other, False))

    def test_aWorkerThatIsGoneIsAskedNothing(self) -> None:
        self.one.gone()
        self.one.gone()
        self.assertEqual(self.successResultOf(self.one.handOver(self.registry._byAddress[self.port])), ())
        self.assertEqual(self.take(self.one), [])


class LimitTests(CustodianCase):
    """A user may have fewer tunnels from now on."""

    def test_theNewestAreWithdrawnWhicheverWorkerHasThem(self) -> None:
        ports = [freePort(self.host) for _ in range(4)]
        users = ("alice", "alice", "alice", "bob")
        for port, user, worker in zip(ports, users, (self.two, self.one, self.two, self.two), strict=True):
            worker.received(Claim(1, port, None, user, "192.0.2.1", True, None))
        granted = [each for worker in (self.one, self.two) for each in self.take(worker)]
        epochs = {each.address: each.epoch for each in granted if isinstance(each, Granted)}
        self.one.received(LimitTunnels("alice", 1))
        for worker, port in ((self.one, ports[1]), (self.two, ports[2])):
            self.assertEqual(self.take(worker), [CloseTunnel(port, epochs[port], "RIGHT_WITHDRAWN")])
        self.assertEqual([isOpen(self.host, port) for port in ports], [True, False, False, True])
        self.two.received(LimitTunnels("alice", 1))  # the other worker has read the same file
        self.assertEqual(self.take(self.one) + self.take(self.two), [])

    def test_alsoOneThatNoWorkerHas(self) -> None:
        ports = [freePort(self.host) for _ in range(2)]
        for port in ports:
            self.one.received(Claim(1, port, None, "alice", "192.0.2.1", True, None))
        self.one.gone()
        self.two.received(LimitTunnels("alice", 1))
        self.assertEqual([isOpen(self.host, port) for port in ports], [True, False])


class NoDescriptorTests(CustodianCase):
    """The supervisor has no descriptor for the worker's listening socket."""

    def test_theAddressIsGivenBack(self) -> None:
        def dup(descriptor: int) -> int:
            raise OSError(24, "Too many open files")

        self.patch(os, "dup", dup)
        self.one.received(Claim(1, self.port, None, "", "192.0.2.1", True, None))
        [refused] = self.take(self.one)
        assert isinstance(refused, Refused)
        self.assertEqual(refused.code, "bind-failed")
        self.assertEqual(len(self.custody), 0)
