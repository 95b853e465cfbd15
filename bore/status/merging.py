"""
One report of a server whose workers report for themselves.

What is counted is summed: visitors, bytes, what was refused, events, what users have. Of limits of the whole server the
use is summed, of all others the fullest one stands. A tunnel that is at two workers, as while it moves from one to the
other, is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from bore.status.history import RECENT
from bore.status.report import (
    DESCRIPTORS,
    MOVED,
    TUNNELS,
    TUNNELS_OF_SOURCE,
    TUNNELS_OF_USER,
    UNCLASSIFIED,
    VISITORS_OF_USER,
    Address,
    BytesReport,
    ControlReport,
    CountsReport,
    EventReport,
    LimitReport,
    ServerReport,
    ServerTotals,
    SessionReport,
    TunnelReport,
    UserReport,
    WorkerReport,
)
from bore.status.slices import Work, mapped
from bore.status.totals import NOTHING, sumOf

#: Limits of the whole server of which each worker has a part.
_PARTS: Final = (TUNNELS, UNCLASSIFIED, TUNNELS_OF_SOURCE, TUNNELS_OF_USER, VISITORS_OF_USER)

#: States of a worker whose end is expected.
_EXPECTED: Final = ("retired", "ending")

#: States of a tunnel, the one first that counts when it is at two workers.
_STATES: Final = ("up", "heldBack", "away", MOVED)


class Worker(NamedTuple):
    """
    A worker, as its supervisor knows it.

    :ivar state: see :class:`~bore.status.report.WorkerReport`.
    :ivar answers: whether it has answered when it was asked last.
    :ivar report: its last report; None: there is none yet.
    """

    number: int
    generation: int
    pid: int
    state: str
    since: str
    uptime: float
    answers: bool
    report: ServerReport | None


class Closed(NamedTuple):
    """
    What the workers have done that have ended, as far as they have reported it.

    :ivar recent: the last events that were at them, with their numbers.
    :ivar deaths: how many have ended that should not.
    """

    totals: ServerTotals
    recent: Sequence[EventReport]
    deaths: int = 0

    def plus(self, worker: Worker) -> Closed:
        """The same, when one more has ended."""
        deaths = self.deaths + (worker.state not in _EXPECTED)
        if worker.report is None:
            return self._replace(deaths=deaths)
        return Closed(self.totals, self.recent, deaths).including(worker.report.totals, tuple(_eventsAt(worker)))

    def including(self, totals: ServerTotals, events: Sequence[EventReport]) -> Closed:
        """The same, and something else that has been done."""
        summed = sumOf((self.totals, totals))
        done = ServerTotals(summed.visitors, summed.toClient, summed.toVisitors, summed.refused, summed.events, 0)
        return self._replace(totals=done, recent=_byTime((*self.recent, *events)))


#: Before a worker has ended.
NONE: Final = Closed(NOTHING, ())


def merged(own: ServerReport, workers: Sequence[Worker], closed: Closed, perSource: int = 0) -> Work[ServerReport]:
    """
    Merge the reports of the workers.

    :param own: the report of the supervisor: the server without what its workers have. Its tunnels are those that wait
        for their clients at no worker.
    :param perSource: how many tunnels one address may have; 0: there is no such limit.
    """
    sessions: list[SessionReport] = []
    tunnels: dict[Address, TunnelReport] = {}
    users: dict[str, UserReport] = {}
    for worker in workers:
        if worker.report is not None:
            sessions += yield from mapped(partial(_session, worker), worker.report.sessions)
            yield from mapped(partial(_addTunnel, tunnels, worker), worker.report.tunnels)
            yield from mapped(partial(_addUser, users), worker.report.users)
    yield from mapped(partial(_addWaiting, tunnels), own.tunnels)
    listed = [each for each in tunnels.values() if each.state != MOVED]  # else it is nowhere any more
    known = list(users.values())
    return ServerReport(
        own.program,
        own.version,
        own.pid,
        own.state,
        own.since,
        own.uptime,
        _control(own, workers),
        own.publicHost,
        own.ports,
        own.admission,
        sessions,
        listed,
        known,
        _limits(own, workers, listed, known, perSource),
        sumOf([own.totals, closed.totals, *(each.report.totals for each in workers if each.report is not None)]),
        _byTime((*own.recent, *closed.recent, *(event for worker in workers for event in _eventsAt(worker)))),
        [_worker(each) for each in workers],
        own.supervisor,
        closed.deaths,
    )


def _worker(worker: Worker) -> WorkerReport:
    report = worker.report
    return WorkerReport(
        worker.number,
        worker.generation,
        worker.pid,
        worker.state,
        worker.since,
        worker.uptime,
        worker.answers,
        0 if report is None else len(report.sessions),
        0 if report is None else len(report.tunnels),
        0 if report is None else report.totals.open,
        None if report is None else report.supervisor,
    )


def _session(worker: Worker, session: SessionReport) -> SessionReport:
    return session._replace(worker=worker.number, generation=worker.generation)


def _addTunnel(tunnels: dict[Address, TunnelReport], worker: Worker, tunnel: TunnelReport) -> None:
    placed = tunnel._replace(worker=worker.number, generation=worker.generation)
    before = tunnels.get(tunnel.address)
    tunnels[tunnel.address] = placed if before is None else both(before, placed)


def _addWaiting(tunnels: dict[Address, TunnelReport], tunnel: TunnelReport) -> None:
    """Add a tunnel that the supervisor knows to be at no worker, unless a worker has got it since."""
    before = tunnels.get(tunnel.address)
    if before is None or before.state == MOVED:
        tunnels[tunnel.address] = tunnel if before is None else both(tunnel, before)


def _eventsAt(worker: Worker) -> Iterator[EventReport]:
    if worker.report is not None:
        for each in worker.report.recent:
            yield EventReport(each.at, each.event, each.text, each.fields, worker.number, worker.generation)


def _byTime(events: Iterable[EventReport]) -> list[EventReport]:
    """The last events, in their order. Their times are texts of one form, which sort as the times do."""
    return sorted(events, key=lambda each: each.at)[-RECENT:]


def both(one: TunnelReport, other: TunnelReport) -> TunnelReport:
    """A tunnel that is at two workers: it is where its client is, and has the visitors of both."""
    leading, further = sorted((one, other), key=_rank)
    counts = CountsReport(*map(sum, zip(leading.visitors, further.visitors, strict=True)))
    bytes = BytesReport(*map(sum, zip(leading.bytes, further.bytes, strict=True)))
    return leading._replace(visitors=counts, bytes=bytes)


def _rank(tunnel: TunnelReport) -> tuple[int, int]:
    state = _STATES.index(tunnel.state) if tunnel.state in _STATES else len(_STATES)
    return state, -(tunnel.worker or 0)


def _addUser(users: dict[str, UserReport], user: UserReport) -> None:
    """Add what a user has at one more worker. Rights may change between two reports: those of the last one stand."""
    before = users.get(user.name)
    if before is not None:
        counts = (
            before.sessions + user.sessions,
            before.tunnels + user.tunnels,
            before.visitors + user.visitors,
        )
        user = UserReport(user.name, *counts, user.maxTunnels, user.maxVisitors, user.expires)
    users[user.name] = user


def _control(own: ServerReport, workers: Sequence[Worker]) -> Sequence[ControlReport]:
    """The control ports, with the key that the latest of the workers shows."""
    keys = [port.fingerprint for worker in workers if worker.report for port in worker.report.control]
    key = next(filter(None, reversed(keys)), None)
    return [ControlReport(port.at, port.tls, key or port.fingerprint if port.tls else None) for port in own.control]


def _limits(
    own: ServerReport,
    workers: Sequence[Worker],
    tunnels: Sequence[TunnelReport],
    users: Sequence[UserReport],
    most: int,
) -> list[LimitReport]:
    """The limits of the server, and those of others that are nearly reached, as in :mod:`bore.status.server`."""
    reported = [(worker, limit) for worker in workers if worker.report for limit in worker.report.limits]
    used = {TUNNELS: len(tunnels), UNCLASSIFIED: sum(each.used for _, each in reported if each.what == UNCLASSIFIED)}
    whole = [
        LimitReport(
            each.what, None, used[TUNNELS] if each.what == TUNNELS else each.used + used[UNCLASSIFIED], each.limit
        )
        for each in own.limits
        if each.what in used
    ]
    others = [each for each in own.limits if each.what not in used]
    others += (
        LimitReport(each.what, f"worker {worker.number}", each.used, each.limit) if each.what == DESCRIPTORS else each
        for worker, each in reported
        if each.what not in _PARTS
    )
    fullest: dict[tuple[str, str | None], LimitReport] = {}
    for each in others:
        key = each.what, None if each.what == DESCRIPTORS else each.whose
        if key not in fullest or _fullness(each) > _fullness(fullest[key]):
            fullest[key] = each
    return [*whole, *fullest.values(), *(each for each in _ofMany(tunnels, users, most) if each.isNearlyReached)]


def _fullness(limit: LimitReport) -> float:
    return limit.used / limit.limit if limit.limit else 0.0


def _ofMany(tunnels: Sequence[TunnelReport], users: Sequence[UserReport], most: int) -> Iterator[LimitReport]:
    """The limits of addresses and users, which may use some of theirs at each worker."""
    if most:
        for source, count in Counter(tunnel.network for tunnel in tunnels).items():
            yield LimitReport(TUNNELS_OF_SOURCE, source, count, most)
    for user in users:
        if user.maxTunnels:
            yield LimitReport(TUNNELS_OF_USER, user.name, user.tunnels, user.maxTunnels)
        if user.maxVisitors:
            yield LimitReport(VISITORS_OF_USER, user.name, user.visitors, user.maxVisitors)
