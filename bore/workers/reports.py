"""
What the workers of a server report, as one report. :mod:`bore.workers.reporter` is the other end.

A worker that does not answer in time keeps its last report, and is asked nothing until it has answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IReactorTime

from bore.status.merging import NONE, Closed, Worker, both, merged
from bore.status.parts import Assembly
from bore.status.report import Address, ServerReport, TunnelReport, Visited, VisitorReport
from bore.status.slices import Joint, Work, spread
from bore.status.times import Times
from bore.status.totals import NOTHING, notBelow
from bore.wire.workermessages import FINAL_REPORT, Report, Reported, SupervisorMessage
from bore.workers.reporter import TunnelAnswer

T = TypeVar("T")

#: Before there are any.
NO_REPORTS: Final[Mapping[int, ServerReport]] = {}

#: How long a worker may take for an answer, in seconds.
TIMEOUT: Final = 2.0


class Member(Protocol):
    """
    A worker, as the supervisor has it.

    :ivar state: see :class:`bore.status.report.WorkerReport`.
    :ivar since: when it was started, by the clock.
    """

    @property
    def number(self) -> int: ...

    @property
    def generation(self) -> int: ...

    @property
    def pid(self) -> int: ...

    @property
    def state(self) -> str: ...

    @property
    def since(self) -> float: ...

    def maySend(self, kind: type) -> bool:
        """Return whether a message of this kind may be sent now."""

    def send(self, message: SupervisorMessage) -> object:
        """Send a message."""


class _Question:
    """
    A question to a worker.

    :ivar late: whether the answer has not come in time.
    :ivar answered: fires with the answer; None: there is none, or none in time.
    """

    def __init__(self, member: int, kind: type[Any]) -> None:
        self.member = member
        self.kind = kind
        self.late = False
        self.answered: Deferred[Any] = Deferred()
        self._assembly = Assembly(kind)
        self._bad = False

    def add(self, message: Reported) -> Any:
        """Take a part. Returns the answer if it is complete now."""
        try:
            self._assembly.add(message.part)
        except ValueError:
            self._bad = True
        return self._assembly.whole() if message.last and not self._bad else None

    def end(self, found: object) -> None:
        """There is an answer, or there will be none."""
        if not self.answered.called:
            self.answered.callback(found)


class Reports:
    """
    The supervisor's end.

    :param own: returns the report of the supervisor: see :func:`bore.status.merging.merged`.
    :param members: returns the workers.
    :param perSource: returns how many tunnels one address may have; 0: there is no such limit.
    :param closed: what the workers have done that have ended before.
    :param last: the last reports of workers, by their numbers.
    :ivar closed: what the workers have done that have ended.
    :ivar lost: the tunnels of workers that have ended, as they were last, and when that was.
    :ivar take: asks all workers, and makes one report of the server.
    """

    def __init__(
        self,
        clock: IReactorTime,
        own: Callable[[], ServerReport],
        members: Callable[[], Sequence[Member]],
        perSource: Callable[[], int] = lambda: 0,
        closed: Closed = NONE,
        last: Mapping[int, ServerReport] = NO_REPORTS,
        wallClock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._own = own
        self._members = members
        self._perSource = perSource
        self._times = Times(clock, wallClock)
        self._before = NOTHING
        self._reports: dict[int, ServerReport] = dict(last)
        self._questions: dict[int, _Question] = {}
        self._finals: dict[int, _Question] = {}
        # The supervisor before an upgrade may have asked, and this one gets the answer: numbers do not come again.
        self._number = FINAL_REPORT + int(clock.seconds() * 1000)
        self.closed = closed
        self.lost: dict[Address, tuple[TunnelReport, float]] = {}
        self.take: Final = Joint(self._read)

    @property
    def last(self) -> Mapping[int, ServerReport]:
        """The last reports of the workers, by their numbers."""
        return self._reports

    def reported(self, member: int, message: Reported) -> None:
        """Take a part of an answer of the worker with this number."""
        if message.id == FINAL_REPORT:
            question = self._finals.setdefault(member, _Question(member, ServerReport))
        else:
            known = self._questions.get(message.id)
            if known is None or known.member != member:
                return
            question = known
        found = question.add(message)
        if message.last:
            self._questions.pop(message.id, None)
            if isinstance(found, ServerReport):
                self._reports[member] = found
            question.end(found)

    def ended(self, member: Member) -> None:
        """The process of a worker has ended."""
        self.closed = self.closed.plus(self._worker(member))
        last = self._reports.pop(member.number, None)
        if last is not None:
            self.lost.update({each.address: (each, self._times.now) for each in last.tunnels})
        self._finals.pop(member.number, None)
        for number, question in list(self._questions.items()):
            if question.member == member.number:
                del self._questions[number]
                question.end(None)

    def tunnel(self, name: str, most: int | None = None) -> Deferred[Visited[TunnelReport, VisitorReport]]:
        """
        Read one tunnel and its visitors; None: there is no such tunnel.

        :param name: its public address.
        :param most: how many visitors at most; None: all.
        """

        def found(answers: Sequence[tuple[Member, TunnelAnswer]]) -> Visited[TunnelReport, VisitorReport]:
            tunnel = next((each for each in self._own().tunnels if str(each.address) == name), None)
            visitors: list[VisitorReport] = []
            placed: list[TunnelReport] = []
            for member, answer in answers:
                visitors += answer.visitors
                if answer.tunnel is not None:
                    placed.append(answer.tunnel._replace(worker=member.number, generation=member.generation))
            for each in placed:
                tunnel = each if tunnel is None else both(tunnel, each)
            return None if tunnel is None else (tunnel, list(islice(visitors, most)))

        return self._ask(f"tunnel {'' if most is None else most} {name}", TunnelAnswer).addCallback(found)

    def _read(self) -> Deferred[ServerReport]:
        return self._ask("status", ServerReport).addCallback(lambda _: spread(self._clock, self._merge()))

    def _merge(self) -> Work[ServerReport]:
        self._times.renew()
        own, workers = self._own(), [self._worker(member) for member in self._members()]
        there = {each.address for each in own.tunnels}
        self.lost = {address: each for address, each in self.lost.items() if address in there}
        report = yield from merged(own, workers, self.closed, self._perSource())
        self._before = notBelow(self._before, report.totals)
        return replace(report, totals=self._before)

    def _worker(self, member: Member) -> Worker:
        return Worker(
            member.number,
            member.generation,
            member.pid,
            member.state,
            self._times.text(member.since),
            self._times.now - member.since,
            not self._isLate(member),
            self._reports.get(member.number),
        )

    def _isLate(self, member: Member) -> bool:
        return any(each.late for each in self._questions.values() if each.member == member.number)

    def _ask(self, text: str, kind: type[T]) -> Deferred[list[tuple[Member, T]]]:
        """Ask all workers. Fires with the answers that have come in time."""
        asked: list[tuple[Member, _Question]] = []
        for member in self._members():
            if member.maySend(Report) and not self._isLate(member):
                self._number += 1
                question = self._questions[self._number] = _Question(member.number, kind)
                asked.append((member, question))
                member.send(Report(self._number, text))
        if not asked:
            return succeed([])
        timer = self._clock.callLater(TIMEOUT, self._late, [question for _, question in asked])

        def answered(found: list[T | None]) -> list[tuple[Member, T]]:
            if timer.active():
                timer.cancel()
            return [(member, each) for (member, _), each in zip(asked, found, strict=True) if each is not None]

        return gatherResults([question.answered for _, question in asked]).addCallback(answered)

    def _late(self, asked: Sequence[_Question]) -> None:
        for question in asked:
            question.late = not question.answered.called
        for question in asked:
            question.end(None)
