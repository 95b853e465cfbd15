"""A client with many tunnels: some fail, or change, and the others go on."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from laboratory.burdens import visit
from laboratory.fault import Fault, Outcome
from laboratory.measure import secondsUntil
from laboratory.pairings import SERVICE_PORT, Site, lines
from tests.support import Program

#: The public port of the first tunnel; the others follow it.
_FIRST = 20000


def _table(number: int, local: int = SERVICE_PORT) -> str:
    return f"[tunnel.t{number}]\nlocal = '127.0.0.1:{local}'\nport = {_FIRST + number}\n"


def _write(site: Site, tables: Iterable[str]) -> Path:
    """Write the client's settings file."""
    path = site.lab.folder / "bore.toml"
    new = path.with_suffix(".new")
    new.write_text(f"server = '{site.host}'\nmax-reconnect-delay = 5\n" + "".join(tables))
    new.chmod(0o600)
    new.rename(path)
    return path


def _up(site: Site, tables: Iterable[str]) -> Program:
    """Start a client with a settings file."""
    path = _write(site, tables)
    site.client = site.lab.python("client", "bore", "up", str(path))
    return site.client


def _open(site: Site, numbers: Iterable[int]) -> list[int]:
    """Return which of the tunnels have a public port that is open."""
    return [number for number in numbers if site.lab.isOpen("visitor", site.host, _FIRST + number)]


def _ups(program: Program) -> list[int]:
    """The tunnels that have come up, in their order."""
    found = [re.search(r"listening at \S*?:(\d+)", line) for line in [*program.out, *program.err]]
    return [int(each.group(1)) - _FIRST for each in found if each]


def _served(site: Site, numbers: Iterable[int]) -> tuple[list[int], float]:
    """Have a visitor come to each tunnel; return which have not served it, and the longest wait in seconds."""
    results: Mapping[int, tuple[str | None, float]] = {n: visit(site, _FIRST + n, 10) for n in numbers}
    return [n for n, (trouble, _) in results.items() if trouble], max(waited for _, waited in results.values())


@dataclass(frozen=True)
class ReloadUnderLoad(Fault):
    """Reloads, one after another."""

    name = "reloads"
    fault = "a client with {tunnels} tunnels reloads its settings file {reloads} times under load"
    promise = "the unchanged half loses no visitor and no byte, and no visitor waits 1 s; the last file counts"
    how = (
        "Each file lacks a tunnel that the previous one had, and has another local service for one more. Four visitors "
        "per second connect to an unchanged tunnel; one more sends and receives continuously."
    )
    idle = True

    tunnels: int = 20
    reloads: int = 40

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        site.startServer()
        client = _up(site, map(_table, range(self.tunnels)))
        secondsUntil(lambda: len(_ups(client)) == self.tunnels, 30)
        visits, talk = site.visits(_FIRST), site.talk(_FIRST)
        half = self.tunnels // 2
        for number in range(self.reloads):
            gone, other = half + number % half, half + (number + 1) % half
            tables = [_table(n, 1 if n == other else SERVICE_PORT) for n in range(self.tunnels) if n != gone]
            _write(site, tables)
            os.kill(client.pid, signal.SIGHUP)
            time.sleep(0.25)
        _write(site, map(_table, range(self.tunnels)))
        os.kill(client.pid, signal.SIGHUP)
        begin = time.monotonic()
        full = secondsUntil(lambda: len(_open(site, range(self.tunnels))) == self.tunnels, 20)
        outcome.seconds("the last file's tunnels open", full and time.monotonic() - begin, 3, 20)
        visits.stop()
        outcome.holds(f"{len(visits.lost())} of {len(visits.all)} visitors lost", not visits.lost())
        outcome.lasts("longest wait", max(each.waited for each in visits.all), 1)
        outcome.holds(f"running stream: {talk.finish()}", talk.whole)
        others = sum(n >= half for n in _ups(client)) - (self.tunnels - half)
        outcome.holds(f"{others} times one of the others opened again", others > self.reloads // 2)
        again = [n for n in range(half) if _ups(client).count(n) != 1]
        outcome.holds(f"{len(again)} of {half} unchanged tunnels opened again", not again)
        wrong, _ = _served(site, range(self.tunnels))
        outcome.holds(f"{len(wrong)} of {self.tunnels} tunnels do not serve", not wrong)


@dataclass(frozen=True)
class LostTunnels(Fault):
    """A client with many tunnels loses its network."""

    name = "lost-tunnels"
    fault = "the network of a client with {tunnels} tunnels is silent for {seconds} s"
    promise = (
        "all serve again within 6 s after the network is back, on their ports; no data of a running stream is lost"
    )
    how = "The router drops all packets from and to the client's host. A visitor of one tunnel stays."
    idle = True

    tunnels: int = 50
    seconds: float = 12

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        site.startServer()
        client = _up(site, map(_table, range(self.tunnels)))
        up = secondsUntil(lambda: len(_ups(client)) == self.tunnels, 30)
        outcome.seconds("all tunnels up at the start", up, None, 30)
        talk = site.talk(_FIRST)
        time.sleep(1)
        site.link.silence()
        time.sleep(self.seconds)
        site.link.silence(False)
        begin = time.monotonic()
        full = secondsUntil(lambda: len(set(_ups(client)[self.tunnels :])) == self.tunnels, 40)
        outcome.seconds("all tunnels up", full, 6, 40)
        wrong, _ = _served(site, range(self.tunnels))
        outcome.seconds("one visitor of each served", time.monotonic() - begin)
        outcome.holds(f"{len(wrong)} of {self.tunnels} tunnels do not serve", not wrong)
        outcome.holds(f"running stream: {talk.finish()}", talk.whole)


@dataclass(frozen=True)
class StolenPort(Fault):
    """One port is taken while the client is away."""

    name = "stolen-port"
    fault = "the server restarts, and another program has the public port of one of {tunnels} tunnels meanwhile"
    promise = (
        "the others serve within 5 s; the client says which one does not, and why; that one serves within 7 s after "
        "its port is free"
    )
    how = "Each tunnel requests its port. The longest delay between two attempts is 5 s."
    idle = True

    tunnels: int = 50

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        site.startServer()
        client = _up(site, map(_table, range(self.tunnels)))
        secondsUntil(lambda: len(_ups(client)) == self.tunnels, 30)
        site.server.kill()
        thief = site.lab.python("server", "laboratory.echo", "0.0.0.0", str(_FIRST))
        thief.waitFor("ready")
        site.startServer()
        begin = time.monotonic()
        others = set(range(1, self.tunnels))
        full = secondsUntil(lambda: set(_ups(client)[self.tunnels :]) >= others, 30)
        outcome.seconds("the others up", full, 5, 30)
        reason = secondsUntil(lambda: bool(lines(client, r"\bt0: .*port \d+ is already in use")), 10)
        outcome.holds("the reason is said" if reason is not None else "no reason is said", reason is not None)
        wrong, _ = _served(site, others)
        outcome.holds(f"{len(wrong)} of {len(others)} others do not serve", not wrong)
        thief.kill()
        begin = time.monotonic()
        back = secondsUntil(lambda: 0 in _ups(client)[self.tunnels :], 40)
        outcome.seconds("the last one up after its port is free", back and time.monotonic() - begin, 7, 40)


@dataclass(frozen=True)
class DeadService(Fault):
    """One local service is down."""

    name = "dead-service"
    fault = "one local service of {tunnels} is down, and {visitors} visitors wait to come to it"
    promise = "visitors of the others are served within 1 s, those of the dead one closed within 1 s; no tunnel is lost"
    how = "The visitors of the dead one come one after another, while one visitor comes to each of the others."
    idle = True

    tunnels: int = 50
    visitors: int = 20

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        site.startServer()
        client = _up(site, [_table(n, 1 if n == 0 else SERVICE_PORT) for n in range(self.tunnels)])
        secondsUntil(lambda: len(_ups(client)) == self.tunnels, 30)
        visits = site.visits(_FIRST, 0.05)
        wrong, longest = _served(site, range(1, self.tunnels))
        secondsUntil(lambda: len(visits.all) >= self.visitors, 10)
        visits.stop()
        outcome.holds(f"{len(wrong)} of {self.tunnels - 1} others do not serve", not wrong)
        outcome.lasts("longest wait there", longest, 1)
        outcome.lasts("longest until a visitor of the dead one is closed", max(e.waited for e in visits.all), 1)
        served = [each for each in visits.all if each.served]
        outcome.holds(f"{len(served)} of {len(visits.all)} visitors of the dead one served", not served)
        again = len(_ups(client)) - self.tunnels
        outcome.holds(f"{again} tunnels opened again", not again)
