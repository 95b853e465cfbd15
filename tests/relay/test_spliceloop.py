"""The loop of the splice backend: turns, shares, and what fails in them."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there is no splice on this system")

import errno
import gc
import os
import socket
import sys
import tracemalloc
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.relay import pipes, splice
from bore.relay.flow import Flow
from bore.relay.interface import Ending, Reason, Stream
from bore.relay.lingering import TAKE_TIMEOUT
from bore.relay.splice import SpliceRelay
from bore.streams.reactor import IReactor
from tests.fakes import FakeReactor
from tests.relay.plugs import reset, tcpPair
from tests.support import eventually


class Refusing:
    """An epoll that has no room left."""

    closed = True

    def register(self, fd: int, mask: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


class TurnTests(SynchronousTestCase):
    """One turn of the relay, and what a pair holds between its turns."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.relay = SpliceRelay(cast(IReactor, self.reactor), 600)
        self.addCleanup(self._close)
        self.sockets: list[socket.socket] = []
        self.endings: list[Ending] = []

    def _close(self) -> None:
        if self.relay._drained is None:
            self.relay.drain(0)
        self.reactor.advance(0)
        for sock in self.sockets:
            sock.close()

    def pair(self, early: bytes = b"") -> tuple[socket.socket, socket.socket]:
        left, innerLeft = tcpPair()
        right, innerRight = tcpPair()
        self.sockets += [left, right]
        self.relay.join(Stream(innerLeft, early), Stream(innerRight), self.endings.append)
        return left, right

    def fill(self, sock: socket.socket) -> int:
        sock.setblocking(False)
        sent = 0
        try:
            while True:
                sent += sock.send(bytes(1 << 16))
        except BlockingIOError:
            return sent

    def test_aTurnMovesABoundedNumberOfBytes(self) -> None:
        left, _ = self.pair()
        sent = self.fill(left)
        self.assertGreater(sent, 2 << 20)
        self.relay.loop.doRead()
        [pair] = list(self.relay._pairs)
        self.assertGreater(pair.moved, 0)
        self.assertLessEqual(pair.moved, (1 << 20) + pipes.PIPE_SIZE)

    def test_betweenTwoTurnsNoMoreThanOneShareIsMoved(self) -> None:
        """As when a timer has a stream go on."""
        left, _ = self.pair()
        self.fill(left)
        [pair] = list(self.relay._pairs)
        assert isinstance(pair, splice._SplicePair)
        self.relay.loop.doRead()
        before = pair.moved
        pair.left.queued = False
        pair.left.pump()
        pair.right.pump()
        self.assertLessEqual(pair.moved - before, (1 << 20) + pipes.PIPE_SIZE)

    def test_bulkIsSpliced(self) -> None:
        spliced: list[int] = []
        real = os.splice

        def counting(*arguments: Any, **more: Any) -> int:
            count = real(*arguments, **more)
            spliced.append(count)
            return count

        self.patch(os, "splice", counting)
        left, _ = self.pair()
        sent = self.fill(left)
        self.relay.loop.doRead()
        self.reactor.advance(0)
        self.assertGreater(sum(spliced), sent // 4)
        spliced.clear()
        left2, _ = self.pair()
        left2.send(b"a small message")
        self.relay.loop.doRead()
        self.assertEqual(spliced, [])

    def test_anIdlePairHoldsNoPipe(self) -> None:
        left, right = self.pair()
        self.fill(left)
        right.settimeout(0.2)
        got = 0
        while True:
            self.relay.loop.doRead()
            self.reactor.advance(0)
            try:
                got += len(right.recv(1 << 20))
            except TimeoutError:
                break
        [pair] = list(self.relay._pairs)
        self.assertEqual((pair.moved, pair.left.pipe, pair.right.pipe), (got, None, None))  # type: ignore[attr-defined]
        self.assertEqual(self.relay.loop.pipes._used, 0)

    def test_anIdlePairCostsLittleMemory(self) -> None:
        ends = [(tcpPair(), tcpPair()) for _ in range(300)]
        self.sockets += [sock for pair in ends for near, far in pair for sock in (near, far)]
        ended = self.endings.append
        for (_, left), (_, right) in ends[:100]:
            self.relay.join(Stream(left), Stream(right), ended)
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before = tracemalloc.get_traced_memory()[0]
        for (_, left), (_, right) in ends[100:]:
            self.relay.join(Stream(left), Stream(right), ended)
        self.relay.loop.doRead()
        each = (tracemalloc.get_traced_memory()[0] - before) / 200
        self.assertLess(each, 2048 - 2 * 100, "with room for the two socket objects, which were made before")

    def test_aPairThatCanBeWrittenToIsNoEvent(self) -> None:
        self.pair()
        self.assertEqual(self.relay.loop._epoll.poll(0), [])

    def isQuiet(self) -> bool:
        """Whether nothing happens any more."""
        self.relay.loop.doRead()
        self.reactor.advance(0)
        return not self.relay.loop._epoll.poll(0)

    def test_aStreamThatTakesNoMoreGoesOnWhenItDoes(self) -> None:
        left, right = self.pair()
        for _ in range(3):
            sent = 0
            while more := self.fill(left):
                sent += more
                self.relay.loop.doRead()
                self.reactor.advance(0)
            eventually(self.isQuiet, "no event")  # the loopback device may deliver the last bytes later
            received = 0
            while received < sent:
                received += len(right.recv(1 << 20))
                self.relay.loop.doRead()
                self.reactor.advance(0)

    def test_aResetIsNoticedWhileNothingIsRead(self) -> None:
        left, _ = self.pair()
        self.fill(left)
        for _ in range(20):
            self.relay.loop.doRead()
            self.reactor.advance(0)
        reset(left)
        self.relay.loop.doRead()
        self.assertEqual(self.endings, [], "what was sent before the reset may still be taken")
        self.reactor.advance(TAKE_TIMEOUT)
        self.reactor.pump([0.25] * int(4 * TAKE_TIMEOUT + 2))
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT])

    def test_aFaultOfOursAtTheStartLeavesNoPairBehind(self) -> None:
        class Faulty(Exception):
            pass

        def fail(end: Any) -> None:
            raise Faulty

        self.patch(Flow, "deliver", fail)
        self.pair(b"what was read before")
        self.assertEqual(([ending.reason for ending in self.endings], len(self.relay)), ([Reason.FAILED], 0))
        self.assertEqual(len(self.flushLoggedErrors(Faulty)), 1)

    def test_aFaultOfOursCostsOnePairAndNoOther(self) -> None:
        class Faulty(Exception):
            pass

        def fail(end: Any) -> None:
            raise Faulty

        left, right = self.pair()
        broken = self.patch(Flow, "moveSmall", fail)
        left.sendall(b"x")
        self.relay.loop.doRead()
        self.assertEqual([ending.reason for ending in self.endings], [Reason.FAILED])
        self.assertEqual(len(self.flushLoggedErrors(Faulty)), 1)
        broken.restore()
        left, right = self.pair()
        left.sendall(b"the next one")
        self.relay.loop.doRead()
        self.assertEqual(right.recv(100), b"the next one")

    def test_streamsThatTheSystemWillNotServeAreClosed(self) -> None:
        self.relay.close()
        near, far = tcpPair()
        self.sockets.append(near)
        self.relay.loop._epoll = cast(Any, Refusing())
        self.relay.join(Stream(far), Stream(tcpPair()[1]), self.endings.append)
        self.assertEqual([ending.reason for ending in self.endings], [Reason.FAILED])
        self.assertEqual((far.fileno(), len(self.relay)), (-1, 0))

    def test_itMayCloseInTheMiddleOfATurn(self) -> None:
        left, right = self.pair()
        self.relay.drain(60)
        left.close()
        right.close()
        self.relay.loop.doRead()
        self.assertEqual([ending.reason for ending in self.endings], [Reason.FINISHED])
        self.assertEqual((self.relay.loop.fileno(), self.reactor.getReaders()), (-1, []))
        self.relay.loop.connectionLost(Failure(ConnectionDone()))

    def test_anEventForADescriptorThatIsNoLongerOursMeansNothing(self) -> None:
        class Stale:
            """An epoll that reports events of the past."""

            def __init__(self, real: Any, fds: list[int]) -> None:
                self.real = real
                self.fds = fds

            def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
                self.real.poll(timeout, most)
                return [(fd, 0x1 | 0x4 | 0x10 | 0x2000) for fd in self.fds]

            def __getattr__(self, name: str) -> Any:
                return getattr(self.real, name)

        left, right = self.pair()
        [pair] = list(self.relay._pairs)
        fds = [pair.left.fd, pair.right.fd, 99999]  # type: ignore[attr-defined]
        self.relay.loop._epoll = cast(Any, Stale(self.relay.loop._epoll, fds))
        self.relay.loop.doRead()
        self.relay.loop.doRead()
        self.assertEqual(self.endings, [])
        left.sendall(b"still joined")
        self.relay.loop.doRead()
        self.assertEqual(right.recv(100), b"still joined")
        self.relay.loop._epoll = cast(Any, self.relay.loop._epoll).real
