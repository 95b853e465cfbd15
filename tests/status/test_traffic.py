"""The traffic of the last hour."""

from __future__ import annotations

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.status.traffic import INTERVAL, MAX_LINES, SAMPLES, Traffic
from tests.status.pagereports import clientReport, serverReport, tunnelReport


class TrafficTests(SynchronousTestCase):
    """Samples of the amounts that a snapshot has."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.report = serverReport()
        self.traffic = Traffic(self.clock, lambda: succeed(self.report))
        self.traffic.start()
        self.addCleanup(self.traffic.stop)

    def minute(self, **amounts: int) -> None:
        """A minute passes, after which tunnels have passed on these amounts in all."""
        self.report = serverReport(*(tunnelReport(name, amount) for name, amount in amounts.items()))
        self.clock.advance(INTERVAL)

    def lines(self) -> dict[str, list[int]]:
        return self.traffic.toJson()["tunnels"]  # type: ignore[return-value]

    def total(self) -> list[int]:
        return self.traffic.toJson()["total"]  # type: ignore[return-value]

    def test_aSampleIsWhatWasAddedInAMinute(self) -> None:
        self.minute(a=1000, b=0)
        self.minute(a=1500, b=40)
        self.assertEqual(self.total(), [1000, 540])
        self.assertEqual(self.lines(), {"a": [1000, 500], "b": [0, 40]})

    def test_whatWasThereBeforeTheStartIsNotTraffic(self) -> None:
        report = serverReport(tunnelReport("a", 5000))
        traffic = Traffic(self.clock, lambda: succeed(report))
        traffic.start()
        self.addCleanup(traffic.stop)
        self.clock.advance(INTERVAL)
        self.assertEqual(traffic.toJson()["total"], [0])
        self.assertEqual(traffic.toJson()["tunnels"], {})

    def test_aTunnelThatIsOpenedAnewBeginsAtNothing(self) -> None:
        self.minute(a=1000)
        self.minute(a=300)
        self.assertEqual(self.lines(), {"a": [1000, 300]})

    def test_anHourIsKept(self) -> None:
        for n in range(1, SAMPLES + 3):
            self.minute(a=n * 10)
        self.assertEqual(self.total(), [10] * SAMPLES)
        self.assertEqual(self.lines(), {"a": [10] * SAMPLES})

    def test_aTunnelWithoutTrafficForAnHourHasNoLine(self) -> None:
        self.minute(a=1000)
        for _ in range(SAMPLES):
            self.minute(a=1000)
        self.assertEqual(self.lines(), {})

    def test_aClosedTunnelHasNoLine(self) -> None:
        self.minute(a=1000)
        self.minute()
        self.assertEqual(self.lines(), {})

    def test_ofManyTunnelsTheBusiestHaveLines(self) -> None:
        self.minute(**{f"t{n}": n + 1 for n in range(MAX_LINES + 50)})
        self.assertEqual(set(self.lines()), {f"t{n}" for n in range(50, MAX_LINES + 50)})

    def test_aSnapshotThatFailsCostsOneSample(self) -> None:
        self.traffic.changed = lambda: 1 / 0
        self.minute(a=10)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.traffic.changed = lambda: None
        self.minute(a=30)
        self.assertEqual(self.total(), [10, 20])

    def test_aClientsTunnelsGoByTheirNames(self) -> None:
        report = clientReport()
        traffic = Traffic(self.clock, lambda: succeed(report))
        traffic.start()
        self.addCleanup(traffic.stop)
        report = clientReport(bytes=700)
        self.clock.advance(INTERVAL)
        self.assertEqual(traffic.toJson()["tunnels"], {"web": [700]})

    def test_afterTheStopThereIsNoTimer(self) -> None:
        self.traffic.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
