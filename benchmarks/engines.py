"""
``python -m benchmarks.engines URL``: how many calls an engine of a cluster carries out, and what both sides pay.

The engine must be one that nothing else uses: what is behind the prefix in the URL is forgotten.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, cast

from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from benchmarks import measure
from bore.cluster.engine import MAX_RESTORED, Engine, Node, Wanted
from bore.cluster.engines import engineAt
from bore.cluster.url import parseEngineUrl
from bore.streams.reactor import IReactor

#: How many calls of a kind are made, the most for which there are ports enough, and how many at the same time.
CALLS: Final = 5000
MOST_CALLS: Final = 32_000
AT_ONCE: Final = 16

#: How many calls are made one after the other, for the time of one.
ALONE: Final = 300

#: How many nodes there are. The answer to a beat has the entries of all.
NODES: Final = 8

KEY: Final = "ab" * 32


def say(text: str) -> None:
    """A line for the user."""
    print(text, flush=True)  # noqa: T201


class Meter:
    """
    Measures calls.

    :param pids: the processes of the engine.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)

    def _cpu(self) -> tuple[float, float]:
        """The seconds of CPU time that this process has used, and the engine."""
        ticks = 0
        for pid in self._pids:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(words[11]) + int(words[12])
        return time.process_time(), ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """What the engine has in memory, in bytes; 0 if its processes are not known."""
        return measure.memory(self._pids).rss * 1024 * 1024

    async def run(
        self, what: str, call: Callable[[int], Awaitable[object]], numbers: Sequence[int], atOnce: int = AT_ONCE
    ) -> None:
        """Make a call for each number, and print what they have taken."""
        before, begin = self._cpu(), time.monotonic()
        waiting, count = iter(numbers), len(numbers)

        async def some() -> None:
            for number in waiting:
                await call(number)

        cooperating = [Deferred.fromCoroutine(some()) for _ in range(atOnce)]
        for each in cooperating:
            await each
        took = time.monotonic() - begin
        own, engine = (after - earlier for after, earlier in zip(self._cpu(), before, strict=True))
        say(
            f"{what:28} {count / took:7.0f} a second, {took / count * atOnce * 1e3:6.2f} ms each, CPU in microseconds: "
            f"{own / count * 1e6:5.0f} node, {engine / count * 1e6:5.0f} engine"
        )


async def prepare(engine: Engine, count: int) -> list[Node]:
    """Enter all nodes, and end the recovery."""
    nodes = []
    for n in range(count):
        node = Node(f"node{n}/{n:016x}", 1, n + 1, f"tls://node{n}.example.com:7835", "up", 1000, "1.0")
        await engine.enter(node)
        nodes.append(node)
    beaten = await engine.beat(replace(nodes[0], beat=2))
    await engine.recovered(beaten.incarnation)
    return nodes


async def measureAll(engine: Engine, meter: Meter, count: int, calls: int) -> None:
    """
    Measure each kind of call.

    :param count: how many nodes there are.
    :param calls: how many calls of a kind.
    """
    nodes = await prepare(engine, count)
    first, second = (node.member for node in nodes[:2])

    def beat(n: int) -> Awaitable[object]:
        return engine.beat(replace(nodes[n % count], beat=n + 3))

    def grant(n: int, member: str = first, limit: int | None = None) -> Awaitable[object]:
        return engine.grant(Wanted(1024 + n, KEY, f"user{n % 100}", member, n + 1, limit))

    def leave(n: int) -> Awaitable[object]:
        return engine.leave(second, 1024 + n, n + 1)

    once, again, more = range(calls), range(calls, 2 * calls), range(2 * calls, 2 * calls + ALONE)
    await meter.run("beats, one at a time", beat, range(ALONE), 1)
    beats = range(ALONE, ALONE + max(ALONE, calls * NODES // count))
    await meter.run(f"beats of {count} nodes", beat, beats, min(count, AT_ONCE))
    memory = [meter.memory()]
    await meter.run("new grants, one at a time", grant, more, 1)
    await meter.run(f"new grants, {AT_ONCE} at once", grant, once)
    await meter.run("the same, of limited users", partial(grant, limit=calls), again)
    memory.append(meter.memory())
    await meter.run("joins", partial(grant, member=second), once)
    memory.append(meter.memory())
    one, two = (memory[1] - memory[0]) / (2 * calls + ALONE), (memory[2] - memory[1]) / calls
    say(f"memory of the engine: {one:.0f} bytes a tunnel, {two:.0f} more if two nodes have it")
    await meter.run("leaves", leave, once)
    await measureEnds(engine, meter, first)


async def measureEnds(engine: Engine, meter: Meter, member: str) -> None:
    """Measure the calls that concern many records."""
    found = await engine.records()
    own = [replace(each, members={member: each.members[member]}) for each in found if member in each.members]

    def check(start: int) -> Awaitable[object]:
        return engine.restore(member, own[start : start + MAX_RESTORED])

    await meter.run(f"checks of {MAX_RESTORED} records", check, range(0, len(own), MAX_RESTORED), 1)
    await meter.run(f"a list of {len(found)} records", lambda _: engine.records(), range(1), 1)
    await meter.run(f"a departure from {len(own)}", lambda _: engine.depart(member), range(1), 1)


async def main(_reactor: IReactorTime) -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description="Measure an engine of a cluster.")
    parser.add_argument("url", type=parseEngineUrl, help="such as redis://127.0.0.1 or etcd://127.0.0.1")
    parser.add_argument("--pid", type=int, action="append", default=[], help="a process of the engine; as often")
    parser.add_argument("--nodes", type=int, default=NODES, help=f"how many there are, at least 2; {NODES}")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"how many of a kind, {MOST_CALLS} at most; {CALLS}")
    given = parser.parse_args()
    if given.nodes < 2 or not 0 < given.calls <= MOST_CALLS:
        parser.error("give at least 2 --nodes, and a number of --calls that there are ports for")
    engine = engineAt(cast(IReactor, reactor), given.url)
    engine.start()
    await measureAll(engine, Meter(given.pid), given.nodes, given.calls)
    await engine.stop()


if __name__ == "__main__":
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
