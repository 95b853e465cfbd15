"""What was measured, kept as JSON, so that single rows can be measured again."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from laboratory.fault import Finding, Outcome
from laboratory.pairings import Pairing
from tests.support import CHECKOUT

FILE: Final = Path(__file__).parent / "results.json"


class Run(NamedTuple):
    """
    One call of the laboratory, which measures some rows or all of them.

    :ivar begin: when it began, in UTC; the empty string, where that was not noted.
    :ivar commit: the commit it measured, followed by "+" if there were changes beyond it; likewise.
    """

    begin: str = ""
    commit: str = ""

    @classmethod
    def now(cls) -> Run:
        """A run that begins at this moment."""
        return cls(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), commit(CHECKOUT))

    @property
    def date(self) -> str:
        """The day on which it began."""
        return self.begin.partition(" ")[0] or "an unknown date"


def commit(checkout: Path) -> str:
    """
    The commit that is checked out, followed by "+" if tracked files differ from it; the empty string without git.

    The files that a run itself writes, its figures and its report, do not count.
    """
    written = (":!laboratory/results.json", ":!docs/reliability.rst")
    head = _git(checkout, "rev-parse", "--short=10", "HEAD")
    changes = _git(checkout, "status", "--porcelain", "--untracked-files=no", "--", ".", *written)
    return head + "+" if head and changes else head


def _git(checkout: Path, *words: str) -> str:
    """The output of a git command; empty if it fails, or there is no git."""
    try:
        done = subprocess.run(("git", "-C", str(checkout), *words), capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.strip()


@dataclass
class Measured:
    """
    One row in one pairing.

    :ivar trouble: why it could not be measured, or the empty string.
    :ivar run: which run has measured it.
    """

    findings: list[Finding] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    trouble: str = ""
    run: Run = field(default_factory=Run)

    @classmethod
    def of(cls, outcome: Outcome) -> Measured:
        return cls(outcome.findings, outcome.figures)

    @property
    def broken(self) -> list[str]:
        """What is not as promised."""
        return [self.trouble] if self.trouble else [text for text, kept in self.findings if kept is False]


@dataclass
class Results:
    """
    Everything that was measured.

    :ivar rows: by the row's name and the pairing's key.
    :ivar machine: what it was measured on, in words.
    """

    rows: dict[str, dict[str, Measured]] = field(default_factory=dict)
    machine: str = ""

    def add(self, name: str, pairing: Pairing, measured: Measured, run: Run) -> None:
        """Note a row as measured by a run; what was measured of it before is forgotten."""
        measured.run = run
        self.rows.setdefault(name, {})[pairing.key] = measured
        self.machine = machine()

    def get(self, name: str, pairing: Pairing) -> Measured | None:
        """What was measured of a row."""
        return self.rows.get(name, {}).get(pairing.key)

    def save(self, file: Path) -> None:
        """Write it down."""
        rows = {name: {key: vars(one) for key, one in row.items()} for name, row in self.rows.items()}
        file.write_text(json.dumps({"machine": self.machine, "rows": rows}, indent=1, ensure_ascii=False) + "\n")


def load(file: Path) -> Results:
    """The results in a file; none if there is no file."""
    if not file.exists():
        return Results()
    found: dict[str, Any] = json.loads(file.read_text())
    return Results(
        {name: {key: _measured(one) for key, one in row.items()} for name, row in found["rows"].items()},
        found["machine"],
    )


def _measured(one: dict[str, Any]) -> Measured:
    # Older files have a date instead of the run.
    run = Run(*one.get("run", (one.get("date", ""), "")))
    return Measured([Finding(*words) for words in one["findings"]], one["figures"], one["trouble"], run)


def machine() -> str:
    """The machine, in words."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores, Linux {platform.release()}, Python {platform.python_version()}, Twisted {version('Twisted')}"
    )
