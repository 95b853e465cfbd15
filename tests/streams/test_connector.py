"""A reconnecting factory on an endpoint."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError, NotConnectingError, UserError
from twisted.internet.interfaces import IConnector, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from bore.streams.connector import EndpointConnector


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects when the test says so."""

    def __init__(self) -> None:
        self.attempts: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        attempt: Deferred[IProtocol] = Deferred()
        self.attempts.append((protocolFactory, attempt))
        return attempt

    def succeed(self) -> IProtocol:
        factory, attempt = self.attempts[-1]
        protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 7835))
        assert protocol is not None
        protocol.makeConnection(StringTransport())
        attempt.callback(protocol)
        return protocol

    def fail(self, error: Exception) -> None:
        self.attempts[-1][1].errback(error)


class Recorder(ClientFactory):
    """Records its calls."""

    noisy = False

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.received = b""

    def startedConnecting(self, connector: IConnector) -> None:
        self.calls.append("started")

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.calls.append(reason.type)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        self.calls += ["lost", reason.type]

    def startFactory(self) -> None:
        self.calls.append("startFactory")

    def stopFactory(self) -> None:
        self.calls.append("stopFactory")

    def buildProtocol(self, addr: object) -> Protocol:
        recorder = self

        class Receiver(Protocol):
            def dataReceived(self, data: bytes) -> None:
                recorder.received += data

            def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
                recorder.calls.append("protocol lost")

        return Receiver()


class EndpointConnectorTests(SynchronousTestCase):
    """The connector for an endpoint."""

    def setUp(self) -> None:
        self.endpoint = Endpoint()
        self.factory = Recorder()
        self.connector = EndpointConnector(self.endpoint, self.factory)

    def test_itIsAConnector(self) -> None:
        verifyObject(IConnector, self.connector)

    def test_aFailedAttemptReachesTheFactory(self) -> None:
        self.connector.connect()
        self.endpoint.fail(ConnectionRefusedError())
        self.assertEqual(self.factory.calls, ["startFactory", "started", ConnectionRefusedError, "stopFactory"])

    def test_aLostConnectionReachesTheFactoryAfterItsProtocol(self) -> None:
        self.connector.connect()
        protocol = self.endpoint.succeed()
        protocol.dataReceived(b"hello")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.factory.received, b"hello")
        self.assertEqual(
            self.factory.calls, ["startFactory", "started", "protocol lost", "lost", ConnectionDone, "stopFactory"]
        )

    def test_everyAttemptConnectsTheEndpointAgain(self) -> None:
        for _ in range(3):
            self.connector.connect()
            self.endpoint.fail(ConnectionRefusedError())
        self.assertEqual(len(self.endpoint.attempts), 3)

    def test_theFactoryMayConnectAgainInClientConnectionLost(self) -> None:
        self.factory.clientConnectionLost = lambda connector, reason: connector.connect()  # type: ignore[method-assign]
        self.connector.connect()
        self.endpoint.succeed().connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.endpoint.attempts), 2)
        self.assertNotIn("stopFactory", self.factory.calls)

    def test_stoppingAnAttemptIsAUserError(self) -> None:
        self.connector.connect()
        self.connector.stopConnecting()
        self.assertEqual(self.factory.calls[2:], [UserError, "stopFactory"])
        self.assertRaises(NotConnectingError, self.connector.stopConnecting)

    def test_anAttemptThatHasBegunAtOnceCanBeStopped(self) -> None:
        ended: list[Deferred[IProtocol]] = []

        class Steps:
            """Has looked its name up at once, and waits for the server."""

            def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
                return succeed(None).addCallback(lambda _: Deferred(ended.append))

        connector = EndpointConnector(cast(IStreamClientEndpoint, Steps()), self.factory)
        connector.connect()
        self.assertRaises(RuntimeError, connector.connect)
        connector.disconnect()
        self.assertEqual(len(ended), 1)
        self.assertEqual(self.factory.calls[2:], [UserError, "stopFactory"])

    def test_disconnectingEndsTheAttemptOrTheConnection(self) -> None:
        self.connector.disconnect()
        self.connector.connect()
        self.connector.disconnect()
        self.assertIn(UserError, self.factory.calls)
        self.connector.connect()
        protocol = self.endpoint.succeed()
        self.connector.disconnect()
        self.assertTrue(protocol.transport.disconnecting)  # type: ignore[attr-defined]

    def test_thereIsOneAttemptAtATime(self) -> None:
        self.connector.connect()
        self.assertRaises(RuntimeError, self.connector.connect)
        self.endpoint.succeed()
        self.assertRaises(RuntimeError, self.connector.connect)
