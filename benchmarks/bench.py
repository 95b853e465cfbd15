"""Runs the cases, and goes on when one of them fails."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.cases import Case, unreachable
from benchmarks.figures import FIGURES, Sample
from benchmarks.loads import Effort
from benchmarks.programs import BenchmarkError, Programs, find, freePort
from benchmarks.services import TOOLS
from benchmarks.tunnels import Address, Subject, Tunnel

#: The folders of an absolute path; not those behind the host of a URL.
_FOLDERS: Final = re.compile(r"(?<![\w.:/])/(?:[\w.+@~-]+/)+")


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    A figure that is missing, and why.

    :ivar subject: the subject concerned; empty if it concerns none.
    :ivar excused: whether that is as it has to be on this machine.
    """

    case: str
    point: str
    subject: str
    round: int
    reason: str
    excused: bool = False


@dataclass(slots=True)
class Bench:
    """
    One run of the benchmark.

    :ivar descriptors: how many a process may have.
    :ivar limit: how long all may last, in seconds.
    :ivar say: prints a line for the user.
    :ivar done: the rounds that were measured.
    """

    subjects: Sequence[Subject]
    cases: Sequence[Case]
    effort: Effort
    rounds: int
    descriptors: int
    limit: float
    say: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    done: int = 0
    begin: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """All rounds; in each of them all cases, and at each point of a case one subject after the other."""
        for round in range(1, self.rounds + 1):
            spent = time.monotonic() - self.begin
            if self.done and spent + spent / self.done > self.limit:
                self.say(f"There is no time for more than {self.done} rounds.")
                return
            for case in self.cases:
                if round <= case.rounds:
                    self._runCase(case, round)
            self.done = round

    def _runCase(self, case: Case, round: int) -> None:
        minutes = (time.monotonic() - self.begin) / 60
        self.say(f"Round {round} of {self.rounds}: {case.title} (minute {minutes:.0f})")
        if self._isLate():
            self._failed(case.key, "", "", round, "there was no time", excused=True)
            return
        missing = [name for name in case.tools if find(name) is None]
        if missing:
            for name in missing:
                self._failed(case.key, "", "", round, f"{name} is missing: {TOOLS[name]}")
            return
        absent = self.effort.without.get(case.key, ())
        present = [subject for subject in self.subjects if case.isFor(subject.key) and subject.key not in absent]
        with Programs() as programs:
            # The service has an address for each subject: what one leaves behind in the kernel's tables, another
            # does not find there.
            local = {subject.key: freeAddress(index, 2) for index, subject in enumerate(present)}
            try:
                if case.service:
                    case.service(programs, list(local.values()))
            except BenchmarkError as e:
                self._failed(case.key, "", "", round, str(e))
                return
            up: list[tuple[Subject, Tunnel]] = []
            for index, subject in enumerate(present):
                try:
                    up.append((subject, subject.start(programs, loopbackHost(index, 1), local[subject.key])))
                except BenchmarkError as e:
                    self._failed(case.key, "", subject.key, round, str(e))
            for point in self.effort.points[case.key]:
                reason = unreachable(case.key, point, self.descriptors)
                if reason:
                    self._failed(case.key, point, "", round, reason, excused=True)
                    continue
                for subject, tunnel in up:
                    self._measure(programs, case, point, subject, tunnel, round)

    def _measure(
        self, programs: Programs, case: Case, point: str, subject: Subject, tunnel: Tunnel, round: int
    ) -> None:
        if self._isLate():
            self._failed(case.key, point, subject.key, round, "there was no time", excused=True)
            return
        try:
            figures = case.measure(programs, tunnel, point, self.effort)
        except (BenchmarkError, OSError) as e:
            self._failed(case.key, point, subject.key, round, str(e))
            return
        if not figures:
            return  # this subject does not take part at this point
        self.samples.append(Sample(case.key, point, subject.key, round, figures))
        shown = [
            f"{name} {figures[name]:.{figure.decimals}f} {figure.unit}".rstrip()
            for name, figure in FIGURES[case.key].items()
            if name in figures and not name.endswith(("User", "System"))
        ]
        self.say(f"  {point:14}{subject.title:22}{', '.join(shown)}")

    def _isLate(self) -> bool:
        """Whether the time is up, and that in the first round; any other is measured to its end."""
        return not self.done and time.monotonic() - self.begin > self.limit

    def _failed(self, case: str, point: str, subject: str, round: int, reason: str, excused: bool = False) -> None:
        reason = withoutFolders(reason)
        self.troubles.append(Trouble(case, point, subject, round, reason, excused))
        self.say(f"  {point:14}{subject:22}NOT MEASURED: {reason}")


def withoutFolders(text: str) -> str:
    """A text in which paths have no folders: results are read elsewhere than on the machine that has made them."""
    return _FOLDERS.sub("", text)


def loopbackHost(index: int, side: int) -> str:
    """
    An address of this machine that no other program uses, not even another benchmark at the same time.

    :param index: whose it is.
    :param side: 1 for the server, 2 for the service.
    """
    return f"127.{40 + os.getpid() // 250 % 60}.{1 + os.getpid() % 250}.{2 * index + side}"


def freeAddress(index: int, side: int) -> Address:
    """Such an address, with a port that is free."""
    host = loopbackHost(index, side)
    return Address(host, freePort(host))
