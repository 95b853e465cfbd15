"""The last line."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.screen.figures import Figures, ServerFigures, TunnelFigures
from bore.screen.lines import Painter
from bore.screen.live import liveLine
from tests.screen.case import NOON, cells, figures, plain, widths

A = ServerFigures("tunnel.example.com:7835", True)
TUNNEL = TunnelFigures("8000", "localhost:8000", "tunnel.example.com:20432", True)
UP = Figures(NOON, NOON - timedelta(minutes=57), (A,), (TUNNEL,), 3, 120, 1_234_567, 30_000_000, 0.0231)
GONE = ServerFigures("tunnel.example.com:7835", False, 13.4, 4.2, "connection refused")
AWAY = replace(UP, servers=(GONE,), tunnels=(replace(TUNNEL, isUp=False),), since=None)


def shown(found: Figures, width: int, hasKeys: bool = True) -> str:
    return liveLine(found, Painter(color=False), width, hasKeys)


class LiveLineTests(SynchronousTestCase):
    """liveLine()."""

    @settings(max_examples=30)
    @given(figures, widths, st.booleans(), st.sampled_from(["utf-8", "ascii"]), st.booleans())
    def test_itIsNeverWiderThanTheTerminal(
        self, found: Figures, width: int, color: bool, encoding: str, hasKeys: bool
    ) -> None:
        line = liveLine(found, Painter(color, encoding), width, hasKeys)
        self.assertLessEqual(cells(line), width)
        line.encode(encoding)

    def test_aBroadTerminalHasEverything(self) -> None:
        text = "● up since 11:03 · 3 open, 120 visitors · ↓ 1.2 MB ↑ 30 MB · 23 ms · q: QR code"
        self.assertEqual(shown(UP, 199), text)

    def test_thereIsRoomForAllFiguresInFortyColumns(self) -> None:
        self.assertEqual(shown(UP, 39), "● up 11:03 · 3/120 · ↓1.2M ↑30M · 23ms")
        self.assertEqual(shown(UP, 37), "● up 11:03 3/120 ↓1.2M ↑30M 23ms")
        self.assertEqual(shown(UP, 60), "● up since 11:03 · 3 open, 120 visitors · ↓1.2M ↑30M · 23ms")

    def test_theHintIsTheFirstToGo(self) -> None:
        text = "● up since 11:03 · 3 open, 120 visitors · ↓ 1.2 MB ↑ 30 MB · 23 ms"
        self.assertEqual(shown(UP, 199, hasKeys=False), text)
        self.assertEqual(shown(UP, len(text)), text)

    def test_theStateIsTheLastToGo(self) -> None:
        self.assertEqual(shown(UP, 10), "● up 11:03")
        self.assertEqual(shown(UP, 4), "● up")
        self.assertEqual(len(shown(UP, 1)), 1)

    def test_someTunnelsAreUp(self) -> None:
        found = replace(UP, tunnels=(TUNNEL, replace(TUNNEL, isUp=False), TUNNEL))
        self.assertTrue(shown(found, 199).startswith("◐ 2 of 3 up since 11:03 · "))

    def test_aLocalServiceThatIsDownIsShown(self) -> None:
        down = replace(TUNNEL, isServiceDown=True)
        self.assertTrue(
            shown(replace(UP, tunnels=(down,)), 199).startswith("● up since 11:03 · 1 local service down · 3")
        )
        found = shown(replace(UP, tunnels=(down, TUNNEL, down)), 48)
        self.assertEqual(found, "● up 11:03 · 2 down · 3/120 · ↓1.2M ↑30M · 23ms")

    def test_whatIsNotThereIsLeftOut(self) -> None:
        self.assertEqual(
            shown(replace(UP, roundTrip=None, since=None), 50), "● up · 3 open, 120 visitors · ↓ 1.2 MB ↑ 30 MB"
        )

    def test_aServerThatIsAwayHasTheTimesAndTheKey(self) -> None:
        text = "○ away for 13 s · next attempt in 4 s · Enter: try now"
        self.assertEqual(shown(AWAY, 199), f"{text} · tunnel.example.com:7835: connection refused")
        self.assertEqual(shown(AWAY, 60), text)
        self.assertEqual(shown(AWAY, 39), "○ away for 13 s · next attempt in 4 s")
        self.assertEqual(shown(AWAY, 30), "○ away for 13 s · again in 4 s")
        trying = replace(AWAY, servers=(replace(GONE, retryIn=None),))
        self.assertEqual(shown(trying, 79), "○ away for 13 s · an attempt is under way")

    def test_beforeTheFirstAttemptItConnects(self) -> None:
        found = replace(AWAY, servers=(ServerFigures("tunnel.example.com:7835", False),))
        self.assertEqual(shown(found, 79), "○ connecting to tunnel.example.com:7835")

    def test_aServerWithoutATunnel(self) -> None:
        self.assertEqual(shown(replace(AWAY, servers=(A,)), 79), "○ no tunnel is up at tunnel.example.com:7835")
        self.assertEqual(shown(replace(AWAY, servers=()), 79), "○ no tunnel is up")

    def test_theSoonestOfSeveralServersIsShown(self) -> None:
        found = replace(AWAY, servers=(replace(GONE, retryIn=9), replace(GONE, retryIn=2)))
        self.assertIn("next attempt in 2 s", shown(found, 79))

    def test_aTerminalWithoutUnicodeHasOtherSigns(self) -> None:
        line = liveLine(UP, Painter(False, "ascii"), 199)
        self.assertEqual(line, "* up since 11:03 | 3 open, 120 visitors | in 1.2 MB out 30 MB | 23 ms | q: QR code")

    def test_coloursAreOnlyThereIfTheyAreWanted(self) -> None:
        colored = liveLine(UP, Painter(True), 79)
        self.assertIn("\x1b[32m", colored)
        self.assertEqual(plain(colored), shown(UP, 79))
        self.assertNotIn("\x1b", shown(UP, 79))
