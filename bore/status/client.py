"""The snapshot of a client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bore.client.dataconnections import DataConnections
from bore.client.link import ServerLink
from bore.client.reasons import describe
from bore.client.service import ClientParts, ClientService
from bore.client.tunnel import Tunnel
from bore.client.visitors import ServedVisitor
from bore.relay.interface import Running
from bore.status.flows import Flows
from bore.status.history import History
from bore.status.report import (
    ClientBytes,
    ClientCounts,
    ClientReport,
    ClientTotals,
    ClientTunnelReport,
    ClientVisitorReport,
    LanesReport,
    LinkReport,
    Visited,
    eventCounts,
    eventReports,
)
from bore.status.slices import Shared, Work, atOnce, mapped, spread
from bore.status.times import Times
from bore.streams.addresses import hostPort
from bore.streams.tcpinfo import roundTrip
from bore.version import __version__
from bore.wire.extension import Source

_Flows: TypeAlias = Flows[Tunnel, DataConnections]


def _keys(ended: object) -> tuple[Tunnel, DataConnections] | None:
    """The tunnel that the visitor of a pair has come to, and the session that has brought it."""
    return (ended.at.tunnel, ended.at.connections) if isinstance(ended, ServedVisitor) else None


def _up(parts: ClientParts) -> dict[Tunnel, tuple[str, str]]:
    """The tunnels that are up, with their public addresses, and the server that the user sees."""
    links = [*parts.further, *parts.links]
    return {kept.tunnel: (kept.address, link.server) for link in links for kept in link.tunnels.up}


class ClientStatus:
    """
    Reads what a client has.

    :param clock: the clock of the client.
    :param history: what has happened.
    :param wallClock: returns the seconds since the epoch.
    :ivar take: reads all of it, over several turns.
    """

    def __init__(
        self,
        clock: IReactorTime,
        service: ClientService,
        history: History,
        wallClock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._history = history
        self._clock = clock
        self.take: Final = Shared(clock, self._read)
        self._times = Times(clock, wallClock)

    @property
    def history(self) -> History:
        """What has happened."""
        return self._history

    @property
    def state(self) -> str:
        """See :class:`bore.status.report.ClientReport`."""
        return self._state(self._service.parts)

    @property
    def hasTunnels(self) -> bool:
        """Whether it is to have tunnels."""
        return bool(self._service.parts.tunnels)

    def snapshot(self) -> ClientReport:
        """Read all of it, in one piece."""
        return atOnce(self._read())

    def tunnel(self, name: str, most: int | None = None) -> Deferred[Visited[ClientTunnelReport, ClientVisitorReport]]:
        """
        Read one tunnel and its visitors, those who are not served yet first. None: there is no such tunnel.

        :param name: its name, its local service, its public address, or its public port.
        :param most: how many visitors at most; None: all.
        """
        return spread(self._clock, self._readTunnel(name, most))

    def _read(self) -> Work[ClientReport]:
        """Read all of it. What belongs to one tunnel is read in one turn, and so is what all of them have done."""
        self._times.renew()
        parts, now, since = self._service.parts, self._times.now, self._service.since
        flows = yield from self._flows(parts)
        tunnels = yield from self._tunnels(parts, flows)
        links = yield from mapped(
            lambda link: self._link(link, flows), [*parts.links, *(each for each in parts.further if each.contact.up)]
        )
        recent = yield from eventReports(self._history)
        return ClientReport(
            "client",
            __version__,
            os.getpid(),
            self.state,
            self._times.text(since),
            now - since,
            links,
            [report for _, report in tunnels],
            self._totals(dict(tunnels), flows),
            recent,
        )

    def _flows(self, parts: ClientParts) -> Work[_Flows]:
        flows = _Flows(None if parts.visitors is None else parts.visitors.relay, _keys)
        yield from flows.read()
        return flows

    def _readTunnel(self, name: str, most: int | None) -> Work[Visited[ClientTunnelReport, ClientVisitorReport]]:
        parts = self._service.parts
        flows = yield from self._flows(parts)
        for tunnel, report in (yield from self._tunnels(parts, flows)):
            port = None if report.public is None else report.public.rpartition(":")[2]
            if name and name in (report.name, report.local, report.public, port):
                visitors = islice(self._visitors(tunnel, list(flows.pairs(tunnel))), most)
                return report, (yield from mapped(lambda visitor: visitor, visitors))
        return None

    def _visitors(self, tunnel: Tunnel, pairs: Iterable[Running]) -> Iterator[ClientVisitorReport]:
        visitors = self._service.parts.visitors
        for visitor, at, source in [] if visitors is None else list(visitors.waiting()):
            if at.tunnel is tunnel:
                yield ClientVisitorReport(str(visitor), _sourceText(source), None, None, "waiting", None, 0, 0)
        now = self._times.now
        for _, ended, fromVisitor, toVisitor, lane in pairs:
            if isinstance(ended, ServedVisitor):
                since, number = self._times.text(ended.since), None if lane is None else id(lane)
                where, seconds = _sourceText(ended.source), now - ended.since
                yield ClientVisitorReport(
                    str(ended.id), where, since, seconds, "served", number, fromVisitor, toVisitor
                )

    def _state(self, parts: ClientParts) -> str:
        if not self._service.running:
            return "stopping"
        tunnels = _up(parts).keys() - parts.reasons.keys()
        up = sum(tunnel in tunnels for tunnel in parts.tunnels)
        if up:
            return "up" if up == len(parts.tunnels) else "partly"
        links = parts.links
        return "connecting" if links and all(each.contact.why is None for each in links) else "away"

    def _link(self, link: ServerLink, flows: _Flows) -> LinkReport:
        contact, control = link.contact, link.control
        session = None if control is None else control.session
        idle, busy = (0, 0) if session is None else (session.idleLanes, flows.onLanes(session.connections))
        state = "up" if contact.up else "connecting" if contact.why is None else "away"
        since = self._times.text(contact.since)
        left = contact.retryAt - self._times.now
        return LinkReport(
            link.server,
            state,
            since,
            since if state == "away" else None,
            None if session is None or control is None else roundTrip(control.transport.getHandle()),
            link.trust,
            LanesReport(idle + busy, busy),
            link.settings.user,
            None,
            contact.why,
            left if state == "away" and control is None and left > 0 else None,
        )

    def _tunnels(self, parts: ClientParts, flows: _Flows) -> Work[list[tuple[Tunnel, ClientTunnelReport]]]:
        up = _up(parts)
        return (
            yield from mapped(
                lambda tunnel: (tunnel, self._tunnel(tunnel, parts, flows, up.get(tunnel))),
                (tunnel for tunnel in parts.tunnels if tunnel.usage is not parts.former),
            )
        )

    def _tunnel(
        self, tunnel: Tunnel, parts: ClientParts, flows: _Flows, at: tuple[str, str] | None
    ) -> ClientTunnelReport:
        usage, (fromVisitors, toVisitors) = tunnel.usage, flows.of(tunnel)
        reason = parts.reasons.get(tunnel)
        why = (tunnel.why or None) if reason is None else describe(reason)
        state = "givenUp" if reason is not None else "up" if at is not None else "refused" if why else "away"
        return ClientTunnelReport(
            tunnel.spec.name,
            tunnel.name,
            at[0] if at is not None else tunnel.public or None,
            None if at is None else at[1],
            state,
            self._times.text(tunnel.since),
            why,
            tunnel.localState.value,
            ClientCounts(tunnel.visitors, usage.visitors + usage.unserved + tunnel.visitors, usage.unserved),
            ClientBytes(usage.fromVisitors + fromVisitors, usage.toVisitors + toVisitors),
        )

    def _totals(self, tunnels: Mapping[Tunnel, ClientTunnelReport], flows: _Flows) -> ClientTotals:
        """
        Sum up.

        :param tunnels: what was read of each. It may be unwanted since: then its usage is among that of the
            former ones.
        """
        parts = self._service.parts
        former, count = parts.former, 0 if parts.visitors is None else parts.visitors.count
        there = {tunnel: report for tunnel, report in tunnels.items() if tunnel.usage is not former}
        fromVisitors, toVisitors = flows.ofOthers(there)
        visitors = count - sum(tunnel.visitors for tunnel in parts.tunnels)
        return ClientTotals(
            former.visitors + former.unserved + visitors + sum(each.visitors.total for each in there.values()),
            former.unserved + sum(each.visitors.unserved for each in there.values()),
            former.fromVisitors + fromVisitors + sum(each.bytes.fromVisitors for each in there.values()),
            former.toVisitors + toVisitors + sum(each.bytes.toVisitors for each in there.values()),
            dict(self._history.refused),
            eventCounts(self._history),
        )


def _sourceText(source: Source | None) -> str | None:
    return None if source is None else hostPort(*source)
