"""The status of a server with workers, as its supervisor answers for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from twisted.internet.interfaces import IReactorTime

from bore.events.server import Admission
from bore.server.settings import ServerSettings
from bore.status.history import History
from bore.status.merging import Closed
from bore.status.parts import read
from bore.status.report import (
    DESCRIPTORS,
    TUNNELS,
    UNCLASSIFIED,
    BytesReport,
    ControlReport,
    CountsReport,
    LimitReport,
    PortsReport,
    ProcessReport,
    ServerReport,
    ServerTotals,
    TunnelReport,
    addressOf,
    eventCounts,
    eventReports,
    toJson,
)
from bore.status.slices import atOnce
from bore.status.times import Times
from bore.system.usage import Usage, usage
from bore.version import __version__
from bore.wire.publicaddress import PublicAddress
from bore.workers.reports import Member, Reports


class Unserved(NamedTuple):
    """A tunnel that waits for its client, and that no worker has."""

    address: PublicAddress
    user: str
    source: str


class Supervised(Protocol):
    """
    What a supervisor knows of its server.

    :ivar state: ``running``, ``draining`` or ``stopping``.
    :ivar since: when the server was started, by the clock.
    :ivar controlPorts: each one's address, as ``HOST:PORT``, and the fingerprint of its key; None: no TLS.
    """

    @property
    def state(self) -> str: ...

    @property
    def since(self) -> float: ...

    @property
    def settings(self) -> ServerSettings: ...

    @property
    def admission(self) -> Admission: ...

    @property
    def controlPorts(self) -> Sequence[tuple[str, str | None]]: ...


class _LastTotals(NamedTuple):
    """The last totals of a worker."""

    worker: int
    totals: ServerTotals


class _Former(NamedTuple):
    """What the supervisor before an upgrade has known. Its own totals are among those of ended workers."""

    closed: Closed
    workers: Sequence[_LastTotals]


class SupervisorStatus:
    """
    Reads what a server with workers has.

    :param server: what its supervisor knows.
    :param history: what has happened at the supervisor.
    :param members: returns the workers.
    :param unserved: returns the tunnels that no worker has.
    :param unclassified: returns how many connections were passed to no worker yet.
    :param former: what :meth:`forSuccessor` has returned in the process before; empty: there was none.
    :ivar reports: what the workers report.
    :ivar take: reads all of it.
    :ivar tunnel: reads one tunnel and its visitors.
    """

    def __init__(
        self,
        clock: IReactorTime,
        server: Supervised,
        history: History,
        members: Callable[[], Sequence[Member]],
        unserved: Callable[[], Iterable[Unserved]],
        unclassified: Callable[[], int],
        former: object = None,
        wallClock: Callable[[], float] = time.time,
    ) -> None:
        self._server = server
        self._history = history
        self._unserved = unserved
        self._unclassified = unclassified
        self._times = Times(clock, wallClock)
        before = read(_Former, former)
        last = {each.worker: _onlyTotals(each.totals) for each in before.workers}
        self.reports: Final = Reports(clock, self._own, members, self._perSource, before.closed, last, wallClock)
        self.take: Final = self.reports.take
        self.tunnel: Final = self.reports.tunnel

    def forSuccessor(self) -> object:
        """What has been done until now, as JSON, so that the sums of the next process go on from there."""
        own = self._own()
        workers = [_LastTotals(number, report.totals) for number, report in self.reports.last.items()]
        return toJson(_Former(self.reports.closed.including(own.totals, own.recent), workers))

    def _perSource(self) -> int:
        return self._server.settings.bounds.tunnelsPerSource

    def _own(self) -> ServerReport:
        """What the supervisor has itself."""
        self._times.renew()
        server, settings, found = self._server, self._server.settings, usage()
        return ServerReport(
            "server",
            __version__,
            os.getpid(),
            server.state,
            self._times.text(server.since),
            self._times.now - server.since,
            [ControlReport(at, key is not None, key) for at, key in server.controlPorts],
            settings.bindTunnels,
            PortsReport(settings.minPort, settings.maxPort),
            server.admission.value,
            [],
            [self._away(each) for each in self._unserved()],
            [],
            self._limits(found),
            ServerTotals(0, 0, 0, dict(self._history.refused), eventCounts(self._history), 0),
            atOnce(eventReports(self._history)),
            None,
            None if found is None else ProcessReport(found.cpu, found.resident, found.descriptors),
        )

    def _limits(self, found: Usage | None) -> list[LimitReport]:
        bounds = self._server.settings.bounds
        own = [
            LimitReport(TUNNELS, None, 0, bounds.tunnels),
            LimitReport(UNCLASSIFIED, None, self._unclassified(), bounds.pending),
        ]
        if found is not None:
            own.append(LimitReport(DESCRIPTORS, None, found.descriptors, found.most))
        return [each for each in own if each.limit > 0]

    def _away(self, unserved: Unserved) -> TunnelReport:
        """Report a tunnel that waits for its client: it is as its worker has reported it last."""
        last = self.reports.lost.get(addressOf(unserved.address))
        if last is None:
            now = self._times.text(self._times.now)
            lease = self._server.settings.lease
            counts, moved = CountsReport(0, 0, 0, 0), BytesReport(0, 0)
            return TunnelReport(
                addressOf(unserved.address),
                unserved.user,
                unserved.source,
                None,
                "away",
                now,
                now,
                lease,
                counts,
                moved,
            )
        tunnel, since = last
        left = since + self._server.settings.lease - self._times.now
        return tunnel._replace(
            user=unserved.user,
            network=unserved.source,
            peer=None,
            state="away",
            awaySince=self._times.text(since),
            keptFor=max(0.0, left),
            visitors=tunnel.visitors._replace(open=0, waiting=0),
        )


def _onlyTotals(totals: ServerTotals) -> ServerReport:
    """A report of nothing but totals."""
    return read(ServerReport, {"totals": toJson(totals)})
