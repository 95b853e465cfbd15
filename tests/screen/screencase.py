"""A screen for tests, on a terminal that only remembers what is written to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import VisitorEnd
from bore.events.client import TunnelUp, VisitorLeft
from bore.screen.figures import Figures, ServerFigures, TunnelFigures
from bore.screen.lines import Painter
from bore.screen.screen import Screen
from tests.screen.case import NOON

SERVER = "tunnel.example.com:7835"
TUNNEL = TunnelFigures("8000", "localhost:8000", "tunnel.example.com:20432", True)
HEADER = "tunnel.example.com:20432 → localhost:8000"
NO_TLS = f"no TLS with {SERVER}: traffic to it is not encrypted"
UP = Figures(NOON, NOON, (ServerFigures(SERVER, True),), (TUNNEL,))
DOWN = replace(
    UP,
    since=None,
    servers=(ServerFigures(SERVER, False, 3.0, 4.0, "refused"),),
    tunnels=(replace(TUNNEL, isUp=False),),
)


class FakeDisplay:
    """A terminal that keeps its lines."""

    def __init__(self) -> None:
        self.width = 79
        self.isStopped = False
        self.lines: list[str] = []
        self.last = ""
        self.drawn = 0

    def size(self) -> tuple[int, int]:
        return self.width, 24

    def write(self, lines: list[str]) -> None:
        self.lines += lines

    def replace(self, last: str, anew: bool = False) -> None:
        if last != self.last or anew:
            self.drawn += 1
        self.last = last

    def take(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


class FakeClient:
    """A client that counts retries."""

    def __init__(self) -> None:
        self.retries = 0

    def retryNow(self) -> bool:
        self.retries += 1
        return True


class ScreenCase(SynchronousTestCase):
    """A screen."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.display = FakeDisplay()
        self.client = FakeClient()
        self.isForeground = True
        self.figures = DOWN
        self.screen = Screen(
            self.clock,
            self.display,
            Painter(color=False),
            lambda: self.isForeground,
            lambda: NOON + timedelta(seconds=self.clock.seconds()),
        )
        self.addCleanup(self.assertNoTimer)
        self.addCleanup(self.screen.stop)

    def assertNoTimer(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def follow(self) -> None:
        self.screen.follow(self.client, lambda: self.figures)

    def up(self, figures: Figures = UP) -> None:
        """The tunnels are up, and the header is there."""
        self.figures = figures
        for tunnel in figures.tunnels:
            name = tunnel.name if len(figures.tunnels) > 1 else ""
            self.screen.happened(TunnelUp(tunnel.public, tunnel.local, True, SERVER, name))
        self.clock.advance(1)

    def visit(self, count: int = 1) -> None:
        for _ in range(count):
            self.screen.happened(VisitorLeft("id", TUNNEL.local, 10, 20, 0.5, VisitorEnd.FINISHED))
