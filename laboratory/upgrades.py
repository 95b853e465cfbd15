"""A server that is renewed under load: upgrades, and the ends of its processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from laboratory.busysite import BusySite, Size
from laboratory.fault import Fault, Outcome
from laboratory.measure import sleepUntil
from laboratory.pairings import OURS, Site

#: What a whole measurement has.
_FULL: Final = Size()


@dataclass(frozen=True)
class Renewals(Fault):
    """
    The server is renewed again and again while visitors come.

    :cvar options: further options of the server.
    """

    pairings = (OURS,)
    options: ClassVar[tuple[str, ...]] = ()

    times: int = 20
    pause: float = 3
    size: Size = _FULL

    def numbers(self) -> Mapping[str, float]:
        own = {name: value for name, value in vars(self).items() if value is not self.size}
        return own | vars(self.size) | {"tunnels": self.size.total}

    def inject(self, site: Site, outcome: Outcome) -> None:
        busy = BusySite(site, self.size)
        busy.startServices()
        self.start(site, busy)
        busy.startClients()
        busy.startVisitors()
        for number in range(self.times):
            begin = time.monotonic()
            self.renew(site, busy, number)
            sleepUntil(begin + self.pause)
        time.sleep(self.pause)
        verdict = busy.judge(outcome)
        outcome.lasts("longest wait of a new visitor", verdict.longest)

    def start(self, site: Site, busy: BusySite) -> None:
        """Start the server."""
        site.startServer(*self.options, *busy.serverOptions())

    def renew(self, site: Site, busy: BusySite, number: int) -> None:
        """Do it."""
        raise NotImplementedError


class Restarts(Renewals):
    """What an upgrade is without workers; it is no row, as it keeps no promise."""

    name = "restart"
    fault = "the server is restarted {times} times"
    promise = "none"
    how = ""

    def renew(self, site: Site, busy: BusySite, number: int) -> None:
        site.server.kill()
        self.start(site, busy)
