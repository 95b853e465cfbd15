"""Signs of life: those of clients on slow links, and those that the kernel knows."""

from __future__ import annotations

import socket
import sys

from bore.server.control import ControlProtocol
from bore.streams.tcpinfo import sinceReceived, unacknowledgedFor
from bore.streams.transport import SocketTransport
from bore.wire.extension import Visitor
from bore.wire.messages import Accept, Hello, encode
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.case import ALIVE, ControlCase, SessionCase
from tests.server.kernel import Kernel


class SlowLinkTests(SessionCase):
    """A client of the extension whose answers wait in a queue, behind the bytes of its visitors."""

    if sys.platform != "linux":
        skip = "other systems do not tell: there answers alone count"

    def serving(self) -> tuple[ControlProtocol, FakeTransport, Kernel]:
        """A session with a visitor, and the connection that serves it."""
        protocol, transport, opened = self.session()
        self.visit(opened.port)
        [message] = self.said(transport)
        assert isinstance(message, Visitor)
        data, stream = self.connect()
        stream.socket.close()
        kernel = stream.socket = Kernel()
        data.dataReceived(encode(Accept(message.id)))
        self.assertTrue(stream.detached)
        return protocol, transport, kernel

    def pass_(self, kernel: Kernel, seconds: float) -> None:
        for _ in range(round(2 * seconds)):
            kernel.dataAge += 0.5
            self.reactor.advance(0.5)

    def test_bytesOnItsStreamsAreASignOfLife(self) -> None:
        _, transport, kernel = self.serving()
        for _ in range(60):
            kernel.dataAge = 0.0
            self.pass_(kernel, 1)
        self.assertFalse(transport.disconnecting)

    def test_fourSecondsAfterTheLastOfThemItIsLost(self) -> None:
        _, transport, kernel = self.serving()
        for _ in range(7):
            kernel.dataAge = 0.0
            self.pass_(kernel, 1)
        self.pass_(kernel, 2)
        self.assertFalse(transport.disconnecting)
        self.pass_(kernel, 1.5)
        self.assertEqual(self.refusal(transport), "no-answer")

    def test_clocksThatTickApartDoNotKeepItAlive(self) -> None:
        _, transport, kernel = self.serving()
        kernel.drift = 0.004
        for _ in range(7):
            kernel.dataAge = 0.0
            self.pass_(kernel, 1)
        self.pass_(kernel, 4)
        self.assertEqual(self.refusal(transport), "no-answer")

    def test_bytesFromBeforeItsLastAnswerAreNotANewSign(self) -> None:
        protocol, transport, kernel = self.serving()
        self.pass_(kernel, 1)
        protocol.dataReceived(ALIVE * 2)
        self.pass_(kernel, 4.5)
        self.assertEqual(self.refusal(transport), "no-answer")

    def test_anyByteOnTheControlConnectionIsASignOfLife(self) -> None:
        protocol, transport, _ = self.session()
        for byte in b'"Alive"\0"Alive"\0':
            self.reactor.pump([0.5] * 6)
            protocol.dataReceived(bytes([byte]))
        self.assertFalse(transport.disconnecting)

    def test_aServerThatWasStoppedDoesNotCountTheTimeBefore(self) -> None:
        _, transport, kernel = self.serving()
        for beats in range(1, 20):  # whichever of the heartbeats is the late one
            kernel.dataAge = 0.0
            self.pass_(kernel, beats % 4 / 2)
            kernel.dataAge += 30
            self.reactor.advance(30)
            self.pass_(kernel, 1.5)
        self.assertFalse(transport.disconnecting)

    def test_itsKernelHasThirtySeconds(self) -> None:
        protocol, transport, _ = self.session()
        timeout = transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        self.assertEqual(timeout, 30_000)
        self.lose(protocol)


class RealKernelTests(ControlCase):
    """The answers of Linux for real connections."""

    if sys.platform != "linux":
        skip = "other systems do not tell"

    def pair(self) -> tuple[socket.socket, socket.socket]:
        with socket.create_server((self.host, 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return near, far

    def test_aLiveConnectionHasLiveness(self) -> None:
        near, far = self.pair()
        near.sendall(b"x")
        far.recv(1)
        self.assertEqual(unacknowledgedFor(near), 0.0)
        self.assertLess(sinceReceived(far), 20)

    def test_ofASocketThatIsClosedNothingIsKnown(self) -> None:
        near, _ = self.pair()
        near.close()
        self.assertEqual((unacknowledgedFor(near), sinceReceived(near)), (0.0, float("inf")))

    def test_twoMinutesOfUnreadHeartbeatsDoNotDropAClient(self) -> None:
        near, far = self.pair()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        far.setblocking(False)
        while True:  # the kernel's buffers are full already
            try:
                far.send(bytes(4096))
            except BlockingIOError:
                break
        protocol = self.server.control.buildProtocol(None, "192.0.2.1:4711", "192.0.2.1")
        transport = SocketTransport(far, protocol, self.reactor)
        transport.start()
        protocol.dataReceived(encode(Hello(freePort(self.host))))
        for _ in range(240):
            self.reactor.advance(0.5)
            transport.doWrite()
        self.assertTrue(transport.connected)
        self.assertEqual(self.warnings, [])
        self.assertEqual(len(self.server.tunnels), 1)
        protocol.drop()
