"""Clients without a sign of life: which one is given up, when, and for which other."""

from __future__ import annotations

import sys

from bore.server.control import ControlProtocol
from bore.server.settings import Bounds
from bore.wire import extension
from bore.wire.extension import Open
from bore.wire.messages import Accept, Hello, encode
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.case import ControlCase
from tests.server.kernel import Kernel
from tests.support import isOpen

#: The error for an original client that was given up.
GIVEN_UP = b'{"Error":"no sign of life, and another client came"}\0'


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
        protocol.dataReceived(extension.encode(Open(1, port)))
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
