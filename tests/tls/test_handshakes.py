"""TLS handshakes, in the reactor."""

from __future__ import annotations

import contextlib
import socket
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.error import ConnectionLost
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from bore.streams.encryption import NotTls, TlsError
from bore.streams.reactor import IReactor
from bore.tls.contexts import clientContext, serverContext
from bore.tls.handshakes import HANDSHAKE_TIMEOUT, Handshake, HandshakeQueue
from bore.tls.tlssocket import TlsSocket
from tests.fakes import FakeReactor
from tests.relay.plugs import reset
from tests.support import eventually
from tests.tls.tlscase import TlsCase, clientOffer, descriptors, longCredentials, plainPair, receive, serverOffer
from tests.wire.strategies import UNHURRIED


class HandshakeTests(TlsCase):
    """Handshakes without a real reactor."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()

    def begin(self, sock: TlsSocket, timeout: float = HANDSHAKE_TIMEOUT) -> Handshake:
        return Handshake(cast(IReactor, self.reactor), sock, timeout)

    def assertForgotten(self, *socks: TlsSocket) -> None:
        """The reactor has nothing left, and these are closed."""
        watched = self.reactor.getReaders(), self.reactor.getWriters(), self.reactor.getDelayedCalls()
        self.assertEqual(watched, ([], [], []))
        self.assertEqual([sock.fileno() for sock in socks], [-1] * len(socks))

    def test_bothEndsCompleteTheHandshake(self) -> None:
        client, server = self.ends()
        shaking = [self.begin(client), self.begin(server)]
        self.assertEqual(set(self.reactor.getReaders()), set(shaking))
        self.assertEqual([each.fileno() for each in shaking], [client.fileno(), server.fileno()])
        for each in (*shaking, *shaking):
            if each in self.reactor.getReaders():
                each.doRead()
        self.assertEqual([self.successResultOf(each.done) for each in shaking], [client, server])
        self.assertForgotten()
        self.assertEqual(client.binding, server.binding)
        for each in shaking:
            each.connectionLost(Failure(ConnectionLost()))  # the next owner of the socket is called as well
        client.send(b"hello")
        self.assertEqual(receive(server, 5), b"hello")

    def test_aPeerThatDoesNotAnswerTimesOut(self) -> None:
        for timeout in (HANDSHAKE_TIMEOUT, 3.0):
            for end in (0, 1):
                sock = self.ends()[end]
                shaking = self.begin(sock, timeout)
                self.reactor.advance(timeout - 0.01)
                self.assertNoResult(shaking.done)
                self.reactor.advance(0.01)
                self.failureResultOf(shaking.done, TlsError)
                self.assertForgotten(sock)

    def test_aPeerThatSendsHalfOfItTimesOut(self) -> None:
        client, server = self.ends()
        shaking = self.begin(server)
        client.handshake()
        for _ in range(9):
            self.reactor.advance(1.0)
            shaking.doRead()
        self.assertNoResult(shaking.done)
        self.reactor.advance(1.0)
        self.failureResultOf(shaking.done, TlsError)
        self.assertForgotten(server)

    def test_itCanBeCancelled(self) -> None:
        for end in (0, 1):
            sock = self.ends()[end]
            shaking = self.begin(sock)
            shaking.done.cancel()
            self.failureResultOf(shaking.done, CancelledError)
            self.assertForgotten(sock)

    def test_anAbandonedHandshakeNeverFires(self) -> None:
        _, server = self.ends()
        shaking = self.begin(server)
        shaking.abandon()
        shaking.abandon()
        shaking.connectionLost(Failure(ConnectionLost()))
        self.reactor.advance(100)
        self.assertNoResult(shaking.done)
        self.assertForgotten(server)

    def test_aHandshakeFailsWhenTheReactorStops(self) -> None:
        _, server = self.ends()
        shaking = self.begin(server)
        shaking.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(shaking.done, ConnectionLost)
        self.assertForgotten(server)

    def test_anErrorAtTheStartFailsAtOnce(self) -> None:
        client, server = self.ends()
        socket.socket.send(client, b"GET / HTTP/1.1\r\n\r\n")
        eventually(lambda: bool(socket.socket.recv(server, 1, socket.MSG_PEEK)), "it has arrived")
        self.failureResultOf(self.begin(server).done, TlsError)
        self.assertForgotten(server)

    def test_aPeerThatHasClosedFailsTheHandshake(self) -> None:
        for end in (0, 1):
            ends = self.ends()
            shaking = self.begin(ends[end])
            reset(ends[1 - end])
            shaking.doRead()
            self.failureResultOf(shaking.done, OSError)
            self.assertForgotten(*ends)

    def test_theHandshakeWaitsForRoomInTheKernel(self) -> None:
        client, server = self.ends(serverContext(longCredentials()), buffer=4096)
        client.handshake()
        eventually(lambda: bool(socket.socket.recv(server, 1, socket.MSG_PEEK)), "it has arrived")
        shaking = self.begin(server)
        # Bytes that wait would wake the reactor again and again: OpenSSL does not read before it has written.
        self.assertEqual((self.reactor.getReaders(), self.reactor.getWriters()), ([], [shaking]))
        while not client.handshake():
            if self.reactor.getWriters():
                shaking.doWrite()
        self.assertEqual((self.reactor.getReaders(), self.reactor.getWriters()), ([shaking], []))
        while not shaking.done.called:
            shaking.doRead()
        self.assertIs(self.successResultOf(shaking.done), server)
        self.assertForgotten()

    def test_aSocketThatIsReadableAndWritableFailsOnce(self) -> None:
        client, server = self.ends(serverContext(longCredentials()), buffer=4096)
        client.handshake()
        eventually(lambda: bool(socket.socket.recv(server, 1, socket.MSG_PEEK)), "it has arrived")
        shaking = self.begin(server)
        self.assertEqual(self.reactor.getWriters(), [shaking])
        failures: list[Failure] = []
        shaking.done.addErrback(failures.append)
        reset(client)
        shaking.doRead()
        shaking.doWrite()  # as every reactor does when a poll reports both
        self.assertEqual([failure.type for failure in failures], [NotTls])
        self.assertForgotten(server)

    @UNHURRIED
    @given(st.lists(st.binary(min_size=1, max_size=200), max_size=4), st.booleans())
    def test_noInputLeavesADescriptorOpen(self, words: list[bytes], asClient: bool) -> None:
        before = descriptors()
        near, far = plainPair()
        sock = TlsSocket(far, clientOffer() if asClient else serverOffer(), "" if asClient else None)
        shaking = self.begin(sock)
        for each in words:
            with contextlib.suppress(OSError):
                near.send(each)
            if shaking in self.reactor.getReaders():
                shaking.doRead()
        near.close()
        while shaking in self.reactor.getReaders():
            shaking.doRead()
        self.failureResultOf(shaking.done, OSError)
        self.assertForgotten(sock)
        self.assertLessEqual(descriptors(), before)


class QueueTests(TlsCase):
    """Many handshakes of one client."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.done: list[int] = []
        queue = HandshakeQueue(self.reactor)
        self.shaking = [self.answered(number, queue) for number in range(20)]

    def answered(self, number: int, queue: HandshakeQueue) -> Handshake:
        """A client's handshake, for which the answer of the server is there."""
        client, server = self.ends()
        shaking = Handshake(cast(IReactor, self.reactor), client, queue=queue)
        server.handshake()
        shaking.done.addCallback(lambda _: self.done.append(number))
        return shaking

    def test_aFewGoOnInEachTurnInTheirOrder(self) -> None:
        for each in self.shaking:
            each.doRead()
        counts: list[int] = []

        def look() -> None:
            counts.append(len(self.done))
            if len(self.done) < 20:
                self.reactor.callLater(0, look)

        self.reactor.callLater(0, look)
        self.reactor.advance(0)
        self.assertEqual(counts, [8, 16, 20])
        self.assertEqual(self.done, list(range(20)))
        watched = self.reactor.getReaders(), self.reactor.getWriters(), self.reactor.getDelayedCalls()
        self.assertEqual(watched, ([], [], []))

    def test_oneThatIsAbandonedIsPassedOver(self) -> None:
        for each in self.shaking:
            each.doRead()
        self.shaking[0].abandon()
        self.reactor.advance(0)
        self.assertEqual(self.done, list(range(1, 20)))

    def test_oneWithoutAWholeAnswerIsWatchedAgain(self) -> None:
        client, _ = self.ends()
        shaking = Handshake(cast(IReactor, self.reactor), client, queue=HandshakeQueue(self.reactor))
        shaking.doRead()
        self.assertNotIn(shaking, self.reactor.getReaders())
        self.reactor.advance(0)
        self.assertIn(shaking, self.reactor.getReaders())
        shaking.abandon()


class RealTests(TestCase):
    """Handshakes in a reactor that watches."""

    def begin(self, sock: TlsSocket, timeout: float = HANDSHAKE_TIMEOUT) -> Handshake:
        return Handshake(cast(IReactor, reactor), sock, timeout)

    async def test_manyConcurrentHandshakesEnd(self) -> None:
        await deferLater(cast(IReactor, reactor), 0)  # a reactor that starts has descriptors of its own
        before = descriptors()
        contexts = serverContext(longCredentials()), clientContext(())
        done = []
        for _ in range(20):
            near, far = plainPair(buffer=4096)
            done += [
                self.begin(TlsSocket(far, contexts[0], None)).done,
                self.begin(TlsSocket(near, contexts[1], "")).done,
            ]
        socks = await gatherResults(done)
        for one, other in zip(socks[::2], socks[1::2], strict=True):
            self.assertEqual(one.binding, other.binding)
            one.close()
            other.close()
        self.assertLessEqual(descriptors(), before)

    async def test_aSilentPeerTimesOut(self) -> None:
        await deferLater(cast(IReactor, reactor), 0)
        before = descriptors()
        near, far = plainPair()
        shaking = self.begin(TlsSocket(far, serverOffer(), None), 0.05)
        await self.assertFailure(shaking.done, TlsError)
        self.assertEqual(near.recv(1), b"")
        near.close()
        self.assertLessEqual(descriptors(), before)

    async def test_aResetDuringALongAnswerFailsOnce(self) -> None:
        await deferLater(cast(IReactor, reactor), 0)
        before = descriptors()
        near, far = plainPair(buffer=4096)
        client = TlsSocket(near, clientOffer(), "")
        client.handshake()
        eventually(lambda: bool(far.recv(1, socket.MSG_PEEK)), "it has arrived")
        shaking = self.begin(TlsSocket(far, serverContext(longCredentials()), None))
        reset(client)
        await self.assertFailure(shaking.done, OSError)
        self.assertLessEqual(descriptors(), before)
