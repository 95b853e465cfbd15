"""Dialling Unix sockets."""

from __future__ import annotations

import errno
import os
import socket
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.errortexts import errorText
from bore.streams.racing import DIAL_TIMEOUT
from bore.streams.reactor import IReactor
from bore.streams.unixdial import UnixDialer
from tests.fakes import FakeReactor
from tests.support import temporaryFolder


class UnixDialerTests(SynchronousTestCase):
    """The dialler connects, or says what would be right."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.path = str(temporaryFolder(self) / "app.sock")
        self.dialer = UnixDialer(cast(IReactor, self.reactor), self.path)

    def listen(self, backlog: int = 5) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path)
        listener.listen(backlog)
        return listener

    def connected(self) -> socket.socket:
        sock = self.dialer.dial()
        assert isinstance(sock, socket.socket)
        self.addCleanup(sock.close)
        return sock

    def assertFails(self, number: int, text: str) -> None:
        dialled = self.dialer.dial()
        assert isinstance(dialled, Deferred)
        error = self.failureResultOf(dialled, OSError).value
        self.assertEqual(error.errno, number)
        self.assertIn(text, errorText(error))

    def fill(self) -> list[socket.socket]:
        """Fill the queue of the socket."""
        waiting = []
        while isinstance(sock := self.dialer.dial(), socket.socket):
            self.addCleanup(sock.close)
            waiting.append(sock)
        sock.addErrback(lambda reason: reason.trap(CancelledError))
        sock.cancel()
        return waiting

    def test_itConnectsAtOnce(self) -> None:
        listener = self.listen()
        sock = self.connected()
        self.assertEqual(sock.gettimeout(), 0)
        accepted, _ = listener.accept()
        self.addCleanup(accepted.close)
        accepted.sendall(b"hello")
        self.assertEqual(sock.recv(10), b"hello")

    def test_aSocketThatIsNotThereIsNamedSo(self) -> None:
        self.assertFails(errno.ENOENT, "there is no such socket: start the service")

    def test_aSocketThatNobodyListensOnIsNamedSo(self) -> None:
        self.listen().close()
        self.assertFails(errno.ECONNREFUSED, "no process listens on it: start the service")

    def test_aFileThatIsNoSocketIsNamedSo(self) -> None:
        with open(self.path, "w"):
            pass
        self.assertFails(errno.ECONNREFUSED, "it is not a socket")

    def test_aSocketOfAnotherKindIsNamedSo(self) -> None:
        other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.bind(self.path)
        self.assertFails(errno.EPROTOTYPE, "it is not a stream socket")

    def test_aSocketThatTheUserMayNotUseIsNamedSo(self) -> None:
        self.listen()
        os.chmod(self.path, 0)
        if os.getuid() == 0:
            self.addCleanup(os.seteuid, 0)
            os.chmod(os.path.dirname(self.path), 0o755)
            os.seteuid(65534)
        self.assertFails(errno.EACCES, "this user needs write permission")

    def test_itWaitsForRoomInTheQueue(self) -> None:
        listener = self.listen(1)
        waiting = self.fill()
        dialled = self.dialer.dial()
        assert isinstance(dialled, Deferred)
        self.reactor.advance(0.1)
        self.assertNoResult(dialled)
        for _ in waiting:
            listener.accept()[0].close()
        self.reactor.advance(0.1)
        self.successResultOf(dialled).close()

    def test_butNotForever(self) -> None:
        self.listen(1)
        self.fill()
        dialled = self.dialer.dial()
        assert isinstance(dialled, Deferred)
        self.reactor.pump([0.05] * int(DIAL_TIMEOUT / 0.05 + 2))
        error = self.failureResultOf(dialled, OSError).value
        self.assertIn("its queue is full", errorText(error))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_anAttemptCanBeCancelled(self) -> None:
        self.listen(1)
        self.fill()
        dialled = self.dialer.dial()
        assert isinstance(dialled, Deferred)
        self.reactor.advance(0.1)
        dialled.cancel()
        self.failureResultOf(dialled, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
