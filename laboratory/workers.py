"""A server with workers, some of whose processes end or stop."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from laboratory.busysite import TLS_PORT, BusySite, Client, Size
from laboratory.fault import Fault, Outcome
from laboratory.measure import Talk, Visits, secondsUntil
from laboratory.pairings import CONTROL_PORT, OURS, Site, lines
from laboratory.processes import children

#: A socket in the listing of ss: its peer, and the processes that have it.
_SOCKET = re.compile(r"(\S+):(\d+)\s+(\S+):(\d+)\s+users:\((.*)\)")


def workersOf(site: Site, clients: list[Client]) -> dict[int, int]:
    """The process of the worker that each client is connected with, by the client's process; seen from the sockets."""
    ports = (str(CONTROL_PORT), str(TLS_PORT))
    here: dict[str, int] = {}
    for address, port, _, to, users in _sockets(site, "client"):
        if to in ports:
            here |= {f"{address}:{port}": pid for pid in _pids(users)}
    found: dict[int, int] = {}
    for _, port, peer, to, users in _sockets(site, "server"):
        pids = [pid for pid in _pids(users) if pid != site.server.pid]
        if port in ports and pids and f"{peer}:{to}" in here:
            found[here[f"{peer}:{to}"]] = pids[0]
    return {client.pid: found[client.pid] for client in clients}


def _sockets(site: Site, place: str) -> list[tuple[str, ...]]:
    listing = site.lab.start(place, "ss", "-tnpH", "state", "established")
    listing.wait()
    return [found.groups() for line in listing.out if (found := _SOCKET.search(line))]


def _pids(users: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"pid=(\d+)", users)]


@dataclass(frozen=True)
class LostWorker(Fault):
    """
    A worker ends or stops, and others go on.

    :cvar sent: the signal that it gets.
    :cvar bound: how long its tunnels may be without it, in seconds.
    """

    pairings = (OURS,)
    sent: ClassVar[signal.Signals]
    bound: ClassVar[float]
    how = (
        "{clients} clients without TLS and as many with TLS, with one tunnel each. Which of them have that worker is "
        "seen from the sockets. Ten visitors per second come to each tunnel; one more stays at each."
    )

    clients: int = 3

    def inject(self, site: Site, outcome: Outcome) -> None:
        size = Size(plain=self.clients, tls=self.clients, originals=0, tunnels=1)
        busy = BusySite(site, size)
        site.startService()
        site.startServer("--workers", "2", *busy.serverOptions())
        site.server.waitFor("has started", after=1)
        busy.startClients(alike=True)
        at = workersOf(site, busy.clients)
        lost = at[busy.clients[0].pid]
        its = [client for client in busy.clients if at[client.pid] == lost]
        others = [client for client in busy.clients if client not in its]
        if not others:
            raise AssertionError("all clients are at one worker")
        visits = {client.pid: site.visits(client.public[0], 0.1) for client in busy.clients}
        talks = {client.pid: site.talk(client.public[0]) for client in busy.clients}
        time.sleep(1)
        begin = time.monotonic()
        os.kill(lost, self.sent)
        back = [visits[client.pid].servedAfter(begin + 0.2, 20, begin) for client in its]
        outcome.seconds("its tunnels served again", None if None in back else max(filter(None, back)), self.bound, 20)
        started = secondsUntil(lambda: len(lines(site.server, "worker .* has started")) == 3, 20)
        outcome.holds("no other worker started" if started is None else "another worker started", started is not None)
        time.sleep(2)
        self._compare(outcome, its, others, visits, talks, begin)
        changed = sum(client.now() != client.public for client in busy.clients)
        outcome.holds(f"{changed} ports changed", not changed)

    def _compare(
        self,
        outcome: Outcome,
        its: list[Client],
        others: list[Client],
        visits: dict[int, Visits],
        talks: dict[int, Talk],
        begin: float,
    ) -> None:
        for each in visits.values():
            each.stop()
        came = [visit for client in its for visit in visits[client.pid].all if visit.came >= begin]
        gone = [visit for visit in came if not visit.served]
        outcome.holds(f"{len(gone)} of {len(came)} visitors of its {len(its)} tunnels lost", not gone)
        outcome.lasts("their longest wait", max(visit.waited for visit in came), self.bound)
        under = sum(len(visits[client.pid].lost(0, begin)) for client in its)
        whole = sum(not talks[client.pid].finish().startswith("broken") for client in its)
        outcome.says(f"{under} of its visitors that were there cut, and {len(its) - whole} of {len(its)} streams")
        there = [visit for client in others for visit in visits[client.pid].all]
        missed = sum(not visit.served for visit in there)
        outcome.holds(f"{missed} of {len(there)} visitors of the {len(others)} other tunnels lost", not missed)
        outcome.lasts("their longest wait", max(visit.waited for visit in there), 1)
        broken = [talks[client.pid].finish() for client in others]
        count = sum(not talks[client.pid].whole for client in others)
        outcome.holds(f"{count} of {len(broken)} streams of others broken", not count)


class KilledWorker(LostWorker):
    """SIGKILL to a worker."""

    name = "killed-worker"
    fault = "one of two workers of a server is killed (SIGKILL)"
    promise = (
        "its tunnels serve again within 2 s, on their ports; visitors that connect meanwhile wait, and are served; "
        "those of the other worker notice nothing; another worker starts"
    )
    sent = signal.SIGKILL
    bound = 2


class StoppedWorker(LostWorker):
    """SIGSTOP to a worker."""

    name = "stopped-worker"
    fault = "one of two workers of a server is stopped (SIGSTOP)"
    promise = (
        "it is found and replaced within 9 s, its tunnels serve again, on their ports; visitors that connect meanwhile "
        "wait, and are served; those of the other worker notice nothing"
    )
    sent = signal.SIGSTOP
    bound = 9


@dataclass(frozen=True)
class KilledSupervisor(Fault):
    """SIGKILL to the supervisor, which a manager starts again."""

    name = "killed-supervisor"
    fault = "the supervisor of a server with two workers is killed (SIGKILL), and started again {pause} s later"
    promise = "its workers end by themselves within 7 s; all tunnels are open again on their ports within 10 s"
    how = (
        "{clients} clients without TLS and as many with TLS, with one tunnel each. The workers have 5 s for their "
        "running streams, and one stays at each tunnel. What starts the server again leaves them alone; systemd would "
        "kill them, so that nothing had to be waited for."
    )
    pairings = (OURS,)
    idle = True

    clients: int = 2
    pause: float = 0.1

    def inject(self, site: Site, outcome: Outcome) -> None:
        busy = BusySite(site, Size(plain=self.clients, tls=self.clients, originals=0, tunnels=1))
        site.startService()
        site.startServer("--workers", "2", *busy.serverOptions())
        busy.startClients(alike=True)
        workers = children(site.server)
        talks = [site.talk(client.public[0]) for client in busy.clients]
        time.sleep(0.5)
        begin = time.monotonic()
        site.server.process.kill()
        time.sleep(self.pause)
        site.startServer("--workers", "2", *busy.serverOptions())
        after: Callable[[float | None], float | None] = lambda found: found and time.monotonic() - begin  # noqa: E731
        gone = secondsUntil(lambda: not any(worker.isRunning for worker in workers), 20)
        outcome.seconds("the workers ended", after(gone), 7, 20)
        ports = [client.public[0] for client in busy.clients]
        full = secondsUntil(lambda: all(site.lab.isOpen("visitor", site.host, port) for port in ports), 20)
        outcome.seconds("all tunnels open", after(full), 10, 20)
        changed = sum(client.now() != client.public for client in busy.clients)
        outcome.holds(f"{changed} ports changed", not changed)
        ended = sum(not client.isThere for client in busy.clients)
        outcome.holds(f"{ended} clients ended", not ended)
        cut = sum(talk.finish().startswith("broken") for talk in talks)
        outcome.says(f"{cut} of {len(talks)} streams cut")
        told = lines(site.server, "Traceback|Unhandled")
        outcome.holds(f"{len(told)} exceptions logged", not told)
