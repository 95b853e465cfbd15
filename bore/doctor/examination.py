"""The whole examination: what is checked, in which order, and what follows from what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, gatherResults

from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnelspec import TunnelSpec
from bore.doctor import verdicts
from bore.doctor.endtoend import EndToEnd, Visit
from bore.doctor.findings import Check, Finding
from bore.doctor.localservice import examineService
from bore.doctor.serverchecks import ServerChecks, Surroundings
from bore.streams.reactor import IReactor
from bore.wire.errors import PortInUse
from bore.wire.publicaddress import ANY_PORT

#: The time for each check, and for all of them, in seconds.
CHECK_TIMEOUT: Final = 10.0
WHOLE_TIMEOUT: Final = 60.0

#: Tunnels and local services that are examined; a settings file may have more.
MAX_TUNNELS: Final = 16


class Examination:
    """
    Examines what a client with these settings needs.

    :param tunnels: those of the client.
    :param hasServices: whether their local services were named.
    :param report: called with each finding.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ClientSettings,
        tunnels: Sequence[TunnelSpec],
        hasServices: bool,
        around: Surroundings,
        report: Callable[[Finding], None],
    ) -> None:
        self._reactor = reactor
        tls = settings.tls
        self._settings = replace(settings, tls=None if tls is None else replace(tls, lasting=False))
        self._tunnels = list(tunnels[:MAX_TUNNELS])
        self._leftOut = len(tunnels) - len(self._tunnels)
        self._hasServices = hasServices
        self._around = around
        self._report = report
        self._ends = reactor.seconds() + WHOLE_TIMEOUT

    async def run(self) -> None:
        """Examine everything, within WHOLE_TIMEOUT and a few seconds."""
        several = len(self._settings.servers) > 1
        for number, address in enumerate(self._settings.servers):
            name = str(address) if several else ""
            await self._examine(address, partial(self._reportAt, name), isFirst=number == 0)

    def _reportAt(self, server: str, finding: Finding) -> None:
        self._report(replace(finding, server=server))

    async def _examine(self, address: ServerAddress, report: Callable[[Finding], None], isFirst: bool) -> None:
        """Examine a server, and the tunnels there; with the first one, the local services as well."""
        settings = replace(self._settings, servers=(address,))
        checks = ServerChecks(self._reactor, settings, self._around, self._seconds)
        await checks.examine(report)
        objection = checks.objection()
        visits: list[Visit] = []
        if objection:
            report(verdicts.skipped(Check.RANGE, objection))
        else:
            visits = await EndToEnd(self._reactor, settings, self._seconds).visit(self._tunnels)
            for each in visits:
                tried = replace(checks.tried, public=each.spec.public)
                report(self._of(each.spec, verdicts.onRange(each.spec.public, each.opened, tried)))
        if isFirst:
            await self._examineServices()
        if objection:
            report(verdicts.skipped(Check.END_TO_END, objection))
            return
        for each in await self._withOtherPorts(settings, visits):
            report(self._of(each.spec, _onVisit(each)))

    async def _withOtherPorts(self, settings: ClientSettings, visits: list[Visit]) -> list[Visit]:
        """Visit the tunnels whose ports are in use at other ones, as these are in use by our own client, perhaps."""
        inUse = [each.spec for each in visits if isinstance(each.opened, PortInUse)]
        if not inUse or not self._seconds():
            return visits
        others = [replace(spec, public=ANY_PORT) for spec in inUse]
        found = iter(await EndToEnd(self._reactor, settings, self._seconds).visit(others))
        return [next(found) if isinstance(each.opened, PortInUse) else each for each in visits]

    async def _examineServices(self) -> None:
        if not self._hasServices:
            text = "none was named: 'bore doctor PORT' examines the service at this port as well"
            self._report(verdicts.skipped(Check.LOCAL, text))
            return
        examined = [examineService(self._reactor, spec, self._seconds()) for spec in self._tunnels]
        services = await gatherResults([Deferred.fromCoroutine(each) for each in examined])
        for spec, service in zip(self._tunnels, services, strict=True):
            self._report(self._of(spec, verdicts.onService(str(spec.target), service)))
        if self._leftOut:
            text = f"{self._leftOut} further tunnels were not examined"
            self._report(verdicts.skipped(Check.LOCAL, text))

    def _of(self, spec: TunnelSpec, finding: Finding) -> Finding:
        """Name the tunnel of a finding, if there are several."""
        return replace(finding, tunnel=spec.name) if len(self._tunnels) > 1 else finding

    def _seconds(self) -> float:
        """The time for the next step, in seconds; 0: the time is up."""
        left = self._ends - self._reactor.seconds()
        return min(CHECK_TIMEOUT, left) if left > 0 else 0.0


def _onVisit(visit: Visit) -> Finding:
    if isinstance(visit.opened, BaseException):
        return verdicts.skipped(Check.END_TO_END, f"as {Check.RANGE.value} fails")
    if not visit.visited:
        return verdicts.onUnixEntrance(visit.opened)
    return verdicts.onVisit(visit.public, visit.why, visit.wasThere, visit.seconds)
