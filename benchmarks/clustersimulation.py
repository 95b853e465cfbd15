"""
``python -m benchmarks.clustersimulation``: clusters that no machine here could run, with the code of real nodes.

The nodes' memberships and registries are the real ones, with an engine in memory that takes the time that Redis takes,
on a clock that goes from one event to the next. Clients and sockets are not simulated: clients come as fast as nodes
can take them.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.simulatedcluster import AWAY, BACK, LONG_AWAY, TTL, Client, Group, Simulation
from bore.cluster.neighbours import MARGIN

#: Seconds after which nodes that were lost are no longer in the engine.
_FORGOTTEN: Final = TTL + MARGIN + 10


class Table:
    """
    The table of what happens to a simulated cluster.

    :param groups: how many groups there are.
    :param size: how many nodes each of them has.
    :param tunnels: how many tunnels all of them have.
    """

    def __init__(self, groups: int, size: int, tunnels: int) -> None:
        _say(f"{groups * size} nodes, {tunnels} tunnels", "served again", "all whole", "calls/s", "engine")
        self.simulation = Simulation(groups, size, tunnels)
        self._clock = self.simulation.clock

    def row(self, event: str, since: float, served: str = "", whole: str = "") -> None:
        """Print what has happened since a time, with the load on the engine in the second when that was greatest."""
        calls, busy = self.simulation.load(since)
        _say(event, served, whole, calls, f"{busy:.0%}")

    def rowOfReturn(self, event: str, since: float, groups: Sequence[Group]) -> None:
        """Wait until all clients of some groups are back, and print how long that has taken."""
        self.simulation.until(_served, groups)
        served = self._clock.seconds() - since
        self.simulation.until(_whole, groups)
        self.row(event, since, f"{served:.1f} s", f"{self._clock.seconds() - since:.1f} s")

    def loseEngine(self, away: float) -> None:
        """The engine is away for a while, and has nothing when it is back."""
        since = self._clock.seconds()
        ceased, told, grants = self.simulation.loseEngine(away)
        served = f"up to {ceased:.1f} s" if ceased else "never away"
        self.row(f"the engine is away for {away:.0f} s, and empty then", since, served, f"{told:.1f} s")
        self.row("  it grants new addresses again", self._clock.seconds() - 2, "", f"{grants:.0f} s")

    def loseGroups(self, event: str, groups: Sequence[Group]) -> None:
        """All nodes of some groups are away for a while."""
        since = self._clock.seconds()
        for group in groups:
            group.lose(range(len(group.nodes)))
        self._clock.run(since + AWAY)
        for group in groups:
            group.restart()
        self.rowOfReturn(f"{event} after {AWAY:.0f} s", since, groups)


def _say(*columns: object) -> None:
    event, served, whole, calls, busy = columns
    print(f"{event:46} {served:>15} {whole:>12} {calls:>9} {busy:>8}", flush=True)  # noqa: T201


def simulate(groups: int, size: int, tunnels: int, within: float = BACK) -> None:
    """
    Print what happens to a cluster of one or more groups.

    :param size: how many nodes a group has.
    :param tunnels: how many all groups have together.
    :param within: in which time all clients come first, in seconds.
    """
    began = time.process_time()
    table = Table(groups, size, tunnels)
    simulation = table.simulation
    clock, all = simulation.clock, simulation.groups
    clock.run(TTL + 2)
    since = clock.seconds()
    for group in all:
        for client in group.clients:
            group.come(client, within)
    table.rowOfReturn(f"all clients come within {within:.0f} s", since, all)
    clock.run(clock.seconds() + 5)
    since = clock.seconds()
    clock.run(since + 30)
    table.row("nothing happens", since + 2)
    since = clock.seconds()
    all[0].lose([0])
    table.rowOfReturn("a node is lost", since, all)
    clock.run(clock.seconds() + _FORGOTTEN)
    for away in AWAY, LONG_AWAY:
        table.loseEngine(away)
        clock.run(clock.seconds() + 5)
    table.loseGroups("a group is lost, and starts again", all[:1])
    if groups > 1:
        clock.run(clock.seconds() + _FORGOTTEN)
        table.loseGroups("all are lost, and start again", all)
    print(f"simulated in {time.process_time() - began:.0f} s of CPU time\n", flush=True)  # noqa: T201


def _served(client: Client) -> bool:
    return client.served


def _whole(client: Client) -> bool:
    return client.whole


def main(arguments: Sequence[str]) -> None:
    """Simulate both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clustersimulation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the tunnels")
    part = 100 if parser.parse_args(arguments).quick else 1
    gc.set_threshold(50_000, 20, 1_000_000)  # millions of objects stay: to look at all of them takes long
    simulate(1, 8, 60_000 // part)
    simulate(125, 8, 1_000_000 // part, within=200 / part)


if __name__ == "__main__":
    main(sys.argv[1:])
