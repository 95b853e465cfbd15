"""
The short form of the rows with workers, and of those in which a program is renewed under load.

Each class runs in a process of its own, and they take about as long as one another. ``make test`` runs the first two
of them, as tests/processes has the same without the load; ``make stress`` runs all.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from laboratory.busysite import Size
from laboratory.upgrades import BrokenUpgrades, ClientUpgrades, Restarts, TakeOvers, Upgrades
from laboratory.workers import KilledSupervisor, KilledWorker, StoppedWorker
from tests.laboratory.test_faults import FaultCase

#: Three clients, one of each kind, with four tunnels.
SMALL: Final = Size(plain=1, tls=1, originals=1, tunnels=2, streams=30, life=2, bulk=1, requests=1)

#: Why the longer ones are left out; None: they are not.
SKIP: Final = None if os.environ.get("BORE_STRESS") else "only with BORE_STRESS=1"


@pytest.mark.timeout(240)
class JudgeTests(FaultCase):
    """What is no upgrade is not taken for one."""

    def test_whatARestartCostsIsFound(self) -> None:
        outcome = Restarts(times=1, pause=1, size=SMALL).measure()
        broken = "\n".join(outcome.broken)
        self.assertRegex(broken, r"streams not whole \(\d+ closed, \d+ refused", outcome.transcript)
        self.assertRegex(broken, "wrk: [1-9][0-9]* of")
        self.assertRegex(broken, "ab: [1-9][0-9]* of")
        self.assertRegex(broken, "[1-5] of 5 tunnels lost")
        self.assertIn("1 clients ended", broken)


class UpgradeTests(FaultCase):
    """SIGUSR2."""

    def test_upgradesInARowCostNobodyAnything(self) -> None:
        self.keeps(Upgrades(times=2, pause=1, size=SMALL))


class BrokenUpgradeTests(FaultCase):
    """SIGUSR2, and the new code does not start."""

    skip = SKIP

    def test_theOldCodeGoesOn(self) -> None:
        self.keeps(BrokenUpgrades(times=3, pause=0.5, size=SMALL))


class TakeOverTests(FaultCase):
    """Another server, without workers, takes over."""

    skip = SKIP

    def test_takeOversInARowCostNobodyAnything(self) -> None:
        self.keeps(TakeOvers(times=2, size=SMALL))


class ClientUpgradeTests(FaultCase):
    """SIGUSR2 to clients."""

    skip = SKIP

    def test_upgradesInARowCostNobodyAnything(self) -> None:
        self.keeps(ClientUpgrades(times=2, pause=1, size=SMALL))


class WorkerTests(FaultCase):
    """Single processes of a server with workers end."""

    skip = SKIP

    def test_aKilledWorkerCostsItsOwnStreamsOnly(self) -> None:
        self.keeps(KilledWorker(clients=2))

    def test_workersWithoutASupervisorEndAndAllComeBack(self) -> None:
        self.keeps(KilledSupervisor(clients=1))


class StoppedWorkerTests(FaultCase):
    """A worker hangs."""

    skip = SKIP

    def test_itIsReplaced(self) -> None:
        self.keeps(StoppedWorker(clients=2))
