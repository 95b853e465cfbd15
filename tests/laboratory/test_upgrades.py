"""The short form of the rows in which a server is renewed under load."""

from __future__ import annotations

from typing import Final

import pytest

from laboratory.busysite import Size
from laboratory.upgrades import Restarts
from tests.laboratory.test_faults import FaultCase

#: Three clients, one of each kind, with four tunnels.
SMALL: Final = Size(plain=1, tls=1, originals=1, tunnels=2, streams=30, life=2, bulk=1, requests=1)


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
