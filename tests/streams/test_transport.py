"""Connected sockets as Twisted transports."""

from __future__ import annotations

import contextlib
import gc
import socket
import weakref
from typing import cast

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.encryption import RECORD, STUCK_TIMEOUT, TlsError
from bore.streams.transport import CLOSE_TIMEOUT, SocketTransport
from bore.tls.contexts import clientContext
from bore.tls.tlssocket import TlsSocket
from tests.fakes import FakeReactor
from tests.relay.encrypted import tlsPair, withoutRoomForEnds
from tests.relay.plugs import TINY, Plugs, fill
from tests.tls.rekeying import Rekeying
from tests.tls.tlscase import TlsCase


class _Receiver(Protocol):
    """Keeps what it receives, and stops reading after some reads."""

    def __init__(self, enough: int) -> None:
        self.received: list[bytes] = []
        self.lost: list[BaseException | None] = []
        self._enough = enough

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)
        if len(self.received) == self._enough:
            cast(SocketTransport, self.transport).stopReading()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason.value)


class EncryptedTests(SynchronousTestCase):
    """Transports inside TLS."""

    def transport(self, enough: int = 1000, control: bool = True) -> tuple[SocketTransport, _Receiver, TlsSocket]:
        server, client = tlsPair()
        self.addCleanup(server.close)
        self.addCleanup(client.close)
        receiver = _Receiver(enough)
        transport = SocketTransport(server, receiver, cast(IReactorFDSet, FakeReactor()), control)
        transport.start()
        return transport, receiver, client

    def test_manySmallRecordsAreReadAtOnce(self) -> None:
        """A peer that writes one in each turn would get ahead of a reader of one in each turn."""
        transport, receiver, client = self.transport()
        for _ in range(20):
            client.send(b"Heartbeat")
        self.assertIsNone(transport.doRead())
        self.assertEqual(receiver.received, [b"Heartbeat"] * 20)

    def test_aFloodOfRecordsIsLimited(self) -> None:
        transport, receiver, client = self.transport()
        for _ in range(100):
            client.send(b"x")
        transport.doRead()
        self.assertEqual(len(receiver.received), 64)

    def test_aReadOfAStreamTakesAsManyRecordsAsAPlainReadHasBytes(self) -> None:
        transport, receiver, client = self.transport(control=False)
        for _ in range(100):
            client.send(b"x")
        transport.doRead()
        self.assertEqual(len(receiver.received), 4)

    def test_aPausedTransportReadsNoMoreRecords(self) -> None:
        transport, receiver, client = self.transport(enough=2)
        for _ in range(5):
            client.send(b"x")
        transport.doRead()
        self.assertEqual(len(receiver.received), 2)
        transport.startReading()
        transport.doRead()
        self.assertEqual(len(receiver.received), 5)

    def test_aCloseWithoutRoomForItsEndIsTriedAgain(self) -> None:
        transport, _, client = self.transport()
        full = withoutRoomForEnds(self)
        transport.write(b"goodbye")
        transport.loseConnection()
        for _ in range(3):
            self.assertIsNone(transport.doWrite())
            self.assertEqual(transport.reactor.getWriters(), [transport])
        full.clear()
        transport.connectionLost(Failure(transport.doWrite()))
        self.assertEqual((client.recv(100), client.recv(100)), (b"goodbye", b""))

    def test_anErrorOfTlsIsReportedAsItIs(self) -> None:
        transport, _, client = self.transport()
        socket.socket.send(client, b"\x17\x03\x03\x00\x20" + bytes(32))
        self.assertIsInstance(transport.doRead(), TlsError)

    def test_anEndWithoutRoomIsSentLater(self) -> None:
        transport, _, client = self.transport()
        full = withoutRoomForEnds(self)
        transport.loseWriteConnection()
        transport.doWrite()
        with self.assertRaises(BlockingIOError):
            client.recv(100)
        full.clear()
        transport.doWrite()
        self.assertEqual(client.recv(100), b"")


class NewKeysTests(TlsCase):
    """A peer that asks for new keys, and reads no answer."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        context = clientContext(())
        self.rekeying = Rekeying(context, "CLIENT")
        self.client, self.server = self.pair(client=context, buffer=4096)
        self.receiver = _Receiver(1000)
        self.transport = SocketTransport(self.server, self.receiver, cast(IReactorFDSet, self.reactor))
        self.transport.start()
        self.rekeying.requestUntilStuck(self.client, self.server, self.transport.doRead)

    def watched(self) -> tuple[int, int]:
        """How many wait to read, and to write."""
        return len(self.reactor.getReaders()), len(self.reactor.getWriters())

    def test_nothingIsReadBeforeTheAnswerIsSent(self) -> None:
        """Bytes that wait would wake the reactor again and again."""
        self.assertEqual(self.watched(), (0, 1))
        self.reactor.advance(STUCK_TIMEOUT - 0.1)
        self.assertEqual(self.receiver.lost, [])

    def test_itIsReadWhenThereIsRoom(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.client.recv(1)
        self.rekeying.send(self.client, b"hello")
        while not self.receiver.received:
            self.rekeying.flush(self.client)
            self.transport.doWrite()
            self.transport.doRead()
            with contextlib.suppress(BlockingIOError):
                self.client.recv(1)
        self.assertEqual(self.receiver.received, [b"hello"])
        self.transport.doWrite()
        self.assertEqual(self.watched(), (1, 0))
        self.reactor.advance(2 * STUCK_TIMEOUT)
        self.assertEqual(self.receiver.lost, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_aPeerThatDoesNotReadTimesOut(self) -> None:
        self.reactor.advance(STUCK_TIMEOUT)
        [reason] = self.receiver.lost
        self.assertEqual(str(reason), "it has requested new keys inside TLS, and does not read the answer")
        self.assertEqual((self.watched(), self.server.fileno()), ((0, 0), -1))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_aTransportPausedInTheMeantimeIsNotRead(self) -> None:
        self.transport.pauseProducing()
        self.transport.doWrite()
        self.assertEqual(self.watched()[0], 0)

    def test_aClosedTransportIsGoneInTime(self) -> None:
        self.transport.write(b"goodbye")
        self.assertFalse(self.transport.finish())
        self.reactor.advance(CLOSE_TIMEOUT)
        self.reactor.advance(0)
        self.assertEqual((len(self.receiver.lost), self.watched(), self.server.fileno()), (1, (0, 0), -1))
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ReadSizeTests(SynchronousTestCase):
    """How much one read takes."""

    def test_theReadSizeIsNotTheBufferSize(self) -> None:
        """A large mark would make each turn of one connection's input long."""
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        far.setblocking(False)
        receiver = _Receiver(1000)
        transport = SocketTransport(far, receiver, cast(IReactorFDSet, FakeReactor()), control=True)
        transport.bufferSize = 1 << 18
        transport.start()
        near.sendall(b"x" * 40_000)
        for _ in range(3):
            transport.doRead()
        self.assertEqual([len(data) for data in receiver.received], [RECORD, RECORD, 40_000 - 2 * RECORD])

    def test_aUnixSocketHasNoOptionsOfTcp(self) -> None:
        """Twisted would log an error, and others of its protocols set them for each connection."""
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        SocketTransport(far, _Receiver(1), cast(IReactorFDSet, FakeReactor())).setTcpNoDelay(True)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_ofAStreamMoreIsReadAtOnce(self) -> None:
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        far.setblocking(False)
        receiver = _Receiver(1000)
        transport = SocketTransport(far, receiver, cast(IReactorFDSet, FakeReactor()))
        transport.start()
        near.sendall(b"x" * 40_000)
        transport.doRead()
        self.assertEqual([len(data) for data in receiver.received], [40_000])


class ClosingTests(SynchronousTestCase):
    """A connection that is closed is gone in time, whatever its peer does."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        plugs = Plugs()
        self.addCleanup(plugs.close)
        self.sock, self.peer = plugs.pair(TINY)
        self.addCleanup(self.sock.close)
        self.addCleanup(self.peer.close)
        self.receiver = _Receiver(1000)
        self.transport = SocketTransport(self.sock, self.receiver, cast(IReactorFDSet, self.reactor))
        self.transport.start()

    def test_atOnceIfThePeerReads(self) -> None:
        self.transport.write(b"goodbye")
        self.assertTrue(self.transport.finish())
        self.transport.connectionLost(Failure(self.transport.doWrite()))
        self.assertEqual(self.peer.recv(100), b"goodbye")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_evenIfMoreIsSentBeforeTheReactorHasClosedIt(self) -> None:
        """A server that stops when a client has just said goodbye waited for the client until its patience ended."""
        self.transport.finish()
        self.transport.write(b"the server stops")
        self.transport.finish()
        self.assertIn(self.transport, self.reactor.getWriters())
        self.transport.connectionLost(Failure(self.transport.doWrite()))
        self.assertEqual(self.peer.recv(100), b"the server stops")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_aDetachedTransportIsFreedAtOnce(self) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        gone = weakref.ref(self.receiver)
        self.assertIs(self.transport.detach(), self.sock)
        del self.receiver, self.transport
        self.assertIsNone(gone())

    def test_otherwiseALittleLater(self) -> None:
        fill(self.sock)
        self.transport.write(b"goodbye")
        self.assertFalse(self.transport.finish())
        self.transport.loseConnection()
        self.transport.doWrite()
        self.reactor.advance(CLOSE_TIMEOUT - 0.1)
        self.assertEqual(self.receiver.lost, [])
        self.reactor.advance(0.1)
        self.reactor.advance(0)
        self.assertEqual((len(self.receiver.lost), self.sock.fileno()), (1, -1))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_evenWithAProducerThatContinues(self) -> None:
        class Producer:
            def pauseProducing(self) -> None: ...

            def resumeProducing(self) -> None: ...

            def stopProducing(self) -> None: ...

        self.transport.registerProducer(Producer(), True)
        self.transport.loseConnection()
        self.reactor.advance(CLOSE_TIMEOUT)
        self.reactor.advance(0)
        self.assertEqual((len(self.receiver.lost), self.sock.fileno()), (1, -1))
