"""What the cases have in common: how much is done, loads of visitors, and their costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.measure import Cpu
from benchmarks.outputs import Requests, parseAb
from benchmarks.programs import BenchmarkError, Programs, run
from benchmarks.services import tool
from benchmarks.tunnels import Address, Tunnel

#: What a load generator may take longer than the time for which it generates load, in seconds.
GRACE: Final = 20.0

#: Behind a load, until the next one may begin: connections in TIME_WAIT can be used again after a second.
SETTLE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Effort:
    """
    How much is done for one figure.

    :ivar seconds: how long a load lasts.
    :ivar firstBytes: visitors whose first byte is timed.
    :ivar limit: how long all may last, in seconds; not if a number of rounds was asked for.
    :ivar points: the variants of each case that are measured.
    :ivar without: the subjects that a case leaves out.
    """

    seconds: int
    firstBytes: int
    limit: float
    points: Mapping[str, Sequence[str]]
    without: Mapping[str, Sequence[str]]


def costs(before: Mapping[str, Cpu], after: Mapping[str, Cpu], factor: float) -> dict[str, float]:
    """What both ends have used, as the figures of a case: the CPU time times a factor."""
    used = {role: (after[role] - before[role]) * factor for role in before}
    found = {f"{role}User": cpu.user for role, cpu in used.items()}
    found |= {f"{role}System": cpu.system for role, cpu in used.items()}
    return found | ({"cpu": sum(cpu.total for cpu in used.values())} if used else {})


def visit(programs: Programs, address: Address, atOnce: str, seconds: int) -> Requests:
    file = programs.folder / "ab.csv"
    # -n comes behind -t, which would set it, and is out of reach.
    words = [tool("ab"), "-q", "-r", "-s", "10", "-t", str(seconds), "-n", "1000000", "-c", atOnce, "-e", str(file)]
    output = run([*words, f"http://{address}/"], seconds + GRACE)
    found = parseAb(output, file.read_text())
    if found.count == 0 or found.failed > found.count // 100:
        raise BenchmarkError(f"{found.failed} of {found.count} visits have failed")
    return found


def warmUp(tunnel: Tunnel, atOnce: str) -> None:
    """A first few visitors, which are not counted."""
    run([tool("ab"), "-q", "-s", "10", "-n", "500", "-c", atOnce, f"http://{tunnel.public}/"], GRACE)
