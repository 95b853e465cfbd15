"""The client visits its own public port."""

from __future__ import annotations

import socket
from typing import cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.client.check import Check
from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor
from tests.client.case import loggingSink, makeTunnel
from tests.fakes import FakeReactor, captureLog


class FakeDialer:
    """Gives a prepared answer."""

    def __init__(self) -> None:
        self.answer: Deferred[socket.socket] | None = None
        self.socket: socket.socket | None = None
        self.dials = 0

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        self.dials += 1
        if self.answer is not None:
            return self.answer
        self.socket = socket.socket()
        return self.socket


class CheckTests(SynchronousTestCase):
    """Every ten seconds."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.dialer = FakeDialer()
        sink = loggingSink(self.reactor)
        self.tunnel = makeTunnel(self.reactor, sink)
        self.passed = 0
        self.failures: list[str] = []
        self.events = captureLog(self)
        self.check = Check(
            cast(IReactor, self.reactor),
            10,
            cast(TcpDialer, self.dialer),
            self.tunnel,
            sink,
            self._pass,
            self.failures.append,
        )

    def _pass(self) -> None:
        self.passed += 1

    def leavesNothing(self) -> None:
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertIsNone(self.tunnel.witness)
        if self.dialer.socket is not None:
            self.assertLess(self.dialer.socket.fileno(), 0)

    def test_aVisitorThatComesThroughIsASuccess(self) -> None:
        for _ in range(3):
            self.reactor.advance(10)
            self.tunnel.noticed()
        self.assertEqual((self.passed, self.failures, self.dialer.dials), (3, [], 3))
        self.check.stop()
        self.leavesNothing()

    def test_nothingIsDoneBeforeTheFirstInterval(self) -> None:
        self.reactor.advance(9.9)
        self.assertEqual(self.dialer.dials, 0)
        self.check.stop()

    def test_threeFailuresInARowAreReported(self) -> None:
        for _ in range(3):
            self.assertEqual(self.failures, [])
            self.dialer.answer = fail(ConnectionRefusedError())
            self.reactor.advance(10)
        self.assertEqual(len(self.failures), 1)
        self.assertEqual(self.passed, 0)
        self.leavesNothing()

    def test_aSuccessStartsTheCountAnew(self) -> None:
        for n in range(8):
            self.dialer.answer = None if n % 3 == 2 else fail(ConnectionRefusedError())
            self.reactor.advance(10)
            self.tunnel.noticed()
        self.assertEqual((self.passed, self.failures), (2, []))
        self.check.stop()

    def test_aPortThatTakesConnectionsAndBringsNobodyIsAFailure(self) -> None:
        self.reactor.pump([1] * 60)
        self.assertEqual(self.failures, ["no visitor came through"])
        self.assertEqual(
            [formatEvent(e) for e in self.events], [f"check {n} of 3: no visitor came through" for n in (1, 2, 3)]
        )
        self.leavesNothing()

    def test_aFaultOfOursIsLogged(self) -> None:
        def fail() -> None:
            raise RuntimeError

        self.check._passed = fail
        self.reactor.advance(10)
        self.tunnel.noticed()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIn("the public port is not checked any more", [event["log_format"] for event in self.events])

    def test_stoppingEndsACheckThatIsUnderWay(self) -> None:
        self.reactor.advance(10)
        self.check.stop()
        self.leavesNothing()
        self.assertEqual((self.passed, self.failures, self.events), (0, [], []))
