"""A tunnel, and several that share what belongs to the program."""

from __future__ import annotations

import gc
from dataclasses import fields, replace
from typing import cast
from uuid import uuid4

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from bore.client.outcome import Outcome
from bore.client.reasons import ServerUnreachable
from bore.client.settings import ServerAddress
from bore.client.state import Remembered
from bore.client.target import Target, UnixTarget
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.events import Event, Sink
from bore.events.client import LocalReached, LocalUnreachable, TurnedAway, VisitorRefused
from bore.streams.reactor import IReactor
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.errors import PortInUse
from bore.wire.proxyprotocol import Version
from bore.wire.publicaddress import PublicAddress
from tests.client.case import FakeDialer
from tests.client.test_publicport import FakeMemory
from tests.client.test_visitors import VisitorCase
from tests.fakes import FakeReactor


class SpecTests(SynchronousTestCase):
    """What the user wants."""

    def test_aTargetIsWrittenAsPeopleWriteIt(self) -> None:
        self.assertEqual([str(Target(80)), str(Target(80, "::1"))], ["localhost:80", "[::1]:80"])

    def test_aNameIsItsOwnUnlessItOnlySaysWhereTheServiceIs(self) -> None:
        for name in ("", "80", "localhost:80"):
            self.assertEqual(TunnelSpec(Target(80), name=name).ownName, "")
        for name in ("web", "80:8080", "8080"):
            self.assertEqual(TunnelSpec(Target(80), name=name).ownName, name)
        self.assertEqual(TunnelSpec(UnixTarget("/run/x"), name="unix:/run/x").ownName, "")

    def test_whatTheServerDoesNotKnowOfChangesInPlaceAndNothingElse(self) -> None:
        spec = TunnelSpec(Target(80), name="web")
        inPlace = {"target": UnixTarget("/x"), "proxyProtocol": Version.V2, "maxVisitors": 7, "bandwidth": 1000}
        inPlace |= {"errorPage": False, "probe": False}
        others = {"public": 1, "name": "x", "rules": AddressRules((), (parseNetwork("::/0"),))}
        for name, value in inPlace.items():
            self.assertTrue(replace(spec, **{name: value}).isOpenAs(spec), name)  # type: ignore[arg-type]
        for name, value in others.items():
            self.assertFalse(replace(spec, **{name: value}).isOpenAs(spec), name)  # type: ignore[arg-type]
        self.assertEqual(
            {*inPlace, *others},
            {each.name for each in fields(TunnelSpec) if each.compare},
            "each field is one or the other",
        )


class OutcomeTests(SynchronousTestCase):
    """What happens once."""

    def test_allWhoWaitHaveTheResult(self) -> None:
        outcome: Outcome[int] = Outcome()
        early = [outcome.wait(), outcome.wait()]
        outcome.settle(1)
        outcome.settle(2)
        self.assertEqual([self.successResultOf(each) for each in [*early, outcome.wait()]], [1, 1, 1])

    def test_whatOneOfThemDoesWithItIsNotTheOthersBusiness(self) -> None:
        outcome: Outcome[int] = Outcome()
        first, second = outcome.wait(), outcome.wait()
        first.addCallback(lambda value: value + 1)
        outcome.settle(1)
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (2, 1))

    def test_whoDoesNotWaitAnyMoreIsForgotten(self) -> None:
        outcome: Outcome[int] = Outcome()
        waiting = outcome.wait()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        outcome.settle(1)


class TunnelCase(SynchronousTestCase):
    """One tunnel."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.events: list[Event] = []
        self.memories: dict[ServerAddress, FakeMemory] = {}
        sink = Sink()
        sink.subscribe(self.events.append)
        self.tunnel = Tunnel(cast(IReactor, self.reactor), TunnelSpec(Target(8000), probe=False), self.memory, sink)

    def memory(self, spec: TunnelSpec, server: ServerAddress) -> FakeMemory:
        return self.memories.setdefault(server, FakeMemory(Remembered(len(self.memories) + 1, None)))


class TunnelTests(TunnelCase):
    """Who waits for it, and what changes."""

    def test_whoWaitsIsToldWhenItIsUp(self) -> None:
        waiting = self.tunnel.whenOpened()
        self.assertNoResult(waiting)
        self.tunnel.opened(20001)
        self.tunnel.opened(20002)
        self.assertEqual([self.successResultOf(each) for each in (waiting, self.tunnel.whenOpened())], [20001] * 2)

    def test_itIsNotUpAnyMoreWhenTheClientHasGivenUpWithTheSameReason(self) -> None:
        why = ServerUnreachable("it is away")
        waiting = self.tunnel.whenOpened(), self.tunnel.whenGaveUp()
        self.tunnel.gaveUp(why)
        for each in (*waiting, self.tunnel.whenOpened(), self.tunnel.whenGaveUp()):
            self.assertIs(self.failureResultOf(each).value, why)

    def test_aReasonThatNobodyWaitsForIsNotReported(self) -> None:
        self.tunnel.gaveUp(ServerUnreachable("it is away"))
        del self.tunnel
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_itCanBeUpAgainAfterAStop(self) -> None:
        before, gaveUp = self.tunnel.whenOpened(), self.tunnel.whenGaveUp()
        self.tunnel.stopped()
        self.failureResultOf(before, CancelledError)
        self.assertNoResult(gaveUp)
        again: Deferred[PublicAddress] = self.tunnel.whenOpened()
        self.assertNoResult(again)
        self.tunnel.opened(20001)
        self.assertEqual(self.successResultOf(again), 20001)
        self.tunnel.gaveUp(ServerUnreachable("it is away"))
        self.failureResultOf(gaveUp, ServerUnreachable)
        self.tunnel.stopped()
        self.assertNoResult(self.tunnel.whenGaveUp())
        self.assertNoResult(self.tunnel.whenOpened())

    def test_anotherLocalServiceTakesThePublicPortsAlong(self) -> None:
        a, b = ServerAddress("a"), ServerAddress("b")
        ports = [self.tunnel.publicPort(server) for server in (a, b)]
        for port in ports:
            port.recall()
        before, self.memories = self.memories, {}
        self.tunnel.change(TunnelSpec(Target(9000), 7, probe=False))
        self.assertEqual((self.tunnel.name, [port.wanted for port in ports]), ("localhost:9000", [7, 7]))
        self.assertEqual([before[server].tunnel for server in (a, b)], [None, None])
        self.assertEqual(
            [self.memories[server].tunnel for server in (a, b)], [Remembered(1, None), Remembered(2, None)]
        )

    def test_whatIsForVisitorsLeavesThemWhereTheyAre(self) -> None:
        port, local = self.tunnel.publicPort(ServerAddress("a")), self.tunnel.local
        port.recall()
        before = dict(self.memories)
        self.tunnel.change(TunnelSpec(Target(8000), maxVisitors=3, probe=False))
        self.assertIs(self.tunnel.local, local)
        self.assertEqual((self.memories, port.wanted), (before, 1))

    def test_eachServerHasAPublicPortOfItsOwn(self) -> None:
        ports = [self.tunnel.publicPort(ServerAddress(host)) for host in ("a", "b", "a")]
        for port in ports:
            port.recall()
        self.assertEqual([port.wanted for port in ports], [1, 2, 1])
        self.assertIs(ports[0], ports[2])


class SharedTests(VisitorCase):
    """Two tunnels in one program."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[Event] = []
        self.sink.subscribe(self.events.append)
        self.otherLocal = FakeDialer(self)
        self.other = self.makeTunnel(self.otherLocal, maxVisitors=2)
        self.otherAt = self.openAt(self.server, self.other)

    def test_eachCountsItsOwnAndTheProgramAll(self) -> None:
        self.announce(3)
        for _ in range(2):
            self.visitors.announced(uuid4(), self.otherAt)
        self.assertEqual((self.tunnel.visitors, self.other.visitors, self.visitors.count), (3, 2, 5))
        self.assertEqual((len(self.local.under), len(self.otherLocal.under)), (3, 2))
        for _ in range(2):
            self.otherLocal.succeed()
        self.connect(3)
        self.assertEqual((len(self.relay), self.visitors.count), (3, 5))
        for _ in range(2):
            self.server.succeed()
        self.leave(5)
        self.assertEqual((self.tunnel.visitors, self.other.visitors, self.visitors.count), (0, 0, 0))

    def test_theLimitOfOneIsNothingToTheOther(self) -> None:
        for _ in range(3):
            self.visitors.announced(uuid4(), self.otherAt)
        self.assertEqual(len(self.otherLocal.under), 2)
        self.assertEqual(self.events, [VisitorRefused(self.other.name, TurnedAway.TOO_MANY, 2)])
        self.announce(3)
        self.assertEqual(len(self.local.under), 3)
        self.visitors.stop()

    def test_aServiceThatDoesNotAnswerIsTheTroubleOfItsTunnel(self) -> None:
        self.announce(1)
        self.visitors.announced(uuid4(), self.otherAt)
        self.otherLocal.fail()
        self.connect(1)
        self.assertEqual(self.events, [LocalUnreachable(self.other.name, "connection refused")])
        self.server.succeed()
        self.visitors.announced(uuid4(), self.otherAt)
        self.otherLocal.succeed()
        self.server.succeed()
        self.visitors.announced(uuid4(), self.otherAt)
        self.otherLocal.succeed()
        self.server.succeed()
        self.assertEqual(self.events[1:], [LocalReached(self.other.name, 1, 0.0)], "once")
        self.leave(3)


class JoinedTests(TunnelCase):
    """A tunnel that is up at a node of a cluster, and joins it at another one."""

    def test_itInsistsOnItsAddressThereAndNothingIsRememberedOfTheNode(self) -> None:
        node = ServerAddress("node2.example")
        for address in (20001, 20002):
            self.tunnel.join(node, address)
            port = self.tunnel.publicPort(node)
            self.assertEqual((port.wanted, port.refused(PortInUse())), (address, False))
        self.tunnel.change(TunnelSpec(Target(8001), probe=False))
        self.tunnel.remember()
        self.assertEqual((port.wanted, port.token, self.memories), (20002, None, {}))
        port.opened(20002, "t" * 32)
        self.tunnel.join(node, 20003)
        self.assertEqual((port.wanted, port.token), (20003, "t" * 32), "the node may know it")

    def test_itIsAwayWhenNoSessionHasIt(self) -> None:
        self.tunnel.opened(20001)
        self.reactor.advance(5)
        self.tunnel.opened(20001)
        self.reactor.advance(5)
        self.tunnel.away()
        self.assertEqual((self.tunnel.isUp, self.tunnel.since), (True, 0))
        self.tunnel.away()
        self.assertEqual((self.tunnel.isUp, self.tunnel.since), (False, 10))
