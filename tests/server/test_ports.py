"""Which port a client gets."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from bore.server.ports import openPort
from bore.server.settings import ServerSettings
from bore.wire.errors import BindFailed, NoFreePort, PortInUse, PortNotAllowed
from tests.support import freePort, loopbackHost


class OpenPortTests(SynchronousTestCase):
    """Listening on a client's behalf."""

    def setUp(self) -> None:
        self.host = loopbackHost()

    def settings(self, lowest: int = 1024, highest: int = 65535, host: str | None = None) -> ServerSettings:
        return ServerSettings(minPort=lowest, maxPort=highest, bindTunnels=host or self.host)

    def open(self, settings: ServerSettings, asked: int, *draw: int) -> int:
        drawn = iter(draw)
        sock = openPort(settings, asked, lambda lowest, highest: next(drawn)) if draw else openPort(settings, asked)
        self.addCleanup(sock.close)
        port: int = sock.getsockname()[1]
        return port

    def test_aClientGetsThePortThatItAsksFor(self) -> None:
        port = freePort(self.host)
        self.assertEqual(self.open(self.settings(), port), port)

    def test_theRangeIncludesItsEnds(self) -> None:
        port = freePort(self.host)
        self.assertEqual(self.open(self.settings(port, port), port), port)
        self.assertRaises(PortNotAllowed, openPort, self.settings(port, port), port - 1)
        self.assertRaises(PortNotAllowed, openPort, self.settings(port, port), port + 1)

    def test_aPortThatIsTakenIsRefused(self) -> None:
        port = self.open(self.settings(), 0)
        self.assertRaises(PortInUse, openPort, self.settings(), port)

    def test_anAddressThatCannotBeBoundIsRefused(self) -> None:
        self.assertRaises(BindFailed, openPort, self.settings(host="192.0.2.1"), 20000)

    def test_aRandomPortIsWithinTheRange(self) -> None:
        for _ in range(20):
            self.assertIn(self.open(self.settings(30000, 30500), 0), range(30000, 30501))

    def test_aRandomPortThatIsTakenIsSkipped(self) -> None:
        taken, free = self.open(self.settings(), 0), freePort(self.host)
        self.assertEqual(self.open(self.settings(), 0, taken, taken, free), free)

    def test_afterAHundredAndFiftyTriesThereIsNone(self) -> None:
        with socket.create_server((self.host, 0)) as taken:
            port: int = taken.getsockname()[1]
            tries: list[int] = []

            def draw(lowest: int, highest: int) -> int:
                tries.append(port)
                return port

            self.assertRaises(NoFreePort, openPort, self.settings(port, port), 0, draw)
            self.assertEqual(len(tries), 150)
