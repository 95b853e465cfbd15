"""The snapshot of a server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.server.service import ServerService
from bore.server.session import Session
from bore.server.tunnel import Tunnel
from bore.server.users import User
from bore.server.visitor import Visitor
from bore.status.history import History
from bore.status.report import (
    NEARLY,
    BytesReport,
    ControlReport,
    CountsReport,
    LanesReport,
    LimitReport,
    PortsReport,
    ServerReport,
    ServerTotals,
    SessionReport,
    TunnelReport,
    UserReport,
    VisitorReport,
    addressOf,
    eventCounts,
    eventReports,
    timeText,
)
from bore.status.times import Times
from bore.streams.addresses import socketAddress
from bore.streams.tcpinfo import roundTrip
from bore.version import __version__
from bore.wire.limits import MAX_TUNNELS
from bore.wire.publicaddress import PublicAddress

#: A visitor that waits has moved nothing, and is on no lane.
_NOTHING: Final = (0, 0, None)


class Flows:
    """
    What the visitors of a server have moved so far who are being served.

    :ivar toClient: bytes from all of them.
    :ivar toVisitors: bytes to all of them.
    :ivar ofClosed: how many of them have come to tunnels that are closed.
    """

    def __init__(self, service: ServerService) -> None:
        self.toClient = self.toVisitors = self.ofClosed = 0
        self._ofTunnel: dict[object, tuple[int, int]] = {}
        self._onLanes: dict[object, int] = {}
        for ended, toClient, toVisitors, lane in service.server.relay.running():
            if not isinstance(ended, Visitor):
                continue
            self.toClient += toClient
            self.toVisitors += toVisitors
            tunnel = ended.tunnel
            before = self._ofTunnel.get(tunnel, (0, 0))
            self._ofTunnel[tunnel] = before[0] + toClient, before[1] + toVisitors
            if lane is not None:
                self._onLanes[tunnel] = self._onLanes.get(tunnel, 0) + 1
            self.ofClosed += tunnel.closed

    def of(self, tunnel: Tunnel) -> tuple[int, int]:
        """The bytes of a tunnel's visitors: those to the client, and those to the visitors."""
        return self._ofTunnel.get(tunnel, (0, 0))

    def onLanes(self, tunnels: Iterable[Tunnel]) -> int:
        """How many visitors of some tunnels are on lanes."""
        return sum(self._onLanes.get(tunnel, 0) for tunnel in tunnels)


class ServerStatus:
    """
    Reads what a server has.

    :param clock: the clock of the server.
    :param history: what has happened.
    :param wallClock: returns the seconds since the epoch.
    """

    def __init__(
        self,
        clock: IReactorTime,
        service: ServerService,
        history: History,
        wallClock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._server = service.server
        self._history = history
        self._times = Times(clock, wallClock)

    @property
    def history(self) -> History:
        """What has happened."""
        return self._history

    def snapshot(self) -> ServerReport:
        """Read all of it."""
        self._times.renew()
        service, now = self._service, self._times.now
        flows, settings = Flows(service), service.settings
        tunnels, users = self._server.tunnels.all(), self._users()
        return ServerReport(
            "server",
            __version__,
            os.getpid(),
            service.state,
            self._times.text(service.since),
            now - service.since,
            [ControlReport(at, key is not None, key) for at, key in service.controlPorts],
            settings.bindTunnels,
            PortsReport(settings.minPort, settings.maxPort),
            service.admission.value,
            [self._session(each, flows) for each in self._server.sessions.all()],
            [self._tunnel(each, flows) for each in tunnels],
            users,
            list(self._limits(tunnels, users)),
            self._totals(tunnels, flows),
            eventReports(self._history),
        )

    def totals(self) -> ServerTotals:
        """Read what the server has done since its start."""
        return self._totals(self._server.tunnels.all(), Flows(self._service))

    def tunnel(self, address: PublicAddress) -> TunnelReport | None:
        """Read one tunnel; None: there is none with this address."""
        found = self._server.tunnels.get(address)
        return None if found is None else self._tunnel(found, Flows(self._service))

    def visitors(self, address: PublicAddress, most: int | None = None) -> list[VisitorReport]:
        """
        Read the visitors of a tunnel, those who wait first.

        :param most: how many at most; None: all.
        """
        tunnel = self._server.tunnels.get(address)
        if tunnel is None:
            return []
        moved = {
            ended: (toClient, toVisitors, None if lane is None else id(lane))
            for ended, toClient, toVisitors, lane in self._server.relay.running()
            if isinstance(ended, Visitor) and ended.tunnel is tunnel
        }
        waiting = ((each, "waiting", _NOTHING) for each in tunnel.waiting.values())
        served = ((each, "served", moved.get(each, _NOTHING)) for each in tunnel.serving)
        return [self._visitor(*each) for each in islice(chain(waiting, served), most)]

    def _session(self, session: Session, flows: Flows) -> SessionReport:
        busy = flows.onLanes(session.tunnels.values())
        return SessionReport(
            session.peer,
            session.source,
            session.user.name,
            session.extended,
            self._times.text(session.since),
            self._times.now - session.since,
            roundTrip(session.handle),
            LanesReport(session.idleLanes + busy, busy),
            [addressOf(tunnel.address) for tunnel in session.tunnels.values()],
        )

    def _tunnel(self, tunnel: Tunnel, flows: Flows) -> TunnelReport:
        usage, (toClient, toVisitors) = tunnel.usage, flows.of(tunnel)
        open, waiting, awaySince = len(tunnel.serving), len(tunnel.waiting), tunnel.awaySince
        away = awaySince is not None
        state = "away" if away else "heldBack" if tunnel.holdsBack else "up"
        left = None if awaySince is None else awaySince + self._service.settings.lease - self._times.now
        return TunnelReport(
            addressOf(tunnel.address),
            tunnel.user.name,
            tunnel.source,
            None if tunnel.owner is None else tunnel.owner.peer,
            state,
            self._times.text(tunnel.since),
            None if awaySince is None else self._times.text(awaySince),
            None if left is None else max(0.0, left),
            CountsReport(open, waiting, usage.visitors + usage.unserved + open + waiting, usage.refused),
            BytesReport(usage.toClient + toClient, usage.toVisitors + toVisitors),
        )

    def _visitor(self, visitor: Visitor, state: str, moved: tuple[int, int, int | None]) -> VisitorReport:
        toClient, toVisitor, lane = moved
        seconds = self._times.now - visitor.since
        since = self._times.text(visitor.since)
        return VisitorReport(
            visitor.name, socketAddress(visitor.address), since, seconds, state, lane, toClient, toVisitor
        )

    def _users(self) -> list[UserReport]:
        """The users that have, or have had, a tunnel or a session; none without a users file."""
        users = self._server.users
        if users is None:
            return []
        sessions: dict[User, int] = {}
        for session in self._server.sessions.all():
            sessions[session.user] = sessions.get(session.user, 0) + 1
        found = []
        for user in dict.fromkeys((*users.users, *sessions)):
            rights = users.permits.rights(user)
            counts = sessions.get(user, 0), len(users.open(user)), users.visitors(user)
            expires = None if rights.expires is None else timeText(rights.expires)
            found.append(UserReport(user.name, *counts, rights.maxTunnels or None, rights.maxVisitors or None, expires))
        return found

    def _limits(self, tunnels: list[Tunnel], users: list[UserReport]) -> Iterator[LimitReport]:
        """The limits of the server, and those of a source, a user, a session or a tunnel that are nearly reached."""
        server, bounds = self._server, self._service.settings.bounds
        descriptors = server.descriptors
        descriptors.renew()
        for what, used, limit in (
            ("tunnels", len(tunnels), bounds.tunnels),
            ("connections without a first message", len(server.unclassified), bounds.pending),
            ("descriptors", descriptors.limit - descriptors.spare if descriptors.limit else 0, descriptors.limit),
        ):
            if limit:
                yield LimitReport(what, None, used, limit)
        yield from (each for each in self._ownLimits(tunnels, users) if each.limit and each.isNearlyReached)

    def _ownLimits(self, tunnels: list[Tunnel], users: list[UserReport]) -> Iterator[LimitReport]:
        bounds = self._service.settings.bounds
        if bounds.tunnelsPerSource:
            for source, count in self._server.tunnels.countBySource().items():
                yield LimitReport("tunnels from one address", source, count, bounds.tunnelsPerSource)
        for session in self._server.sessions.all():
            yield LimitReport("tunnels in one session", session.peer, len(session.tunnels), MAX_TUNNELS)
        for user in users:
            yield LimitReport("tunnels of one user", user.name, user.tunnels, user.maxTunnels or 0)
            yield LimitReport("visitors of one user", user.name, user.visitors, user.maxVisitors or 0)
        for tunnel in tunnels:
            used = len(tunnel.serving) + len(tunnel.waiting)
            if used >= NEARLY * bounds.visitors > 0:
                yield LimitReport("visitors of one tunnel", str(tunnel.address), used, bounds.visitors)
            if tunnel.owner is None and len(tunnel.waiting) >= NEARLY * bounds.waiting > 0:
                yield LimitReport("visitors that wait", str(tunnel.address), len(tunnel.waiting), bounds.waiting)

    def _totals(self, tunnels: list[Tunnel], flows: Flows) -> ServerTotals:
        usages = [self._server.tunnels.closed, *(tunnel.usage for tunnel in tunnels)]
        open = flows.ofClosed + sum(len(tunnel.serving) for tunnel in tunnels)
        there = open + sum(len(tunnel.waiting) for tunnel in tunnels)
        return ServerTotals(
            there + sum(usage.visitors + usage.unserved for usage in usages),
            flows.toClient + sum(usage.toClient for usage in usages),
            flows.toVisitors + sum(usage.toVisitors for usage in usages),
            dict(self._history.refused),
            eventCounts(self._history),
            open,
        )
