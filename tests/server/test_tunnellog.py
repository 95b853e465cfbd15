"""The log of tunnels that come and go without end."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.server.tunnellog import TunnelLog
from bore.wire.messages import Hello, encode
from tests.fakes import captureLog
from tests.server.case import ControlCase


class TunnelLogTests(SynchronousTestCase):
    """Lines about tunnels."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = TunnelLog(self.clock, Logger())
        self.logged = captureLog(self)

    def test_aDayOfOpeningAndClosingDoesNotFillTheLog(self) -> None:
        for _ in range(24 * 360):
            for _ in range(50):
                self.log.info("192.0.2.1", "port {port}: opened", port=7)
            self.log.info("192.0.2.2", "port {port}: opened", port=8)
            self.clock.advance(10)
        self.log.stop()
        mine = [event for event in self.logged if event.get("port") == 8]
        self.assertEqual(len(mine), 24 * 360, "others have all their lines")
        self.assertLess(len(self.logged) - len(mine), 24 * 3600 / 2 + 1000)
        self.assertEqual(sum(event.get("count", 1) for event in self.logged) - len(mine), 24 * 360 * 50)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_manyAddressesAreBoundedTogether(self) -> None:
        for n in range(40_000):
            self.log.info(f"192.0.2.{n // 100}", "port {port}: opened", port=7)
        self.assertLess(len(self.logged), 10_100)


class SessionTests(ControlCase):
    """At the control port."""

    def test_aSourceThatOpensAndLeavesWithoutEndIsSummedUp(self) -> None:
        for _ in range(400):
            protocol, _ = self.connect()
            protocol.dataReceived(encode(Hello(0)))
            self.lose(protocol)
            self.reactor.advance(0)  # the next turn
        lines = [formatEvent(event) for event in self.logged if event["log_level"].name == "info"]
        self.assertIn("tunnels of 192.0.2.1 come and go too fast for the log", lines)
        self.assertLess(len(lines), 510)
        protocol, _ = self.connect("192.0.2.2")
        protocol.dataReceived(encode(Hello(0)))
        self.assertIn("opened for 192.0.2.2:4711", str(formatEvent(self.logged[-1])))
