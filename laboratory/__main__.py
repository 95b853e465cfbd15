"""``python -m laboratory``: measure all rows in all pairings, and write docs/reliability.rst."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SkipTest

from laboratory import report, results
from laboratory.fault import Fault, Finding
from laboratory.matrix import MATRIX
from laboratory.network import requireNamespaces
from laboratory.pairings import PAIRINGS, Pairing
from laboratory.results import Measured, Results, Run
from tests.support import CHECKOUT

REPORT: Final = CHECKOUT / "docs" / "reliability.rst"

#: How many laboratories there are at the same time, as long as they mostly wait.
TOGETHER: Final = 12

_writing = threading.Lock()


def say(text: str) -> None:
    """A line for the user."""
    print(text, flush=True)  # noqa: T201


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m laboratory", description="What a tunnel does under faults.")
    names, keys = [fault.name for fault in MATRIX], [pairing.key for pairing in PAIRINGS]
    parser.add_argument("--list", action="store_true", help="list the rows, and measure nothing")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="only these rows")
    parser.add_argument("--pairing", nargs="+", choices=keys, metavar="PAIRING", help=f"only some of {', '.join(keys)}")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the report anew")
    parser.add_argument("--results", type=Path, default=results.FILE, help="where the figures are kept")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    return parser.parse_args(arguments)


def measure(fault: Fault, pairing: Pairing, found: Results, file: Path, run: Run) -> bool:
    """Measure a row; return whether it is as promised, or nothing is promised."""
    begin = time.monotonic()
    transcript = ""
    try:
        outcome = fault.measure(pairing)
        measured, transcript = Measured.of(outcome), outcome.transcript
    except SkipTest as e:
        say(f"{fault.name}, {pairing.key}: {e}")
        return True
    except Exception as e:
        measured, transcript = Measured(trouble=f"not measured: {str(e).splitlines()[0]}"), str(e)
    good = not (pairing.isOurs and measured.broken)
    with _writing:
        found.add(fault.name, pairing, measured, run)
        found.save(file)
        say(f"{fault.name}, {pairing.key}, {time.monotonic() - begin:.0f} s" + ("" if good else ": NOT AS PROMISED"))
        for text, kept in measured.findings or [Finding(measured.trouble, False)]:
            say(f"    {'!' if pairing.isOurs and kept is False else ' '} {text}")
        if not good:
            say(transcript)
    return good


def sideBySide(jobs: Sequence[Callable[[], bool]]) -> list[bool]:
    """Do jobs in threads, and gather their results; Ctrl-C does not wait for those that run."""
    left, results = deque(jobs), list[bool]()

    def work() -> None:
        with contextlib.suppress(IndexError):
            while True:
                results.append(left.popleft()())

    threads = [threading.Thread(target=work, daemon=True) for _ in range(TOGETHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def measureAll(given: argparse.Namespace, found: Results) -> bool:
    """Measure what was asked for: first what mostly waits, side by side, and then the rest."""
    jobs = [
        (fault, pairing)
        for pairing in PAIRINGS
        for fault in MATRIX
        if pairing in fault.pairings
        and (not given.only or fault.name in given.only)
        and (not given.pairing or pairing.key in given.pairing)
    ]
    run = Run.now()
    # The longest first, so that none is left at the end.
    idle = sorted((job for job in jobs if job[0].idle), key=lambda job: -float(vars(job[0]).get("seconds", 0)))
    good = sideBySide([partial(measure, fault, pairing, found, given.results, run) for fault, pairing in idle])
    good += [measure(job[0], job[1], found, given.results, run) for job in jobs if not job[0].idle]
    return all(good)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the matrix.

    :returns: 0 if everything is as promised, 1 if not, 130 after Ctrl-C.
    """
    given = options(arguments)
    if given.list:
        for fault in MATRIX:
            say(f"{fault.name:20} {fault.say(fault.fault)}")
        return 0
    found = results.load(given.results)
    good = True
    if not given.render:
        try:
            requireNamespaces()
        except SkipTest as e:
            say(str(e))
            return 1
        good = measureAll(given, found)
    given.report.parent.mkdir(exist_ok=True)
    given.report.write_text(report.write(found, MATRIX), encoding="utf-8")
    say(f"Written to {given.report}.")
    return 0 if good else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("Interrupted: what was measured is kept, and the report is as it was.")
        sys.exit(130)  # the guardians of the laboratories clear up
