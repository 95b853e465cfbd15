"""Limits: what exceeds one is refused, and nothing else."""

from __future__ import annotations

import socket

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from bore.server.settings import Bounds
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.extension import Open, Visitor, encode
from bore.wire.messages import Accept, Hello
from bore.wire.messages import encode as encodeBase
from bore.wire.rulesmessage import rulesFrames
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.case import SessionCase


class PendingTests(SessionCase):
    """Connections that send nothing."""

    bounds = Bounds(pending=5, pendingPerSource=2)

    def refused(self, transports: list[FakeTransport]) -> list[bool]:
        return [transport.disconnecting for transport in transports]

    def test_theOldestFromOneAddressAreClosedWithAReason(self) -> None:
        transports = [self.connect()[1] for _ in range(4)]
        self.assertEqual(self.refused(transports), [True, True, False, False])
        self.assertEqual(transports[0].takeWritten(), b'{"Error":"too many connections that say nothing"}\0')
        self.assertEqual(
            self.warnings,
            ["the limit of connections from 192.0.2.1 without a message is reached, 2: the oldest are closed"],
        )

    def test_otherAddressesAreNotAffected(self) -> None:
        _, other = self.connect("198.51.100.1")
        for _ in range(10):
            self.connect()
        self.assertFalse(other.disconnecting)

    def test_theOldestOfAllAreClosedWhenTheTotalIsTooHigh(self) -> None:
        transports = [self.connect(f"192.0.2.{n}")[1] for n in range(8)]
        self.assertEqual(self.refused(transports), [True] * 3 + [False] * 5)
        self.assertEqual(len(self.server.unclassified), 5)

    def test_aFloodFromAFewAddressesDisplacesItself(self) -> None:
        _, honest = self.connect("198.51.100.1")
        transports = [self.connect(f"192.0.2.{n % 2}")[1] for n in range(30)]
        self.assertFalse(honest.disconnecting)
        self.assertEqual(self.refused(transports), [True] * 26 + [False] * 4)

    def test_anAddressWithATunnelIsDisplacedBeforeThoseWithFewer(self) -> None:
        self.session(source="192.0.2.9")
        few = [self.connect(source)[1] for source in ("198.51.100.1", "198.51.100.2", "198.51.100.1")]
        many = [self.connect("192.0.2.9")[1] for _ in range(10)]
        self.assertEqual(self.refused(few), [False] * 3)
        self.assertEqual(self.refused(many), [True] * 8 + [False] * 2)

    def test_whenDescriptorsAreShortTheAddressWithMostGivesOne(self) -> None:
        _, honest = self.connect("198.51.100.1")
        flood = [self.connect()[1] for _ in range(2)]
        for expected in ([True, False, False], [True, False, True], [True, True, True]):
            self.server.unclassified.dropOne()
            self.assertEqual([flood[0].aborted, flood[1].aborted, honest.aborted], expected)
        self.server.unclassified.dropOne()

    def test_anAddressWithATunnelIsBoundedByTheTotalOnly(self) -> None:
        self.session()
        transports = [self.connect()[1] for _ in range(6)]
        self.assertEqual(self.refused(transports), [True] + [False] * 5)

    def test_connectionsWithASessionDoNotCount(self) -> None:
        for _ in range(10):
            self.session(source="192.0.2.9")
        self.assertEqual(len(self.server.unclassified), 0)

    def test_countsAreKeptOnRealSockets(self) -> None:
        ends = [socket.socketpair() for _ in range(4)]
        for near, far in ends:
            self.addCleanup(near.close)
            far.setblocking(False)
            self.server.control.accepted(far, ("192.0.2.1", 4711))
        for transport in list(self.reactor.getWriters()):
            transport.connectionLost(Failure(transport.doWrite()))
        text = b'{"Error":"too many connections that say nothing"}\0'
        self.assertEqual([near.recv(100) for near, _ in ends[:2]], [text] * 2)
        self.assertEqual([far.fileno() < 0 for _, far in ends], [True, True, False, False])
        for transport in list(self.reactor.getReaders()):
            transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.server.unclassified), 0)

    def test_theNumberIsLoggedWhenItIsOver(self) -> None:
        for _ in range(7):
            self.connect()
        self.reactor.pump([1] * 20)
        self.assertEqual(len(self.warnings), 2)
        self.assertTrue(self.warnings[1].endswith("(5 times)"), self.warnings)


class UnboundedTests(SessionCase):
    """A limit of 0."""

    bounds = Bounds(0, 0, 0, 0, 0, 0, 0)

    def test_isNone(self) -> None:
        transports = [self.connect()[1] for _ in range(300)]
        self.assertFalse(any(transport.disconnecting for transport in transports))
        _, _, opened = self.session()
        for _ in range(3):
            self.visit(opened.port)
        self.assertEqual(len(self.server.unaccepted), 3)


class TunnelTests(SessionCase):
    """The limits on tunnels."""

    bounds = Bounds(tunnels=3, tunnelsPerSource=2)

    def refusalFor(self, source: str) -> str:
        protocol, transport = self.begin(source)
        protocol.dataReceived(encode(Open(1, freePort(self.host))))
        return self.refusal(transport)

    def test_theyAreLimitedInTotalAndPerAddress(self) -> None:
        self.session()
        first, _, _ = self.session()
        self.assertEqual(self.refusalFor("192.0.2.1"), "too-many-tunnels-from-address")
        self.session(source="198.51.100.1")
        self.assertEqual(self.refusalFor("203.0.113.1"), "too-many-tunnels")
        first.dataReceived(b'"Goodbye"\0')
        self.session(source="203.0.113.1")

    def test_anOriginalClientIsSentAnError(self) -> None:
        self.session()
        self.session()
        protocol, transport = self.connect()
        protocol.dataReceived(encodeBase(Hello(freePort(self.host))))
        self.assertEqual(transport.takeWritten(), b'{"Error":"too many tunnels from your address"}\0')

    def test_aTunnelWithoutItsClientCountsAndCanBeResumed(self) -> None:
        protocol, _, opened = self.session()
        self.session()
        self.lose(protocol)
        self.assertEqual(self.refusalFor("192.0.2.1"), "too-many-tunnels-from-address")
        self.session(0, opened.resume)


class VisitorTests(SessionCase):
    """The limits on visitors."""

    bounds = Bounds(visitors=3, waiting=2)

    def closed(self, visitor: socket.socket) -> bool:
        visitor.setblocking(False)
        try:
            return visitor.recv(1) == b""
        except BlockingIOError:
            return False

    def test_waitingAndServedVisitorsCount(self) -> None:
        _, transport, opened = self.session()
        visitors = [self.visit(opened.port) for _ in range(2)]
        for message in self.said(transport):
            assert isinstance(message, Visitor)
            data, _ = self.connect()
            data.dataReceived(encodeBase(Accept(message.id)))
        visitors += [self.visit(opened.port) for _ in range(2)]
        self.assertEqual([self.closed(visitor) for visitor in visitors], [False, False, False, True])
        self.assertEqual(self.warnings, [f"port {opened.port}: the limit of visitors is reached, 3: more are closed"])

    def test_fewerAreAcceptedWhileTheClientIsAway(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        visitors = [self.visit(opened.port) for _ in range(5)]
        self.assertEqual([self.closed(visitor) for visitor in visitors], [False] * 5)
        self.assertEqual(len(self.server.unaccepted), 2)


class RushTests(SessionCase):
    """--visitor-rate on a port."""

    bounds = Bounds(visitorRate=2)

    def test_visitorsAboveItAreClosed(self) -> None:
        _, _, opened = self.session()
        self.reactor.advance(1)
        for _ in range(4):
            self.visit(opened.port)
        self.assertEqual(len(self.server.unaccepted), 2)
        self.assertEqual(len(self.warnings), 1)


class AddressRuleTests(SessionCase):
    """--allow and --deny."""

    rules = AddressRules((parseNetwork("127.0.0.0/30"),), (parseNetwork("127.0.0.2"),))

    def visitFrom(self, host: str, port: int) -> socket.socket:
        visitor = socket.create_connection((self.host, port), 5, (host, 0))
        self.addCleanup(visitor.close)
        self.turn()
        return visitor

    def test_visitorsThatTheyExcludeAreClosedAndTheClientGetsToKnowNothing(self) -> None:
        _, transport, opened = self.session()
        for host in ("127.0.0.2", "127.0.0.4"):
            self.assertEqual(self.visitFrom(host, opened.port).recv(1), b"")
        self.assertEqual(self.said(transport), [])
        self.visitFrom("127.0.0.1", opened.port)
        self.assertEqual(len(self.said(transport)), 1)
        self.assertEqual(
            self.warnings, [f"port {opened.port}: visitors from 127.0.0.2 are not allowed, and are closed"]
        )

    def test_aTunnelsOwnRulesAreAppliedBehindThoseOfTheServer(self) -> None:
        protocol, transport = self.begin()
        own = AddressRules((parseNetwork("127.0.0.0/8"),), (parseNetwork("127.0.0.1"),))
        port = freePort(self.host)
        protocol.dataReceived(rulesFrames(own) + encode(Open(1, port)))
        self.said(transport)
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.4"):
            self.assertEqual(self.visitFrom(host, port).recv(1), b"", host)
        self.visitFrom("127.0.0.3", port)
        self.assertEqual(len(self.said(transport)), 1)

    def test_aClientThatComesBackBringsItsRulesAlong(self) -> None:
        protocol, transport, opened = self.session()
        self.visitFrom("127.0.0.1", opened.port)
        self.assertEqual(len(self.said(transport)), 1)
        self.lose(protocol)
        protocol, transport = self.begin()
        own = AddressRules((), (parseNetwork("127.0.0.1"),))
        protocol.dataReceived(rulesFrames(own) + encode(Open(1, opened.port, opened.resume)))
        self.assertEqual(self.visitFrom("127.0.0.1", opened.port).recv(1), b"")
        self.visitFrom("127.0.0.3", opened.port)
