"""Peers that request new keys inside TLS."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from functools import partial

from bore.streams.encryption import RECORD, TlsError, encryptedSize, stuckAt
from bore.tls.contexts import clientContext
from bore.tls.tlssocket import TlsSocket
from tests.tls.rekeying import Rekeying
from tests.tls.tlscase import TlsCase, awaitBytes, plainPair, receive, receiveInto


class NewKeysTests(TlsCase):
    """A peer may ask for new keys whenever it likes."""

    def asking(self, buffer: int = 0) -> tuple[Rekeying, TlsSocket, TlsSocket]:
        """A peer that requests new keys, its socket, and ours."""
        context = clientContext(())
        rekeying = Rekeying(context, "CLIENT")
        client, server = self.pair(client=context, buffer=buffer)
        return rekeying, client, server

    def test_aPeerThatReadsGetsTheAnswers(self) -> None:
        rekeying, client, server = self.asking()
        for _ in range(50):
            self.assertEqual(rekeying.request(client), 1)
            rekeying.send(client, b"and on")
            self.assertEqual(receive(server, 6), b"and on")
            server.send(b"answer")
            self.assertEqual(receive(client, 6), b"answer")

    def test_aReadTakesOneRecord(self) -> None:
        """Records without bytes may come as fast as the peer likes: one read must not follow all of them."""
        rekeying, client, server = self.asking()
        rekeying.request(client, 3)
        rekeying.send(client, b"hello")
        awaitBytes(server, 4 * encryptedSize(5))  # a request has five bytes as well
        blocked, data = 0, b""
        while not data:
            try:
                data = server.recv(10)
            except BlockingIOError:
                blocked += 1
        self.assertEqual(data, b"hello")
        self.assertGreaterEqual(blocked, 3)

    def test_aReadThatMustWriteFirstIsStuck(self) -> None:
        for read in (lambda sock: sock.recv(10), lambda sock: sock.recv_into(bytearray(10))):
            ends = self.asking(buffer=4096)
            self.assertTrue(any(self.staysStuck(*ends, read) for _ in range(10)))

    def staysStuck(
        self, rekeying: Rekeying, client: TlsSocket, server: TlsSocket, read: Callable[[TlsSocket], object]
    ) -> bool:
        """Whether reads change nothing. The loopback device may take an answer late, and let the socket write."""
        rekeying.requestUntilStuck(client, server, partial(read, server))
        number = server.stuck
        self.assertEqual(stuckAt(server), number)
        for _ in range(3):
            self.assertRaises(BlockingIOError, read, server)
            if server.stuck != number:
                return False
        return True

    def test_itContinuesWhenItCanWrite(self) -> None:
        rekeying, client, server = self.asking(buffer=4096)
        numbers = set()
        for _ in range(2):
            rekeying.requestUntilStuck(client, server, partial(server.recv, 10))
            numbers.add(server.stuck)
            rekeying.send(client, b"hello")
            while server.stuck or not rekeying.flush(client):
                with contextlib.suppress(BlockingIOError):
                    client.recv(RECORD)  # there are no bytes, but answers
                with contextlib.suppress(BlockingIOError):
                    self.assertEqual(server.recv(5), b"hello")
        self.assertEqual((len(numbers), 0 in numbers, stuckAt(server)), (2, False, 0))

    def test_aPlainSocketIsNeverStuck(self) -> None:
        near, far = plainPair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        self.assertRaises(BlockingIOError, near.recv, 10)
        self.assertEqual(stuckAt(near), 0)

    def test_dataBeforeTheRequestIsReadFirst(self) -> None:
        rekeying, client, server = self.asking(buffer=4096)
        for size in (1000, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    socket.socket.send(server, b"x" * size)  # past OpenSSL: its answer finds no room
        rekeying.send(client, b"x" * RECORD)
        rekeying.request(client)
        awaitBytes(server, encryptedSize(RECORD) + 1)
        self.assertEqual(len(receiveInto(server, 1 << 20)), RECORD)
        rekeying.requestUntilStuck(client, server, partial(server.recv_into, bytearray(10)))

    def test_aPeerThatRequestsKeysAndDoesNotReadIsCut(self) -> None:
        """OpenSSL gives up there."""
        rekeying, client, server = self.asking(buffer=4096)
        with contextlib.suppress(BlockingIOError):
            while True:
                server.send(b"x" * RECORD)
        with self.assertRaises(TlsError):
            rekeying.requestUntilStuck(client, server, partial(server.recv, 10))

    def test_aFullBufferAloneEndsNothing(self) -> None:
        client, server = self.pair(buffer=4096)
        with contextlib.suppress(BlockingIOError):
            while True:
                server.send(b"x" * RECORD)
        for _ in range(20):
            client.send(b"on and on")
            self.assertEqual(receive(server, 9), b"on and on")
        self.assertRaises(BlockingIOError, server.recv, 10)
