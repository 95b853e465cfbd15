"""A socket whose bytes go through TLS."""

from __future__ import annotations

import contextlib
import errno
import socket

from bore.streams.encryption import RECORD, channelBinding, encryptedSize, isEncrypted
from tests.support import pattern
from tests.tls.tlscase import TlsCase, arrived, awaitBytes, plainPair, receive, receiveInto


class BytesTests(TlsCase):
    """Bytes through TLS."""

    def test_bytesGoBothWays(self) -> None:
        for here, there in (ends := self.pair(), ends[::-1]):
            self.assertEqual(here.send(b"hello"), 5)
            self.assertEqual(receive(there, 5), b"hello")
            self.assertEqual(here.send(memoryview(b"goodbye")), 7)
            self.assertEqual(receive(there, 7), b"goodbye")

    def test_aReadWithoutDataRaisesAsThatOfAPlainSocket(self) -> None:
        client, server = self.pair()
        for act in (lambda: client.recv(10), lambda: server.recv(10), lambda: server.recv_into(bytearray(10))):
            with self.assertRaises(BlockingIOError) as caught:
                act()
            self.assertEqual(caught.exception.errno, errno.EAGAIN)

    def test_sendingNothingSendsNothing(self) -> None:
        client, _ = self.pair()
        self.assertEqual(client.send(b""), 0)

    def test_manyRecordsAreSentAndReadAtOnce(self) -> None:
        client, server = self.pair()
        data = pattern(1, 3 * RECORD + 100)
        self.assertEqual(client.send(memoryview(data)), len(data))
        awaitBytes(server, encryptedSize(len(data)))
        self.assertEqual(receiveInto(server, 1 << 20), data)

    def test_aReadMayBeShort(self) -> None:
        client, server = self.pair()
        client.send(b"hello, world")
        self.assertEqual(receive(server, 5), b"hello")
        buffer = bytearray(b"." * 10)
        self.assertEqual(server.recv_into(buffer, 2), 2)
        self.assertEqual(buffer, b", ........")
        self.assertEqual(server.recv_into(memoryview(buffer)[2:]), 5)
        self.assertEqual(buffer, b", world...")
        self.assertRaises(BlockingIOError, server.recv, 1)

    def test_encryptedSizeIsWhatIsOnTheWire(self) -> None:
        client, server = self.pair()
        for size in (1, 100, RECORD - 1, RECORD, RECORD + 1, 2 * RECORD, 3 * RECORD + 1):
            self.assertEqual(client.send(b"x" * size), size)
            awaitBytes(server, encryptedSize(size))
            self.assertEqual(arrived(server), encryptedSize(size))
            self.assertNotIn(b"xxxx", socket.socket.recv(server, 1 << 20, socket.MSG_PEEK))
            receive(server, size)
        self.assertEqual(encryptedSize(0), 0)

    def test_aChannelBindingIsTheSameAtBothEndsOnly(self) -> None:
        pairs = [self.pair() for _ in range(5)]
        bindings = {channelBinding(end) for ends in pairs for end in ends}
        self.assertEqual([channelBinding(a) == channelBinding(b) for a, b in pairs], [True] * 5)
        self.assertEqual((len(bindings), {len(each) for each in bindings}), (5, {32}))

    def test_aPlainSocketHasNoChannelBinding(self) -> None:
        near, far = plainPair()
        self.assertEqual([(isEncrypted(each), channelBinding(each)) for each in (near, far)], [(False, b"")] * 2)
        near.close()
        far.close()
        self.assertTrue(isEncrypted(self.pair()[0]))


class FullTests(TlsCase):
    """The kernel takes no more just now."""

    def test_dataThatTheKernelDoesNotTakeIsSentLater(self) -> None:
        client, server = self.pair(buffer=4096)
        data = pattern(2, 1 << 20)
        sent = blocked = 0
        got = bytearray()
        while len(got) < len(data):
            try:
                sent += server.send(memoryview(data)[sent : sent + 100_000])
            except BlockingIOError:
                blocked += 1
            with contextlib.suppress(BlockingIOError):
                got += client.recv(30_000)
        server.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(client, 1), b"")
        self.assertTrue(got == data)
        self.assertGreater(blocked, 3)

    def test_dataThatHasToBeWrittenNextMayBeFollowedByMore(self) -> None:
        client, server = self.pair(buffer=4096)
        sent = 0
        while True:
            try:
                sent += server.send(b"x" * 5000)
            except BlockingIOError:
                break
        self.assertEqual(receive(client, sent), b"x" * sent)
        self.assertGreaterEqual(server.send(b"x" * 5000 + b"y" * 100), 5000)
        self.assertEqual(receive(client, 5000), b"x" * 5000)

    def test_anEndThatTheKernelDoesNotTakeIsSentLater(self) -> None:
        client, server = self.pair(kind=socket.AF_UNIX)  # there, a full buffer has room for what is read
        sent = 0
        while True:
            try:
                sent += client.send(b"x")
            except BlockingIOError:
                break
        self.assertEqual(receive(server, 1), b"x")
        self.assertEqual(client.send(b"x"), 1)
        for _ in range(3):
            self.assertRaises(BlockingIOError, client.shutdown, socket.SHUT_WR)
        self.assertEqual(receive(server, sent), b"x" * sent)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(server, 1), b"")
        server.send(b"on")
        self.assertEqual(receive(client, 2), b"on")
