"""The figures as JSON: what was measured, where, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import Trouble
from benchmarks.figures import FIGURES, Sample, Summaries, summarize, withMemoryOfEach
from benchmarks.goals import standings
from benchmarks.subjects import HAPROXY, ORIGINAL, RATHOLE, SSH

#: What ratios are taken to.
REFERENCES: Final = (ORIGINAL, HAPROXY, SSH, RATHOLE, "splice", "base")

#: The name of the file in the folder of results.
FILE: Final = "latest.json"


@dataclass(frozen=True)
class Results:
    """
    One run of the benchmark.

    :ivar machine: the text of :func:`benchmarks.machine.describe`.
    :ivar rounds: how many there were.
    :ivar seconds: how long each load lasted.
    :ivar missing: how to install the subjects that were not here, by key.
    """

    machine: Mapping[str, Any]
    rounds: int
    seconds: int
    missing: Mapping[str, str]
    troubles: Sequence[Trouble]
    samples: Sequence[Sample]

    @cached_property
    def summaries(self) -> Summaries:
        """Medians, spreads and ratios."""
        return summarize(withMemoryOfEach(self.samples), REFERENCES)

    @property
    def subjects(self) -> list[str]:
        """The keys of the subjects that were measured."""
        return list(dict.fromkeys(sample.subject for sample in self.samples))

    def points(self, case: str) -> list[str]:
        """The points of a case that were measured, in their order."""
        return list(dict.fromkeys(sample.point for sample in self.samples if sample.case == case))

    def whyMissing(self, case: str, point: str, subject: str) -> Trouble | None:
        """Why a figure that should have been measured was not measured in any round; None if it was, or should not."""
        if any((each.case, each.point, each.subject) == (case, point, subject) for each in self.samples):
            return None
        measured = self.points(case)
        points = {point, ""} if point in measured or not measured else {point}
        found = [
            each
            for each in self.troubles
            if each.case == case and each.point in points and each.subject in ("", subject)
        ]
        return min(found, key=lambda trouble: trouble.excused, default=None)

    def save(self, folder: Path) -> None:
        """Write everything into a folder, for programs and for later."""
        data = {
            "machine": self.machine,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "missing": self.missing,
            "troubles": [asdict(trouble) for trouble in self.troubles],
            "goals": [
                {"goal": s.goal.title, "point": s.point, "value": s.value, "bound": s.goal.bound, "reached": s.reached}
                for s in standings(self.summaries)
            ],
            "summary": [
                {
                    "case": case,
                    "point": point,
                    "subject": subject,
                    "figure": figure,
                    "title": FIGURES[case][figure].title,
                    "unit": FIGURES[case][figure].unit,
                    **asdict(summary.value),
                    "ratios": {reference: asdict(ratio) for reference, ratio in summary.ratios.items()},
                }
                for (case, point, subject, figure), summary in self.summaries.items()
            ],
            "samples": [asdict(sample) for sample in self.samples],
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(folder: Path) -> Results:
    """
    Read what was saved in a folder.

    :raises OSError: if nothing was.
    """
    data = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Results(
        data["machine"],
        data["rounds"],
        data["seconds"],
        data["missing"],
        [Trouble(**trouble) for trouble in data["troubles"]],
        [Sample(**sample) for sample in data["samples"]],
    )
