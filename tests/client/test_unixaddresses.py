"""A tunnel whose public address is a Unix socket of the server."""

from __future__ import annotations

from uuid import uuid4

from bore.client.reasons import ExtensionNeeded
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.wire.clientsession import UNUSED_PORT
from bore.wire.extension import Extended, Open, Opened, Visitor, encode, markedHello
from bore.wire.messages import Error, Hello
from bore.wire.proxyprotocol import Version
from bore.wire.publicaddress import UnixPath
from tests.client.manycase import ManyCase
from tests.client.test_sessions import SessionCase

WEB = UnixPath("/run/bore/web.sock")
TOKEN = "A" * 32


class UnixAddressTests(SessionCase):
    """The only tunnel of a client."""

    def setUp(self) -> None:
        self.make(public=WEB)

    def test_theHelloIsForNoTunnel(self) -> None:
        _, transport = self.connect()
        self.assertEqual(transport.takeWritten(), markedHello(UNUSED_PORT))

    def test_theServerIsAskedForTheSocketAndPeopleReadWhereItIs(self) -> None:
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        self.assertEqual(transport.takeWritten(), encode(Open(1, WEB)))
        self.hear(protocol, Opened(1, WEB, TOKEN, 60))
        self.assertEqual(self.announced, ["listening at unix:/run/bore/web.sock on example.com -> localhost:8000"])
        self.assertEqual(self.successResultOf(self.tunnel.whenOpened()), WEB)

    def test_itIsResumed(self) -> None:
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1), Opened(1, WEB, TOKEN, 60))
        self.lose(protocol)
        self.delayToNextAttempt()
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        self.assertEqual(transport.takeWritten(), encode(Open(1, WEB, TOKEN)))

    def test_aServerOfTheBaseProtocolIsFinal(self) -> None:
        for answer in (
            Error("client port number not in allowed range"),
            Error("port already in use"),
            Hello(UNUSED_PORT),
        ):
            self.make(public=WEB)
            protocol, _ = self.connect()
            self.receive(protocol, answer)
            self.lose(protocol)
            error = self.gaveUp()
            self.assertIsInstance(error, ExtensionNeeded)
            self.assertIn("--port: this server does not open Unix sockets, as it does not know the", str(error))

    def test_aRefusalThatDoesNotConcernThePortIsNotFinal(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Error("server is shutting down"))
        self.lose(protocol)
        self.delayToNextAttempt()

    def test_visitorsHaveNoAddress(self) -> None:
        self.make(public=WEB, proxyProtocol=Version.V1)
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1), Opened(1, WEB, TOKEN, 60))
        self.hear(protocol, Visitor(1, uuid4(), None), Visitor(1, uuid4(), ("203.0.113.9", 50123)))
        self.assertEqual(self.visitors.headers, [b"PROXY UNKNOWN\r\n", b"PROXY TCP4 203.0.113.9 127.0.0.1 50123 0\r\n"])


class CheckTests(SessionCase):
    """--check-every."""

    def setUp(self) -> None:
        self.make(public=WEB, checkEvery=10.0)

    def test_aSocketOfTheServerIsNotVisited(self) -> None:
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1), Opened(1, WEB, TOKEN, 60))
        assert protocol.session is not None
        self.assertEqual(protocol.session._checks, {})


class SeveralTests(ManyCase):
    """A client with other tunnels, too."""

    def setUp(self) -> None:
        self.make(public=WEB)

    def test_theHelloIsForTheFirstThatHasAPort(self) -> None:
        _, transport = self.connect()
        self.assertEqual(transport.takeWritten(), markedHello(9001))

    def test_aServerOfTheBaseProtocolServesThatOneAndTheOthersAreHandedOver(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Hello(9001))
        self.assertFalse(transport.aborted)
        self.assertEqual(self.owner.handedOver, [self.tunnels[0], self.tunnels[2]])
        self.assertEqual(self.successResultOf(self.tunnels[1].whenOpened()), 9001)

    def test_theyAreAskedForInTheirOrder(self) -> None:
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        self.assertEqual(transport.takeWritten(), encode(Open(1, WEB)) + encode(Open(2, 9001)) + encode(Open(3, 0)))


class SpecTests(SessionCase):
    """What the user wants, as a value."""

    def test_anotherAddressIsNotAChangeInPlace(self) -> None:
        port, path = TunnelSpec(Target(80), 8000), TunnelSpec(Target(80), WEB)
        self.assertFalse(path.isOpenAs(port))
        self.assertFalse(port.isOpenAs(path))
        self.assertTrue(path.isOpenAs(TunnelSpec(Target(81), WEB)))
