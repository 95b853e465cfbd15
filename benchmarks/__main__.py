"""``python -m benchmarks``: measure, and write down what was found."""

from __future__ import annotations

import argparse
import math
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import goals, machine, results, tables
from benchmarks.bench import Bench
from benchmarks.cases import CASES, FULL, QUICK
from benchmarks.descriptors import raiseLimit
from benchmarks.interpreter import thisBuild
from benchmarks.subjects import SUBJECTS

FOLDER: Final = Path(__file__).parent / "results"

#: It is an error if one of these cannot be measured; failures of other subjects are not.
_OURS: Final = frozenset({"", "direct", "splice", "base", "portable", "tls", "tls-base", "mixed", "worker", "workers"})


def say(text: str) -> None:
    """A line for the user."""
    print(text, flush=True)  # noqa: T201


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    cases, subjects = [case.key for case in CASES], [subject.key for subject in SUBJECTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure tunnels side by side.")
    parser.add_argument("--quick", action="store_true", help="one short round, within 3 minutes")
    parser.add_argument(
        "--rounds", type=int, help="how often everything is measured (default: 5, or as often as time allows; quick: 1)"
    )
    parser.add_argument("--seconds", type=int, help="how long each load lasts (default: 2, quick: 1)")
    parser.add_argument("--only", action="append", choices=cases, help="only this case; may be given again")
    parser.add_argument("--without", action="append", choices=subjects, default=[], help="not this one; as often")
    parser.add_argument("--results", type=Path, help="folder for the results; only whole runs go to the usual one")
    parser.add_argument("--render", action="store_true", help="measure nothing: tables and plots anew, from the JSON")
    parser.add_argument("--page", type=Path, help="a file that gets the tables, between its two comments")
    found = parser.parse_args(arguments)
    for name in ("rounds", "seconds"):
        value = getattr(found, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: give a number from 1 on")
    return found


def folderFor(given: argparse.Namespace) -> Path:
    """Where the results go: what is not a whole run does not write over one."""
    if given.results:
        return Path(given.results)
    if given.quick:
        return FOLDER / "quick"
    return FOLDER / "partial" if given.only or given.without else FOLDER


def measureAll(given: argparse.Namespace) -> results.Results:
    """Run the benchmark."""
    build = thisBuild()
    say(f"Python {platform.python_version()}, {build}")
    if not build.optimised:
        say("WARNING: an optimised Python takes a quarter less CPU time: make bench PYTHON=/usr/bin/python3 VENV=...")
    effort = QUICK if given.quick else FULL
    if given.seconds:
        effort = replace(effort, seconds=given.seconds)
    rounds = given.rounds or (1 if given.quick else 5)
    descriptors = raiseLimit()
    present, missing = [], {}
    for subject in SUBJECTS:
        if subject.key in given.without:
            continue
        version = subject.version()
        if version is None:
            missing[subject.key] = subject.install
            say(f"{subject.title} is missing: {subject.install}")
        else:
            present.append(subject)
            say(f"{subject.title} is here" + (f": {version}" if version != "-" else ""))
    described = machine.describe(present)
    cases = [case for case in CASES if (case.key in given.only if given.only else not case.onDemand)]
    bench = Bench(present, cases, effort, rounds, descriptors, math.inf if given.rounds else effort.limit, say)
    bench.run()
    return results.Results(described, bench.done, effort.seconds, missing, bench.troubles, bench.samples)


def writeAll(found: results.Results, folder: Path, page: Path | None) -> None:
    """Write the JSON, the tables and, if matplotlib is here, the plots."""
    found.save(folder)
    tables.write(found, folder)
    if page:
        tables.intoPage(found, page)
    try:
        from benchmarks import plots
    except ImportError as e:
        say(f"There are no plots: {e} (pip install matplotlib)")
    else:
        plots.write(found, folder)


def report(found: results.Results) -> None:
    """Print the figures, the goals, and what is missing."""
    say(f"\n{tables.fragment(found)}")
    standings = list(goals.standings(found.summaries))
    if standings:
        say("Where ours is, and where it should be:")
        for standing in standings:
            say(goals.inWords(standing))
    for trouble in found.troubles:
        say(f"Not measured: {tables.inWords(trouble)}")
    for key, install in found.missing.items():
        say(f"Missing: {key}: {install}")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the benchmark.

    :returns: 0 if everything that is ours was measured, 1 if not, 130 after Ctrl-C.
    """
    given = options(arguments)
    if sys.platform != "linux":
        say("The benchmark needs Linux: it reads /proc.")
        return 1
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.default_int_handler)
    folder = folderFor(given)
    begin = time.monotonic()
    try:
        # Known before half an hour has passed.
        if given.page:
            tables.replaceBetween(given.page.read_text(encoding="utf-8"), "")
        if given.render:
            results.load(folder)
    except (OSError, ValueError) as e:
        say(f"There is something wrong with {given.page or folder}: {e}")
        return 1
    try:
        found = results.load(folder) if given.render else measureAll(given)
    except KeyboardInterrupt:
        say("Interrupted: nothing was written.")
        return 130
    writeAll(found, folder, given.page)
    report(found)
    say(f"Written to {folder}, {(time.monotonic() - begin) / 60:.1f} minutes after the start.")
    failed = [trouble for trouble in found.troubles if trouble.subject in _OURS and not trouble.excused]
    return 1 if failed or not found.samples else 0


if __name__ == "__main__":
    sys.exit(main())
