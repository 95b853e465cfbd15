"""Medians, spreads, and ratios within a round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Sample:
    """
    What one measurement has found.

    :ivar point: the variant of the case, as "4 streams out".
    :ivar figures: by name; :data:`FIGURES` tells what they are.
    """

    case: str
    point: str
    subject: str
    round: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """What a figure is, and in which unit."""

    title: str
    unit: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and the lowest and the highest."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """
    One figure of one subject at one point of a case, over all rounds.

    :ivar ratios: to each reference; the median of the ratios of each round.
    """

    value: Spread
    ratios: Mapping[str, Spread] = field(default_factory=dict)


#: One figure of one subject at one point: case, point, subject, figure.
Key = tuple[str, str, str, str]

Summaries = Mapping[Key, Summary]


def _ends(unit: str, what: str, decimals: int) -> dict[str, Figure]:
    return {
        f"{role}{kind.capitalize()}": Figure(f"{kind} CPU time of the {role}, per {what}", unit, decimals)
        for role in ("server", "client")
        for kind in ("user", "system")
    } | {"cpu": Figure(f"CPU time of both ends, per {what}", unit, decimals)}


#: All figures of each case, by name. A GB is 10 to the 9 bytes.
FIGURES: Final[Mapping[str, Mapping[str, Figure]]] = {
    "bulk": {"rate": Figure("speed at the receiver", "Gbit/s", 1)} | _ends("s", "GB", 2),
    "visitors": {
        "rate": Figure("new visitors per second", "1/s", 0),
        "p50": Figure("time of a visit, median", "ms", 2),
        "p99": Figure("time of a visit, 99 in 100", "ms", 2),
        "failed": Figure("failed visits", "", 0),
    }
    | _ends("µs", "visitor", 0),
    "requests": {
        "rate": Figure("requests per second", "1/s", 0),
        "p50": Figure("time of a request, median", "ms", 2),
        "p99": Figure("time of a request, 99 in 100", "ms", 2),
        "failed": Figure("failed requests", "", 0),
    }
    | _ends("µs", "request", 1),
    "first": {
        "p50": Figure("added to the usual time to the first byte, median", "ms", 2),
        "p99": Figure("added to the usual time to the first byte, 99 in 100", "ms", 2),
        "total50": Figure("time to the first byte, median", "ms", 2),
        "total99": Figure("time to the first byte, 99 in 100", "ms", 2),
    },
    "knocks": {
        "rate": Figure("connections per second", "1/s", 0),
        "failed": Figure("failed connections", "", 0),
        "cpu": Figure("CPU time of the server, per connection", "µs", 0),
    },
    "memory": {
        "rss": Figure("resident memory of both ends", "MiB", 1),
        "serverRss": Figure("resident memory of the server", "MiB", 1),
        "clientRss": Figure("resident memory of the client", "MiB", 1),
        "supervisorRss": Figure("resident memory of the supervisor", "MiB", 1),
        "workerRss": Figure("resident memory of the largest worker", "MiB", 1),
        "pss": Figure("proportional memory of both ends", "MiB", 1),
        "each": Figure("memory of both ends for each idle visitor", "KiB", 1),
    },
    "rest": {
        "idle": Figure("CPU time of the server without visitors, per second", "ms", 1),
        "each": Figure("memory of the server for each idle tunnel", "KiB", 1),
    },
    "calls": {
        "server": Figure("system calls of the server, per visitor", "", 1),
        "client": Figure("system calls of the client, per visitor", "", 1),
        "both": Figure("system calls of both ends, per visitor", "", 1),
    },
    "burst": {
        "served": Figure("visitors that were served", "", 0),
        "reset": Figure("visitors that were reset", "", 0),
        "unanswered": Figure("visitors without an answer in time", "", 0),
        "disordered": Figure("visitors served before one that came 0.1 s earlier", "", 0),
        "last": Figure("time from the first visitor to the last one served", "s", 2),
    },
    "long": {
        "begin": Figure("resident memory of both ends after a tenth of the time", "MiB", 1),
        "end": Figure("resident memory of both ends at the end", "MiB", 1),
        "growth": Figure("growth of the memory between", "MiB", 2),
        "rate": Figure("new visitors per second", "1/s", 0),
        "failed": Figure("failed visits", "", 0),
    },
    "growth": {
        "rate": Figure("new visitors per second", "1/s", 0),
        "p99": Figure("time of a visit, 99 in 100", "ms", 2),
        "failed": Figure("failed visits", "", 0),
        "server": Figure("CPU time of the server, per visitor, above what it uses without any", "µs", 0),
        "idle": Figure("CPU time of the server without visitors, per second", "ms", 1),
    },
}


def spread(values: Sequence[float]) -> Spread:
    """The median of values, and their lowest and highest. There must be one."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def withMemoryOfEach(samples: Sequence[Sample]) -> list[Sample]:
    """The samples, with what each idle visitor takes, next to the sample without visitors of the same round."""
    empty = {(s.subject, s.round): s.figures["rss"] for s in samples if (s.case, s.point) == ("memory", "0")}
    found = []
    for sample in samples:
        before = empty.get((sample.subject, sample.round))
        if sample.case == "memory" and sample.point != "0" and before is not None:
            each = (sample.figures["rss"] - before) * 1024 / int(sample.point)
            sample = replace(sample, figures={**sample.figures, "each": each})
        found.append(sample)
    return found


def ratios(values: Mapping[int, float], reference: Mapping[int, float]) -> Spread | None:
    """
    How values compare to those of a reference in the same round: machines have good and bad minutes.

    :param values: by round, as those of the reference. A round that one of both does not have does not count.
    :returns: the spread of the rounds' ratios; None if there is no ratio.
    """
    found = [value / reference[round] for round, value in values.items() if reference.get(round, 0) > 0]
    return spread(found) if found else None


def summarize(samples: Iterable[Sample], references: Sequence[str]) -> dict[Key, Summary]:
    """
    Medians, spreads and ratios of all figures.

    :param references: the subjects to which ratios are taken.
    """
    byRound: dict[Key, dict[int, float]] = {}
    for sample in samples:
        for name, value in sample.figures.items():
            byRound.setdefault((sample.case, sample.point, sample.subject, name), {})[sample.round] = value
    return {
        key: Summary(
            spread(list(values.values())),
            {
                reference: found
                for reference in references
                if (found := ratios(values, byRound.get((key[0], key[1], reference, key[3]), {})))
            },
        )
        for key, values in byRound.items()
    }


def cutOff(values: Sequence[float]) -> float:
    """Where an axis ends: one bar that is much longer than all others is cut off, or nothing of these could be seen."""
    *others, longest = sorted(values)
    if others and longest > 6 * max(others[-1], 0.0) > 0:
        return 2 * others[-1]
    return longest
