"""The control port, with fake time and transports."""

from __future__ import annotations

import random
import socket
from typing import cast
from uuid import UUID, uuid4

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from bore.relay.interface import Stream
from bore.server.control import ControlProtocol
from bore.server.tunnel import MAX_ANNOUNCED
from bore.wire.messages import Accept, Authenticate, Hello, decodeServerMessage, encode
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.case import HEARTBEAT, ControlCase
from tests.support import connect, isOpen


class HelloTests(ControlCase):
    """A control connection from Hello on."""

    def test_helloIsAnsweredWithThePortAndAHeartbeatAtOnce(self) -> None:
        protocol, transport = self.connect()
        port = freePort(self.host)
        protocol.dataReceived(encode(Hello(port)))
        self.assertEqual(transport.takeWritten(), encode(Hello(port)) + HEARTBEAT)
        self.assertTrue(isOpen(self.host, port))

    def test_heartbeatsComeEveryHalfSecond(self) -> None:
        _, transport, _ = self.openTunnel()
        transport.takeWritten()
        self.reactor.pump([0.1] * 30)
        self.assertEqual(transport.takeWritten(), HEARTBEAT * 6)

    def test_anyPortIsGivenForZero(self) -> None:
        _, _, port = self.openTunnel(0)
        self.assertTrue(1024 <= port <= 65535)

    def test_bytesBehindHelloAreDiscarded(self) -> None:
        protocol, transport, port = self.openTunnel()
        protocol.dataReceived(b"x" * 100_000 + b"\0" + encode(Hello(0)))
        self.assertFalse(transport.disconnecting)
        self.assertTrue(isOpen(self.host, port))

    def test_thePortIsFreeAtOnceWhenTheClientIsGone(self) -> None:
        protocol, _, port = self.openTunnel()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertFalse(isOpen(self.host, port))
        self.openTunnel(port)

    def test_aTakenPortIsRefusedWithTheOriginalsText(self) -> None:
        _, _, port = self.openTunnel()
        protocol, transport = self.connect()
        protocol.dataReceived(encode(Hello(port)))
        self.assertEqual(transport.takeWritten(), b'{"Error":"port already in use"}\0')
        self.assertTrue(transport.disconnecting)

    def test_thePeerIsWatchedFromHelloOn(self) -> None:
        protocol, transport = self.connect()
        option = socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT
        self.assertEqual(transport.socket.getsockopt(*option), 0)
        protocol.dataReceived(encode(Hello(0)))
        self.assertEqual(transport.socket.getsockopt(*option), 120_000)
        self.assertTrue(transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def test_aClientThatDoesNotReadIsDropped(self) -> None:
        protocol, transport, _ = self.openTunnel()
        self.assertIs(transport.producer, protocol)
        protocol.pauseProducing()
        self.assertTrue(transport.aborted)


class FirstMessageTests(ControlCase):
    """Connections without a first message."""

    def test_aSilentConnectionIsClosedAfterThreeSecondsWithoutAMessage(self) -> None:
        _, transport = self.connect()
        self.reactor.pump([0.1] * 29)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(0.2)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.takeWritten(), b"")

    def test_aFrameThatTricklesInIsBoundedAsAWhole(self) -> None:
        protocol, transport = self.connect()
        for byte in encode(Hello(0))[:10]:
            protocol.dataReceived(bytes([byte]))
            self.reactor.advance(0.29)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(0.2)
        self.assertTrue(transport.disconnecting)

    def test_garbageIsClosedWithoutAMessage(self) -> None:
        for garbage in (
            b"junk\0",
            b'{"Hello":70000}\0',
            b"x" * 257,
            encode(Authenticate("00" * 32)),
            encode(Accept(uuid4())),
        ):
            protocol, transport = self.connect()
            protocol.dataReceived(garbage)
            self.assertEqual((transport.takeWritten(), transport.disconnecting), (b"", True), garbage)


class SecretTests(ControlCase):
    """A server with a secret."""

    secret = Secret("my secret")

    def challenged(self) -> tuple[ControlProtocol, FakeTransport, UUID]:
        protocol, transport = self.connect()
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        return protocol, transport, cast(UUID, getattr(challenge, "id"))  # noqa: B009

    def test_theRightProofOpensTheTunnel(self) -> None:
        protocol, transport, id = self.challenged()
        assert self.secret is not None
        protocol.dataReceived(encode(Authenticate(proveBase(self.secret, id))) + encode(Hello(0)))
        self.assertTrue(transport.takeWritten().startswith(b'{"Hello":'))

    def test_theWrongProofIsRefused(self) -> None:
        protocol, transport, id = self.challenged()
        protocol.dataReceived(encode(Authenticate(proveBase(Secret("another"), id))) + encode(Hello(0)))
        self.assertEqual(transport.takeWritten(), b'{"Error":"invalid secret"}\0')
        self.assertTrue(transport.disconnecting)

    def test_aSilentConnectionIsSentTheReason(self) -> None:
        _, transport, _ = self.challenged()
        self.reactor.advance(3)
        self.assertEqual(transport.takeWritten(), b'{"Error":"timed out waiting for initial message"}\0')
        self.assertTrue(transport.disconnecting)


class VisitorTests(ControlCase):
    """Visitors of a tunnel."""

    def test_aVisitorIsAnnouncedAndJoinedWhenItIsAccepted(self) -> None:
        _, transport, port = self.openTunnel()
        visitor = self.visit(port)
        [id] = self.announced(transport)
        data, dataTransport = self.connect()
        data.dataReceived(encode(Accept(id)) + b"early bytes")
        [(left, right)] = self.relay.joined
        self.assertEqual(left.socket.getpeername(), visitor.getsockname())
        self.assertEqual((left.early, right), (b"", Stream(dataTransport.socket, b"early bytes")))
        self.assertTrue(dataTransport.detached)

    def test_aVisitorIsTakenOnce(self) -> None:
        _, transport, port = self.openTunnel()
        self.visit(port)
        [id] = self.announced(transport)
        for expected in (False, True):
            data, dataTransport = self.connect()
            data.dataReceived(encode(Accept(id)))
            self.assertEqual(dataTransport.disconnecting, expected)

    def test_visitorsAreAnnouncedInTheOrderInWhichTheyCame(self) -> None:
        """Whatever the order in which an original client connects for them: it does so for several at a time."""
        _, transport, port = self.openTunnel()
        visitors = []
        for _ in range(MAX_ANNOUNCED + 30):
            visitors.append(connect(self.host, port))
            self.addCleanup(visitors[-1].close)
        announced: list[UUID] = []
        accepted: list[UUID] = []
        order = random.Random(1)
        while len(accepted) < len(visitors):
            found: list[UUID] = []
            while new := self.more(transport):
                found += new
            self.assertTrue(0 < len(found) <= MAX_ANNOUNCED, len(found))
            announced += found
            for id in order.sample(found, len(found)):
                accepted.append(id)
                data, dataTransport = self.connect()
                data.dataReceived(encode(Accept(id)))
                dataTransport.socket.close()
        came = {visitor.getsockname(): number for number, visitor in enumerate(visitors)}
        numbers = dict(zip(accepted, (came[left.socket.getpeername()] for left, _ in self.relay.joined), strict=True))
        self.assertEqual([numbers[id] for id in announced], list(range(len(visitors))))

    def more(self, transport: FakeTransport) -> list[UUID]:
        """The visitors that are announced in one more turn."""
        self.turn()
        self.reactor.advance(0)
        return self.announced(transport)

    def test_aVisitorThatIsNotAcceptedIsClosedAfterTenSeconds(self) -> None:
        _, transport, port = self.openTunnel()
        visitor = self.visit(port)
        [id] = self.announced(transport)
        self.reactor.pump([0.5] * 19)
        self.assertEqual(len(self.server.unaccepted), 1)
        self.reactor.advance(1)
        self.assertEqual(visitor.recv(1), b"")
        data, dataTransport = self.connect()
        data.dataReceived(encode(Accept(id)))
        self.assertTrue(dataTransport.disconnecting)

    def test_waitingVisitorsAreClosedWhenTheClientIsGone(self) -> None:
        protocol, _, port = self.openTunnel()
        visitors = [self.visit(port) for _ in range(3)]
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([visitor.recv(1) for visitor in visitors], [b""] * 3)
        self.assertEqual(len(self.server.unaccepted), 0)


class ShutDownTests(ControlCase):
    """A server that stops."""

    def test_clientsAreSentTheReasonAndPortsAreFree(self) -> None:
        _, transport, port = self.openTunnel()
        transport.takeWritten()
        _, silent = self.connect()
        self.server.shutDown()
        self.assertEqual(transport.takeWritten(), b'{"Error":"server is shutting down"}\0')
        self.assertTrue(transport.disconnecting)
        self.assertIsNone(transport.producer)
        self.assertTrue(silent.aborted)
        self.assertFalse(isOpen(self.host, port))

    def test_theEndWaitsUntilClientsHaveReadTheReason(self) -> None:
        protocol, _, _ = self.openTunnel()
        told = self.server.shutDown()
        self.assertNoResult(told)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(told)

    def test_withoutClientsThereIsNothingToWaitFor(self) -> None:
        self.successResultOf(self.server.shutDown())


class StarvationTests(ControlCase):
    """Visitors have taken all descriptors, and none is left for data connections."""

    def test_lingeringStreamsAreGivenUpFirst(self) -> None:
        _, transport, port = self.openTunnel()
        visitor = self.visit(port)
        self.announced(transport)
        lingering = [True]
        self.relay.relieve = lambda: bool(lingering and lingering.pop())  # type: ignore[method-assign]
        for relieve in (self.server.relieve, self.server.giveWay):
            lingering[:] = [True]
            self.assertTrue(relieve())
            self.assertEqual((lingering, len(self.server.unaccepted)), ([], 1))
        self.assertTrue(self.server.relieve())
        self.assertEqual((visitor.recv(1), len(self.server.unaccepted)), (b"", 0))

    def test_theLastVisitorIsGivenUpForTheOthers(self) -> None:
        _, transport, port = self.openTunnel()
        visitors = [self.visit(port) for _ in range(3)]
        ids = self.announced(transport)
        self.assertTrue(self.server.relieve())
        self.assertEqual(visitors[2].recv(1), b"")
        self.assertEqual([self.server.unaccepted.find(id) is not None for id in ids], [True, True, False])
        self.assertEqual([self.server.relieve() for _ in range(3)], [True, True, False])
