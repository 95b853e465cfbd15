"""The ratios that this project wants to reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Summaries
from benchmarks.subjects import HAPROXY, ORIGINAL, RATHOLE, SSH

_BULK: Final = ("1 stream in", "1 stream out", "4 streams in", "4 streams out")
_AT_ONCE: Final = ("32", "256")
_CONNECTIONS: Final = ("16", "128")
_TWO: Final = "workers"


@dataclass(frozen=True, slots=True)
class Goal:
    """
    A bound on a figure of ours.

    :ivar reference: the subject to which the ratio is taken; None if the figure itself is bounded.
    :ivar atLeast: whether the figure should be high.
    :ivar subject: which of ours it is for.
    """

    title: str
    case: str
    points: tuple[str, ...]
    figure: str
    reference: str | None
    atLeast: bool
    bound: float
    subject: str = "splice"

    @property
    def limit(self) -> str:
        """The bound in words."""
        return f"{'at least' if self.atLeast else 'at most'} {self.bound:g}"


GOALS: Final = (
    Goal("CPU time per visitor, to the original", "visitors", _AT_ONCE, "cpu", ORIGINAL, False, 0.55),
    Goal("CPU time per visitor, to rathole", "visitors", _AT_ONCE, "cpu", RATHOLE, False, 1.0),
    Goal("CPU time per visitor, to two HAProxies", "visitors", _AT_ONCE, "cpu", HAPROXY, False, 1.1),
    Goal("CPU time per request, to the original", "requests", _CONNECTIONS, "cpu", ORIGINAL, False, 1.1),
    Goal("CPU time per GB, to the original", "bulk", _BULK, "cpu", ORIGINAL, False, 0.38),
    Goal("new visitors, to the original", "visitors", _AT_ONCE, "rate", ORIGINAL, True, 1.8),
    Goal("new visitors, to rathole", "visitors", _AT_ONCE, "rate", RATHOLE, True, 1.0),
    Goal("small requests, to the original", "requests", _CONNECTIONS, "rate", ORIGINAL, True, 1.0),
    Goal("small requests, to two HAProxies", "requests", _CONNECTIONS, "rate", HAPROXY, True, 1.1),
    Goal("bulk, to the original", "bulk", _BULK, "rate", ORIGINAL, True, 1.4),
    Goal("bulk, to two HAProxies", "bulk", _BULK, "rate", HAPROXY, True, 1.0),
    Goal("memory with 4000 idle visitors, to the original", "memory", ("4000",), "rss", ORIGINAL, False, 0.4),
    Goal("server's memory at rest, in MiB", "memory", ("0",), "serverRss", None, False, 30),
    Goal("client's memory at rest, in MiB", "memory", ("0",), "clientRss", None, False, 30),
    Goal("CPU time at rest, ms per second", "rest", ("1000 base",), "idle", None, False, 28),
    Goal("CPU time at rest, ms per second", "rest", ("1000 extended",), "idle", None, False, 15),
    Goal("CPU time per visitor, 2 workers, to one process", "visitors", _AT_ONCE, "cpu", "splice", False, 1.05, _TWO),
    Goal("supervisor's memory at rest, in MiB", "memory", ("0",), "supervisorRss", None, False, 35, _TWO),
    Goal("a worker's memory at rest, in MiB", "memory", ("0",), "workerRss", None, False, 30, _TWO),
    Goal("bulk in TLS, to ssh -R", "bulk", _BULK, "rate", SSH, True, 1.3, "tls"),
    Goal("new visitors over lanes in TLS, to lanes without", "visitors", _AT_ONCE, "rate", "splice", True, 0.85, "tls"),
    Goal(
        "new visitors, a TLS handshake each, to without TLS",
        "visitors",
        _AT_ONCE,
        "rate",
        "base",
        True,
        0.2,
        "tls-base",
    ),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a goal is reached at one point."""

    goal: Goal
    point: str
    value: float

    @property
    def reached(self) -> bool:
        """Whether the goal is."""
        return self.value >= self.goal.bound if self.goal.atLeast else self.value <= self.goal.bound

    @property
    def verdict(self) -> str:
        """The same in words."""
        return "reached" if self.reached else "NOT YET"


def standings(summaries: Summaries) -> Iterator[Standing]:
    """Where ours is, for all goals and points that were measured."""
    for goal in GOALS:
        for point in goal.points:
            summary = summaries.get((goal.case, point, goal.subject, goal.figure))
            if summary is None:
                continue
            if goal.reference is None:
                yield Standing(goal, point, summary.value.median)
            elif goal.reference in summary.ratios:
                yield Standing(goal, point, summary.ratios[goal.reference].median)


def inWords(standing: Standing) -> str:
    """One line."""
    goal = standing.goal
    return f"  {standing.verdict}  {standing.value:7.3f}, {goal.limit:13}  {goal.title} ({standing.point})"
