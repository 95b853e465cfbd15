"""
Where the time goes: ``python -m benchmarks.profile LOAD`` draws a flame graph of each end of ours under a load.

py-spy looks at the stack of the running process a few hundred times a second. In the graph each box is a line of code,
and the boxes below it are what it has called; its width is the share of the samples that it was in. Time in a system
call is in the box of the line that has made the call: splice, recv, send, accept and connect have no boxes of their
own. Samples in which the process waited for work are left out as far as py-spy recognizes them; a part of the reactor's
poll is such waiting, too. The list that is printed has the lines in which samples ended, and the share of these: so
much time is spent in the line itself, and in the system calls and the C that it calls.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.bench import freeAddress, loopbackHost
from benchmarks.cases import CASES, FULL
from benchmarks.descriptors import raiseLimit
from benchmarks.programs import BenchmarkError, Programs, find
from benchmarks.subjects import SUBJECTS


class Load(NamedTuple):
    """
    What is recorded.

    :ivar case: the case whose load it is.
    :ivar subject: which of ours has to bear it.
    """

    case: str
    subject: str


#: The loads, by name. Over lanes a visitor has no handshake of its own; to see one is what "handshakes" is for.
LOADS: Final[Mapping[str, Load]] = {
    "bulk": Load("bulk", "splice"),
    "visitors": Load("visitors", "splice"),
    "requests": Load("requests", "splice"),
    "tls-bulk": Load("bulk", "tls"),
    "tls-visitors": Load("visitors", "tls"),
    "tls-requests": Load("requests", "tls"),
    "handshakes": Load("visitors", "tls-base"),
}

#: Samples per second.
_RATE: Final = 250

#: How many lines of each end are printed.
_SHOWN: Final = 15

#: How far below a box the boxes are of what it has called, in the units of the graph.
_STEP: Final = 16

_BOX: Final = re.compile(
    r"<title>(?P<name>[^<]*?) \([\d,]+ samples?, [\d.]+%\)</title>"
    r'<rect [^>]*?y="(?P<y>\d+)"[^>]*?fg:x="(?P<x>\d+)" fg:w="(?P<width>\d+)"'
)


class Box(NamedTuple):
    """
    A box of a flame graph.

    :ivar name: the line of code.
    :ivar level: how far down it is.
    :ivar begin: the number of samples left of it.
    :ivar width: the number of its samples.
    """

    name: str
    level: int
    begin: int
    width: int


def boxes(svg: str) -> list[Box]:
    """The boxes of a flame graph that py-spy has drawn."""
    return [
        Box(html.unescape(found["name"]), int(found["y"]), int(found["x"]), int(found["width"]))
        for found in _BOX.finditer(svg)
    ]


def ownShares(found: Sequence[Box]) -> list[tuple[str, float]]:
    """The share of all samples that ended in each line of code, the largest first."""
    own: Counter[str] = Counter()
    for box in found:
        called = sum(
            other.width
            for other in found
            if other.level == box.level + _STEP and box.begin <= other.begin < box.begin + box.width
        )
        own[box.name] += box.width - called
    total = sum(own.values())
    return [(name, count / total) for name, count in own.most_common() if count > 0]


def mayAttach() -> bool:
    """Whether the kernel lets us look into processes that are not below py-spy (ptrace(2), Yama)."""
    try:
        return os.getuid() == 0 or Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip() == "0"
    except OSError:
        return True


def record(name: str, seconds: int, folder: Path) -> None:
    """
    Draw both ends under a load, and print where their samples ended.

    :param name: the load's, of :data:`LOADS`.
    """
    load = LOADS[name]
    case = next(case for case in CASES if case.key == load.case)
    ours = next(subject for subject in SUBJECTS if subject.key == load.subject)
    spy = find("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        raise BenchmarkError("py-spy is missing: pip install py-spy")
    if not mayAttach():
        raise BenchmarkError("py-spy may not look into other processes: be root, or sysctl kernel.yama.ptrace_scope=0")
    folder.mkdir(parents=True, exist_ok=True)
    point = FULL.points[load.case][0]
    with Programs() as programs:
        local = freeAddress(0, 2)
        if case.service:
            case.service(programs, [local])
        tunnel = ours.start(programs, loopbackHost(0, 1), local)
        spies = {}
        for role, program in tunnel.ends.items():
            graph = folder / f"{name}-{role}.svg"
            words = [spy, "record", "--pid", str(program.pid), "-d", str(seconds), "-r", str(_RATE), "-o", str(graph)]
            spies[graph] = programs.start(words)
        # The load lasts a little longer than the recording.
        case.measure(programs, tunnel, point, replace(FULL, seconds=seconds + 2))
        for graph, recorder in spies.items():
            recorder.waitForEnd(30)
            _say(graph)


def _say(graph: Path) -> None:
    print(f"\n{graph}:")  # noqa: T201
    for line, share in ownShares(boxes(graph.read_text(encoding="utf-8")))[:_SHOWN]:
        print(f"  {share:5.1%}  {line}")  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the profiler; 0 if it has drawn its graphs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description="Draw where the time goes.")
    parser.add_argument("load", nargs="?", default="visitors", choices=list(LOADS))
    parser.add_argument("--seconds", type=int, default=5, help="how long is recorded (default: 5)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "profile")
    given = parser.parse_args(arguments)
    raiseLimit()
    try:
        record(given.load, given.seconds, given.results)
    except BenchmarkError as e:
        print(e, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
