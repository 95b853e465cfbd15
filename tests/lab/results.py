"""What was measured, kept as JSON, so that single rows can be measured again."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.lab.fault import Finding, Outcome
from tests.lab.pairings import Pairing

FILE: Final = Path(__file__).parent / "results.json"


@dataclass
class Measured:
    """
    One row in one pairing.

    :ivar trouble: why it could not be measured, or the empty string.
    :ivar date: when it was.
    """

    findings: list[Finding] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    trouble: str = ""
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d", time.gmtime()))

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

    def add(self, name: str, pairing: Pairing, measured: Measured) -> None:
        """Note a row; what was measured of it before is forgotten."""
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
    """What was written down; nothing, if there is no file."""
    if not file.exists():
        return Results()
    found: dict[str, Any] = json.loads(file.read_text())
    return Results(
        {name: {key: _measured(one) for key, one in row.items()} for name, row in found["rows"].items()},
        found["machine"],
    )


def _measured(one: dict[str, Any]) -> Measured:
    return Measured([Finding(*words) for words in one["findings"]], one["figures"], one["trouble"], one["date"])


def machine() -> str:
    """The machine, in words."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores, Linux {platform.release()}, Python {platform.python_version()}, Twisted {version('Twisted')}"
    )
