"""Listening sockets that never give up."""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bore.events import Event, Sink
from bore.events.server import AcceptFailed
from bore.streams.addresses import SocketAddress, socketAddress
from bore.streams.listener import Listener, ListenerGroup, bindSocket
from bore.streams.reactor import IReactor
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

    def test_aPortInUseIsRefused(self) -> None:
        taken = self.bind("127.0.0.1")
        with self.assertRaises(OSError) as caught:
            bindSocket("127.0.0.1", taken.getsockname()[1])
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    def test_remainsOfEarlierConnectionsDoNotBlockThePort(self) -> None:
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
    """Errors of accept(2)."""

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
        """The descriptors of accepted connections."""
        return [sock.fileno() for sock in self.accepted]

    def test_itWaitsAndAcceptsAgain(self) -> None:
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

    def test_eachErrorIsAnEvent(self) -> None:
        listener = self.listen(noDescriptors(), noDescriptors())
        for _ in range(2):
            listener.doRead()
            self.reactor.advance(0.25)
        self.assertEqual(self.events, [AcceptFailed(socketAddress(listener.address), "Too many open files")] * 2)
        listener.stop()

    def test_itAcceptsAgainAtOnceWhenDescriptorsWereFreed(self) -> None:
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

    def test_anErrorOfOneConnectionIsSkipped(self) -> None:
        visitor = socket.socket()
        number = visitor.fileno()
        listener = self.listen(OSError(errno.ECONNABORTED, ""), OSError(errno.EPROTO, ""), visitor)
        listener.doRead()
        self.assertEqual((self.numbers(), self.events), ([number], []))
        listener.stop()

    def test_aListenerThatIsPausedWhileItWaitsAcceptsWhenItIsResumed(self) -> None:
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

    def test_aListenerThatIsResumedWhileItWaitsAcceptsAfterThat(self) -> None:
        listener = self.listen(noDescriptors())
        listener.doRead()
        listener.pause()
        listener.resume()
        self.assertEqual(self.reactor.getReaders(), [])
        self.reactor.advance(0.25)
        self.assertEqual(self.reactor.getReaders(), [listener])
        listener.stop()

    def test_aStoppedListenerIsNotResumed(self) -> None:
        listener = self.listen()
        listener.pause()
        listener.stop()
        listener.resume()
        self.assertEqual(self.reactor.getReaders(), [])

    def test_stoppingWhileItWaitsLeavesNothing(self) -> None:
        listener = self.listen(noDescriptors())
        listener.doRead()
        listener.stop()
        listener.stop()
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.getReaders()), ([], []))


class AcceptTests(TestCase):
    """Accepting on real sockets."""

    async def test_anExceptionEndsOneConnectionAndNotTheListener(self) -> None:
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

    async def test_anErrorWithoutAPendingConnectionIsIgnored(self) -> None:
        sock = bindSocket("127.0.0.1", 0)
        listener = Listener(cast(IReactor, reactor), sock, lambda *_: None, ListenerGroup(Sink()))
        self.addCleanup(listener.stop)
        logged = captureLog(self)

        class Full:
            """The descriptors are used up, and no connection waits."""

            def _accept(self) -> None:
                raise noDescriptors()

            def __getattr__(self, name: str) -> Any:
                return getattr(sock, name)

        listener._socket = cast(socket.socket, Full())
        listener.doRead()
        self.assertEqual(logged, [])

    async def test_acceptedSocketsInheritTheOptions(self) -> None:
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
