"""The snapshot of a server."""
# Longer than 300 lines: what is read of a server for one snapshot is read together.

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bore.relay.interface import Running
from bore.server.core import ServerCore
from bore.server.session import Session
from bore.server.tunnel import Owner, Tunnel
from bore.server.users import NODES, User
from bore.server.visitor import Visitor
from bore.status.flows import Flows
from bore.status.history import History
from bore.status.report import (
    DESCRIPTORS,
    FORWARDED,
    MOVED,
    NEARLY,
    TUNNELS,
    TUNNELS_OF_SOURCE,
    TUNNELS_OF_USER,
    UNCLASSIFIED,
    VISITORS_OF_USER,
    BytesReport,
    ControlReport,
    CountsReport,
    LanesReport,
    LimitReport,
    PortsReport,
    ProcessReport,
    ServerReport,
    ServerTotals,
    SessionReport,
    TunnelReport,
    UserReport,
    Visited,
    VisitorReport,
    addressOf,
    eventCounts,
    eventReports,
    timeText,
)
from bore.status.slices import Shared, Work, atOnce, mapped, spread
from bore.status.times import Times
from bore.streams.addresses import socketAddress
from bore.streams.tcpinfo import roundTrip
from bore.version import __version__
from bore.wire.limits import MAX_TUNNELS
from bore.wire.publicaddress import PublicAddress

if TYPE_CHECKING:
    from bore.status.clusterview import ClusterView

_Flows: TypeAlias = Flows[Tunnel, Owner | None]


def _keys(ended: object) -> tuple[Tunnel, Owner | None] | None:
    """The tunnel that the visitor of a pair has come to, and the session that has the tunnel."""
    if not isinstance(ended, Visitor):
        return None
    tunnel = cast(Tunnel, ended.tunnel)
    return tunnel, tunnel.owner


class ServerStatus:
    """
    Reads what a server has.

    :param clock: the clock of the server.
    :param history: what has happened.
    :param wallClock: returns the seconds since the epoch.
    :param process: reads what this process uses; None: it is no worker.
    :ivar cluster: the cluster of the server; None: it is not a node of one.
    :ivar take: reads all of it, over several turns.
    """

    def __init__(
        self,
        clock: IReactorTime,
        service: ServerCore,
        history: History,
        wallClock: Callable[[], float] = time.time,
        process: Callable[[], ProcessReport | None] | None = None,
        cluster: ClusterView | None = None,
    ) -> None:
        self._service = service
        self._process = process
        self.cluster = cluster
        self._server = service.server
        self._history = history
        self._clock = clock
        self.take: Final = Shared(clock, self._read)
        self._times = Times(clock, wallClock)

    @property
    def history(self) -> History:
        """What has happened."""
        return self._history

    def snapshot(self) -> ServerReport:
        """Read all of it, in one piece."""
        return atOnce(self._read())

    def tunnel(self, address: PublicAddress, most: int | None = None) -> Deferred[Visited[TunnelReport, VisitorReport]]:
        """
        Read one tunnel and its visitors, those who wait first. None: there is no tunnel with this address.

        :param most: how many visitors at most; None: all.
        """
        return spread(self._clock, self._readTunnel(address, most))

    def _read(self) -> Work[ServerReport]:
        """Read all of it. What belongs to one tunnel is read in one turn, and so is what all of them have done."""
        self._times.renew()
        service, server, now = self._service, self._server, self._times.now
        flows, settings = _Flows(server.relay, _keys), service.settings
        yield from flows.read()
        tunnels = yield from mapped(
            lambda tunnel: (tunnel, self._tunnel(tunnel, flows)),
            (tunnel for tunnel in server.tunnels.all() if not tunnel.closed),
        )
        moved = [self._movedReport(tunnel, flows) for tunnel in self._moved(flows)]
        sessions = yield from mapped(
            lambda session: self._session(session, flows),
            (session for session in server.sessions.all() if not session.over),
        )
        users = yield from self._users()
        limits = yield from self._limits(users)
        recent = yield from eventReports(self._history)
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
            sessions,
            [*(report for _, report in tunnels), *moved],
            users,
            limits,
            self._totals(dict(tunnels), flows),
            recent,
            None,
            None if self._process is None else self._process(),
            cluster=None if self.cluster is None else self.cluster.report(),
            forwards=None if self.cluster is None else (yield from self._forwards(self.cluster, flows)),
        )

    def _forwards(self, cluster: ClusterView, flows: _Flows) -> Work[list[TunnelReport]]:
        """The tunnels whose visitors are passed on to other nodes."""
        there = (tunnel for tunnel in cluster.forwards.all() if not tunnel.closed)
        return (yield from mapped(lambda tunnel: self._tunnel(tunnel, flows), there))

    def _moved(self, flows: _Flows) -> list[Tunnel]:
        """The tunnels that another worker has now, and whose visitors stay at this one."""
        if self._process is None:
            return []
        return [tunnel for tunnel in flows.tunnels if tunnel.closed and tunnel.serving]

    def _movedReport(self, tunnel: Tunnel, flows: _Flows) -> TunnelReport:
        open = len(tunnel.serving)
        counts, moved = CountsReport(open, 0, open, 0), BytesReport(*flows.of(tunnel))
        since = self._times.text(tunnel.since)
        return TunnelReport(
            addressOf(tunnel.address), tunnel.user.name, tunnel.source, None, MOVED, since, None, None, counts, moved
        )

    def _readTunnel(self, address: PublicAddress, most: int | None) -> Work[Visited[TunnelReport, VisitorReport]]:
        forwarded = None if self.cluster is None else self.cluster.forwards.get(address)
        flows = _Flows(self._server.relay, _keys)
        yield from flows.read()
        tunnel = self._server.tunnels.get(address) or forwarded
        moved = next((each for each in self._moved(flows) if each.address == address), None)
        if tunnel is not None:
            report = self._tunnel(tunnel, flows)
        elif moved is not None:
            tunnel, report = moved, self._movedReport(moved, flows)
        else:
            return None
        pairs = {pair.ended: pair for pair in flows.pairs(tunnel)}
        waiting = [(visitor, "waiting", None) for visitor in tunnel.waiting.values()]
        served = [(visitor, "served", pairs.get(visitor)) for visitor in tunnel.serving]
        visitors = chain(waiting, served)
        return report, (yield from mapped(lambda found: self._visitor(*found), islice(visitors, most)))

    def _session(self, session: Session, flows: _Flows) -> SessionReport:
        busy = flows.onLanes(session)
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

    def _tunnel(self, tunnel: Tunnel, flows: _Flows) -> TunnelReport:
        usage, (toClient, toVisitors) = tunnel.usage, flows.of(tunnel)
        open, waiting, awaySince = len(tunnel.serving), len(tunnel.waiting), tunnel.awaySince
        away = awaySince is not None
        forwarded = tunnel.user is NODES
        state = "away" if away else FORWARDED if forwarded else "heldBack" if tunnel.holdsBack else "up"
        left = None if awaySince is None else awaySince + self._service.settings.lease - self._times.now
        return TunnelReport(
            addressOf(tunnel.address),
            "" if forwarded else tunnel.user.name,
            "" if forwarded else tunnel.source,
            None if tunnel.owner is None or forwarded else tunnel.owner.peer,
            state,
            self._times.text(tunnel.since),
            None if awaySince is None else self._times.text(awaySince),
            None if left is None else max(0.0, left),
            CountsReport(open, waiting, usage.visitors + usage.unserved + open + waiting, usage.refused),
            BytesReport(usage.toClient + toClient, usage.toVisitors + toVisitors),
            nodes=None if self.cluster is None else self.cluster.nodesOf(tunnel),
        )

    def _visitor(self, visitor: Visitor, state: str, pair: Running | None) -> VisitorReport:
        toClient, toVisitor, lane = (0, 0, None) if pair is None else (pair.toRight, pair.toLeft, pair.lane)
        seconds = self._times.now - visitor.since
        since, number = self._times.text(visitor.since), None if lane is None else id(lane)
        return VisitorReport(
            visitor.name, socketAddress(visitor.address), since, seconds, state, number, toClient, toVisitor
        )

    def _users(self) -> Work[list[UserReport]]:
        """The users that have, or have had, a tunnel or a session; none without a users file."""
        users = self._server.users
        if users is None:
            return []
        sessions: dict[User, int] = {}
        for session in self._server.sessions.all():
            sessions[session.user] = sessions.get(session.user, 0) + 1

        def make(user: User) -> UserReport:
            rights = users.permits.rights(user)
            counts = sessions.get(user, 0), len(users.open(user)), users.visitors(user)
            expires = None if rights.expires is None else timeText(rights.expires)
            return UserReport(user.name, *counts, rights.maxTunnels or None, rights.maxVisitors or None, expires)

        return (yield from mapped(make, dict.fromkeys((*users.users, *sessions))))

    def _limits(self, users: list[UserReport]) -> Work[list[LimitReport]]:
        """The limits of the server, and those of a source, a user, a session or a tunnel that are nearly reached."""
        server, bounds = self._server, self._service.settings.bounds
        descriptors = server.descriptors
        descriptors.renew()
        open = descriptors.limit - descriptors.spare if descriptors.limit else 0
        own = (
            (TUNNELS, len(server.tunnels), bounds.tunnels),
            (UNCLASSIFIED, len(server.unclassified), bounds.pending),
            (DESCRIPTORS, open, descriptors.limit),
        )
        limits = [LimitReport(what, None, used, limit) for what, used, limit in own if limit]
        others = yield from mapped(lambda found: found, self._ownLimits(users))
        return [*limits, *(each for each in others if each.limit and each.isNearlyReached)]

    def _ownLimits(self, users: list[UserReport]) -> Iterator[LimitReport]:
        bounds = self._service.settings.bounds
        if bounds.tunnelsPerSource:
            for source, count in self._server.tunnels.countBySource().items():
                yield LimitReport(TUNNELS_OF_SOURCE, source, count, bounds.tunnelsPerSource)
        for session in self._server.sessions.all():
            yield LimitReport("tunnels in one session", session.peer, len(session.tunnels), MAX_TUNNELS)
        for user in users:
            yield LimitReport(TUNNELS_OF_USER, user.name, user.tunnels, user.maxTunnels or 0)
            yield LimitReport(VISITORS_OF_USER, user.name, user.visitors, user.maxVisitors or 0)
        for tunnel in self._server.tunnels.all():
            used = len(tunnel.serving) + len(tunnel.waiting)
            if used >= NEARLY * bounds.visitors > 0:
                yield LimitReport("visitors of one tunnel", str(tunnel.address), used, bounds.visitors)
            if tunnel.owner is None and len(tunnel.waiting) >= NEARLY * bounds.waiting > 0:
                yield LimitReport("visitors that wait", str(tunnel.address), len(tunnel.waiting), bounds.waiting)

    def _totals(self, tunnels: Mapping[Tunnel, TunnelReport], flows: _Flows) -> ServerTotals:
        """
        Sum up. Visitors that are passed on to other nodes are in the sums of those.

        :param tunnels: what was read of each. It may be closed since: then its usage is among that of the closed ones.
        """
        closed = self._server.tunnels.closed
        there = {tunnel: report for tunnel, report in tunnels.items() if not tunnel.closed}
        apart = there.keys() | {tunnel for tunnel in flows.tunnels if tunnel.user is NODES}
        toClient, toVisitors = flows.ofOthers(apart)
        visitors = sum(len(tunnel.serving) for tunnel in {*flows.tunnels, *tunnels} - apart)
        return ServerTotals(
            closed.visitors + closed.unserved + visitors + sum(report.visitors.total for report in there.values()),
            closed.toClient + toClient + sum(report.bytes.toClient for report in there.values()),
            closed.toVisitors + toVisitors + sum(report.bytes.toVisitors for report in there.values()),
            dict(self._history.refused),
            eventCounts(self._history),
            visitors + sum(report.visitors.open for report in there.values()),
        )
