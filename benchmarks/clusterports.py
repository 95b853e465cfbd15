"""What a node pays to listen on very many ports, of its own clients or of another node."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from benchmarks import idletunnels, measure
from benchmarks.bench import loopbackHost
from benchmarks.clusters import Cluster
from benchmarks.programs import BenchmarkError, Program, Programs

#: Descriptors that a node has besides its ports.
_OTHERS: Final = 1024

#: The lowest port that needs no rights.
_LOWEST: Final = 1024

#: How often the kernel's memory is measured.
_KERNEL_ROUNDS: Final = 9

#: How long all ports may take to be open, in seconds.
_PATIENCE: Final = 600.0

#: How long the nodes are left alone before their costs at rest are measured, and for how long, in seconds.
_SETTLE: Final = 10.0
_REST: Final = 10.0

#: The nodes: the one that has the clients, and the one that forwards.
_ROLES: Final = ("own", "forwarded")


def _slab() -> int:
    """What the kernel has in its own structures, in KiB."""
    return measure.parseSizes(Path("/proc/meminfo").read_text())["Slab"]


def _kernelMemory(ports: int) -> float:
    """
    What a listener takes of the kernel's memory, in KiB: the most of some quick rounds.

    It is measured without a node, which takes so long that all else on the machine comes in between. The kernel may
    keep memory of one round for the next.
    """
    found = []
    for _ in range(_KERNEL_ROUNDS):
        with ExitStack() as stack:
            poll = stack.enter_context(select.epoll())
            before = _slab()
            # The kernel takes long to find so many that are free.
            for port in range(_LOWEST, _LOWEST + ports):
                with suppress(OSError):  # another program listens there, at all addresses
                    listener = stack.enter_context(socket.create_server((loopbackHost(0, 3), port)))
                    poll.register(listener.fileno(), select.EPOLLIN)
            found.append((_slab() - before) / ports)
    return max(found)


def _listeners(host: str) -> int:
    """How many ports of an address have a listener."""
    return sum(each == host for each, _ in measure.listeners(Path("/proc/net/tcp").read_text()))


def _descriptors(node: Program) -> int:
    # Since Linux 6.2; a list of all would take long.
    return os.stat(f"/proc/{node.pid}/fd").st_size or len(os.listdir(f"/proc/{node.pid}/fd"))


def _memory(node: Program) -> float:
    return measure.memory(node.processes()).rss


def _cpuAtRest(nodes: list[Program]) -> list[float]:
    """The CPU time that nodes use, in milliseconds a second."""
    time.sleep(_SETTLE)
    before, begin = [measure.runTime(node.processes()) for node in nodes], time.monotonic()
    time.sleep(_REST)
    seconds = time.monotonic() - begin
    return [
        (measure.runTime(node.processes()) - earlier) / seconds * 1000
        for node, earlier in zip(nodes, before, strict=True)
    ]


def measurePorts(ports: int, descriptors: int) -> dict[str, float]:
    """
    Have two nodes listen on many ports.

    :param ports: how many, at most: as many thousands as a process may have descriptors.
    :param descriptors: how many that are.
    :raises BenchmarkError: if that cannot be done.
    """
    sessions = min(ports, descriptors - _OTHERS) // idletunnels.FullSession.tunnels
    if sessions < 1:
        raise BenchmarkError("give at least a thousand --ports, and allow as many descriptors (ulimit -Hn)")
    with Programs() as programs:
        cluster = Cluster(programs, loopbackHost(0, 1), len(_ROLES))
        return _open(programs, cluster, sessions)


def _open(programs: Programs, cluster: Cluster, sessions: int) -> dict[str, float]:
    nodes, ports = cluster.nodes, sessions * idletunnels.FullSession.tunnels
    memory, cpu = [_memory(node) for node in nodes], [measure.runTime(node.processes()) for node in nodes]
    begin = time.monotonic()
    words = [sys.executable, "-m", "benchmarks.idletunnels", *map(str, cluster.controls[0]), str(sessions)]
    clients = programs.start([*words, "full", "tls"])
    clients.waitUntil(lambda: idletunnels.READY in clients.lastWords(), f"{ports} tunnels", _PATIENCE)
    opened = [time.monotonic() - begin]
    # Its control port is one more.
    nodes[-1].waitUntil(lambda: _listeners(cluster.hosts[-1]) > ports, f"to listen on {ports} ports", _PATIENCE)
    opened.append(time.monotonic() - begin)
    used = [measure.runTime(node.processes()) - before for node, before in zip(nodes, cpu, strict=True)]
    atRest = _cpuAtRest(nodes)
    found = {"ports": float(ports), "kernel memory per port, KiB": _kernelMemory(ports)}
    for n, role in enumerate(_ROLES):
        more = _memory(nodes[n]) - memory[n]
        found |= {
            f"{role}: descriptors": float(_descriptors(nodes[n])),
            f"{role}: memory of the process, MiB": memory[n] + more,
            f"{role}: memory per port, KiB": more * 1024 / ports,
            f"{role}: until all were open, s": opened[n],
            f"{role}: CPU per port to open it, µs": used[n] / ports * 1e6,
            f"{role}: CPU at rest, ms/s": atRest[n],
        }
    return found
