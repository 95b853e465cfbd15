"""One row of the matrix: a fault, what is promised about it, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from laboratory.pairings import OURS, Pairing, Site


class Finding(NamedTuple):
    """
    Something that was measured.

    :ivar kept: whether it is as promised; None where nothing is promised.
    """

    text: str
    kept: bool | None


def _noSlack() -> float:
    return 0.0


@dataclass
class Outcome:
    """
    What was measured of one fault in one pairing.

    :ivar slack: how much longer than promised something may take as the machine is busy, in seconds. It is called right
        after something has taken too long.
    :ivar figures: what is shown as it is, behind the row's notes.
    :ivar transcript: the last lines of the output of all programs.
    """

    slack: Callable[[], float] = _noSlack
    findings: list[Finding] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    transcript: str = ""

    def seconds(self, what: str, seconds: float | None, most: float | None = None, watched: float = 0.0) -> None:
        """
        The time until something came about was measured.

        :param most: what is promised, or None.
        :param watched: how long it was waited for, if it did not come about.
        """
        if seconds is None:
            text = f"{what}: not within {watched:.0f} s" if watched else f"{what}: never"
        else:
            text = f"{what} after {seconds:.1f} s"
        kept = seconds is not None and most is not None and self.isWithin(seconds, most)
        self.findings.append(Finding(text, None if most is None else kept))

    def lasts(self, what: str, seconds: float | None, most: float | None = None) -> None:
        """
        How long something takes was measured.

        :param seconds: None, if it came about never.
        :param most: what is promised, or None.
        """
        kept = None if most is None else seconds is not None and self.isWithin(seconds, most)
        self.findings.append(Finding(f"{what}: " + ("none" if seconds is None else f"{seconds:.1f} s"), kept))

    def isWithin(self, seconds: float, most: float, share: float = 1.0) -> bool:
        """
        Whether something has not taken longer than promised, as busy as the machine is.

        :param share: how much of the slack it may take, where ``most`` is less than a few seconds.
        """
        return seconds <= most or seconds <= most + self.slack() * share

    def holds(self, text: str, kept: bool) -> None:
        """Something was checked that is promised."""
        self.findings.append(Finding(text, kept))

    def says(self, text: str) -> None:
        """Something was measured that nothing is promised about."""
        self.findings.append(Finding(text, None))

    @property
    def broken(self) -> list[str]:
        """What is not as promised."""
        return [finding.text for finding in self.findings if finding.kept is False]


class Fault:
    """
    A row. A subclass is a dataclass of its numbers, and its texts may name them in braces.

    :cvar name: how it is called on the command line.
    :cvar fault: what is done.
    :cvar promise: what is promised of ours with ours.
    :cvar how: what exactly is done, for who wants to know.
    :cvar pairings: in which it makes sense.
    :cvar idle: whether it mostly waits, and may do so beside others.
    """

    name: ClassVar[str]
    fault: ClassVar[str]
    promise: ClassVar[str]
    how: ClassVar[str]
    pairings: ClassVar[Sequence[Pairing]] = (OURS,)
    idle: ClassVar[bool] = False

    #: Further hosts, beside server, client and visitor.
    hosts: ClassVar[Sequence[str]] = ()

    def inject(self, site: Site, outcome: Outcome) -> None:
        """Do it, and measure."""
        raise NotImplementedError

    def say(self, text: str) -> str:
        """A text, with this row's numbers."""
        return text.format(**{name: f"{value:,.10g}".replace(",", " ") for name, value in self.numbers().items()})

    def numbers(self) -> Mapping[str, float]:
        """What texts may name in braces."""
        return vars(self)

    def measure(self, pairing: Pairing = OURS, slack: Callable[[], float] = _noSlack) -> Outcome:
        """Make a laboratory, and measure in it."""
        outcome = Outcome(slack)
        with Site(pairing, self.name[:12], *self.hosts) as site:
            try:
                self.inject(site, outcome)
            except (AssertionError, OSError) as e:
                raise AssertionError(f"{e}\n{site.lab.transcript()}") from e
            outcome.transcript = site.lab.transcript()
        return outcome
