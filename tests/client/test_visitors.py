"""Visitors that are brought to the local service on connections of their own: how many at once, and in which order."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast
from uuid import UUID, uuid4

from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.client import visitors
from bore.client.dataconnections import DataConnections
from bore.client.opentunnel import OpenTunnel
from bore.client.tunnel import Tunnel
from bore.client.visitors import Visitors
from bore.events import Event, VisitorEnd, VisitorEvent
from bore.events.client import TurnedAway, VisitorLeft, VisitorUnserved
from bore.relay.interface import Reason
from bore.streams.dial import Dialer, ServerDialer
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors, OpenCount
from bore.wire.secret import Secret
from tests.client.case import FakeDialer, loggingSink, makeTunnel
from tests.fakes import FakeReactor, captureLog
from tests.server.case import FakeRelay


class VisitorCase(SynchronousTestCase):
    """A client without lanes."""

    errorPage = False

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        reactor = cast(IReactor, self.reactor)
        self.relay = FakeRelay(reactor)
        self.sink = loggingSink(self.reactor)
        self.visitors = Visitors(reactor, self.relay, 0, self.sink)
        self.local, self.server = FakeDialer(self), FakeDialer(self)
        self.tunnel = self.makeTunnel(self.local)
        self.at = self.openAt(self.server)
        self._events = captureLog(self)
        self.served: list[UUID] = []
        self.addCleanup(self._leaveNothing)

    def makeTunnel(self, local: FakeDialer, maxVisitors: int = 0) -> Tunnel:
        """A tunnel with this local service."""
        tunnel = makeTunnel(self.reactor, self.sink, maxVisitors=maxVisitors, errorPage=self.errorPage)
        tunnel.local = cast(Dialer, local)
        return tunnel

    def openAt(self, server: FakeDialer, tunnel: Tunnel | None = None, secret: Secret | None = None) -> OpenTunnel:
        """The tunnel in a session with a server."""
        connections = DataConnections(cast(IReactor, self.reactor), cast(ServerDialer, server), secret)
        return OpenTunnel(tunnel or self.tunnel, connections, "192.0.2.1", 20001)

    def _leaveNothing(self) -> None:
        self.visitors.stop()
        self.leave(len(self.relay))
        self.assertEqual((self.local.under, self.server.under), ([], []), "dials were left")
        self.reactor.pump([20] * 3)  # the log sums up until nobody comes
        self.assertEqual(self.reactor.getDelayedCalls(), [], "timers were left")
        self.assertEqual((self.visitors.count, self.tunnel.visitors, self.at.connections.carriers), (0, 0, set()))

    @property
    def warnings(self) -> list[str]:
        return [formatEvent(e) for e in self._events if e["log_level"].name == "warn"]

    def announce(self, count: int = 1) -> list[UUID]:
        ids = [uuid4() for _ in range(count)]
        for id in ids:
            self.visitors.announced(id, self.at)
        return ids

    def connect(self, count: int) -> None:
        """Both dials of some visitors succeed."""
        for _ in range(count):
            self.local.succeed()
            request = self.server.succeed().recv(1000)
            self.served.append(UUID(json.loads(request[:-1])["Accept"]))
            self.reactor.advance(0)

    def leave(self, count: int) -> None:
        """Some visitors leave, the first ones first."""
        pairs = [pair for pair in self.relay.pairs if pair in self.relay._pairs]
        for pair in pairs[:count]:
            for stream in self.relay.joined[self.relay.pairs.index(pair)]:
                stream.socket.close()
            pair.stop(Reason.FINISHED)
        self.reactor.advance(0)


class QueueTests(VisitorCase):
    """More visitors than are connected at the same time."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(visitors, "MAX_DIALLING", 5)

    def test_theOthersWaitAndAreConnectedInTheirOrder(self) -> None:
        ids = self.announce(12)
        self.assertEqual((len(self.server.under), len(self.local.under)), (5, 5))
        for _ in ids:
            self.connect(1)
        self.assertEqual(self.served, ids)
        self.assertEqual(self.warnings, [])

    def test_whoComesLaterIsBehindThem(self) -> None:
        ids = self.announce(6)
        self.connect(1)
        ids += self.announce(3)
        self.connect(8)
        self.assertEqual(self.served, ids)

    def test_whoIsAnnouncedAgainIsTheSame(self) -> None:
        ids = self.announce(7)
        for id in ids:
            self.visitors.announced(id, self.at)
        self.connect(7)
        self.assertEqual((self.served, self.server.count), (ids, 7))

    def test_whoIsAnnouncedByTheNextSessionIsDialledForThere(self) -> None:
        before = self.server
        ids = self.announce(7)
        self.server = FakeDialer(self)  # the former address does not answer any more, and nothing shows it
        self.at = self.openAt(self.server)
        for id in ids:
            self.visitors.announced(id, self.at)
        self.assertEqual((before.under, before.count, len(self.server.under)), ([], 5, 5))
        self.connect(7)
        self.assertEqual((self.served, self.server.count, self.local.count), (ids, 7, 7))
        self.assertEqual(self.warnings, [])

    def test_whoseServerIsReachedIsNotDialledForAgain(self) -> None:
        self.at = self.openAt(self.server, secret=Secret("a secret of the two"))
        ids = self.announce(1)
        far = self.server.succeed()  # and waits for a challenge
        again = FakeDialer(self)
        self.visitors.announced(ids[0], self.openAt(again))
        self.assertEqual((again.count, far.fileno() < 0), (0, False))
        self.assertEqual(len(self.visitors._dialling), 1)

    def test_whoIsAcceptedAlreadyIsNotDialledForAgain(self) -> None:
        ids = self.announce(1)
        far = self.server.succeed()
        again = FakeDialer(self)
        self.visitors.announced(ids[0], self.openAt(again))
        self.local.succeed()
        self.assertEqual(again.count, 0)
        self.assertIn(str(ids[0]).encode(), far.recv(1000))
        self.assertEqual(len(self.relay), 1)

    def test_whomTheServerHasDroppedMeanwhileIsNotDialledFor(self) -> None:
        self.announce(7)
        self.reactor.advance(9)
        [late] = self.announce()
        self.reactor.advance(1)
        self.connect(5)
        self.connect(1)
        self.assertEqual((self.served[-1], self.server.count), (late, 6))

    def test_oneThatCannotBeConnectedMakesRoomToo(self) -> None:
        ids = self.announce(6)
        self.server.fail()
        self.reactor.advance(0)
        self.assertEqual(len(self.server.under), 5)
        self.connect(5)
        self.assertEqual(self.served, ids[1:])

    def test_noMoreWaitThanThereIsRoomFor(self) -> None:
        self.patch(visitors, "MAX_QUEUED", 3)
        ids = self.announce(20)
        self.connect(5)
        self.connect(3)
        self.assertEqual(self.served, ids[:8])
        self.assertEqual(self.warnings[0], "the limit of visitors that wait is reached, 3: more are ignored")

    def test_theEndIsTheEndForAll(self) -> None:
        self.announce(12)
        self.visitors.stop()
        self.reactor.advance(20)
        self.assertEqual(self.server.count, 5)


class FinalEventTests(VisitorCase):
    """Each visitor that came has one end."""

    def setUp(self) -> None:
        super().setUp()
        self.ends: list[VisitorEvent] = []
        self.sink.subscribe(self.keep, visitors=True)

    def keep(self, event: Event) -> None:
        if isinstance(event, VisitorUnserved | VisitorLeft):
            self.ends.append(event)

    def unserved(self, id: UUID, error: str) -> VisitorUnserved:
        return VisitorUnserved(str(id), self.tunnel.name, error)

    def test_oneThatIsServedLeaves(self) -> None:
        self.announce()
        self.connect(1)
        self.assertEqual(self.ends, [])
        self.leave(1)
        self.assertEqual([type(each) for each in self.ends], [VisitorLeft])

    def test_oneThatIsOneTooManyIsNotServed(self) -> None:
        self.tunnel.spec = replace(self.tunnel.spec, maxVisitors=1)
        ids = self.announce(2)
        self.connect(1)
        self.server.succeed()
        self.assertEqual(self.ends, [self.unserved(ids[1], TurnedAway.TOO_MANY.value)])

    def test_oneForWhichNeitherEndCanBeReachedIsNotServedOnce(self) -> None:
        [id] = self.announce()
        self.local.fail()
        self.assertEqual(self.ends, [])
        self.server.fail()
        self.assertEqual(self.ends, [self.unserved(id, "connection refused")])

    def test_oneThatIsOnItsWayWhenTheProgramStopsIsNotServed(self) -> None:
        [id] = self.announce()
        self.visitors.stop()
        self.assertEqual(self.ends, [self.unserved(id, VisitorEnd.STOPPED.value)])


class DescriptorTests(VisitorCase):
    """Few descriptors."""

    def setUp(self) -> None:
        super().setUp()
        count = OpenCount(self.open)
        self.visitors.descriptors = Descriptors(self.reactor, 30, count)

    def open(self) -> int:
        return 10 + len(self.local.under) + len(self.server.under) + 2 * len(self.relay)

    def test_onlySoManyAreServedAtTheSameTime(self) -> None:
        ids = self.announce(25)
        self.connect(10)
        self.assertEqual((self.served, self.server.under), (ids[:10], []))
        self.assertEqual(len(self.warnings), 1)
        self.assertIn("no descriptors are left for visitors", self.warnings[0])
        for n in range(10, 25):
            self.leave(1)
            self.connect(1)
            self.assertEqual(self.served, ids[: n + 1])

    def test_streamsThatAreOnlyWaitedForGiveWay(self) -> None:
        waitedFor = 20
        self.visitors.descriptors = Descriptors(self.reactor, 30, OpenCount(lambda: 10 + waitedFor))

        def relieve() -> bool:
            nonlocal waitedFor
            waitedFor -= 10
            return True

        self.relay.relieve = relieve  # type: ignore[method-assign]
        ids = self.announce(3)
        self.connect(3)
        self.assertEqual((self.served, self.warnings, waitedFor), (ids, [], 10))

    def test_descriptorsThatOthersHaveGivenBackAreFound(self) -> None:
        used = 30
        self.visitors.descriptors = Descriptors(self.reactor, 30, OpenCount(lambda: used))
        ids = self.announce(3)
        self.reactor.pump([0.25] * 4)
        self.assertEqual(self.server.count, 0)
        used = 10
        self.reactor.advance(0.25)
        self.connect(3)
        self.assertEqual(self.served, ids)
