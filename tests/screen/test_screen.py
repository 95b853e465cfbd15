"""The screen, on a terminal that only remembers what is written to it."""

from __future__ import annotations

from dataclasses import replace

from bore.events.client import ServerLost, ServerTrusted, Stage, TunnelUp, Verdict
from bore.screen.figures import Figures, TunnelFigures
from bore.screen.visits import MOST_LINES
from tests.screen.case import cells
from tests.screen.screencase import DOWN, HEADER, NO_TLS, SERVER, TUNNEL, UP, ScreenCase


class PictureTests(ScreenCase):
    """What is shown."""

    def test_itConnectsAndShowsTheHeaderOnce(self) -> None:
        self.follow()
        self.assertEqual(self.display.last, "○ away for 3 s · next attempt in 4 s · Enter: try now")
        self.assertEqual(self.display.take(), [])
        self.up()
        self.assertEqual(self.display.take(), [HEADER, NO_TLS])
        self.assertTrue(self.display.last.startswith("● up since 12:00 · 0 open"))
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.display.take(), [])

    def test_theHeaderIsThereHalfASecondAfterTheTunnelAtTheLatest(self) -> None:
        self.follow()
        self.clock.advance(0.3)
        self.figures = UP
        self.screen.happened(TunnelUp(TUNNEL.public, TUNNEL.local, True, SERVER))
        self.clock.advance(0.5)
        self.assertIn(HEADER, self.display.lines)

    def test_itSaysWhatIsTrusted(self) -> None:
        self.follow()
        self.screen.happened(ServerTrusted(SERVER, "SHA256:x", "known"))
        self.up()
        self.assertEqual(self.display.take(), [HEADER, f"TLS with {SERVER}: key SHA256:x, known"])

    def test_theHeaderWaitsForTunnelsThatComeTogether(self) -> None:
        tunnels = tuple(replace(TUNNEL, name=name) for name in ("web", "db"))
        self.follow()
        self.figures = replace(UP, tunnels=(tunnels[0], replace(tunnels[1], isUp=False)))
        self.screen.happened(TunnelUp("a:1", "b:1", True, SERVER, "web"))
        self.clock.advance(0.5)
        self.assertEqual(self.display.take(), [])
        self.clock.advance(1)
        self.assertEqual(len(self.display.take()), 3)
        self.figures = replace(UP, tunnels=tunnels)
        self.screen.happened(TunnelUp("a:1", "b:1", True, SERVER, "db"))
        self.clock.advance(1)
        self.assertEqual(self.display.take(), ["db: tunnel.example.com:20432"])

    def test_aServiceThatTurnsOutToSpeakHttpHasAUrl(self) -> None:
        self.follow()
        self.up()
        self.display.take()
        self.screen.firstBytes("8000", b"HTTP/1.1 200 OK\r")
        self.clock.advance(1)
        self.assertEqual(self.display.take(), ["http://tunnel.example.com:20432"])

    def test_anotherServiceStaysAsItIs(self) -> None:
        self.follow()
        self.up()
        self.display.take()
        self.screen.firstBytes("8000", b"SSH-2.0-OpenSSH")
        self.clock.advance(1)
        self.assertEqual(self.display.take(), [])

    def test_anotherAddressIsShown(self) -> None:
        self.follow()
        self.up()
        self.display.take()
        self.up(replace(UP, tunnels=(replace(TUNNEL, public="tunnel.example.com:4"),)))
        self.assertEqual(self.display.take(), ["tunnel.example.com:4"])

    def test_aLossAndAReturnAreInWords(self) -> None:
        self.follow()
        self.up()
        self.display.take()
        self.screen.happened(ServerLost(SERVER, Stage.TUNNEL, "refused", "", Verdict.RETRY, 1.0))
        self.figures = DOWN
        self.clock.advance(13)
        self.assertTrue(self.display.last.startswith("○ away for"))
        self.up()
        self.assertEqual(self.display.take(), ["12:00:15 back after 13 s"])

    def test_visitsHaveLinesAndSums(self) -> None:
        self.follow()
        self.up()
        self.display.take()
        self.visit(MOST_LINES + 300)
        self.assertEqual(self.display.take(), ["12:00:01 visit of 500 ms, ↓ 10 B ↑ 20 B"] * MOST_LINES)
        self.clock.advance(1)
        self.assertEqual(self.display.take(), ["12:00:02 and 300 more visits, ↓ 3.0 kB ↑ 6.0 kB"])

    def test_aNarrowTerminalHasNoTimes(self) -> None:
        self.display.width = 39
        self.follow()
        self.up()
        self.display.take()
        self.visit()
        self.assertEqual(self.display.take(), ["visit of 500 ms, ↓ 10 B ↑ 20 B"])

    def test_itIsRefreshedAtMostTwiceASecond(self) -> None:
        self.follow()
        reads = 0

        def read() -> Figures:
            nonlocal reads
            reads += 1
            return self.figures

        self.screen.follow(self.client, read)
        for _ in range(1000):
            self.screen.happened(TunnelUp(TUNNEL.public, TUNNEL.local, False, SERVER))
            self.clock.advance(0.01)
        self.assertLessEqual(reads, 22)

    def test_aTerminalOfAnotherSizeHasItsLastLineAnew(self) -> None:
        self.follow()
        self.up()
        self.display.width = 39
        drawn = self.display.drawn
        self.screen.resized()
        self.assertEqual(self.display.drawn, drawn + 1)
        self.assertLessEqual(cells(self.display.last), 39)

    def test_onAStoppedTerminalVisitsWaitAsASum(self) -> None:
        self.follow()
        self.up()
        self.display.take()
        self.display.isStopped = True
        self.visit(50)
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.display.take(), [])
        self.display.isStopped = False
        self.clock.advance(1)
        self.assertEqual(self.display.take(), ["12:00:07 50 visits, ↓ 500 B ↑ 1.0 kB"])


class BackgroundTests(ScreenCase):
    """In the background of the terminal."""

    def test_thereIsTheHeaderAndNoLastLine(self) -> None:
        self.isForeground = False
        self.follow()
        self.up()
        self.visit()
        self.assertEqual((self.display.take(), self.display.last), ([HEADER, NO_TLS], ""))

    def test_theLastLineComesAndGoesWithTheForeground(self) -> None:
        self.follow()
        self.up()
        self.isForeground = False
        self.clock.advance(1)
        self.assertEqual(self.display.last, "")
        self.isForeground = True
        self.clock.advance(1)
        self.assertTrue(self.display.last)

    def test_aStopOfTheProcessRemovesIt(self) -> None:
        self.follow()
        self.up()
        self.screen.suspended()
        self.assertEqual(self.display.last, "")
        self.screen.refresh(anew=True)
        self.assertTrue(self.display.last)


class EndTests(ScreenCase):
    """The end."""

    def test_itLeavesNoTimerAndNoLastLine(self) -> None:
        self.follow()
        self.up()
        self.display.take()
        self.screen.stop()
        self.assertEqual(self.display.last, "")
        self.visit()
        self.screen.resized()
        self.screen.pressed(b"q\n")
        self.screen.refresh()
        self.assertEqual((self.display.take(), self.client.retries), ([], 0))
        self.screen.say("stopping")
        self.assertEqual(len(self.display.take()), 1)

    def test_aFaultEndsTheScreenAndNotTheClient(self) -> None:
        self.screen.follow(self.client, lambda: 1 // 0)  # type: ignore[arg-type,return-value]
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(10)
        self.assertEqual(self.display.last, "")


class KeyTests(ScreenCase):
    """What keys do."""

    def test_enterRetriesNow(self) -> None:
        self.follow()
        for key in (b"\n", b"\r", b"\n\n\n", b"x"):
            self.screen.pressed(key)
        self.assertEqual(self.client.retries, 3)

    def test_qShowsACode(self) -> None:
        self.follow()
        self.up()
        self.display.take()
        self.screen.pressed(b"qqq")
        lines = self.display.take()
        self.assertEqual(lines[-1], "http://tunnel.example.com:20432")
        self.assertIn("█", lines[0])

    def test_ofSeveralTunnelsEachKeyShowsTheNext(self) -> None:
        tunnels = [TunnelFigures(name, f"l:{name}", f"a:{name}", True) for name in "12"]
        away = TunnelFigures("4", "l:4", "a:4", False)
        hidden = TunnelFigures("5", "l:5", "unix:/run/5", True)
        self.follow()
        self.up(replace(UP, tunnels=(hidden, *tunnels, away)))
        self.screen.firstBytes("2", b"SSH-2.0")
        self.clock.advance(1)
        self.display.take()
        found = []
        for _ in range(3):
            self.screen.pressed(b"q")
            found.append(self.display.take()[-1])
        self.assertEqual(found, ["1: http://a:1", "2: a:2", "1: http://a:1"])

    def test_whereThereIsNoCodeTheReasonIsShown(self) -> None:
        self.follow()
        self.screen.pressed(b"q")
        self.assertIn("there is no address for a QR code", self.display.take()[0])
        self.display.width = 20
        self.up()
        self.display.take()
        self.screen.pressed(b"q")
        self.assertEqual(self.display.take()[0], "this terminal is too")
