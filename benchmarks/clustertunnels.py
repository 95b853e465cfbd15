"""Many tunnels in a cluster of three nodes, and the loss of one of these."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from benchmarks import measure, services
from benchmarks.bench import freeAddress, loopbackHost
from benchmarks.clusters import Cluster
from benchmarks.passersby import Visit, steadily, toAll
from benchmarks.programs import BenchmarkError, Program, Programs
from benchmarks.tunnels import Address

NODES: Final = 3

#: How many tunnels a client has, at most: a session may have 1024.
_OF_CLIENT: Final = 1000

#: The first public port.
_FIRST: Final = 30_001

#: How long all tunnels may take to be open at two nodes, in seconds.
_PATIENCE: Final = 300.0

#: How long the tunnels are left alone before their costs at rest are measured, and for how long, in seconds.
_SETTLE: Final = 5.0
_REST: Final = 10.0

#: How many visitors come in a second while a node is killed, how long before that, and for how long in all, in seconds.
_RATE: Final = 200.0
_BEFORE: Final = 5.0
_VISITED: Final = 25.0

#: A visitor that has waited longer than this was concerned by the loss of the node, in seconds.
_LATE: Final = 1.0


class ManyTunnels:
    """
    A cluster, clients, and a service that all of the tunnels show.

    :param count: how many tunnels there are.
    """

    def __init__(self, programs: Programs, count: int) -> None:
        self._programs = programs
        self.count = count
        self._local = freeAddress(0, 2)
        services.greeter(programs, [self._local])
        self.cluster = Cluster(programs, loopbackHost(0, 1), NODES)
        self.clients: list[Program] = []

    def _startClients(self) -> None:
        ports = range(_FIRST, _FIRST + self.count)
        for n in range(0, self.count, _OF_CLIENT):
            path = self._programs.folder / f"client{n}.toml"
            own = ports[n : n + _OF_CLIENT]
            path.write_text("".join(f"[tunnel.t{port}]\nlocal = '{self._local}'\nport = {port}\n" for port in own))
            self.clients.append(self.cluster.startClient(path.stem, len(self.clients) % NODES, ["up", str(path)]))

    def places(self, nodes: Sequence[int]) -> list[Address]:
        """All public addresses at some nodes."""
        hosts = [self.cluster.hosts[n] for n in nodes]
        return [Address(host, port) for port in range(_FIRST, _FIRST + self.count) for host in hosts]

    def awaitTwice(self, nodes: Sequence[int]) -> float:
        """Wait until each tunnel is at two of some nodes; return when that was."""
        program = self.cluster.nodes[nodes[0]]

        def isDone() -> bool:
            found = self.cluster.memberships()
            return sum(found[n] for n in nodes) == 2 * self.count

        program.waitUntil(isDone, f"{self.count} tunnels at two nodes each", _PATIENCE)
        return time.monotonic()

    def cpu(self) -> dict[str, float]:
        """The CPU time that all nodes, all clients and the engine have used, in seconds."""
        roles = {"nodes": self.cluster.nodes, "clients": self.clients, "engine": [self.cluster.engine]}
        return {role: sum(measure.runTime(each.processes()) for each in programs) for role, programs in roles.items()}

    def open(self) -> dict[str, float]:
        """Open all tunnels, and return what that takes."""
        calls, before, claims = self.cluster.calls(), self.cpu(), 2 * self.count
        self._startClients()
        first = self.clients[0]
        first.waitUntil(lambda: self.cluster.records() > 0, "a first tunnel", _PATIENCE)
        begin = time.monotonic()
        # A few of the calls are beats.
        first.waitUntil(lambda: self.cluster.calls() - calls >= claims, "all tunnels", _PATIENCE)
        seconds = time.monotonic() - begin
        self.awaitTwice(range(NODES))
        used = {role: cpu - before[role] for role, cpu in self.cpu().items()}
        return {
            "claims a second": claims / seconds,
            "calls of the engine per claim": (self.cluster.calls() - calls) / claims,
            "CPU per claim at the nodes, µs": used["nodes"] / claims * 1e6,
            "CPU per claim at the engine, µs": used["engine"] / claims * 1e6,
            "CPU per claim at the clients, with their start, µs": used["clients"] / claims * 1e6,
        }

    def rest(self) -> dict[str, float]:
        """What all of it costs without visitors."""
        time.sleep(_SETTLE)
        calls, before, begin = self.cluster.calls(), self.cpu(), time.monotonic()
        time.sleep(_REST)
        seconds = time.monotonic() - begin
        calls = self.cluster.calls() - calls
        each = {role: (cpu - before[role]) / seconds * 1000 for role, cpu in self.cpu().items()}
        nodes, clients = (
            [measure.memory(each.processes()).rss for each in programs]
            for programs in (self.cluster.nodes, self.clients)
        )
        return {
            "calls of the engine a second at rest": calls / seconds,
            "CPU of a node at rest, ms/s": each["nodes"] / NODES,
            "CPU of a client at rest, ms/s": each["clients"] / len(self.clients),
            "CPU of the engine at rest, ms/s": each["engine"],
            "memory of a node, MiB": sum(nodes) / NODES,
            "memory of a client, MiB": sum(clients) / len(self.clients),
            "memory of the engine, MiB": measure.memory(self.cluster.engine.processes()).rss,
        }

    def loseNode(self) -> dict[str, float]:
        """Kill a node, and return how long its loss is noticed at the others."""
        others = range(1, NODES)
        places = self.places(others)
        with ThreadPoolExecutor() as pool:
            coming = pool.submit(steadily, places, _RATE, _VISITED)
            time.sleep(_BEFORE)
            killed = time.monotonic()
            os.kill(self.cluster.nodes[0].pid, signal.SIGKILL)
            twice = self.awaitTwice(others)
            visits = coming.result()
        earlier = [visit for visit in visits if visit.served < killed]
        later = [visit for visit in visits if visit.served >= killed]
        late = [visit.served for visit in later if visit.lost or visit.waited > _LATE]
        found = {
            "longest wait before, s": max(visit.waited for visit in earlier),
            "longest wait then, s": max(visit.waited for visit in later),
            "visitors that were refused or reset": sum(visit.lost > 0 for visit in later),
            "until none waited a second any more, s": max(late, default=killed) - killed,
            "until each tunnel was at two nodes again, s": twice - killed,
        }
        return found | {"not served at both others": sum(unserved(toAll(places)))}


def unserved(visits: Sequence[Visit]) -> list[bool]:
    """For each visit, whether it was in vain at first."""
    return [visit.lost > 0 or visit.waited == float("inf") for visit in visits]


def measureTunnels(count: int) -> dict[str, float]:
    """
    Measure one cluster.

    :param count: how many tunnels it has.
    :raises BenchmarkError: if that cannot be done.
    """
    with Programs() as programs:
        many = ManyTunnels(programs, count)
        found = many.open()
        failed = sum(unserved(toAll(many.places(range(NODES)))))
        if failed:
            raise BenchmarkError(f"{failed} of {NODES * count} addresses did not serve their first visitor")
        return found | many.rest() | many.loseNode()
