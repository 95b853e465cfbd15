"""How each case is measured."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import idletunnels, knocks, measure, services
from benchmarks.crowds import burst, calls, long, rest
from benchmarks.loads import GRACE, SETTLE, Effort, costs, visit, warmUp
from benchmarks.outputs import parseIperf, parseWrk, percentile
from benchmarks.programs import BenchmarkError, Program, Programs, freePort, run
from benchmarks.services import tool
from benchmarks.subjects import MIXED, WITH_WORKERS
from benchmarks.tunnels import Address, Tunnel
from benchmarks.visitors import IdleVisitors, firstBytes

FULL: Final = Effort(
    2,
    200,
    2100.0,
    {
        "bulk": ("1 stream in", "1 stream out", "4 streams in", "4 streams out"),
        "visitors": ("32", "256"),
        "requests": ("16", "128"),
        "first": ("idle",),
        "knocks": ("plain", "secret", "tls"),
        "memory": ("0", "1000", "4000", "8000"),
        "growth": ("1", "100", "1000"),
        "rest": ("1000 base", "1000 extended"),
        "calls": ("32",),
        "burst": ("4000", "20000"),
        "long": ("600",),
    },
    # Who waits is the same on either path.
    {"memory": ("base", "tls-base", "worker")},
)

QUICK: Final = Effort(
    1,
    50,
    150.0,
    {
        "bulk": ("1 stream in", "4 streams out"),
        "visitors": ("32",),
        "requests": ("16",),
        "first": ("idle",),
        "knocks": ("plain",),
        "memory": ("0", "1000"),
        "growth": ("100",),
        "rest": ("1000 base",),
        "calls": ("32",),
        "burst": ("4000",),
        "long": ("600",),
    },
    # The base path is there for what its visitors cost, and the portable relay for what it does to bulk.
    {
        "bulk": ("base", "tls-base", "rathole-noise"),
        "visitors": ("portable", "worker"),
        "requests": ("base", "portable", "tls-base", "rathole-noise"),
        "first": ("portable",),
        "knocks": ("workers",),
        "memory": ("base", "portable", "tls-base", "rathole-noise", "worker"),
        "rest": ("tls",),
        "calls": ("tls", "base", "tls-base"),
        "burst": ("base", "tls-base", "mixed"),
    },
)


def _isAlone(subject: str) -> bool:
    return subject != MIXED and subject not in WITH_WORKERS


def _isVisited(subject: str) -> bool:
    return subject != MIXED


@dataclass(frozen=True, slots=True)
class Case:
    """
    What is measured, and how.

    :ivar tools: the programs that it needs.
    :ivar service: what the tunnels show; None if the measurement starts it itself.
    :ivar measure: takes the figures of one subject at one point.
    :ivar isFor: whether a subject takes part, by its key.
    :ivar rounds: in how many rounds it is measured at most.
    :ivar onDemand: whether it is measured only when it is asked for by name.
    """

    key: str
    title: str
    tools: tuple[str, ...]
    service: Callable[[Programs, Sequence[Address]], Program] | None
    measure: Callable[[Programs, Tunnel, str, Effort], dict[str, float]]
    isFor: Callable[[str], bool] = _isAlone
    rounds: int = 1000
    onDemand: bool = False


def _bulk(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    service = services.iperf(programs, tunnel.local)
    streams, _, direction = point.split()
    words = [tool("iperf3"), "--json", "-c", tunnel.public.host, "-p", str(tunnel.public.port), "-P", streams]
    words += ["-t", str(effort.seconds), *(["--reverse"] if direction == "out" else [])]
    try:
        before = tunnel.cpu()
        transfer = parseIperf(run(words, effort.seconds + GRACE))
        return {"rate": transfer.rate} | costs(before, tunnel.cpu(), 1e9 / transfer.size)
    finally:
        service.end()


def _visitors(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    warmUp(tunnel, point)
    time.sleep(SETTLE)
    before = tunnel.cpu()
    found = visit(programs, tunnel.public, point, effort.seconds)
    used = costs(before, tunnel.cpu(), 1e6 / found.count)
    return {"rate": found.rate, "p50": found.p50, "p99": found.p99, "failed": float(found.failed)} | used


def _requests(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    warmUp(tunnel, point)
    words = [tool("wrk"), "--latency", "-t", "2", "-c", point, "-d", f"{effort.seconds}s", f"http://{tunnel.public}/"]
    before = tunnel.cpu()
    found = parseWrk(run(words, effort.seconds + GRACE))
    used = costs(before, tunnel.cpu(), 1e6 / max(found.count, 1))
    if found.count == 0 or found.failed > found.count // 100:
        raise BenchmarkError(f"{found.failed} of {found.count} requests have failed")
    return {"rate": found.rate, "p50": found.p50, "p99": found.p99, "failed": float(found.failed)} | used


def _first(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    firstBytes(tunnel.local, tunnel.public, 10)
    direct, found = firstBytes(tunnel.local, tunnel.public, effort.firstBytes)
    figures = {f"total{share}": percentile(found, share) for share in (50, 99)}
    if tunnel.ends:
        # To what is usual without a tunnel: two 99ths, each from its own bad moments, have no meaningful difference.
        usual = percentile(direct, 50)
        figures |= {f"p{share}": percentile(found, share) - usual for share in (50, 99)}
    return figures


def _memory(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    if tunnel.serverOptions and point != "0":
        return {}  # visitors take as much with workers as without
    with IdleVisitors(*tunnel.public) as visitors:
        visitors.grow(int(point))
        time.sleep(SETTLE)
        found = tunnel.memory()
    several = {}
    if tunnel.serverOptions:
        several["supervisorRss"], several["workerRss"] = tunnel.memoryOfWorkers()
    return {
        **several,
        "rss": sum(memory.rss for memory in found.values()),
        "pss": sum(memory.pss for memory in found.values()),
        **{f"{role}Rss": memory.rss for role, memory in found.items()},
    }


def _growth(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    assert tunnel.control is not None
    more = int(point) - 1
    words = [sys.executable, "-m", "benchmarks.idletunnels", *map(str, tunnel.control), str(more)]
    idle = programs.start(words)
    try:
        idle.waitUntil(lambda: idletunnels.READY in idle.lastWords(), f"{more} more tunnels", 60)
        warmUp(tunnel, "32")
        time.sleep(SETTLE)
        start = time.monotonic()
        rest = tunnel.serverTime()
        time.sleep(max(1.0, effort.seconds / 2))
        before, begin = tunnel.serverTime(), time.monotonic()
        found = visit(programs, tunnel.public, "32", effort.seconds)
        after, end = tunnel.serverTime(), time.monotonic()
    finally:
        idle.end()
    perSecond = (before - rest) / (begin - start)
    server = after - before - perSecond * (end - begin)
    return {
        "rate": found.rate,
        "p99": found.p99,
        "failed": float(found.failed),
        "server": server * 1e6 / found.count,
        "idle": perSecond * 1000,
    }


def _knocks(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    assert tunnel.control is not None
    host, port = tunnel.control.host, freePort(tunnel.control.host)
    options = {"plain": (), "secret": ("--secret", knocks.SECRET), "tls": ("--tls",)}[point]
    words = [sys.executable, "-m", "bore", "server", "--bind-addr", host, "--control-port", str(port)]
    # A state of its own: with a key that is made only once.
    environment = {"XDG_STATE_HOME": str(programs.folder / f"state-{host}")}
    server = programs.start([*words, "--max-wrong-secrets", "0", *options, *tunnel.serverOptions], environment)
    try:
        server.waitUntilListening(host, port)
        found = _knock(host, port, point, 0.5)  # who comes first waits for all that is imported then
        before = measure.cpu(server.processes())
        found = _knock(host, port, point, effort.seconds)
        used = measure.cpu(server.processes()) - before
    finally:
        server.end()
    if found["failed"] > found["count"] // 100:
        raise BenchmarkError(f"{found['failed']} of {found['count']} connections have failed")
    cost = 1e6 / max(1, found["count"])
    return {"rate": found["count"] / effort.seconds, "failed": found["failed"], "cpu": used.total * cost}


def _knock(host: str, port: int, kind: str, seconds: float) -> dict[str, int]:
    """Have connections come to a control port for some seconds."""
    words = [sys.executable, "-m", "benchmarks.knocks", host, str(port), kind, str(seconds), "16"]
    found: dict[str, int] = json.loads(run(words, seconds + GRACE))
    return found


def _withEnds(subject: str) -> bool:
    return subject not in ("direct", MIXED)


def _isOfWorkers(subject: str) -> bool:
    return subject == "splice" or subject in WITH_WORKERS


def _isBore(subject: str) -> bool:
    return subject in ("splice", "tls", "base", "tls-base", "original")


def _isAnyBore(subject: str) -> bool:
    return subject == MIXED or _isBore(subject)


def _isLanes(subject: str) -> bool:
    return subject in ("splice", "tls", "original")


#: Everything that is measured, in this order in each round: first what varies least, for a run that has no more time.
CASES: Final = (
    Case("visitors", "New visitors", ("ab", "nginx"), services.web, _visitors, _isVisited),
    Case("knocks", "Connections to the control port", (), services.greeter, _knocks, _isOfWorkers, rounds=3),
    Case("requests", "Small requests", ("ab", "wrk", "nginx"), services.web, _requests),
    Case("bulk", "Bulk", ("iperf3",), None, _bulk),
    Case("calls", "System calls", ("ab", "nginx", "strace"), services.web, calls, _isBore, rounds=1),
    Case("rest", "At rest", (), services.greeter, rest, _isLanes, rounds=3),
    Case("burst", "Bursts", (), services.greeter, burst, _isAnyBore, rounds=3),
    # It takes long, and hardly varies.
    Case("memory", "Memory", (), services.greeter, _memory, _withEnds, rounds=2),
    Case("growth", "Growth", ("ab", "nginx"), services.web, _growth, lambda subject: subject in ("splice", "original")),
    Case("first", "First byte", (), services.greeter, _first),
    Case("long", "Long run", ("ab", "nginx"), services.web, long, _isLanes, rounds=1, onDemand=True),
)


def unreachable(case: str, point: str, descriptors: int) -> str | None:
    """
    Why a point cannot be measured with that many descriptors in a process; None if it can.

    A tunnel's process has two of them for each visitor, and the server one or two for each idle tunnel.
    """
    wanted = {"memory": 2, "growth": 2}.get(case, 0) * int(point) + 1024 if case in ("memory", "growth") else 0
    if wanted <= descriptors:
        return None
    return f"a process may have {descriptors} descriptors here, and {wanted} are needed (ulimit -Hn)"
