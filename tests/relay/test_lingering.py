"""A stream that is to be reset lingers until its peer has acknowledged all, and no longer than is bearable."""

# Longer than 300 lines: the steps of one wait, and all of them together.

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Set as AbstractSet
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("this system does not report acknowledgements")

from bore.relay import lingering, pairs
from bore.relay.interface import Ending, LaneHandle, Reason
from bore.relay.lingering import TAKE_TIMEOUT, LingeringReset, mayResetNow
from bore.relay.pairs import Pair
from bore.relay.splice import SpliceRelay
from bore.streams.reactor import IReactor
from bore.streams.tcpinfo import unacknowledged
from tests.fakes import FakeReactor
from tests.relay.encrypted import tlsPair
from tests.relay.plugs import reset, tcpPair
from tests.support import eventually, receiveAll


def stalled(small: bool = True) -> tuple[socket.socket, socket.socket, int]:
    """A peer that does not read, our stream to it with bytes that it has not acknowledged, and how many were sent."""
    peer, ours = tcpPair(small)
    sent = 0
    try:
        while True:
            sent += ours.send(bytes(1 << 16))
    except BlockingIOError:
        return peer, ours, sent


class LingeringTests(SynchronousTestCase):
    """One stream."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.ended = 0

    def linger(self, sock: socket.socket) -> LingeringReset:
        stream = LingeringReset(cast(IReactor, self.reactor), sock, self._end)
        stream.start()
        return stream

    def _end(self) -> None:
        self.ended += 1

    def later(self) -> bool:
        """Some time passes; return whether the stream is reset."""
        self.reactor.advance(0.05)
        return self.ended == 1

    def readToTheEnd(self, stream: LingeringReset) -> None:
        """Let the end of what the peer sends be read."""

        def read() -> bool:
            stream.doRead()
            return not self.reactor.getReaders()

        eventually(read, "nothing is left to read")

    def over(self, sock: socket.socket) -> None:
        self.assertEqual((self.ended, sock.fileno()), (1, -1))
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.getReaders()), ([], []))

    def test_whatHasTakenAllIsResetAtOnce(self) -> None:
        peer, ours = tcpPair()
        self.addCleanup(peer.close)
        self.linger(ours)
        self.over(ours)
        with self.assertRaises(ConnectionResetError):
            peer.recv(1)

    def test_whatIsUnderWayArrivesBeforeTheReset(self) -> None:
        peer, ours, sent = stalled()
        self.addCleanup(peer.close)
        self.linger(ours)
        self.reactor.advance(TAKE_TIMEOUT / 2)
        self.assertEqual(self.ended, 0)
        got = 0
        while got < sent:
            got += len(peer.recv(1 << 16))
        eventually(self.later, "the reset follows")
        with self.assertRaises(ConnectionResetError):
            peer.recv(1)
        self.over(ours)

    def test_aPeerThatDoesNotReadIsWaitedForForABoundedTime(self) -> None:
        peer, ours, _ = stalled()
        self.addCleanup(peer.close)
        self.linger(ours)
        self.reactor.pump([0.25] * int(4 * TAKE_TIMEOUT - 1))
        self.assertEqual(self.ended, 0)
        self.reactor.pump([0.25] * 3)
        self.over(ours)

    def test_aPeerThatReadsSlowlyHasItsTime(self) -> None:
        peer, ours, sent = stalled(small=False)
        self.addCleanup(peer.close)
        self.linger(ours)
        got = 0
        for _ in range(4):
            self.reactor.pump([0.25] * int(3 * TAKE_TIMEOUT))
            self.assertEqual(self.ended, 0)
            before = unacknowledged(ours.fileno())
            while unacknowledged(ours.fileno()) >= before:
                got += len(peer.recv(1 << 14))
        self.assertLess(got, sent)

    def test_whatThePeerSendsIsThrownAway(self) -> None:
        peer, ours, _ = stalled()
        self.addCleanup(peer.close)
        stream = self.linger(ours)
        peer.setblocking(False)
        for _ in range(50):
            try:
                while True:
                    peer.send(bytes(1 << 16))
            except BlockingIOError:
                stream.doRead()
        self.assertEqual(self.ended, 0)

    def test_aPeerThatGoesOnSendingHasTimeToRead(self) -> None:
        """A program that is writing when the reset comes may not read any more."""
        peer, ours = tcpPair()
        self.addCleanup(peer.close)
        ours.send(b"answer")
        peer.send(b"more of the question")
        eventually(lambda: not unacknowledged(ours.fileno()), "all was acknowledged")
        self.assertFalse(mayResetNow(ours))
        self.linger(ours)
        self.reactor.pump([0.01] * 20)
        self.assertEqual(self.ended, 0)
        peer.send(b"and more")
        self.reactor.pump([0.05] * 25)
        self.over(ours)

    def test_aPeerToWhichNothingWasSentIsResetAlthoughItSends(self) -> None:
        """As where a visitor has stopped a download, and the service goes on with it."""
        self.patch(lingering, "_RECENT", 0)
        peer, ours = tcpPair()
        self.addCleanup(peer.close)
        peer.send(b"more of the download")
        self.linger(ours)
        self.over(ours)

    def test_aPeerThatEndsMayStillRead(self) -> None:
        peer, ours, sent = stalled()
        self.addCleanup(peer.close)
        stream = self.linger(ours)
        peer.shutdown(socket.SHUT_WR)
        self.readToTheEnd(stream)
        self.assertEqual(self.ended, 0)
        got = 0
        while got < sent:
            got += len(peer.recv(1 << 16))
        eventually(self.later, "the reset follows")
        self.over(ours)

    def test_aPeerThatIsGoneIsNotWaitedFor(self) -> None:
        peer, ours, _ = stalled()
        stream = self.linger(ours)
        peer.close()  # with unread bytes: a reset
        stream.doRead()
        self.over(ours)

    def test_aPeerThatIsGoneIsNotWaitedForWhenItHadEnded(self) -> None:
        peer, ours, _ = stalled()
        stream = self.linger(ours)
        peer.shutdown(socket.SHUT_WR)
        self.readToTheEnd(stream)
        peer.close()
        eventually(self.later, "the kernel reports that it is over")
        self.over(ours)

    def test_insideTlsAnEndWithoutAWordIsTheCut(self) -> None:
        """A reset would make a write of the peer fail, and OpenSSL reads nothing more then."""
        server, client = tlsPair()
        self.addCleanup(client.close)
        server.send(b"answer")
        stream = self.linger(server)
        self.reactor.advance(TAKE_TIMEOUT / 2)
        self.assertEqual(self.ended, 0)
        client.send(b"still talking")
        stream.doRead()
        client.send(b"still talking")
        with self.assertRaises(ConnectionResetError):
            self.assertEqual(client.recv(100), b"answer")
            client.recv(100)
        reset(client)
        stream.doRead()
        self.over(server)

    def test_insideTlsAPeerThatHasEndedTheConnectionMayStillRead(self) -> None:
        """A proxy half-closes it behind close_notify."""
        server, client = tlsPair(small=True)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += server.send(bytes(1 << 14))
        client.shutdown(socket.SHUT_WR)
        socket.socket.shutdown(client, socket.SHUT_WR)
        stream = self.linger(server)
        self.readToTheEnd(stream)
        self.reactor.advance(TAKE_TIMEOUT / 2)
        self.assertEqual(self.ended, 0)
        got = 0
        while got < sent:
            with contextlib.suppress(BlockingIOError):
                got += len(client.recv(1 << 14))
        eventually(self.later, "the reset follows")
        self.over(server)
        client.close()

    def test_insideTlsWhatHasEndedIsResetSoon(self) -> None:
        server, client = tlsPair()
        server.send(b"answer")
        server.shutdown(socket.SHUT_WR)
        self.linger(server)
        self.assertEqual(self.ended, 0)
        eventually(self.later, "the reset follows")
        self.assertGreater(self.reactor.seconds(), 0.9)
        self.over(server)
        self.assertEqual(receiveAll(client), b"answer")
        client.close()


class _Pair(Pair):
    """Two streams of which one is closed already."""

    @property
    def moved(self) -> int:
        return 0

    @property
    def progress(self) -> tuple[int, int, LaneHandle | None]:
        return 0, 0, None

    def isOn(self, sockets: AbstractSet[socket.socket]) -> bool:
        return False

    def stop(self, reason: Reason) -> None:
        raise AssertionError("it has ended")


class RelayTests(SynchronousTestCase):
    """All the streams of a relay that linger."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.relay = SpliceRelay(cast(IReactor, self.reactor), 600)
        self.endings: list[Ending] = []
        self.sockets: list[socket.socket] = []

    def tearDown(self) -> None:
        self.relay.close()
        self.assertEqual(len(self.relay), 0)

    def linger(self, count: int) -> None:
        for _ in range(count):
            peer, ours, _ = stalled()
            self.addCleanup(peer.close)
            self.sockets.append(ours)
            pair = _Pair()
            self.relay._pairs[pair] = self.endings.append
            self.relay.resetLater(pair, ours, Ending(Reason.LEFT_CUT, 0, len(self.sockets)))

    def open(self) -> list[int]:
        return [number for number, sock in enumerate(self.sockets) if sock.fileno() >= 0]

    def test_theyCountAsRunning(self) -> None:
        self.linger(2)
        self.assertEqual((len(self.relay), self.endings), (2, []))
        self.assertEqual([(toRight, toLeft) for _, _, toRight, toLeft, _ in self.relay.running()], [(0, 1), (0, 2)])

    def test_thereAreOnlySoManyAndTheOldestGoFirst(self) -> None:
        self.patch(pairs, "MAX_LINGERING", 3)
        self.linger(5)
        self.assertEqual(self.open(), [2, 3, 4])
        self.assertEqual([ending.toLeft for ending in self.endings], [1, 2])

    def test_theyMakeRoomWhenDescriptorsRunShort(self) -> None:
        self.linger(3)
        self.assertTrue(self.relay.relieve())
        self.assertEqual(self.open(), [2])
        self.assertTrue(self.relay.relieve())
        self.assertFalse(self.relay.relieve())
        self.assertEqual(len(self.endings), 3)

    def test_drainingWaitsForThemForItsTime(self) -> None:
        self.linger(2)
        drained: list[None] = []
        self.relay.drain(5).addCallback(drained.append)
        self.reactor.advance(4.9)
        self.assertEqual((drained, len(self.relay)), ([], 2))
        self.reactor.advance(0.2)
        self.assertEqual((drained, len(self.relay)), ([None], 0))
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT] * 2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
