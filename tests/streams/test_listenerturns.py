"""Listeners that are paused, and listeners that share a turn."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bore.events import Sink
from bore.streams.addresses import SocketAddress
from bore.streams.listener import Listener, ListenerGroup, bindSocket
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors, OpenCount
from tests.fakes import FakeReactor
from tests.streams.test_listener import StarvedSocket
from tests.support import connect


class PauseTests(SynchronousTestCase):
    """Connections that are not accepted yet."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.accepted: list[socket.socket] = []
        self.room = 0
        self.descriptors = Descriptors(self.reactor, 100, OpenCount(lambda: 0, lambda: 0))
        self.listener = Listener(
            cast(IReactor, self.reactor),
            bindSocket("127.0.0.1", 0),
            self.accept,
            ListenerGroup(Sink()),
            mayAccept=self.mayAccept,
            descriptors=self.descriptors,
        )
        self.addCleanup(self.listener.stop)

    def accept(self, sock: socket.socket, address: SocketAddress) -> None:
        self.addCleanup(sock.close)
        self.accepted.append(sock)
        self.room -= 1

    def mayAccept(self) -> bool:
        if self.room <= 0:
            self.listener.pause()
        return self.room > 0

    def come(self, count: int) -> list[socket.socket]:
        visitors = [connect("127.0.0.1", self.listener.port) for _ in range(count)]
        for visitor in visitors:
            self.addCleanup(visitor.close)
        return visitors

    def test_theKernelHoldsThemInTheirOrder(self) -> None:
        visitors = self.come(10)
        for room in (3, 4, 10):
            self.room = room
            self.listener.resume()
            self.assertEqual(self.reactor.getReaders(), [self.listener])
            self.listener.doRead()
        names = [visitor.getsockname() for visitor in visitors]
        self.assertEqual([sock.getpeername() for sock in self.accepted], names)

    def test_aPausedListenerDoesNotAskAgain(self) -> None:
        self.come(2)
        self.listener.doRead()
        self.assertEqual((self.accepted, self.reactor.getReaders()), ([], []))

    def test_itsDescriptorsAreCounted(self) -> None:
        self.room = 5
        self.come(7)
        self.listener.doRead()
        self.assertEqual(self.descriptors.spare, 94)

    def test_theBacklogIsTheLargestOne(self) -> None:
        try:
            most = int(Path("/proc/sys/net/core/somaxconn").read_text())
        except OSError:
            raise SkipTest("the system does not say how many may wait") from None
        for visitor in self.come(min(most, 1500)):
            visitor.close()


class BatchTests(SynchronousTestCase):
    """How much is accepted in one turn."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.group = ListenerGroup(Sink())
        self.waiting = [self.listener() for _ in range(12)]

    def listener(self, control: bool = False) -> tuple[Listener, list[int]]:
        """A listener with more connections than it can accept soon, and how many it has accepted in each turn."""
        crowded = _Crowded()
        sock = cast(socket.socket, crowded)
        counts: list[int] = []

        def accepted(sock: socket.socket, _: SocketAddress) -> None:
            sock.close()
            counts[-1] += 1

        mayAccept = None if control else lambda: True
        listener = Listener(cast(IReactor, self.reactor), sock, accepted, self.group, mayAccept=mayAccept)
        self.patch(listener, "_hasPending", lambda: not crowded.empty)
        self.addCleanup(listener.stop)
        return listener, counts

    def turn(self, listeners: list[tuple[Listener, list[int]]]) -> list[int]:
        for listener, counts in listeners:
            counts.append(0)
            listener.doRead()
        return [counts[-1] for _, counts in listeners]

    def test_aSingleListenerHasTheWholeBatch(self) -> None:
        self.assertEqual([self.turn(self.waiting[:1]) for _ in range(3)], [[64]] * 3)

    def test_manyListenersShareTheBatch(self) -> None:
        """A visitor of one tunnel does not wait for the crowds of all others, one behind the other."""
        self.turn(self.waiting)
        for _ in range(3):
            counts = self.turn(self.waiting)
            self.assertLessEqual(sum(counts), 64)
            self.assertGreater(min(counts), 0)

    def test_aControlPortDoesNotShareTheBatch(self) -> None:
        """Else crowds on many public ports are accepted, and wait, as hardly a client can come for them."""
        control = self.listener(control=True)
        self.turn(self.waiting)
        self.assertEqual(self.turn([control]), [64])
        self.assertLess(sum(self.turn(self.waiting)), 64)

    def test_aPausedListenerDoesNotCount(self) -> None:
        self.turn(self.waiting)
        for number, (listener, _) in enumerate(self.waiting[1:]):
            if number % 2:
                listener.pause()
            else:
                listener.stop()
        self.assertEqual(self.turn(self.waiting[:1]), [64])
        cast(_Crowded, self.waiting[0][0]._socket).empty = True
        self.turn(self.waiting[:1])
        self.assertEqual(self.group.busy, set())

    def test_aListenerThatHasAcceptedAllDoesNotCount(self) -> None:
        """Nothing would call it again: it would count until its next visitor."""
        bound = bindSocket("127.0.0.1", 0)
        listener = Listener(cast(IReactor, self.reactor), bound, lambda sock, _: sock.close(), self.group)
        self.addCleanup(listener.stop)
        for _ in range(self.group.batch):
            self.addCleanup(connect("127.0.0.1", listener.port).close)
        listener.doRead()
        self.assertEqual(self.group.busy, set())


class _Crowded(StarvedSocket):
    """A listening socket in which connections wait without end."""

    empty = False

    def _accept(self) -> tuple[int, SocketAddress]:
        if self.empty:
            raise BlockingIOError(errno.EAGAIN, "")
        return socket.socket().detach(), ("192.0.2.1", 4711)
