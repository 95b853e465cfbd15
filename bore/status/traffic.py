"""The traffic of the last hour, minute by minute: of everything together, and of the busiest tunnels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from bore.status.report import ClientReport, ClientTotals, ClientTunnelReport, ServerReport, TunnelReport

#: A snapshot.
Report: TypeAlias = ServerReport | ClientReport

R = TypeVar("R", bound=Report)

#: The time between two samples, in seconds.
INTERVAL: Final = 60.0

#: How many samples are kept: those of an hour.
SAMPLES: Final = 60

#: How many tunnels have a line of their own. Of more tunnels, those with the most traffic in the last hour have one.
MAX_LINES: Final = 250


def keyOf(tunnel: TunnelReport | ClientTunnelReport) -> str:
    """What identifies a tunnel: its public address at a server, its name at a client, or its local service."""
    return tunnel.name or tunnel.local if isinstance(tunnel, ClientTunnelReport) else str(tunnel.address)


def _amountOf(tunnel: TunnelReport | ClientTunnelReport) -> int:
    """The bytes of a tunnel in both directions."""
    if isinstance(tunnel, ClientTunnelReport):
        return tunnel.bytes.fromVisitors + tunnel.bytes.toVisitors
    return tunnel.bytes.toClient + tunnel.bytes.toVisitors


def _tunnelsOf(report: Report) -> Iterator[TunnelReport | ClientTunnelReport]:
    """The tunnels, with those that a node of a cluster passes on."""
    yield from report.tunnels
    if isinstance(report, ServerReport):
        yield from report.forwards or ()


def _totalOf(report: Report) -> int:
    totals = report.totals
    return totals.toVisitors + (totals.fromVisitors if isinstance(totals, ClientTotals) else totals.toClient)


class Traffic:
    """
    The bytes that were passed on in each of the last :data:`SAMPLES` minutes.

    The amounts of a snapshot are totals since the start: a sample is the difference between two of them.

    :param take: takes a snapshot.
    :ivar changed: called after each sample.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, take: Callable[[], Deferred[R]]) -> None:
        self._takeSample: Callable[[], Deferred[None]] = lambda: take().addCallback(self._sample)
        self.changed: Callable[[], object] = lambda: None
        self._total: deque[int] = deque(maxlen=SAMPLES)
        self._lines: dict[str, deque[int]] = {}
        self._before: dict[str, int] = {}  # the amount of each tunnel when the last sample was taken
        self._totalBefore: int | None = None  # the same of everything; None: there was no snapshot yet
        self._minutes = LoopingCall(self._minute)
        self._minutes.clock = clock

    def start(self) -> None:
        """Note the amounts, and take a sample each minute from now on."""
        self._minutes.start(INTERVAL).addErrback(lambda reason: self._log.failure("no samples of traffic", reason))

    def stop(self) -> None:
        """Take no further samples."""
        if self._minutes.running:
            self._minutes.stop()

    def toJson(self) -> dict[str, object]:
        """The samples, the latest one last. A tunnel without a line has had no traffic, or less than those with one."""
        return {
            "interval": INTERVAL,
            "most": MAX_LINES,
            "total": list(self._total),
            "tunnels": {key: list(line) for key, line in self._lines.items()},
        }

    def _minute(self) -> None:
        self._takeSample().addErrback(lambda reason: self._log.failure("a sample of the traffic is missing", reason))

    def _sample(self, report: Report) -> None:
        total = _totalOf(report)
        amounts = {keyOf(tunnel): _amountOf(tunnel) for tunnel in _tunnelsOf(report)}
        if self._totalBefore is not None:
            self._total.append(max(total - self._totalBefore, 0))
            self._add({key: self._grown(key, amount) for key, amount in amounts.items()})
        self._totalBefore = total
        self._before = amounts
        self.changed()

    def _grown(self, key: str, amount: int) -> int:
        """The bytes of a tunnel since the last sample. One that was opened anew since has begun at 0."""
        before = self._before.get(key, 0)
        return amount - before if amount >= before else amount

    def _add(self, grown: dict[str, int]) -> None:
        """Add a sample to each line. Lines end without traffic for an hour, and with their tunnels."""
        for key in list(self._lines):
            if key not in grown:
                del self._lines[key]
        for key, amount in grown.items():
            line = self._lines.get(key)
            if line is not None:
                line.append(amount)
                if not any(line):
                    del self._lines[key]
            elif amount:
                self._lines[key] = deque([0] * (len(self._total) - 1) + [amount], SAMPLES)
        if len(self._lines) > MAX_LINES:
            busiest = sorted(self._lines, key=lambda key: sum(self._lines[key]), reverse=True)
            self._lines = {key: self._lines[key] for key in busiest[:MAX_LINES]}
