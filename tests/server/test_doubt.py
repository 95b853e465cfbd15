"""Clients without a sign of life: which one is given up, when, and for which other."""

from __future__ import annotations

import socket
import struct
import sys

from bore.server.control import ControlProtocol
from bore.server.settings import Bounds
from bore.streams.tcpinfo import sinceReceived, unacknowledgedFor
from bore.streams.transport import SocketTransport
from bore.wire import extension
from bore.wire.extension import Open, Visitor
from bore.wire.messages import Accept, Hello, encode
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.case import ALIVE, ControlCase, SessionCase
from tests.support import isOpen

#: The error for an original client that was given up.
GIVEN_UP = b'{"Error":"no sign of life, and another client came"}\0'


class Kernel(socket.socket):
    """
    A socket of which the kernel tells what a test wants.

    :ivar unacked: segments that are under way.
    :ivar ackAge: seconds since the last acknowledgement.
    :ivar dataAge: seconds since the last bytes came.
    :ivar drift: how much shorter the kernel says that it is each time.
    """

    unacked = 0
    ackAge = 0.0
    dataAge = 0.0
    drift = 0.0

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:  # type: ignore[override]
        if (level, option) != (socket.IPPROTO_TCP, socket.TCP_INFO):
            return super().getsockopt(level, option, size) if size else super().getsockopt(level, option)
        self.dataAge -= self.drift
        ages = struct.pack("=II", round(1000 * self.dataAge), round(1000 * self.ackAge))
        return bytes(24) + struct.pack("=I", self.unacked) + bytes(24) + ages + bytes(size - 60)


class DoubtCase(ControlCase):
    """Original clients, on a Linux with the answers of the test."""

    if sys.platform != "linux":
        skip = "other systems do not tell: there nobody is in doubt"

    def original(
        self, port: int | None = None, source: str = "192.0.2.1"
    ) -> tuple[ControlProtocol, FakeTransport, Kernel, int]:
        protocol, transport = self.connect(source)
        transport.socket.close()
        kernel = transport.socket = Kernel()
        self.addCleanup(kernel.close)
        port = freePort(self.host) if port is None else port
        protocol.dataReceived(encode(Hello(port)))
        self.assertIn(b'{"Hello":', transport.takeWritten())
        return protocol, transport, kernel, port

    def ask(self, port: int, source: str = "192.0.2.1") -> bytes:
        protocol, transport = self.connect(source)
        protocol.dataReceived(encode(Hello(port)))
        return transport.takeWritten().partition(b"\0")[0]

    def pass_(self, seconds: float, *silent: Kernel) -> None:
        """Let time pass, in which some clients acknowledge nothing."""
        for kernel in silent:
            kernel.unacked = 1
        for _ in range(round(2 * seconds)):
            for kernel in silent:
                kernel.ackAge += 0.5
            self.reactor.advance(0.5)


class SamePortTests(DoubtCase):
    """Another client asks for the port."""

    def test_aClientThatAcknowledgesNothingGivesItsPortToTheNextOne(self) -> None:
        _, transport, kernel, port = self.original()
        self.pass_(10, kernel)
        transport.takeWritten()
        self.assertEqual(self.ask(port), b'{"Hello":%d}' % port)
        self.assertTrue(transport.takeWritten().endswith(GIVEN_UP))
        self.assertTrue(transport.disconnecting)
        self.assertEqual(len(self.server.tunnels), 1)

    def test_aClientOfTheExtensionGetsItAsWell(self) -> None:
        _, _, kernel, port = self.original()
        self.pass_(10, kernel)
        protocol, transport = self.connect()
        protocol.dataReceived(extension.markedHello(port))
        protocol.dataReceived(extension.encode(Open(port)))
        self.assertIn(b'"Opened"', transport.takeWritten())

    def test_noClientIsGivenUpWithoutNeed(self) -> None:
        _, transport, kernel, port = self.original()
        self.pass_(110, kernel)
        self.assertEqual(set(transport.takeWritten().split(b"\0")), {b'"Heartbeat"', b""})
        self.assertFalse(transport.disconnecting)
        self.assertTrue(isOpen(self.host, port))

    def test_aShortSilenceIsNotADoubt(self) -> None:
        _, transport, kernel, port = self.original()
        self.pass_(8.5, kernel)
        self.assertEqual(self.ask(port), b'{"Error":"port already in use"}')
        self.assertFalse(transport.disconnecting)

    def test_aLiveClientIsNeverGivenUp(self) -> None:
        _, transport, kernel, port = self.original()
        for unacked, ackAge in ((0, 0.4), (0, 1000.0), (50, 0.4), (50, 8.9)):
            self.pass_(10)
            kernel.unacked, kernel.ackAge = unacked, ackAge
            self.assertEqual(self.ask(port), b'{"Error":"port already in use"}', (unacked, ackAge))
        self.assertFalse(transport.disconnecting)

    def test_timeDuringWhichTheServerWasStoppedDoesNotCount(self) -> None:
        for heartbeatFirst in (False, True):
            _, transport, kernel, port = self.original()
            self.pass_(20)
            kernel.ackAge = 60.0  # the last heartbeat before was acknowledged, and the one behind it is under way
            if heartbeatFirst:
                self.reactor.advance(60)
                kernel.unacked = 1
            else:
                self.reactor.rightNow += 60
                kernel.unacked = 1
            self.assertEqual(self.ask(port), b'{"Error":"port already in use"}')
            self.assertFalse(transport.disconnecting)
            self.pass_(10, kernel)
            self.assertEqual(self.ask(port), b'{"Hello":%d}' % port)

    def test_itsRunningStreamsGoOn(self) -> None:
        _, transport, kernel, port = self.original()
        self.visit(port)
        self.visit(port)
        ids = self.announced(transport)
        data, stream = self.connect()
        data.dataReceived(encode(Accept(ids[0])))
        self.pass_(9.5, kernel)
        self.ask(port)
        self.assertEqual(len(self.relay.pairs), 1)
        self.assertEqual([len(self.relay), stream.disconnecting, stream.aborted], [1, False, False])
        self.assertEqual(len(self.server.unaccepted), 0, "who waited for the former client waits for nobody")

    def test_theClosedConnectionTakesNothingFromTheNewOne(self) -> None:
        protocol, _, kernel, port = self.original()
        self.pass_(10, kernel)
        self.ask(port)
        self.lose(protocol)
        self.assertTrue(isOpen(self.host, port))
        self.assertEqual(len(self.server.tunnels), 1)


class RandomPortTests(DoubtCase):
    """A client asks for any port, and all are taken."""

    ports = (20000, 20002)

    def test_aClientInDoubtLosesItsPort(self) -> None:
        clients = [self.original(0) for _ in range(3)]
        self.assertEqual(self.ask(0), b'{"Error":"failed to find an available port"}')
        self.pass_(10, clients[1][2])
        self.assertIn(b'{"Hello":', self.ask(0))
        self.assertEqual([transport.disconnecting for _, transport, _, _ in clients], [False, True, False])
        self.assertEqual(self.ask(0), b'{"Error":"failed to find an available port"}')

    def test_noClientLosesItsPortWhileAnotherIsFree(self) -> None:
        _, transport, kernel, _ = self.original(0)
        self.pass_(10, kernel)
        self.ask(0)
        self.assertFalse(transport.disconnecting)


class BoundsTests(DoubtCase):
    """The limit on tunnels is reached."""

    bounds = Bounds(tunnels=3, tunnelsPerSource=2)

    def test_aClientInDoubtMakesRoomForItsOwnAddressFirst(self) -> None:
        _, other, otherKernel, _ = self.original(source="192.0.2.2")
        _, _, _, _ = self.original()
        _, mine, kernel, _ = self.original()
        self.pass_(10, kernel, otherKernel)
        self.assertIn(b'{"Hello":', self.ask(freePort(self.host)))
        self.assertEqual((mine.disconnecting, other.disconnecting), (True, False))
        self.assertEqual(self.ask(freePort(self.host)), b'{"Error":"too many tunnels from your address"}')
        self.assertIn(b'{"Hello":', self.ask(freePort(self.host), "192.0.2.3"))
        self.assertTrue(other.disconnecting)
        self.pass_(1)
        self.assertEqual(self.ask(freePort(self.host), "192.0.2.3"), b'{"Error":"too many tunnels"}')

    def test_noneIsGivenUpForAClientThatCannotHaveItsPort(self) -> None:
        _, transport, kernel, _ = self.original()
        _, _, _, port = self.original()
        self.pass_(10, kernel)
        self.assertEqual(self.ask(port), b'{"Error":"port already in use"}')
        self.assertFalse(transport.disconnecting)

    def test_notAllAreExaminedForEachRefusal(self) -> None:
        kernels = [self.original(source=f"192.0.2.{n}")[2] for n in range(3)]
        self.assertEqual(self.ask(freePort(self.host), "192.0.2.9"), b'{"Error":"too many tunnels"}')
        for kernel in kernels:
            kernel.unacked, kernel.ackAge = 1, 100.0
        self.pass_(0.5)
        self.assertEqual(self.ask(freePort(self.host), "192.0.2.9"), b'{"Error":"too many tunnels"}')
        self.pass_(10)
        self.assertIn(b'{"Hello":', self.ask(freePort(self.host), "192.0.2.9"))


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
