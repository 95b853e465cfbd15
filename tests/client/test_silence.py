"""A server that is silent: when it is given up, and what speaks for it."""

from __future__ import annotations

import socket
import sys
from math import inf
from typing import cast
from uuid import uuid4

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.client.control import ControlProtocol
from bore.client.dataconnections import DataConnections
from bore.client.opentunnel import OpenTunnel
from bore.client.silence import Silence
from bore.client.visitors import Visitors
from bore.events import Sink
from bore.relay.interface import Ending, Reason
from bore.relay.portable import PortableRelay
from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor
from bore.wire.extension import Extended, Opened
from bore.wire.messages import Heartbeat, Hello
from tests.client.case import ControlCase, makeTunnel
from tests.fakes import FakeReactor, FakeTransport


class SilenceTests(SynchronousTestCase):
    """Eight seconds."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.age = float("inf")
        self.over: list[float] = []
        self.silence = Silence(self.clock, lambda: self.age, lambda: self.over.append(self.clock.seconds()))

    def pass_(self, seconds: float) -> None:
        for _ in range(round(10 * seconds)):
            self.age += 0.1
            self.clock.advance(0.1)

    def test_withoutAnythingTheyEndOnce(self) -> None:
        self.pass_(30)
        [end] = self.over
        self.assertLess(abs(end - 8), 0.15)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_eachFrameBeginsThemAnew(self) -> None:
        for _ in range(10):
            self.pass_(7.9)
            self.silence.frameReceived()
        self.assertEqual(self.over, [])

    def test_bytesOfVisitorsDoAsWell(self) -> None:
        for _ in range(10):
            self.age = 0.0
            self.pass_(7)
        self.assertEqual(self.over, [])
        self.pass_(2)
        self.assertEqual(len(self.over), 1)

    def test_afterAStallWhatHasComeIsReadBeforeAnybodyIsJudged(self) -> None:
        for _ in range(3):
            self.clock.advance(60)
            self.silence.frameReceived()  # the sockets are read behind the timers
            self.pass_(7)
            self.assertEqual(self.over, [])
            self.silence.frameReceived()
        self.clock.advance(60)
        self.pass_(1)
        self.assertEqual(len(self.over), 1)

    def test_stoppedItNeverEnds(self) -> None:
        self.clock.advance(8)
        self.silence.stop()
        self.silence.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CarriersTests(SynchronousTestCase):
    """The connections on which visitors are served."""

    if sys.platform != "linux":
        skip = "other systems do not tell"

    def connection(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection on which bytes have come."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        far.sendall(b"x")
        near.recv(1)
        return near, far

    def test_thoseOfThisSessionCountAndOnlyWhileTheirVisitorsAreThere(self) -> None:
        clock = FakeReactor()
        reactor, sink = cast(IReactor, clock), Sink()
        visitors = Visitors(reactor, PortableRelay(reactor, 600), 0, sink)
        session, another = (DataConnections(reactor, TcpDialer(reactor, "192.0.2.1", 7835), None) for _ in range(2))
        at = OpenTunnel(makeTunnel(clock, sink), session, "192.0.2.1", 20001)
        self.assertEqual(session.sinceReceived(), inf)
        id, (near, _) = uuid4(), self.connection()
        visitor = visitors.served(id, at, near)
        self.assertLess(session.sinceReceived(), 10)
        self.assertEqual(another.sinceReceived(), inf)
        visitor(Ending(Reason.FINISHED, 0, 0))
        self.assertEqual(session.sinceReceived(), inf)


class ControlSilenceTests(ControlCase):
    """The same on a control connection."""

    age = inf

    def opened(self) -> tuple[ControlProtocol, FakeTransport]:
        protocol, transport = self.connect()
        assert protocol.silence is not None
        protocol.silence._sinceReceived = lambda: self.age
        self.hear(protocol, Extended(1), Opened(1, 8000, "r" * 32, 60))
        return protocol, transport

    def test_aServerWhoseVisitorsBytesComeIsNotGivenUp(self) -> None:
        _, transport = self.opened()
        for age in (1.0, 7.0, 3.0):
            self.age = age
            self.reactor.pump([0.1] * 82)
            self.assertFalse(transport.aborted)
            self.reactor.pump([0.1] * round(10 * (8 - age) - 2))
        self.age = 9.0
        self.reactor.pump([0.1] * 90)
        self.assertTrue(transport.aborted)

    def test_aPeersKernelHasHalfAMinuteAndAnOriginalOneTwo(self) -> None:
        if sys.platform != "linux":
            return
        option = socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT
        protocol, transport = self.opened()
        self.assertEqual(transport.socket.getsockopt(*option), 30_000)
        self.lose(protocol)
        protocol, transport = self.connect()
        self.receive(protocol, Hello(8000), Heartbeat())
        self.assertEqual(transport.socket.getsockopt(*option), 120_000)
        self.lose(protocol)
