"""An endpoint that has connected, or has failed, before it returns."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IConnector, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from bore.streams.connector import EndpointConnector


@implementer(IStreamClientEndpoint)
class EndpointAtOnce:
    """Connects while it is asked to, as a TLS handshake within a machine may."""

    def __init__(self) -> None:
        self.refuses = False
        self.connected: list[IProtocol] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.refuses:
            return fail(ConnectionRefusedError())
        protocol = protocolFactory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 7835))
        assert protocol is not None
        protocol.makeConnection(StringTransport())
        self.connected.append(protocol)
        return succeed(protocol)


class CountingFactory(ClientFactory):
    """Counts the calls."""

    noisy = False
    protocol = Protocol

    def __init__(self) -> None:
        self.lost = self.failed = 0

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        self.lost += 1

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.failed += 1


class AtOnceTests(SynchronousTestCase):
    """A connector is as good with such an endpoint as with any other."""

    def setUp(self) -> None:
        self.endpoint = EndpointAtOnce()
        self.factory = CountingFactory()
        self.connector = EndpointConnector(self.endpoint, self.factory)

    def test_aLostConnectionCanBeMadeAgain(self) -> None:
        for number in range(1, 4):
            self.connector.connect()
            self.assertEqual(len(self.endpoint.connected), number)
            self.assertRaises(RuntimeError, self.connector.connect)
            self.endpoint.connected[-1].connectionLost(Failure(ConnectionDone()))
            self.assertEqual((self.factory.lost, self.factory.failed), (number, 0))

    def test_aFailedAttemptCanBeMadeAgain(self) -> None:
        self.endpoint.refuses = True
        for number in range(1, 4):
            self.connector.connect()
            self.assertEqual((self.factory.lost, self.factory.failed), (0, number))

    def test_anErrorBeforeTheAttemptIsAFailedAttempt(self) -> None:
        def connect(protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
            raise ZeroDivisionError

        self.endpoint.connect = connect  # type: ignore[method-assign]
        for number in range(1, 4):
            self.connector.connect()
            self.assertEqual((self.factory.lost, self.factory.failed), (0, number))

    def test_theConnectionIsEndedAndNotTheAttempt(self) -> None:
        self.connector.connect()
        self.connector.disconnect()
        transport = self.endpoint.connected[0].transport  # type: ignore[attr-defined]
        self.assertTrue(transport.disconnecting)
