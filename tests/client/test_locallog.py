"""The lines about local services that do not answer."""

from __future__ import annotations

from bore.events import Stopped
from bore.events.client import Connected, LocalReached, LocalUnreachable
from tests.client.test_log import LOCAL, LogCase

REFUSED = "connection refused"


class LocalLines(LogCase):
    """The lines of local services."""

    def turnAway(self, count: int = 1, first: int = 1, local: str = LOCAL) -> None:
        """So many visitors are turned away."""
        for number in range(first, first + count):
            self.log(LocalUnreachable(local, REFUSED, "start it", number, self.clock.seconds()))

    def test_theFirstOneHasALineWithTheReasonAndWhatWouldBeRight(self) -> None:
        for turnedAway in (0, 1):
            self.log(LocalUnreachable(LOCAL, REFUSED, "start it", turnedAway))
        self.log(LocalUnreachable("unix:/x", "there is no such socket", tunnel="app"))
        self.assertEqual(
            self.takeLines(),
            (
                "warn the local service localhost:8000 cannot be reached: connection refused; start it",
                "warn app: the local service unix:/x cannot be reached: there is no such socket",
            ),
        )

    def test_whileVisitorsComeTheirSumIsLoggedEverMoreRarely(self) -> None:
        for second in range(100):
            self.turnAway(40, 1 + 40 * second)
            self.clock.advance(1)
        still = "warn the local service localhost:8000 still cannot be reached; visitors turned away in {} s: {}"
        self.assertEqual(self.takeLines()[1:], tuple(still.format(seconds, 40 * seconds) for seconds in (10, 30, 70)))

    def test_withoutVisitorsThereAreNoLinesAndNoTimer(self) -> None:
        self.log(LocalUnreachable(LOCAL, REFUSED, turnedAway=0))
        self.clock.advance(10)
        self.assertEqual((len(self.takeLines()), self.clock.getDelayedCalls()), (1, []))
        self.clock.advance(1000)
        self.turnAway(3)
        self.assertEqual(self.takeLines(), ())
        self.clock.advance(10)
        line = "warn the local service localhost:8000 still cannot be reached; visitors turned away in 1020 s: 3"
        self.assertEqual(self.takeLines(), (line,))

    def test_itsReturnHasALineWithTheSum(self) -> None:
        self.turnAway(4000)
        self.clock.advance(5)
        self.log(LocalReached(LOCAL, 4000, 5.0))
        self.assertEqual(
            self.takeLines()[1:],
            ("info the local service localhost:8000 answers again, after 5 s; visitors turned away: 4000",),
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_oneThatComesAndGoesHasFewLinesWhoseSumsAreComplete(self) -> None:
        for _ in range(300):
            self.turnAway(2)
            self.log(LocalReached(LOCAL, 2, 0.0))
            self.clock.advance(0.1)
        self.clock.advance(10)
        lines = self.takeLines()
        self.assertLess(len(lines), 10)
        sums = [int(line.rpartition(": ")[2]) for line in lines if "answers again" in line]
        self.assertEqual(sum(sums), 600)

    def test_eachServiceOfEachTunnelHasItsOwnLines(self) -> None:
        for tunnel, local in (("a", LOCAL), ("b", LOCAL), ("c", "localhost:9000")):
            self.log(LocalUnreachable(local, REFUSED, tunnel=tunnel))
        self.assertEqual(len(self.takeLines()), 3)
        self.log(LocalReached(LOCAL, 1, 1.0, "a"))
        line = "info a: the local service localhost:8000 answers again, after 0 s; visitors turned away: 1"
        self.assertEqual(self.takeLines(), (line,))

    def test_thoseThatProbesFindDownTogetherShareALine(self) -> None:
        for port in range(8000, 8020):
            self.log(LocalUnreachable(f"localhost:{port}", REFUSED, "start it", 0, tunnel=str(port)))
        self.log(LocalUnreachable("localhost:8003", REFUSED, "start it", 1, tunnel="8003"))
        self.log(LocalReached("localhost:8004", 0, 0.5, "8004"))
        self.clock.advance(1)
        self.assertEqual(
            self.takeLines(),
            (
                "warn 8003: the local service localhost:8003 cannot be reached: connection refused; start it",
                "warn 18 local services cannot be reached, such as localhost:8000: connection refused; start it",
            ),
        )
        self.log(LocalReached("localhost:8000", 0, 1.0, "8000"))
        line = "info 8000: the local service localhost:8000 answers again, after 1 s; visitors turned away: 0"
        self.assertEqual(self.takeLines(), (line,))

    def test_theOnlyOneThatAProbeFindsDownHasItsOwnLine(self) -> None:
        self.log(LocalUnreachable(LOCAL, REFUSED, turnedAway=0, tunnel="app"))
        self.log(Stopped())
        line = "warn app: the local service localhost:8000 cannot be reached: connection refused"
        self.assertEqual((self.takeLines(), self.clock.getDelayedCalls()), ((line,), []))

    def test_aFormerServiceOfATunnelTakesNoPlace(self) -> None:
        for port in range(100):
            self.turnAway(local=f"localhost:{port}")
        lines = self.takeLines()
        self.assertEqual(len(lines), 100)
        self.assertEqual(
            lines[-1], "warn the local service localhost:99 cannot be reached: connection refused; start it"
        )
        self.clock.advance(1000)
        self.log(LocalReached("localhost:99", 1, 1000.0))
        self.assertEqual(len(self.takeLines()), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_manyServicesShareALine(self) -> None:
        for port in range(200):
            for number in (1, 2):
                self.log(LocalUnreachable(f"localhost:{port}", REFUSED, "start it", number, tunnel=str(port)))
        lines = self.takeLines()
        self.assertEqual(len(lines), 17)
        self.assertEqual(
            lines[-1], "warn further local services cannot be reached, such as localhost:16: connection refused"
        )
        for port in range(200):
            self.log(LocalReached(f"localhost:{port}", 1, 1.0, str(port)))
        self.assertEqual(len(self.takeLines()), 16)
        self.clock.advance(10)
        self.takeLines()
        self.turnAway(local="localhost:17")
        self.assertEqual(len(self.takeLines()), 1)

    def test_theEndSumsUpAndLeavesNoTimer(self) -> None:
        self.turnAway(5)
        self.takeLines()
        self.log(Stopped())
        line = "warn the local service localhost:8000 still cannot be reached; visitors turned away in 0 s: 5"
        self.assertEqual((self.takeLines(), self.clock.getDelayedCalls()), ((line,), []))
        self.turnAway()
        self.log(LocalReached(LOCAL, 1, 1.0))
        self.assertEqual((self.takeLines(), self.clock.getDelayedCalls()), ((), []))
        self.log(Connected("a:7835"))
        self.turnAway()
        self.assertEqual(len(self.takeLines()), 1)
