"""
``python -m benchmarks.cluster visitors|tunnels|ports``: what a cluster costs, with Redis as its engine.

It needs Linux, redis-server or valkey-server, and for ``tunnels`` and ``ports`` a high limit of descriptors (root may
raise it).
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from benchmarks.clusterports import measurePorts
from benchmarks.clustertunnels import measureTunnels
from benchmarks.clustervisitors import visitors
from benchmarks.descriptors import extendLimit
from benchmarks.figures import spread
from benchmarks.programs import BenchmarkError
from benchmarks.tables import simpleTable

#: Descriptors for all that is measured: a node that listens on every port has one for each of 64 512.
PLENTY: Final = 70_000


def say(text: str) -> None:
    """A line for the user."""
    print(text, flush=True)  # noqa: T201


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description="Measure what a cluster costs.")
    parser.add_argument("what", choices=("visitors", "tunnels", "ports"))
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (default: 3)")
    parser.add_argument("--seconds", type=int, default=2, help="visitors: how long each load lasts (default: 2)")
    parser.add_argument("--tunnels", type=int, default=10_000, help="tunnels: how many there are (default: 10000)")
    parser.add_argument(
        "--ports",
        type=int,
        default=60_000,
        help="ports: how many are opened (default: 60000, or as many as a process may have)",
    )
    found = parser.parse_args()
    for name in ("rounds", "seconds", "tunnels", "ports"):
        if getattr(found, name) < 1:
            parser.error(f"--{name}: give a number from 1 on")
    return found


def rounds(count: int, measure: Callable[[], dict[str, float]]) -> str:
    """
    Measure several times, and return a table: the median of each figure, and its lowest and highest.

    :raises BenchmarkError: if that cannot be done.
    """
    samples = []
    for round in range(1, count + 1):
        say(f"Round {round} of {count}")
        samples.append(measure())
    spreads = [(what, spread([sample[what] for sample in samples])) for what in samples[0]]
    return simpleTable(
        ["what", "median", "lowest", "highest"],
        [[what, *(f"{value:.4g}" for value in (each.median, each.low, each.high))] for what, each in spreads],
    )


def measureAll(given: argparse.Namespace) -> str:
    """
    Measure what was asked for, and return a table.

    :raises BenchmarkError: if that cannot be done.
    """
    descriptors = extendLimit(PLENTY)
    if given.what == "visitors":
        return visitors(given.rounds, given.seconds, descriptors, say)
    if given.what == "tunnels":
        return rounds(given.rounds, partial(measureTunnels, given.tunnels))
    return rounds(given.rounds, partial(measurePorts, given.ports, descriptors))


def main() -> int:
    """Measure, and return the exit status: 0, 1 if something could not be measured, 130 after Ctrl-C."""
    given = options()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.default_int_handler)
    try:
        say(measureAll(given))
    except BenchmarkError as e:
        say(f"NOT MEASURED: {e}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
