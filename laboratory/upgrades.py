"""Programs that are renewed under load: by an upgrade, by another process, or by a restart."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from laboratory.busysite import BusySite, Size
from laboratory.fault import Fault, Outcome
from laboratory.measure import secondsUntil, sleepUntil
from laboratory.pairings import OURS, Site, lines
from laboratory.processes import children
from tests.support import CHECKOUT

#: What a whole measurement has.
FULL: Final = Size()

#: How long a renewal may take, in seconds.
_LONGEST: Final = 60.0

_LOAD: Final = (
    "The load on {tunnels} tunnels: {streams} streams, each of {life} s and hashed at both ends, one after another; "
    "{bulk} streams without a pause, of 65 MB each way; wrk with {requests} connections of at most 4 s; two ab without "
    "keep-alive. Clients: {plain} without TLS, {tls} with TLS, {originals} original ones. The streams are short, as at "
    "most three generations of workers live. The visitors count; the machine is saturated, which is most of their wait."
)


@dataclass(frozen=True)
class Renewals(Fault):
    """
    Something is renewed again and again while visitors come.

    :cvar options: further options of the server.
    :cvar original: whether original clients take part.
    """

    pairings = (OURS,)
    options: ClassVar[tuple[str, ...]] = ()

    times: int = 20
    pause: float = 3
    size: Size = FULL

    def numbers(self) -> Mapping[str, float]:
        own = {name: value for name, value in vars(self).items() if value is not self.size}
        return own | vars(self.size) | {"tunnels": self.size.total}

    def inject(self, site: Site, outcome: Outcome) -> None:
        busy = BusySite(site, self.size)
        busy.startServices()
        self.start(site, busy)
        busy.startClients()
        busy.startVisitors()
        longest = 0.0
        for number in range(self.times):
            begin = time.monotonic()
            self.renew(site, busy, number)
            longest = max(longest, time.monotonic() - begin)
            sleepUntil(begin + self.pause)
        time.sleep(self.pause)
        verdict = busy.judge(outcome)
        outcome.lasts("longest wait of a new visitor", verdict.longest)
        outcome.lasts("the longest of them took", longest)
        self.afterwards(site, busy, outcome)

    def start(self, site: Site, busy: BusySite) -> None:
        """Start the server."""
        site.startServer(*self.options, *busy.serverOptions())
        if "--workers" in self.options:
            site.server.waitFor("has started", after=1)

    def renew(self, site: Site, busy: BusySite, number: int) -> None:
        """Do it, and wait until it is done."""
        raise NotImplementedError

    def afterwards(self, site: Site, busy: BusySite, outcome: Outcome) -> None:
        """Measure what else there is, when the visitors have left."""


@dataclass(frozen=True)
class Restarts(Renewals):
    """What an upgrade is without workers; it is no row, as it keeps no promise."""

    name = "restart"
    fault = "the server is restarted {times} times"
    promise = "none"
    how = ""

    def renew(self, site: Site, busy: BusySite, number: int) -> None:
        site.server.kill()
        self.start(site, busy)


@dataclass(frozen=True)
class Upgrades(Renewals):
    """SIGUSR2 to a server with workers."""

    name = "upgrade"
    fault = "a server with two workers is upgraded {times} times, one each {pause} s (SIGUSR2)"
    promise = (
        "no connection is refused or reset, no stream is cut or altered, no tunnel is lost, and all keep their ports; "
        "at most three generations of workers live"
    )
    how = _LOAD
    options = ("--workers", "2")

    def renew(self, site: Site, busy: BusySite, number: int) -> None:
        upgrade(site)

    def afterwards(self, site: Site, busy: BusySite, outcome: Outcome) -> None:
        alive = len(children(site.server))
        outcome.holds(f"{alive} workers at the end", 2 <= alive <= 6)


@dataclass(frozen=True)
class BrokenUpgrades(Renewals):
    """Upgrades to code that does not start."""

    name = "broken-upgrade"
    fault = "a server with two workers is upgraded to code that does not start, {times} times"
    promise = "as with an upgrade; the old workers go on, and the log has the reason each time"
    how = (
        "In turns: a syntax error, a module that is missing, and workers that end as soon as they start. At last there "
        f"is an upgrade to code that starts. {_LOAD}"
    )
    options = ("--workers", "2")

    times: int = 6

    #: A file of the package, what is added to it, and what the log has to say then.
    ERRORS: ClassVar = (
        ("server/session.py", "def\n", "session.py:.* invalid syntax"),
        ("server/session.py", "import bore.nowhere\n", "No module named 'bore.nowhere'"),
        (
            "workers/worker.py",
            "class Worker:\n    def __init__(self, *_: object) -> None:\n        raise OSError\n",
            "",
        ),
    )

    def start(self, site: Site, busy: BusySite) -> None:
        code = site.lab.folder / "code"
        shutil.copytree(CHECKOUT / "bore", code / "bore", ignore=shutil.ignore_patterns("__pycache__"))
        site.runServerFrom(code)
        super().start(site, busy)

    def renew(self, site: Site, busy: BusySite, number: int) -> None:
        name, text, reason = self.ERRORS[number % len(self.ERRORS)]
        file = site.lab.folder / "code" / "bore" / name
        good = file.read_bytes()
        begin = len(site.server.err)
        file.write_bytes(good + text.encode())
        try:
            os.kill(site.server.pid, signal.SIGUSR2)
            pattern = f"no upgrade, the server goes on as before: .*{reason}"
            if secondsUntil(lambda: bool(lines(site.server, pattern, begin)), _LONGEST) is None:
                raise AssertionError(f"not in the log: {pattern}")
        finally:
            file.write_bytes(good)

    def afterwards(self, site: Site, busy: BusySite, outcome: Outcome) -> None:
        outcome.seconds("upgraded to code that starts", upgrade(site), _LONGEST)


@dataclass(frozen=True)
class TakeOvers(Renewals):
    """Another server takes over from the one that runs."""

    name = "take-over"
    fault = "another server takes over from the running one, {times} times, one each {pause} s (--take-over)"
    promise = (
        "no connection is refused or reset, no stream is cut or altered, no tunnel is lost, and all keep their ports"
    )
    how = f"The servers have no workers. Each former one ends when its streams have ended. {_LOAD}"

    def start(self, site: Site, busy: BusySite) -> None:
        site.startServer(*self._words(site), *busy.serverOptions())

    def _words(self, site: Site) -> tuple[str, ...]:
        return "--admin-socket", str(site.lab.folder / "admin")

    def renew(self, site: Site, busy: BusySite, number: int) -> None:
        former, before = site.server, len(site.server.err)
        site.startServer("--take-over", *self._words(site), *busy.serverOptions())
        if secondsUntil(lambda: bool(lines(former, "has taken over", before)), _LONGEST) is None:
            raise AssertionError("there was no takeover")


@dataclass(frozen=True)
class ClientUpgrades(Renewals):
    """SIGUSR2 to clients."""

    name = "client-upgrade"
    fault = "each client of ours is upgraded {times} times, one each {pause} s (SIGUSR2)"
    promise = (
        "no connection is refused or reset, no stream is cut or altered, no tunnel is lost, and all keep their ports"
    )
    how = f"Each former process ends when its streams have ended. {_LOAD}"

    times: int = 10

    def renew(self, site: Site, busy: BusySite, number: int) -> None:
        for client in busy.ours:
            before = len(client.program.err)
            os.kill(client.pid, signal.SIGUSR2)
            pattern = r"process (\d+) has taken over"
            if secondsUntil(lambda: bool(lines(client.program, pattern, before)), _LONGEST) is None:  # noqa: B023
                raise AssertionError(f"not in the log: {pattern}")
            found = re.search(pattern, lines(client.program, pattern, before)[0])
            assert found is not None
            client.pid = int(found[1])


def upgrade(site: Site) -> float:
    """Upgrade the server, and wait until the new workers serve; return how long that took, in seconds."""
    begin, before = time.monotonic(), len(site.server.err)
    os.kill(site.server.pid, signal.SIGUSR2)

    def ended() -> bool:
        return bool(lines(site.server, "upgraded to version|no upgrade", before))

    if secondsUntil(ended, _LONGEST) is None or lines(site.server, "no upgrade", before):
        raise AssertionError("there was no upgrade")
    return time.monotonic() - begin
