"""The first bytes of a local service."""

from __future__ import annotations

import socket
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bore.client.firstbytes import FIRST, FirstBytes
from bore.streams.encryption import channelBinding, isEncrypted


class FakeDialer:
    """Connects to the test."""

    patience = 0.25

    def __init__(self, case: SynchronousTestCase) -> None:
        self._case = case
        self.services: list[socket.socket] = []
        self.waits = False
        self.waiting: list[tuple[Deferred[socket.socket], socket.socket]] = []

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        ours, service = socket.socketpair()
        ours.setblocking(False)
        self.services.append(service)
        self._case.addCleanup(service.close)
        if not self.waits:
            return ours
        waiting: Deferred[socket.socket] = Deferred()
        self.waiting.append((waiting, ours))
        return waiting


class FirstBytesTests(SynchronousTestCase):
    """FirstBytes."""

    def setUp(self) -> None:
        self.dialer = FakeDialer(self)
        self.seen: list[bytes] = []
        self.watching = FirstBytes(self.dialer, self.seen.append)

    def dial(self) -> tuple[socket.socket, socket.socket]:
        """A connection to the service, and the service."""
        sock = self.watching.dial()
        assert isinstance(sock, socket.socket)
        self.addCleanup(sock.close)
        return sock, self.dialer.services[-1]

    def test_theyArePassedOnAndReachTheirReader(self) -> None:
        sock, service = self.dial()
        service.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(sock.recv(1000), b"HTTP/1.1 200 OK\r\n\r\n")
        service.sendall(b"more")
        self.assertEqual(sock.recv(1000), b"more")
        self.assertEqual(self.seen, [b"HTTP/1.1 200 OK\r"])
        self.assertEqual(len(self.seen[0]), FIRST)

    def test_theyMayBeReadIntoABuffer(self) -> None:
        sock, service = self.dial()
        service.sendall(b"SSH-2.0-x")
        buffer = bytearray(b"." * 32)
        self.assertEqual(sock.recv_into(buffer, 32), 9)
        self.assertEqual((bytes(buffer[:9]), self.seen), (b"SSH-2.0-x", [b"SSH-2.0-x"]))

    def test_theConnectionIsAsItWas(self) -> None:
        self.assertEqual(self.watching.patience, 0.25)
        sock, service = self.dial()
        self.assertEqual((sock.gettimeout(), sock.family, sock.type), (0.0, service.family, service.type))
        self.assertRaises(BlockingIOError, sock.recv, 1)
        sock.sendall(b"question")
        self.assertEqual(service.recv(100), b"question")

    def test_itIsNotTakenForAConnectionInsideTls(self) -> None:
        sock, _ = self.dial()
        self.assertFalse(isEncrypted(sock))
        self.assertEqual(channelBinding(sock), b"")

    def test_aPeekAndAnEndAreNoBytes(self) -> None:
        sock, service = self.dial()
        service.sendall(b"x")
        self.assertEqual(sock.recv(1, socket.MSG_PEEK), b"x")
        self.assertEqual(self.seen, [])
        sock.recv(1)
        other, service = self.dial()
        service.close()
        self.assertEqual(other.recv(1), b"")
        self.assertEqual(self.seen, [b"x"])

    def test_onlyOneOfSeveralConnectionsIsUsed(self) -> None:
        pairs = [self.dial() for _ in range(3)]
        for sock, service in pairs:
            service.sendall(b"x")
            sock.recv(1)
        self.assertEqual(self.seen, [b"x"])

    def test_afterwardsConnectionsAreOrdinaryOnes(self) -> None:
        sock, service = self.dial()
        self.assertIsNot(type(sock), socket.socket)
        service.sendall(b"x")
        sock.recv(1)
        self.assertIs(type(self.dial()[0]), socket.socket)

    def test_aConnectionMayTakeTime(self) -> None:
        self.dialer.waits = True
        for known in (False, True):
            dialled = self.watching.dial()
            waiting, ours = self.dialer.waiting.pop()
            waiting.callback(ours)
            sock = self.successResultOf(cast("Deferred[socket.socket]", dialled))
            self.addCleanup(sock.close)
            self.assertEqual(type(sock) is socket.socket, known)
            self.dialer.services[-1].sendall(b"x")
            sock.recv(1)
        self.assertEqual(self.seen, [b"x"])
