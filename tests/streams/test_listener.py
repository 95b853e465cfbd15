"""Listening sockets that never give up."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from bore.events import Event, Sink
from bore.events.server import AcceptFailed
from bore.streams.addresses import SocketAddress, socketAddress
from bore.streams.listener import Listener, ListenerGroup, bindSocket
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors, OpenCount
from tests.fakes import FakeReactor, captureLog
from tests.ports import freePort
from tests.support import connect, eventually, isOpen


class BindTests(SynchronousTestCase):
    """Making a listening socket."""

    def bind(self, host: str, port: int = 0) -> socket.socket:
        sock = bindSocket(host, port)
        self.addCleanup(sock.close)
        return sock

    def test_bothFamiliesComeThroughTheIPv6Wildcard(self) -> None:
        port = self.bind("::").getsockname()[1]
        self.assertTrue(isOpen("127.0.0.1", port))
        self.assertTrue(isOpen("::1", port))

    def test_anAddressOfOneFamilyListensThereAlone(self) -> None:
        port = self.bind("127.0.0.1").getsockname()[1]
        self.assertTrue(isOpen("127.0.0.1", port))
        self.assertFalse(isOpen("127.0.0.2", port))

    def test_aPortThatSomebodyListensOnIsRefused(self) -> None:
        taken = self.bind("127.0.0.1")
        with self.assertRaises(OSError) as caught:
            bindSocket("127.0.0.1", taken.getsockname()[1])
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    def test_whatIsLeftOfOldConnectionsDoesNotKeepThePort(self) -> None:
        port = freePort()
        first = bindSocket("127.0.0.1", port)
        visitor = connect("127.0.0.1", port)
        accepted, _ = first.accept()
        first.close()
        accepted.close()  # closes first, and so stays behind in TIME_WAIT
        visitor.close()
        self.bind("127.0.0.1", port)

    def test_anAddressThatIsNotOursIsRefused(self) -> None:
        self.assertRaises(OSError, bindSocket, "192.0.2.1", 0)


class StarvedSocket:
    """A listening socket for which there are no descriptors."""

    family = socket.AF_INET

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)
        self.closed = False

    def _accept(self) -> tuple[int, SocketAddress]:
        outcome = self.outcomes.pop(0) if self.outcomes else BlockingIOError(errno.EAGAIN, "")
        if isinstance(outcome, socket.socket):
            return outcome.detach(), ("192.0.2.1", 4711)
        raise cast(Exception, outcome)

    def getsockname(self) -> SocketAddress:
        return "127.0.0.1", 7835

    def setblocking(self, flag: bool) -> None: ...

    def setsockopt(self, *args: object) -> None: ...

    def fileno(self) -> int:
        return -1 if self.closed else 99

    def close(self) -> None:
        self.closed = True


def noDescriptors() -> OSError:
    return OSError(errno.EMFILE, "Too many open files")


class StarvationTests(SynchronousTestCase):
    """What a listener does when it cannot accept."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.accepted: list[socket.socket] = []
        self.addCleanup(self.closeAccepted)
        sink, self.events = Sink(), list[Event]()
        sink.subscribe(self.events.append)
        self.group = ListenerGroup(sink)

    def listen(self, *outcomes: object) -> Listener:
        self.patch(Listener, "_hasPending", lambda _: True)
        sock = cast(socket.socket, StarvedSocket(*outcomes))
        return Listener(cast(IReactor, self.reactor), sock, lambda s, _: self.accepted.append(s), self.group)

    def closeAccepted(self) -> None:
        for sock in self.accepted:
            sock.close()

    def numbers(self) -> list[int]:
        """The descriptors of what was accepted."""
        return [sock.fileno() for sock in self.accepted]

    def test_itRestsAndGoesOn(self) -> None:
        visitor = socket.socket()
        number = visitor.fileno()
        listener = self.listen(noDescriptors(), noDescriptors(), visitor)
        listener.doRead()
        self.assertEqual(self.reactor.getReaders(), [])
        self.reactor.advance(0.25)
        self.assertEqual(self.reactor.getReaders(), [listener])
        listener.doRead()
        self.assertEqual((self.reactor.getReaders(), self.accepted), ([], []))
        self.reactor.advance(0.25)
        listener.doRead()
        self.assertEqual((self.reactor.getReaders(), self.numbers()), ([listener], [number]))
        listener.stop()

    def test_eachTimeIsAnEventThatSaysWhereAndWhy(self) -> None:
        listener = self.listen(noDescriptors(), noDescriptors())
        for _ in range(2):
            listener.doRead()
            self.reactor.advance(0.25)
        self.assertEqual(self.events, [AcceptFailed(socketAddress(listener.address), "Too many open files")] * 2)
        listener.stop()

    def test_itGoesOnAtOnceWhenSomethingCouldBeFreed(self) -> None:
        visitor = socket.socket()
        number = visitor.fileno()
        self.patch(Listener, "_hasPending", lambda _: True)
        sock = cast(socket.socket, StarvedSocket(noDescriptors(), visitor))
        listener = Listener(
            cast(IReactor, self.reactor), sock, lambda s, _: self.accepted.append(s), self.group, lambda: True
        )
        listener.doRead()
        self.assertEqual(self.numbers(), [number])
        listener.stop()

    def test_aConnectionThatWasGoneAlreadyMeansNothing(self) -> None:
        visitor = socket.socket()
        number = visitor.fileno()
        listener = self.listen(OSError(errno.ECONNABORTED, ""), OSError(errno.EPROTO, ""), visitor)
        listener.doRead()
        self.assertEqual((self.numbers(), self.events), ([number], []))
        listener.stop()

    def test_whoIsPausedWhileItRestsGoesOnWhenItIsResumed(self) -> None:
        visitor = socket.socket()
        number = visitor.fileno()
        listener = self.listen(noDescriptors(), visitor)
        listener.doRead()
        listener.pause()
        self.reactor.advance(1)
        self.assertEqual(self.reactor.getReaders(), [])
        listener.resume()
        self.assertEqual(self.reactor.getReaders(), [listener])
        listener.doRead()
        self.assertEqual(self.numbers(), [number])
        listener.stop()

    def test_whoIsResumedWhileItRestsGoesOnBehindThat(self) -> None:
        listener = self.listen(noDescriptors())
        listener.doRead()
        listener.pause()
        listener.resume()
        self.assertEqual(self.reactor.getReaders(), [])
        self.reactor.advance(0.25)
        self.assertEqual(self.reactor.getReaders(), [listener])
        listener.stop()

    def test_whoIsStoppedIsNotResumed(self) -> None:
        listener = self.listen()
        listener.pause()
        listener.stop()
        listener.resume()
        self.assertEqual(self.reactor.getReaders(), [])

    def test_stoppingWhileItRestsLeavesNothingBehind(self) -> None:
        listener = self.listen(noDescriptors())
        listener.doRead()
        listener.stop()
        listener.stop()
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.getReaders()), ([], []))


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

    def test_whoIsPausedIsNotAskedAgain(self) -> None:
        self.come(2)
        self.listener.doRead()
        self.assertEqual((self.accepted, self.reactor.getReaders()), ([], []))

    def test_itsConnectionsAreCountedAndItself(self) -> None:
        self.room = 5
        self.come(7)
        self.listener.doRead()
        self.assertEqual(self.descriptors.spare, 94)

    def test_asManyAsTheSystemAllowsMayWait(self) -> None:
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

    def test_oneListenerHasItAll(self) -> None:
        self.assertEqual([self.turn(self.waiting[:1]) for _ in range(3)], [[64]] * 3)

    def test_manyShareIt(self) -> None:
        """A visitor of one tunnel does not wait for the crowds of all others, one behind the other."""
        self.turn(self.waiting)
        for _ in range(3):
            counts = self.turn(self.waiting)
            self.assertLessEqual(sum(counts), 64)
            self.assertGreater(min(counts), 0)

    def test_thePortOfThoseWhoTakeThemOnDoesNotShareIt(self) -> None:
        """Else crowds on many public ports are accepted, and wait, as hardly a client can come for them."""
        control = self.listener(control=True)
        self.turn(self.waiting)
        self.assertEqual(self.turn([control]), [64])
        self.assertLess(sum(self.turn(self.waiting)), 64)

    def test_whoAcceptsNoMoreDoesNotCount(self) -> None:
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

    def test_whoHasAcceptedTheLastOneInABatchDoesNotCount(self) -> None:
        """Nobody would call it again: it would count until its next visitor comes."""
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


class AcceptTests(TestCase):
    """Accepting on real sockets."""

    async def test_aFaultOfOursCostsOneConnectionAndNotTheListener(self) -> None:
        accepted: list[socket.socket] = []

        def accept(sock: socket.socket, address: SocketAddress) -> None:
            accepted.append(sock)
            if len(accepted) == 1:
                raise ZeroDivisionError

        listener = Listener(cast(IReactor, reactor), bindSocket("127.0.0.1", 0), accept, ListenerGroup(Sink()))
        self.addCleanup(listener.stop)

        def visit() -> None:
            with connect("127.0.0.1", listener.port) as first:
                self.assertEqual(first.recv(1), b"")
            with connect("127.0.0.1", listener.port):
                eventually(lambda: len(accepted) == 2, "the second is accepted")

        await deferToThread(visit)
        accepted[1].close()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_noConnectionAndNoDescriptorIsNoNeed(self) -> None:
        sock = bindSocket("127.0.0.1", 0)
        listener = Listener(cast(IReactor, reactor), sock, lambda *_: None, ListenerGroup(Sink()))
        self.addCleanup(listener.stop)
        logged = captureLog(self)

        class Full:
            """The descriptors are used up, and nobody waits."""

            def _accept(self) -> None:
                raise noDescriptors()

            def __getattr__(self, name: str) -> Any:
                return getattr(sock, name)

        listener._socket = cast(socket.socket, Full())
        listener.doRead()
        self.assertEqual(logged, [])

    async def test_acceptedSocketsHaveWhatTheListeningOneWasTold(self) -> None:
        accepted: list[tuple[socket.socket, SocketAddress]] = []
        listener = Listener(
            cast(IReactor, reactor),
            bindSocket("127.0.0.1", 0),
            lambda sock, address: accepted.append((sock, address)),
            ListenerGroup(Sink()),
        )
        self.addCleanup(listener.stop)

        def visit() -> None:
            visitor = connect("127.0.0.1", listener.port)
            name = visitor.getsockname()
            while not accepted:
                pass
            sock, address = accepted[0]
            self.assertEqual(address, name)
            self.assertFalse(sock.getblocking())
            self.assertTrue(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            self.assertEqual(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 60)
            self.assertEqual(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), 0)
            visitor.close()
            sock.close()

        await deferToThread(visit)
