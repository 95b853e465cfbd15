"""The snapshot of a client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from twisted.internet.interfaces import IReactorTime

from bore.client.link import ServerLink
from bore.client.reasons import describe
from bore.client.service import ClientParts, ClientService
from bore.client.tunnel import Tunnel
from bore.client.visitors import ServedVisitor
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
    eventCounts,
    eventReports,
)
from bore.status.times import Times
from bore.streams.addresses import hostPort
from bore.streams.tcpinfo import roundTrip
from bore.version import __version__
from bore.wire.extension import Source


class Flows:
    """
    What the visitors of a client have moved so far who are being served.

    :ivar fromVisitors: bytes from all of them.
    :ivar toVisitors: bytes to all of them.
    """

    def __init__(self, parts: ClientParts) -> None:
        self.fromVisitors = self.toVisitors = 0
        self._ofTunnel: dict[Tunnel, tuple[int, int, int]] = {}
        self._onLanes: dict[object, int] = {}
        for ended, fromVisitor, toVisitor, lane in [] if parts.visitors is None else parts.visitors.relay.running():
            if not isinstance(ended, ServedVisitor):
                continue
            self.fromVisitors += fromVisitor
            self.toVisitors += toVisitor
            count, *before = self.of(ended.at.tunnel)
            self._ofTunnel[ended.at.tunnel] = count + 1, before[0] + fromVisitor, before[1] + toVisitor
            if lane is not None:
                connections = ended.at.connections
                self._onLanes[connections] = self._onLanes.get(connections, 0) + 1

    def of(self, tunnel: Tunnel) -> tuple[int, int, int]:
        """The number of a tunnel's visitors that are served, the bytes from them, and the bytes to them."""
        return self._ofTunnel.get(tunnel, (0, 0, 0))

    def onLanes(self, link: ServerLink) -> int:
        """How many visitors are on lanes of a link's session."""
        session = None if link.control is None else link.control.session
        return 0 if session is None else self._onLanes.get(session.connections, 0)


class ClientStatus:
    """
    Reads what a client has.

    :param clock: the clock of the client.
    :param history: what has happened.
    :param wallClock: returns the seconds since the epoch.
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
        self._times = Times(clock, wallClock)

    @property
    def history(self) -> History:
        """What has happened."""
        return self._history

    def snapshot(self) -> ClientReport:
        """Read all of it."""
        self._times.renew()
        parts, now, since = self._service.parts, self._times.now, self._service.since
        flows = Flows(parts)
        tunnels = self._tunnels(parts, flows)
        return ClientReport(
            "client",
            __version__,
            os.getpid(),
            self._state(parts, tunnels),
            self._times.text(since),
            now - since,
            [self._link(each, flows) for each in parts.links],
            tunnels,
            self._totals(parts, flows),
            eventReports(self._history),
        )

    def totals(self) -> ClientTotals:
        """Read what the client has done since its start."""
        parts = self._service.parts
        return self._totals(parts, Flows(parts))

    def tunnels(self) -> list[ClientTunnelReport]:
        """Read the tunnels."""
        parts = self._service.parts
        return self._tunnels(parts, Flows(parts))

    def visitors(self, name: str, most: int | None = None) -> list[ClientVisitorReport]:
        """
        Read the visitors of a tunnel, those who are not served yet first.

        :param name: the name of the tunnel, as its report has it.
        :param most: how many at most; None: all.
        """
        return list(islice(self._visitors(name), most))

    def tunnel(self, name: str) -> ClientTunnelReport | None:
        """
        Read one tunnel; None: there is none.

        :param name: its name, its local service, its public address, or its public port.
        """
        for each in self.tunnels():
            port = None if each.public is None else each.public.rpartition(":")[2]
            if name and name in (each.name, each.local, each.public, port):
                return each
        return None

    def _visitors(self, name: str) -> Iterator[ClientVisitorReport]:
        visitors = self._service.parts.visitors
        if visitors is None:
            return
        for visitor, at, source in visitors.waiting():
            if at.tunnel.spec.name == name:
                yield ClientVisitorReport(str(visitor), _sourceText(source), None, None, "waiting", None, 0, 0)
        now = self._times.now
        for ended, fromVisitor, toVisitor, lane in visitors.relay.running():
            if isinstance(ended, ServedVisitor) and ended.at.tunnel.spec.name == name:
                since, number = self._times.text(ended.since), None if lane is None else id(lane)
                where, seconds = _sourceText(ended.source), now - ended.since
                yield ClientVisitorReport(
                    str(ended.id), where, since, seconds, "served", number, fromVisitor, toVisitor
                )

    def _state(self, parts: ClientParts, tunnels: Sequence[ClientTunnelReport]) -> str:
        if not self._service.running:
            return "stopping"
        up = sum(tunnel.state == "up" for tunnel in tunnels)
        if up:
            return "up" if up == len(tunnels) else "partly"
        links = parts.links
        return "connecting" if links and all(each.contact.why is None for each in links) else "away"

    def _link(self, link: ServerLink, flows: Flows) -> LinkReport:
        contact, control = link.contact, link.control
        session = None if control is None else control.session
        idle, busy = 0 if session is None else session.idleLanes, flows.onLanes(link)
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

    def _tunnels(self, parts: ClientParts, flows: Flows) -> list[ClientTunnelReport]:
        up = {kept.tunnel: (kept.address, link.server) for link in parts.links for kept in link.tunnels.up}
        return [self._tunnel(each, parts, flows, up.get(each)) for each in parts.tunnels]

    def _tunnel(
        self, tunnel: Tunnel, parts: ClientParts, flows: Flows, at: tuple[str, str] | None
    ) -> ClientTunnelReport:
        usage, (_, fromVisitors, toVisitors) = tunnel.usage, flows.of(tunnel)
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

    def _totals(self, parts: ClientParts, flows: Flows) -> ClientTotals:
        usages = [parts.former, *(tunnel.usage for tunnel in parts.tunnels)]
        there = 0 if parts.visitors is None else parts.visitors.count
        return ClientTotals(
            there + sum(usage.visitors + usage.unserved for usage in usages),
            sum(usage.unserved for usage in usages),
            flows.fromVisitors + sum(usage.fromVisitors for usage in usages),
            flows.toVisitors + sum(usage.toVisitors for usage in usages),
            dict(self._history.refused),
            eventCounts(self._history),
        )


def _sourceText(source: Source | None) -> str | None:
    return None if source is None else hostPort(*source)
