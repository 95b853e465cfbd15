"""Connected sockets as Twisted transports."""

from __future__ import annotations

import socket
from typing import cast

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.sockets import TlsError
from bore.streams.tls import TlsSocket
from bore.streams.transport import SocketTransport
from tests.fakes import FakeReactor
from tests.relay.sealed import tlsPair


class _Hearer(Protocol):
    """Keeps what it hears, and stops reading when it has heard so much."""

    def __init__(self, enough: int) -> None:
        self.heard: list[bytes] = []
        self._enough = enough

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)
        if len(self.heard) == self._enough:
            cast(SocketTransport, self.transport).stopReading()


class SealedTests(SynchronousTestCase):
    """Transports inside TLS."""

    def transport(self, enough: int = 1000) -> tuple[SocketTransport, _Hearer, TlsSocket]:
        server, client = tlsPair()
        self.addCleanup(server.close)
        self.addCleanup(client.close)
        hearer = _Hearer(enough)
        transport = SocketTransport(server, hearer, cast(IReactorFDSet, FakeReactor()))
        transport.start()
        return transport, hearer, client

    def test_manySmallRecordsAreReadAtOnce(self) -> None:
        """Else who writes one in each turn gets ahead of who reads one in each turn."""
        transport, hearer, client = self.transport()
        for _ in range(20):
            client.send(b"Heartbeat")
        self.assertIsNone(transport.doRead())
        self.assertEqual(hearer.heard, [b"Heartbeat"] * 20)

    def test_aFloodOfThemHasAnEnd(self) -> None:
        transport, hearer, client = self.transport()
        for _ in range(100):
            client.send(b"x")
        transport.doRead()
        self.assertEqual(len(hearer.heard), 64)

    def test_whoStopsReadingHearsNoMore(self) -> None:
        transport, hearer, client = self.transport(enough=2)
        for _ in range(5):
            client.send(b"x")
        transport.doRead()
        self.assertEqual(len(hearer.heard), 2)
        transport.startReading()
        transport.doRead()
        self.assertEqual(len(hearer.heard), 5)

    def test_whatIsWrongIsToldAsItIs(self) -> None:
        transport, _, client = self.transport()
        socket.socket.send(client, b"\x17\x03\x03\x00\x20" + bytes(32))
        self.assertIsInstance(transport.doRead(), TlsError)

    def test_anEndThatFindsNoRoomIsSaidLater(self) -> None:
        transport, _, client = self.transport()
        real = TlsSocket.shutdown
        full = [True]

        def shutdown(sock: TlsSocket, how: int) -> None:
            if full:
                raise BlockingIOError
            real(sock, how)

        self.patch(TlsSocket, "shutdown", shutdown)
        transport._closeWriteConnection()
        with self.assertRaises(BlockingIOError):
            client.recv(100)
        full.clear()
        cast(FakeReactor, transport.reactor).advance(1)
        self.assertEqual(client.recv(100), b"")
