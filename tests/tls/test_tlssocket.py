"""A socket whose bytes go through TLS."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import weakref
from functools import partial

from bore.streams.encryption import RECORD, TlsError, channelBinding, encryptedSize, isEncrypted, stuckAt
from bore.tls.contexts import clientContext
from bore.tls.tlssocket import TlsSocket
from tests.relay.contract import reset
from tests.support import eventually, pattern
from tests.tls.rekeying import Rekeying
from tests.tls.tlscase import TlsCase, plainPair, receive, receiveInto

#: A record of application data that no key opens.
GARBAGE = b"\x17\x03\x03\x00\x20" + b"garbage!" * 4


def cut(sock: socket.socket) -> None:
    """End a connection as the kernel does whose program has died: without close_notify."""
    socket.socket.shutdown(sock, socket.SHUT_WR)


def arrived(sock: socket.socket) -> int:
    """How many bytes wait in the kernel."""
    try:
        return len(socket.socket.recv(sock, 1 << 20, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


def awaitBytes(sock: socket.socket, size: int) -> None:
    """Wait until so many bytes, as they are on the wire, have arrived."""
    eventually(lambda: arrived(sock) >= size, f"{size} bytes have arrived")


class BytesTests(TlsCase):
    """Bytes through TLS."""

    def test_bytesGoBothWays(self) -> None:
        for here, there in (ends := self.pair(), ends[::-1]):
            self.assertEqual(here.send(b"hello"), 5)
            self.assertEqual(receive(there, 5), b"hello")
            self.assertEqual(here.sendmsg([b"good", memoryview(b"bye"), b""]), 7)
            self.assertEqual(receive(there, 7), b"goodbye")

    def test_nothingToReadIsSaidAsAPlainSocketSaysIt(self) -> None:
        client, server = self.pair()
        for act in (lambda: client.recv(10), lambda: server.recv(10), lambda: server.recv_into(bytearray(10))):
            with self.assertRaises(BlockingIOError) as caught:
                act()
            self.assertEqual(caught.exception.errno, errno.EAGAIN)

    def test_nothingToSendIsNothing(self) -> None:
        client, _ = self.pair()
        self.assertEqual((client.send(b""), client.sendmsg([])), (0, 0))

    def test_moreThanOneRecordGoesInOneSendAndComesInOneRead(self) -> None:
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

    def test_aBindingIsTheSameAtBothEndsAndNowhereElse(self) -> None:
        pairs = [self.pair() for _ in range(5)]
        bindings = {channelBinding(end) for ends in pairs for end in ends}
        self.assertEqual([channelBinding(a) == channelBinding(b) for a, b in pairs], [True] * 5)
        self.assertEqual((len(bindings), {len(each) for each in bindings}), (5, {32}))

    def test_aPlainSocketIsNotEncryptedAndHasNone(self) -> None:
        near, far = plainPair()
        self.assertEqual([(isEncrypted(each), channelBinding(each)) for each in (near, far)], [(False, b"")] * 2)
        near.close()
        far.close()
        self.assertTrue(isEncrypted(self.pair()[0]))


class EndTests(TlsCase):
    """Each direction ends on its own, and a cut is no end."""

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

    def test_theEndBehindAFullRecordIsAnEnd(self) -> None:
        client, server = self.pair()
        client.send(b"x" * RECORD)
        client.shutdown(socket.SHUT_WR)
        awaitBytes(server, encryptedSize(RECORD) + 1)
        self.assertEqual((len(receiveInto(server, 1 << 20)), receiveInto(server, 1 << 20)), (RECORD, b""))

    def test_behindItsEndNothingMoreIsSent(self) -> None:
        client, server = self.pair()
        client.shutdown(socket.SHUT_WR)
        client.shutdown(socket.SHUT_WR)
        with self.assertRaises(OSError) as caught:
            client.send(b"too late")
        self.assertNotIsInstance(caught.exception, BlockingIOError)
        self.assertEqual(receive(server, 100), b"")

    def test_toReadNoMoreIsNobodyElsesAffair(self) -> None:
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

    def test_aCutBehindAFullRecordIsAResetToo(self) -> None:
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

    def test_garbageInMidStreamIsAnErrorAndNotSilence(self) -> None:
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

    def test_whatIsWrongIsSaidBehindAFullRecordToo(self) -> None:
        told = []
        for size in (5, RECORD):
            client, server = self.pair()
            client.send(b"x" * size)
            os.write(client.fileno(), GARBAGE)
            awaitBytes(server, encryptedSize(size) + len(GARBAGE))
            receiveInto(server, 1 << 20)
            told.append(str(self.assertRaises(TlsError, receiveInto, server, 1 << 20)))
        self.assertEqual(told[0], told[1])

    def test_whatIsWrittenBehindAClosingReachesNobody(self) -> None:
        client, server = self.pair()
        descriptor = client.fileno()
        client.close()
        near, far = plainPair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        self.assertIn(descriptor, (near.fileno(), far.fileno()))
        for act in (
            lambda: client.send(b"hello"),
            lambda: client.sendmsg([b"hello"]),
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

    def test_whatIsClosedIsGoneWithoutTheCollectorsHelp(self) -> None:
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


class FullTests(TlsCase):
    """The kernel takes no more just now."""

    def test_whatTheKernelDoesNotTakeIsSentLater(self) -> None:
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

    def test_whatHasToBeWrittenNextMayHaveMoreBehindIt(self) -> None:
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
        client, server = self.pair(kind=socket.AF_UNIX)  # there, a full buffer has room for exactly what is taken out
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


class NewKeysTests(TlsCase):
    """A peer may ask for new keys whenever it likes."""

    def asking(self, buffer: int = 0) -> tuple[Rekeying, TlsSocket, TlsSocket]:
        """Somebody who asks, its socket, and ours."""
        context = clientContext(())
        rekeying = Rekeying(context, "CLIENT")
        client, server = self.pair(client=context, buffer=buffer)
        return rekeying, client, server

    def test_whoReadsTheAnswersGetsThem(self) -> None:
        rekeying, client, server = self.asking()
        for _ in range(50):
            self.assertEqual(rekeying.ask(client), 1)
            rekeying.say(client, b"and on")
            self.assertEqual(receive(server, 6), b"and on")
            server.send(b"answer")
            self.assertEqual(receive(client, 6), b"answer")

    def test_aReadLooksAtOneRecord(self) -> None:
        """Records without bytes may come as fast as the peer likes: one read must not follow all of them."""
        rekeying, client, server = self.asking()
        rekeying.ask(client, 3)
        rekeying.say(client, b"hello")
        awaitBytes(server, 4 * encryptedSize(5))  # a request has five bytes as well
        blocked, data = 0, b""
        while not data:
            try:
                data = server.recv(10)
            except BlockingIOError:
                blocked += 1
        self.assertEqual(data, b"hello")
        self.assertGreaterEqual(blocked, 3)

    def test_aReadThatMustWriteFirstSaysSo(self) -> None:
        for read in (lambda sock: sock.recv(10), lambda sock: sock.recv_into(bytearray(10))):
            rekeying, client, server = self.asking(buffer=4096)
            rekeying.askUntilStuck(client, server, partial(read, server))
            number = server.stuck
            self.assertEqual(stuckAt(server), number)
            for _ in range(3):
                self.assertRaises(BlockingIOError, read, server)
                self.assertEqual(server.stuck, number)

    def test_itGoesOnWhenItCanWrite(self) -> None:
        rekeying, client, server = self.asking(buffer=4096)
        numbers = set()
        for _ in range(2):
            rekeying.askUntilStuck(client, server, partial(server.recv, 10))
            numbers.add(server.stuck)
            rekeying.say(client, b"hello")
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

    def test_bytesAheadOfTheRequestAreReadFirst(self) -> None:
        rekeying, client, server = self.asking(buffer=4096)
        for size in (1000, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    socket.socket.send(server, b"x" * size)  # past OpenSSL: its answer finds no room
        rekeying.say(client, b"x" * RECORD)
        rekeying.ask(client)
        awaitBytes(server, encryptedSize(RECORD) + 1)
        self.assertEqual(len(receiveInto(server, 1 << 20)), RECORD)
        rekeying.askUntilStuck(client, server, partial(server.recv_into, bytearray(10)))

    def test_whoAsksInTheMiddleOfMuchThatItDoesNotReadIsCut(self) -> None:
        """OpenSSL gives up there."""
        rekeying, client, server = self.asking(buffer=4096)
        with contextlib.suppress(BlockingIOError):
            while True:
                server.send(b"x" * RECORD)
        with self.assertRaises(TlsError):
            rekeying.askUntilStuck(client, server, partial(server.recv, 10))

    def test_aFullBufferAloneEndsNothing(self) -> None:
        client, server = self.pair(buffer=4096)
        with contextlib.suppress(BlockingIOError):
            while True:
                server.send(b"x" * RECORD)
        for _ in range(20):
            client.send(b"on and on")
            self.assertEqual(receive(server, 9), b"on and on")
        self.assertRaises(BlockingIOError, server.recv, 10)
