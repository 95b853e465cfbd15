"""What a visitor costs at the node of its client, and at another node, beside a server without a cluster."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.bench import Bench
from benchmarks.cases import CASES
from benchmarks.clusters import Cluster
from benchmarks.figures import FIGURES, Sample, Summary, summarize
from benchmarks.loads import Effort
from benchmarks.programs import BenchmarkError, Programs, freePort
from benchmarks.subjects import SUBJECTS
from benchmarks.tables import Row, simpleTable
from benchmarks.tunnels import Address, Subject, Tunnel

#: The subject without a cluster. A node has TLS, and so has this one.
_WITHOUT: Final = "tls"

_POINTS: Final = {"visitors": ("32", "256"), "first": ("idle",), "bulk": ("1 stream in", "1 stream out")}

_ROWS: Final[Sequence[Row]] = (
    ("CPU µs per visitor, 32 at once", "visitors", "32", "cpu"),
    ("CPU µs per visitor, 256 at once", "visitors", "256", "cpu"),
    ("CPU s per GB in", "bulk", "1 stream in", "cpu"),
    ("CPU s per GB out", "bulk", "1 stream out", "cpu"),
    ("ms to the first byte, added", "first", "idle", "p50"),
    ("ms of a visit, half of them", "visitors", "32", "p50"),
    ("ms of a visit, 99 in 100", "visitors", "32", "p99"),
    ("new visitors/s, 32 at once", "visitors", "32", "rate"),
    ("new visitors/s, 256 at once", "visitors", "256", "rate"),
    ("Gbit/s in", "bulk", "1 stream in", "rate"),
    ("Gbit/s out", "bulk", "1 stream out", "rate"),
)


@dataclass(frozen=True, slots=True)
class InCluster:
    """
    A tunnel in a cluster of two nodes, whose client is at the first one only.

    What it costs is that of all its programs together: both nodes, the client, and the engine.

    :ivar visited: the number of the node that visitors come to, from 0 on.
    """

    key: str
    title: str
    visited: int
    install: str = ""
    encrypted: bool = True

    def version(self) -> str | None:
        return "-"

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        cluster = Cluster(programs, host, 2)
        public = [Address(each, freePort(each)) for each in cluster.hosts][self.visited]
        words = ["local", str(local.port), "-l", local.host, "-p", str(public.port), "--nodes", "1"]
        client = cluster.startClient("client", 0, words)
        client.waitUntilListening(*public)
        others = {f"node{n}": node for n, node in enumerate(cluster.nodes) if n != self.visited}
        ends = {"server": cluster.nodes[self.visited], "client": client, **others, "engine": cluster.engine}
        return Tunnel(public, local, ends)


def visitors(rounds: int, seconds: int, descriptors: int, say: Callable[[str], None]) -> str:
    """
    Measure all three side by side, and return a table.

    :raises BenchmarkError: if something could not be measured.
    """
    without = next(each for each in SUBJECTS if each.key == _WITHOUT)
    subjects: list[Subject] = [
        without,
        InCluster("node", "at its node", 0),
        InCluster("hop", "at another node", 1),
    ]
    cases = [case for case in CASES if case.key in _POINTS]
    bench = Bench(subjects, cases, Effort(seconds, 200, math.inf, _POINTS, {}), rounds, descriptors, math.inf, say)
    bench.run()
    if bench.troubles:
        raise BenchmarkError(f"not measured: {bench.troubles[0].reason}")
    return _table(bench.samples, subjects)


def _table(samples: Sequence[Sample], subjects: Sequence[Subject]) -> str:
    summaries = summarize(samples, [_WITHOUT])

    def cell(row: Row, subject: Subject) -> str:
        summary = summaries[row[1], row[2], subject.key, row[3]]
        return _cell(summary, FIGURES[row[1]][row[3]].decimals)

    header = ["what", *(each.title for each in subjects)]
    return simpleTable(header, [[row[0], *(cell(row, each) for each in subjects)] for row in _ROWS])


def _cell(summary: Summary, decimals: int) -> str:
    ratio = summary.ratios.get(_WITHOUT)
    text = f"{summary.value.median:.{decimals}f}"
    return f"{text} ({ratio.median:.2f})" if ratio and ratio.low != ratio.high else text
