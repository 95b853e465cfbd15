"""What is back, and after what time."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event
from bore.events.client import NodeLost, ServerLost, Stage, TunnelGivenUp, TunnelUp, Verdict
from bore.screen.lines import Painter
from bore.screen.returns import Returns

A, B = "a:7835", "b:7835"


def up(name: str = "", server: str = A) -> TunnelUp:
    return TunnelUp("a:20001", "localhost:8000", True, server, name)


def lost(name: str = "", server: str = A, stage: Stage = Stage.TUNNEL) -> ServerLost:
    return ServerLost(server, stage, "it is away", "", Verdict.RETRY, 1.0, name)


class ReturnsTests(SynchronousTestCase):
    """Returns."""

    def lines(self, *steps: tuple[float, Event]) -> str:
        returns = Returns()
        for now, event in steps:
            returns.happened(event, now)
        line = returns.line()
        self.assertIsNone(returns.line())
        return "" if line is None else Painter(False).paint(line, 200)

    def test_theFirstTimeIsNoReturn(self) -> None:
        self.assertEqual(self.lines((0, lost(stage=Stage.UNREACHED)), (1, up())), "")

    def test_aTunnelThatWasLostIsBack(self) -> None:
        self.assertEqual(self.lines((0, up()), (10, lost()), (23.2, up())), "back after 13 s")

    def test_attemptsThatFailMeanwhileDoNotCount(self) -> None:
        steps = [
            (0, up()),
            (10, lost()),
            (12, lost(stage=Stage.UNREACHED)),
            (20, lost(stage=Stage.NO_TUNNEL)),
            (23, up()),
        ]
        self.assertEqual(self.lines(*steps), "back after 13 s")

    def test_aNodeOfAClusterMayHaveTakenThePlaceOfTheServer(self) -> None:
        succeeded = NodeLost(A, Stage.TUNNEL, "it is away", B)
        self.assertEqual(
            self.lines((0, up("a")), (5, succeeded), (10, lost(server=B)), (23, up("a"))), "back after 13 s: a"
        )
        self.assertEqual(self.lines((0, up("a")), (5, succeeded), (10, lost(server=A)), (23, up("a"))), "")

    def test_itMayBeBackAtAnotherServer(self) -> None:
        self.assertEqual(self.lines((0, up()), (10, lost()), (11, up(server=B))), "back after 1.0 s")

    def test_severalTunnelsHaveOneLine(self) -> None:
        names = ["web", "db", "ssh", "game"]
        steps = (
            [(0.0, up(name)) for name in names]
            + [(10.0, lost())]
            + [(15.0 + n, up(each)) for n, each in enumerate(names)]
        )
        self.assertEqual(self.lines(*steps), "back after 8.0 s: web, db, ssh and 1 more")

    def test_onlyThoseOfTheServerThatWasLostAreAway(self) -> None:
        steps = [(0, up("web")), (0, up("db", B)), (10, lost(server=B)), (13, up("web")), (13, up("db", B))]
        self.assertEqual(self.lines(*steps), "back after 3.0 s: db")

    def test_oneOfSeveralMayBeLost(self) -> None:
        steps = [(0, up("web")), (0, up("db")), (10, lost("db")), (13, up("db"))]
        self.assertEqual(self.lines(*steps), "back after 3.0 s: db")

    def test_oneThatIsGivenUpIsNotAway(self) -> None:
        steps = [(0, up("web")), (1, lost("web")), (2, TunnelGivenUp("web", "localhost:1", "x")), (3, up("web"))]
        self.assertEqual(self.lines(*steps), "")

    def test_aPlannedMoveIsNoLoss(self) -> None:
        self.assertEqual(self.lines((0, up()), (5, up())), "")
