"""Clients that do not read are closed in time, and count until then."""

from __future__ import annotations

from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure

from bore.server.settings import Bounds
from bore.tls.contexts import clientContext
from bore.tls.tlssocket import TlsSocket
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.secret import Secret
from tests.fakes import FakeTransport
from tests.server.case import ControlCase, SessionCase
from tests.tls.rekeying import Rekeying
from tests.tls.tlscase import TlsCase

GARBAGE = b"garbage\0"


class ClosingTests(SessionCase):
    """A connection that is being closed counts as unclassified until its client has read the reason."""

    bounds = Bounds(pending=5, pendingPerSource=2)

    def stuck(self) -> FakeTransport:
        """A connection whose session is over, and whose client does not read."""
        protocol, transport, _ = self.session()
        transport.full = True
        protocol.dataReceived(GARBAGE)
        self.assertTrue(transport.disconnecting)
        return transport

    def test_itIsCutWhenTheTimeForFirstMessagesIsOver(self) -> None:
        transport = self.stuck()
        self.assertEqual(len(self.server.unclassified), 1)
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT - 0.1)
        self.assertFalse(transport.aborted)
        self.reactor.advance(0.1)
        self.assertTrue(transport.aborted)
        self.assertEqual(len(self.server.unclassified), 0)

    def test_theyCountAsUnclassified(self) -> None:
        transports = [self.stuck() for _ in range(4)]
        self.assertEqual([transport.aborted for transport in transports], [True, True, False, False])
        self.assertEqual(len(self.server.unclassified), 2)

    def test_aClientThatReadsDoesNotCount(self) -> None:
        for _ in range(10):
            protocol, transport, _ = self.session()
            protocol.dataReceived(GARBAGE)
            self.assertTrue(transport.disconnecting)
            self.assertFalse(transport.aborted)
        self.assertEqual(len(self.server.unclassified), 0)

    def test_aClientThatIsGoneDoesNotCount(self) -> None:
        protocol, transport, _ = self.session()
        transport.full = True
        protocol.dataReceived(GARBAGE)
        protocol.connectionLost(Failure(ConnectionAborted()))
        self.assertEqual(len(self.server.unclassified), 0)

    def test_aSilentClientThatDoesNotReadIsCutAtOnce(self) -> None:
        for say in (b"", b"{"):
            protocol, transport = self.connect()
            protocol.dataReceived(say)
            transport.full = True
            self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
            self.assertTrue(transport.aborted)
            self.assertEqual(len(self.server.unclassified), 0)

    def test_aClientOverTheLimitThatDoesNotReadIsCut(self) -> None:
        transports = []
        for _ in range(6):
            transports.append(self.connect()[1])
            transports[-1].full = True
        self.assertEqual([transport.aborted for transport in transports], [True] * 4 + [False] * 2)
        self.assertEqual(len(self.server.unclassified), 2)

    def test_theFarewellHasTheSameTimeToBeRead(self) -> None:
        _, transport, _ = self.session()
        transport.full = True
        self.server.shutDown()
        self.assertFalse(transport.aborted)
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.assertTrue(transport.aborted)


class NewKeysTests(TlsCase, ControlCase):
    """Clients inside TLS that ask for new keys, and read no answer."""

    secret = Secret("the secret of this test")
    bounds = Bounds(pending=5, pendingPerSource=2)

    def setUp(self) -> None:
        super().setUp()
        self.servers: list[TlsSocket] = []

    def attack(self) -> int:
        """Set up one such connection; returns the server's descriptor."""
        context = clientContext(())
        rekeying = Rekeying(context, "CLIENT")
        client, server = self.pair(client=context, buffer=4096)
        self.server.control.accepted(server, ("192.0.2.1", 4711))
        [transport] = [each for each in self.reactor.getReaders() if each.fileno() == server.fileno()]
        rekeying.requestUntilStuck(client, server, transport.doRead)
        self.servers.append(server)
        self.assertNotIn(transport, self.reactor.getReaders())
        return server.fileno()

    def turn(self) -> None:
        """Have the transports write what they can."""
        for transport in self.reactor.getWriters():
            if (why := transport.doWrite()) is not None:
                transport.connectionLost(Failure(why))
        self.reactor.advance(0)

    def test_theyAreGoneInTime(self) -> None:
        self.attack()
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.turn()
        self.assertEqual(self.servers[0].fileno(), -1)
        self.assertEqual(len(self.server.unclassified), 0)

    def test_theyAreBoundedInNumber(self) -> None:
        for _ in range(5):
            self.attack()
            self.turn()
        self.assertEqual([server.fileno() >= 0 for server in self.servers], [False] * 3 + [True] * 2)
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.turn()
        self.assertEqual([server.fileno() for server in self.servers], [-1] * 5)
