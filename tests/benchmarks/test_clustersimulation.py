"""The simulation of large clusters, of a small one."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.clustersimulation import simulate
from benchmarks.simulatedcluster import Simulation
from benchmarks.simulatedengine import SimulatedClock


class SimulatedClockTests(SynchronousTestCase):
    """A clock that goes from call to call."""

    def test_callsAreMadeInTheirOrderAndCanBeCancelledAndDelayed(self) -> None:
        clock, made = SimulatedClock(), list[tuple[str, float]]()

        def make(name: str) -> None:
            made.append((name, clock.seconds()))

        clock.callLater(2, make, "b")
        delayed = clock.callLater(1, make, "c")
        clock.callLater(1, make, "a")
        clock.callLater(1, make, "never").cancel()
        delayed.delay(5)
        clock.run(3)
        self.assertEqual((made, clock.seconds()), ([("a", 1), ("b", 2)], 3))
        self.assertEqual(clock.getDelayedCalls(), [delayed])
        clock.run(10)
        self.assertEqual(made[2:], [("c", 6)])


class SimulationTests(SynchronousTestCase):
    """What happens to a cluster."""

    def test_allClientsAreBackAfterEachLoss(self) -> None:
        with redirect_stdout(io.StringIO()) as out:
            simulate(groups=2, size=3, tunnels=120)
        rows = out.getvalue().splitlines()
        self.assertIn("6 nodes, 120 tunnels", rows[0])
        self.assertEqual(len(rows), 12)

    def test_nodesGoOnWithoutTheEngineForAlmostTheTimeToLive(self) -> None:
        for away, ceases in (40, False), (60, True):
            simulation = Simulation(1, 3, 60)
            simulation.clock.run(70)
            ceased, told, grants = simulation.loseEngine(away)
            self.assertEqual(ceased > 0, ceases)
            self.assertLess(told, 5)
            self.assertGreater(grants, 60)

    def test_atRestThereIsOneCallASecondAndNode(self) -> None:
        simulation = Simulation(1, 4, 40)
        simulation.clock.run(100)
        self.assertEqual(simulation.load(90)[0], 4)
