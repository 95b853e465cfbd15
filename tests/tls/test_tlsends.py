"""How the directions of a TLS connection end, in peace and otherwise."""

from __future__ import annotations

import errno
import gc
import os
import socket
import weakref

from bore.streams.encryption import RECORD, TlsError, encryptedSize
from bore.tls.tlssocket import TlsSocket
from tests.relay.plugs import reset
from tests.support import eventually
from tests.tls.tlscase import TlsCase, awaitBytes, plainPair, receive, receiveInto

#: A record of application data that no key opens.
GARBAGE = b"\x17\x03\x03\x00\x20" + b"garbage!" * 4


def cut(sock: socket.socket) -> None:
    """End a connection as the kernel does whose program has died: without close_notify."""
    socket.socket.shutdown(sock, socket.SHUT_WR)


class EndTests(TlsCase):
    """Each direction ends on its own, and a cut is not an end."""

    def test_eachDirectionEndsOnItsOwn(self) -> None:
        for order in (1, -1):
            here, there = self.pair()[::order]
            here.send(b"last words")
            here.shutdown(socket.SHUT_WR)
            self.assertEqual(receive(there, 100), b"last words")
            for _ in range(3):
                self.assertEqual((there.recv(10), there.recv_into(bytearray(10))), (b"", 0))
                there.send(b"go on")
                self.assertEqual(receive(here, 5), b"go on")
            there.shutdown(socket.SHUT_WR)
            self.assertEqual((receive(here, 1), receive(there, 1)), (b"", b""))

    def test_theEndAfterAFullRecordIsFound(self) -> None:
        client, server = self.pair()
        client.send(b"x" * RECORD)
        client.shutdown(socket.SHUT_WR)
        awaitBytes(server, encryptedSize(RECORD) + 1)
        self.assertEqual((len(receiveInto(server, 1 << 20)), receiveInto(server, 1 << 20)), (RECORD, b""))

    def test_nothingIsSentAfterTheEnd(self) -> None:
        client, server = self.pair()
        client.shutdown(socket.SHUT_WR)
        client.shutdown(socket.SHUT_WR)
        with self.assertRaises(OSError) as caught:
            client.send(b"too late")
        self.assertNotIsInstance(caught.exception, BlockingIOError)
        self.assertEqual(receive(server, 100), b"")

    def test_endingTheReadDirectionSendsNothing(self) -> None:
        client, server = self.pair()
        client.shutdown(socket.SHUT_RD)
        client.send(b"on")
        server.send(b"on")
        self.assertEqual((receive(client, 2), receive(server, 2)), (b"on", b"on"))

    def test_bothDirectionsEndTheConnection(self) -> None:
        client, server = self.pair()
        client.shutdown(socket.SHUT_RDWR)
        self.assertEqual(receive(server, 1), b"")
        eventually(lambda: socket.socket.recv(server, 1) == b"", "TCP has ended too")

    def test_aCutIsAReset(self) -> None:
        for order in (1, -1):
            here, there = self.pair()[::order]
            here.send(b"cut sh")
            cut(here)
            self.assertEqual(receive(there, 6), b"cut sh")
            with self.assertRaises(ConnectionResetError) as caught:
                receive(there, 1)
            self.assertEqual(caught.exception.errno, errno.ECONNRESET)

    def test_aCutAfterAFullRecordIsAReset(self) -> None:
        client, server = self.pair()
        client.send(b"x" * RECORD)
        cut(client)
        awaitBytes(server, encryptedSize(RECORD))
        self.assertEqual(len(receiveInto(server, 1 << 20)), RECORD)
        self.assertRaises(ConnectionResetError, receiveInto, server, 1 << 20)

    def test_aResetIsAReset(self) -> None:
        client, server = self.pair()
        reset(client)
        self.assertRaises(ConnectionResetError, receive, server, 1)
        self.assertRaises(OSError, server.send, b"hello")

    def test_garbageInMidStreamIsAnError(self) -> None:
        for size in (5, RECORD):
            for order in (1, -1):
                here, there = self.pair()[::order]
                here.send(b"x" * size)
                os.write(here.fileno(), GARBAGE)
                awaitBytes(there, encryptedSize(size) + len(GARBAGE))
                self.assertEqual(len(receiveInto(there, 1 << 20)), size)
                for _ in range(3):
                    self.assertRaises(TlsError, receiveInto, there, 1 << 20)
                with self.assertRaises(OSError) as caught:
                    there.send(b"hello")
                self.assertNotIsInstance(caught.exception, BlockingIOError)

    def test_anErrorAfterAFullRecordIsReported(self) -> None:
        errors = []
        for size in (5, RECORD):
            client, server = self.pair()
            client.send(b"x" * size)
            os.write(client.fileno(), GARBAGE)
            awaitBytes(server, encryptedSize(size) + len(GARBAGE))
            receiveInto(server, 1 << 20)
            errors.append(str(self.assertRaises(TlsError, receiveInto, server, 1 << 20)))
        self.assertEqual(errors[0], errors[1])

    def test_dataWrittenAfterCloseReachesNoOtherSocket(self) -> None:
        client, server = self.pair()
        descriptor = client.fileno()
        client.close()
        near, far = plainPair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        self.assertIn(descriptor, (near.fileno(), far.fileno()))
        for act in (
            lambda: client.send(b"hello"),
            lambda: client.recv(10),
            lambda: client.recv_into(bytearray(10)),
            lambda: client.shutdown(socket.SHUT_WR),
            lambda: client.shutdown(socket.SHUT_RDWR),
            client.handshake,
        ):
            with self.assertRaises(OSError) as caught:
                act()
            self.assertEqual(caught.exception.errno, errno.EBADF)
        client.close()
        self.assertRaises(BlockingIOError, near.recv, 1)
        self.assertRaises(BlockingIOError, far.recv, 1)
        self.assertRaises(ConnectionResetError, receive, server, 1)

    def test_aClosedSocketIsFreedWithoutTheCollector(self) -> None:
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        near, far = plainPair()
        far.close()
        sock = TlsSocket(near, self.pair()[0]._tls.get_context(), "")
        gone = weakref.ref(sock)
        sock.close()
        del sock
        self.assertIsNone(gone())
