"""How the cases with many tunnels, many visitors at once, or much time are measured."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks import idletunnels
from benchmarks.burst import PATIENCE, WITHIN, Outcome
from benchmarks.loads import GRACE, SETTLE, Effort, visit, warmUp
from benchmarks.outputs import parseStrace
from benchmarks.programs import Program, Programs, run
from benchmarks.services import tool
from benchmarks.tunnels import Tunnel

#: How many visitors of a burst a process has: fewer than it may have descriptors.
_OF_ONE: Final = 4000

#: How many visits are made for each second of a load while system calls are counted: strace makes them slow.
_COUNTED: Final = 500

#: Into how many parts a long run is divided; its memory is compared behind the first and the last one.
_PARTS: Final = 10

#: How long the CPU time of many idle tunnels is measured, in seconds: twice the interval of rare heartbeats.
_REST: Final = 6.0


def rest(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    """What many tunnels without visitors cost the server."""
    assert tunnel.control is not None
    count, kind = point.split()
    if kind == "extended" and not tunnel.extended:
        return {}
    before = tunnel.memory()["server"].rss
    words = [sys.executable, "-m", "benchmarks.idletunnels", *map(str, tunnel.control), count, kind]
    idle = programs.start([*words, *(["tls"] if tunnel.encrypted else [])])
    try:
        idle.waitUntil(lambda: idletunnels.READY in idle.lastWords(), f"{count} tunnels", 60)
        time.sleep(SETTLE)
        begin, used = time.monotonic(), tunnel.serverTime()
        time.sleep(_REST if kind == "extended" else max(2.0, effort.seconds))
        used, seconds = tunnel.serverTime() - used, time.monotonic() - begin
        memory = tunnel.memory()["server"].rss
    finally:
        idle.end()
    idling = {"idle": used / seconds * 1000}
    if kind == "extended":
        return idling  # these have taken the memory that those before them have left
    return idling | {"each": (memory - before) * 1024 / int(count)}


def calls(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    """How many system calls a visitor takes at each end."""
    warmUp(tunnel, point)
    count = _COUNTED * effort.seconds
    files = {role: programs.folder / f"strace-{role}-{tunnel.public.host}" for role in tunnel.ends}
    traces = {role: _trace(programs, end, files[role]) for role, end in tunnel.ends.items()}
    words = [tool("ab"), "-q", "-s", "10", "-n", str(count), "-c", point, f"http://{tunnel.public}/"]
    run(words, 60 + GRACE)
    time.sleep(SETTLE)
    found = {}
    for role, trace in traces.items():
        trace.end()
        found[role] = parseStrace(files[role].read_text()) / count
    return {**found, "both": sum(found.values())}


def _trace(programs: Programs, end: Program, file: Path) -> Program:
    """Count the system calls of a program from now on."""
    words = [tool("strace"), "-c", "-f", "-o", str(file)]
    for pid in end.processes():
        words += ["-p", str(pid)]
    trace = programs.start(words)
    trace.waitUntil(lambda: "attached" in trace.lastWords(), "to attach")
    return trace


def burst(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    """What becomes of many visitors that come within a second."""
    count = int(point)
    each = min(count, _OF_ONE)
    visitors = [
        programs.start(
            # From addresses of their own: an address has 28 000 ports for one target.
            [sys.executable, "-m", "benchmarks.burst", *map(str, tunnel.public), str(each), f"127.39.{n}.1"]
        )
        for n in range(count // each)
    ]
    found = Outcome()
    for program in visitors:
        program.waitForEnd(WITHIN + PATIENCE + GRACE)
        found += Outcome(**json.loads(program.lastWords()))
    return {
        "served": found.served,
        "reset": found.reset,
        "unanswered": found.unanswered,
        "disordered": found.disordered,
        "last": found.last,
    }


def long(programs: Programs, tunnel: Tunnel, point: str, effort: Effort) -> dict[str, float]:
    """What the memory does while visitors come for a long time."""
    memory, rates, failed = [], [], 0
    for _ in range(_PARTS):
        found = visit(programs, tunnel.public, "32", int(point) // _PARTS)
        rates.append(found.rate)
        failed += found.failed
        memory.append(sum(each.rss for each in tunnel.memory().values()))
    return {
        "begin": memory[0],
        "end": memory[-1],
        "growth": memory[-1] - memory[0],
        "rate": sum(rates) / len(rates),
        "failed": failed,
    }
