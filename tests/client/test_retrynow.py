"""Attempts that the user asks for."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from bore.client.service import RETRY_INTERVAL, ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.events import Sink
from bore.streams.reactor import IReactor
from bore.wire.extension import Opened, Refused
from tests.client.case import ControlCase
from tests.client.manycase import IN_USE, ManyCase
from tests.fakes import FakeReactor


class LinkTests(ControlCase):
    """A link that waits for its next attempt."""

    def test_itMakesTheAttemptAtOnce(self) -> None:
        for _ in range(8):
            self.refuseConnection()
            self.assertTrue(self.link.hurry())
            before = self.connector.attempts
            self.reactor.advance(0)
            self.assertEqual(self.connector.attempts, before + 1)

    def test_theDelaysGrowAsWithoutIt(self) -> None:
        for _ in range(8):
            self.refuseConnection()
            self.link.hurry()
            self.reactor.advance(0)
        self.refuseConnection()
        self.assertGreater(self.delayToNextAttempt(), 20)

    def test_thereIsNothingToHurry(self) -> None:
        self.assertFalse(self.link.hurry())
        protocol, _ = self.connect()
        self.assertFalse(self.link.hurry())
        self.lose(protocol, ConnectionLost())
        self.delayToNextAttempt()
        self.assertFalse(self.link.hurry())

    def test_oneThatWasStoppedStaysSo(self) -> None:
        self.refuseConnection()
        self.link.stop()
        self.assertFalse(self.link.hurry())
        self.reactor.advance(100)
        self.assertEqual(self.connector.attempts, 0)


class TunnelTests(ManyCase):
    """A tunnel that was refused while others are up."""

    def test_itIsAskedForAtOnce(self) -> None:
        protocol, transport = self.begin()
        self.hear(protocol, Opened(1, 20000, None, 60), Refused(*IN_USE, 2), Opened(3, 20002, None, 60))
        self.asked(transport)
        self.assertTrue(self.link.hurry())
        self.reactor.advance(0)
        self.assertIn(b"Open", self.asked(transport)[0])
        self.assertFalse(self.link.hurry())


class ServiceTests(SynchronousTestCase):
    """The whole client."""

    def test_itHurriesAtMostOnceASecond(self) -> None:
        reactor = FakeReactor()
        settings = ClientSettings((ServerAddress("192.0.2.1"),), stateFolder=cast("Path | None", None))
        service = ClientService(cast(IReactor, reactor), settings, [TunnelSpec(Target(8000))], Sink())
        self.assertFalse(service.retryNow())
        hurried = 0

        class FakeLinks:
            def hurry(self) -> bool:
                nonlocal hurried
                hurried += 1
                return True

        service._links = FakeLinks()  # type: ignore[assignment]
        found = []
        for _ in range(30):
            found.append(service.retryNow())
            reactor.advance(RETRY_INTERVAL / 10)
        self.assertEqual((sum(found), hurried), (3, 3))
