"""The port that speaks TLS, with time that stands still."""

from __future__ import annotations

import contextlib
import socket
from typing import cast

from bore.events import Event, Sink
from bore.events.server import ConnectionRefused, HandshakeFailed, HandshakeTimedOut
from bore.server.settings import Bounds
from bore.server.unclassified import UnclassifiedConnections
from bore.streams.addresses import SocketAddress
from bore.streams.reactor import IReactor
from bore.timing import turns
from bore.tls.clientcertificates import ClientCertificates
from bore.tls.port import TlsPort
from bore.tls.servercertificate import ServerCertificate
from bore.tls.tlssocket import TlsSocket
from bore.wire.errors import NeedsTls
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from tests.fakes import FakeReactor
from tests.tls.tlscase import TlsCase, clientOffer, plainPair, serverOffer

#: The handshakes that are begun in one turn, as long as none wait.
AT_ONCE = turns._TURN // turns.HANDSHAKE_COST


class _Certificate:
    """The part of a server's certificate that the port uses."""

    accepted = ClientCertificates()
    acceptedChanged = None
    context = property(lambda _: serverOffer())


class ShareTests(TlsCase):
    """A handshake takes as long as hundreds of messages: a turn begins a limited number of them."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.sink, self.events = Sink(), list[Event]()
        self.sink.subscribe(self.events.append)
        self.unclassified = UnclassifiedConnections(self.reactor, self.sink, Bounds(), lambda _: False)
        self.shaken: list[socket.socket] = []
        reactor = cast(IReactor, self.reactor)
        self.port = TlsPort(
            reactor,
            self.sink,
            cast(ServerCertificate, _Certificate()),
            self.unclassified,
            self._accepted,
            lambda _sockets, _refusal: set(),
        )

    def _accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        self.addCleanup(sock.close)
        self.shaken.append(sock)

    def clients(self, count: int) -> list[TlsSocket]:
        """Clients that have begun."""
        clients = []
        for _ in range(count):
            near, far = plainPair()
            client = TlsSocket(near, clientOffer(), "")
            self.addCleanup(client.close)
            self.addCleanup(far.close)
            client.handshake()
            self.port.accepted(far, ("192.0.2.1", 4711))
            clients.append(client)
        return clients

    def poll(self) -> None:
        for reader in self.reactor.getReaders():
            reader.doRead()

    def answered(self, clients: list[TlsSocket]) -> int:
        """How many clients the server has answered."""
        count = 0
        for client in clients:
            with contextlib.suppress(BlockingIOError):
                count += bool(socket.socket.recv(client, 1, socket.MSG_PEEK))
        return count

    def test_aTurnBeginsALimitedNumberOfHandshakes(self) -> None:
        clients = self.clients(5 * AT_ONCE)
        self.poll()
        self.assertEqual(self.answered(clients), AT_ONCE)

    def test_theOthersFollowAndAllEnd(self) -> None:
        clients = self.clients(5 * AT_ONCE)
        done = [False] * len(clients)
        while not all(done):
            self.poll()
            self.reactor.advance(0)
            done = [each or client.handshake() for each, client in zip(done, clients, strict=True)]
        self.poll()
        self.assertEqual(len(self.shaken), len(clients))
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.assertEqual((len(self.unclassified), self.reactor.getDelayedCalls()), (0, []))

    def test_aClientThatWaitsTimesOutAndIsNotTakenForAPlainOne(self) -> None:
        self.clients(2 * AT_ONCE)
        self.poll()
        self.port.turns.wait = lambda goOn: None  # type: ignore[method-assign]
        waiting = self.clients(1)
        self.poll()
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.assertRaises(ConnectionResetError, socket.socket.recv, waiting[0], 100)  # no text of a plain refusal
        self.assertIn(HandshakeTimedOut("192.0.2.1:4711", "192.0.2.1"), self.events)
        self.assertEqual((len(self.unclassified), self.reactor.getReaders()), (0, []))

    def test_eachRefusalIsAnEvent(self) -> None:
        for data in (b'{"Hello":0}\0', b"\x16\x03\x01\0\x05junk!"):
            near, far = plainPair()
            self.addCleanup(near.close)
            self.addCleanup(far.close)
            near.send(data)
            self.port.accepted(far, ("192.0.2.1", 4711))
        self.poll()
        refused, failed = sorted(self.events, key=lambda event: type(event).__name__)  # a poll has no order
        assert isinstance(refused, ConnectionRefused)
        assert isinstance(failed, HandshakeFailed)
        self.assertIsInstance(refused.error, NeedsTls)
        self.assertEqual({refused.peer, failed.peer}, {"192.0.2.1:4711"})
        self.assertEqual({refused.network, failed.network}, {"192.0.2.1"})
