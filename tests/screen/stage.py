"""
Plays a scene on the terminal that it runs in, by the real screen, and waits::

    python -m tests.screen.stage one
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from datetime import timedelta
from typing import Final

from twisted.internet.task import Clock
from twisted.logger import Logger

from bore.events import Event, VisitorEnd
from bore.events.client import (
    ServerLost,
    ServerTrusted,
    Stage,
    TunnelUp,
    Verdict,
    VisitorLeft,
    VisitorUnserved,
)
from bore.logs.outlet import Outlet, unblocked
from bore.screen.figures import Figures, ServerFigures, TunnelFigures
from bore.screen.lines import Painter, wantsColor
from bore.screen.outputs import ScreenObserver
from bore.screen.screen import Screen
from bore.screen.terminal import Terminal
from tests.screen.case import NOON

SERVER: Final = "tunnel.example.com:7835"
KEY: Final = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


class _Reactor(Clock):
    """A clock, without threads."""

    def callFromThread(self, callable: object) -> None:
        assert callable is not None


class _Client:
    """Has nothing to retry."""

    def retryNow(self) -> bool:
        return False


def tunnelsOf(scene: str) -> tuple[TunnelFigures, ...]:
    """The tunnels of a scene."""
    if scene == "one":
        return (TunnelFigures("8000", "localhost:8000", "tunnel.example.com:20432", True),)
    games = (
        TunnelFigures(f"game-{n}", f"nas.lan:{27015 + n}", f"tunnel.example.com:{27015 + n}", True) for n in range(26)
    )
    refused = TunnelFigures("web", "localhost:80", "", False, "port 80 is outside this server's range, 20000 to 20999")
    return (TunnelFigures("home", "ha.lan:8123", "tunnel.example.com:20123", True), *games, refused)


class Play:
    """A screen on standard output, and what happens."""

    def __init__(self, scene: str) -> None:
        self._clock = clock = _Reactor()
        file = unblocked(sys.stdout, clock)
        outlet = getattr(file, "buffer", None)
        assert isinstance(outlet, Outlet)
        terminal = Terminal(file, outlet)
        painter = Painter(wantsColor(os.environ), terminal.encoding)
        self._screen = Screen(
            clock, terminal, painter, lambda: True, lambda: NOON + timedelta(seconds=self._clock.seconds())
        )
        self._log = Logger("bore.client", observer=ScreenObserver(self._screen))
        self.tunnels = tunnelsOf(scene)
        self.up = Figures(
            NOON, NOON, (ServerFigures(SERVER, True),), self.tunnels, 3, 120, 1_234_567, 30_000_000, 0.0231
        )
        self.figures = replace(
            self.up,
            since=None,
            servers=(ServerFigures(SERVER, False, 13.4, 4.2, "connection refused"),),
            tunnels=tuple(replace(tunnel, isUp=False) for tunnel in self.tunnels),
        )

    def happened(self, *events: Event) -> None:
        """Something happens to the client."""
        for event in events:
            self._screen.happened(event)

    def act(self) -> None:
        """Play."""
        named = len(self.tunnels) > 1
        self._screen.follow(_Client(), lambda: self.figures)
        self.happened(ServerTrusted(SERVER, KEY, "known"))
        ups = [
            TunnelUp(each.public, each.local, True, SERVER, each.name if named else "")
            for each in self.tunnels
            if each.isUp
        ]
        self.figures = self.up
        self.happened(*ups)
        self._clock.advance(2)
        self._screen.firstBytes(self.tunnels[0].name, b"HTTP/1.1 200 OK")
        self._clock.advance(1)
        local = self.tunnels[0].local
        self.happened(
            VisitorLeft("1", local, 1200, 45_000, 0.31, VisitorEnd.FINISHED, "203.0.113.7:51034"),
            VisitorLeft("2", local, 120_000_000, 45_000, 754, VisitorEnd.VISITOR_CUT, "[2001:db8::7]:51034"),
            VisitorUnserved("3", local, "connection refused"),
            *(VisitorLeft("4", local, 1200, 45_000, 0.31, VisitorEnd.FINISHED) for _ in range(312)),
        )
        self._clock.advance(1)
        error = "\x1b[2Jrefused" if named else "connection refused"  # as a hostile name server might have it
        self._log.warn("the local service {local} cannot be reached: {error}", local=local, error=error)
        self.happened(ServerLost(SERVER, Stage.TUNNEL, "no sign of life for 8 s", "", Verdict.RETRY, 1.0))
        self._log.warn(f"lost {SERVER}: no sign of life for 8 s", event="server-lost")
        self._clock.advance(13)
        self.happened(*ups)
        self._clock.advance(1)


if __name__ == "__main__":
    Play(sys.argv[1]).act()
    time.sleep(600)
