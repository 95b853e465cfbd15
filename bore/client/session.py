"""A session with a server: its tunnels, and how their visitors are served."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.check import Check
from bore.client.dataconnections import DataConnections
from bore.client.lanepool import LanePool
from bore.client.opentunnel import OpenTunnel
from bore.client.reasons import describe
from bore.client.tunnel import Tunnel
from bore.client.visitors import Visitors
from bore.events import VisitorEnd
from bore.events.client import TurnedAway
from bore.relay.interface import LaneHandle, Stream
from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor
from bore.wire.extension import Source
from bore.wire.laneopen import LaneVisitor
from bore.wire.limits import MAX_TUNNELS
from bore.wire.publicaddress import PublicAddress

#: Visitors on lanes, of tunnels that are not known to be up yet, that wait for that; further ones are refused.
MAX_EARLY: Final = 64


class Session:
    """
    What a session has beside its control connection.

    :param visitors: the visitors of all sessions.
    :param server: the server, as events name it.
    :param host: its IP address.
    :param asks: whether a tunnel was asked for, and is not known to be up yet.
    :ivar connections: makes further connections to the server.
    """

    _log: Final = Logger()

    def __init__(
        self,
        reactor: IReactor,
        visitors: Visitors,
        connections: DataConnections,
        server: str,
        host: str,
        asks: Callable[[int], bool],
    ) -> None:
        self._reactor = reactor
        self._visitors = visitors
        self.connections = connections
        self._server = server
        self._host = host
        self._asks = asks
        self._tunnels: dict[int, OpenTunnel] = {}
        self._taken: dict[int, OpenTunnel] = {}
        self._early: list[tuple[LaneHandle, LaneVisitor]] = []  # faster than the answer that their tunnel is up
        self._checks: dict[int, Check] = {}
        self._carrier = visitors.relay.lanes
        self._lanes: LanePool | None = None

    def opened(self, number: int, tunnel: Tunnel, address: PublicAddress) -> None:
        """
        A tunnel is up.

        :param number: its number in the session.
        """
        self._tunnels[number] = OpenTunnel(tunnel, self.connections, self._host, address)
        if self._early:
            self._lookAtEarly()

    def closed(self, number: int, taken: bool = False) -> None:
        """
        A tunnel is closed. Visitors that are served stay.

        :param taken: whether another session of this client has it. Visitors may be on lanes of this one already.
        """
        tunnel = self._tunnels.pop(number, None)
        if taken and tunnel is not None:
            self._taken[number] = tunnel
            if len(self._taken) > MAX_TUNNELS:
                del self._taken[next(iter(self._taken))]
        check = self._checks.pop(number, None)
        if check is not None:
            check.stop()
        if self._early:
            self._lookAtEarly()

    @property
    def idleLanes(self) -> int:
        """How many idle lanes it has."""
        return 0 if self._lanes is None else len(self._lanes)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the tunnels that are up."""
        return list(self._tunnels)

    def check(self, number: int, seconds: float, passed: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Visit a tunnel's public port at an interval from now on, or never if it is 0: see :class:`Check`."""
        before = self._checks.pop(number, None)
        if before is not None:
            before.stop()
        at = self._tunnels[number]
        if not seconds or not at.address[1]:
            return  # never, or the public address is no port, which this machine could not reach
        public = TcpDialer(self._reactor, *at.address)
        self._checks[number] = Check(self._reactor, seconds, public, at.tunnel, self._visitors.sink, passed, failed)

    def keepLanes(self, token: str, keep: int) -> None:
        """
        Keep idle lanes open from now on, if the relay carries lanes.

        :param token: the session's token for lanes.
        :param keep: how many.
        """
        if self._lanes is not None:
            self._lanes.keep(keep)
        elif self._carrier is not None and keep:
            self._lanes = LanePool(
                self._reactor, self._carrier, self._visitors, self.connections, self._server, token, keep, self._serve
            )

    def announced(self, number: int, id: UUID, source: Source | None) -> None:
        """The server has announced a visitor of a tunnel."""
        at = self._tunnels.get(number)
        if at is None:
            return  # it was closed in the meantime
        if self._lanes is None or not self._lanes.keeps:
            self._visitors.announced(id, at, source)
        else:
            at.tunnel.noticed()
            self._lanes.announced(id)

    def sinceReceived(self) -> float:
        """Seconds since bytes of the server were received for a visitor of the session."""
        return self.connections.sinceReceived()

    def close(self) -> None:
        """The session has ended. Visitors that are served stay."""
        for check in self._checks.values():
            check.stop()
        if self._lanes is not None:
            self._lanes.close()
        early, self._early = self._early, []
        for lane, _ in early:
            if not lane.closed:
                lane.refuse()

    def _serve(self, lane: LaneHandle, visitor: LaneVisitor) -> None:
        """Connect a visitor on a lane with the local service."""
        visitors, at = self._visitors, self._tunnels.get(visitor.tunnel) or self._taken.get(visitor.tunnel)
        if at is None:
            self._serveLater(lane, visitor)
            return
        at.tunnel.noticed()
        if not visitors.admit(visitor.id, at.tunnel, id(lane)):
            visitors.gone(visitor.id, at.tunnel, TurnedAway.TOO_MANY.value)
            lane.refuse()
            return
        visitors.descriptors.opened()
        local = visitors.patience.dial(at.tunnel.local, sendsFirst=lane.hasBytes)
        if isinstance(local, socket.socket):
            self._join(local, lane, at, visitor)
        else:
            arguments = (lane, at, visitor)
            visitors.reaching[local] = visitor.id, at, visitor.source
            local.addBoth(self._reached, local)
            local.addCallbacks(self._join, self._refuse, callbackArgs=arguments, errbackArgs=arguments)
            local.addErrback(self._broken)

    def _serveLater(self, lane: LaneHandle, visitor: LaneVisitor) -> None:
        """Have a visitor wait until its tunnel is known to be up; refuse it if the tunnel was closed."""
        if self._asks(visitor.tunnel) and len(self._early) < MAX_EARLY:
            self._early.append((lane, visitor))
        else:
            lane.refuse()

    def _lookAtEarly(self) -> None:
        """The server has answered for a tunnel: serve or refuse the visitors that have waited for that."""
        early, self._early = self._early, []
        for lane, visitor in early:
            if not lane.closed:
                self._serve(lane, visitor)

    def _reached(self, result: socket.socket | Failure, dial: Deferred[socket.socket]) -> socket.socket | Failure:
        self._visitors.reaching.pop(dial, None)
        return result

    def _join(self, local: socket.socket, lane: LaneHandle, at: OpenTunnel, visitor: LaneVisitor) -> None:
        visitors = self._visitors
        if lane.closed:
            local.close()
            visitors.gone(visitor.id, at.tunnel, VisitorEnd.LEFT_EARLY.value)
            return
        left = visitors.served(visitor.id, at, lane.socket, visitor.source)
        assert self._carrier is not None
        at.limit(lane.socket, local)
        # A lane that was limited cannot have another visitor, who might be one of another tunnel.
        last = at.tunnel.spec.bandwidth > 0
        self._carrier.joinWithLane(Stream(local), lane, left, header=at.header(visitor.source), last=last)

    def _broken(self, reason: Failure) -> None:
        self._log.failure("a visitor could not be served", reason)

    def _refuse(self, reason: Failure, lane: LaneHandle, at: OpenTunnel, visitor: LaneVisitor) -> None:
        if reason.check(CancelledError):
            why = VisitorEnd.STOPPED.value
        else:
            why = describe(reason.value)
            at.tunnel.unreached(reason)
            if not lane.closed and self._explain(lane, at, visitor, why):
                return
        self._visitors.gone(visitor.id, at.tunnel, why)
        if not lane.closed:
            lane.refuse()

    def _explain(self, lane: LaneHandle, at: OpenTunnel, visitor: LaneVisitor, why: str) -> bool:
        """Have a visitor whose local service cannot be reached get an error page; False: it is to be refused."""
        page = self._visitors.errorPage(at.tunnel)
        if page is None:
            return False
        assert self._carrier is not None
        self._carrier.joinWithLane(Stream(page), lane, lambda ending: self._visitors.gone(visitor.id, at.tunnel, why))
        return True
