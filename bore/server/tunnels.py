"""All public ports, and whose they are."""

from __future__ import annotations

from collections import Counter
from typing import Final

from twisted.logger import Logger

from bore.server.ports import Ports
from bore.server.settings import ServerSettings
from bore.server.tunnel import Client, Tunnel
from bore.server.waiting import WaitingRoom
from bore.streams.bursts import Overflow
from bore.streams.deadlines import Deadlines
from bore.streams.listener import Starvation
from bore.streams.reactor import IReactor
from bore.wire.errors import TakenOver, TooManyTunnels, TooManyTunnelsFromSource
from bore.wire.token import digest


class Tunnels:
    """
    Opens tunnels, keeps them for clients that were lost, and gives them back.

    :param room: where visitors wait.
    :param starvation: is told when there are no descriptors for visitors.
    """

    _log: Final = Logger()

    def __init__(self, reactor: IReactor, settings: ServerSettings, room: WaitingRoom, starvation: Starvation) -> None:
        self._reactor = reactor
        self._settings = settings
        self._room = room
        self._ports = Ports(reactor, settings)
        self._starvation = starvation
        self._byToken: dict[bytes, Tunnel] = {}
        self._bySource: Counter[str] = Counter()
        self._leases: Deadlines[Tunnel, Tunnel] = Deadlines(reactor, settings.lease, self._leaseOver)
        self._many = Overflow(reactor, "{limit} tunnels may be open, no more are opened")
        self._manyFromOne = Overflow(reactor, "{limit} tunnels may be open from {source}, no more are opened for it")

    def __len__(self) -> int:
        return len(self._byToken)

    def hasSome(self, source: str) -> bool:
        """Whether a source has a tunnel."""
        return source in self._bySource

    def open(self, port: int, resume: str | None, source: str, client: Client) -> Tunnel:
        """
        Give a client its tunnel: the one that it had, if it shows its token, or a new one.

        Whoever has had it until now loses it at once, even if it seems to live: it is the same client, whose old
        connection is dead without anybody having said so.

        :param port: the public port; 0 for any.
        :raises bore.wire.errors.Refusal: when the client cannot have one.
        """
        tunnel = None if resume is None else self._byToken.get(digest(resume))
        if tunnel is not None:
            former = tunnel.client
            if port in (0, tunnel.port):
                self._resume(tunnel, source, client)
            else:
                self.close(tunnel)
                tunnel = None
            if former is not None:
                former.end(TakenOver())
        return self._new(port, source, client) if tunnel is None else tunnel

    def lost(self, tunnel: Tunnel) -> bool:
        """
        A tunnel has lost its client.

        :returns: whether the port is kept.
        """
        if self._settings.lease == 0:
            self.close(tunnel)
            return False
        tunnel.client = None
        self._leases.add(tunnel, tunnel)
        return True

    def close(self, tunnel: Tunnel) -> None:
        """Give the port of a tunnel back."""
        self._leases.take(tunnel)
        del self._byToken[digest(tunnel.token)]
        self._leave(tunnel.source)
        tunnel.close()
        self._ports.close(tunnel.port)

    def closeAll(self) -> None:
        """Give all ports back."""
        self._leases.takeAll()
        for tunnel in list(self._byToken.values()):
            self.close(tunnel)

    def _new(self, port: int, source: str, client: Client) -> Tunnel:
        bounds = self._settings.bounds
        if 0 < bounds.tunnels <= len(self._byToken):
            self._many.happened(limit=bounds.tunnels)
            raise TooManyTunnels
        if 0 < bounds.tunnelsPerSource <= self._bySource[source]:
            self._manyFromOne.happened(limit=bounds.tunnelsPerSource, source=source)
            raise TooManyTunnelsFromSource
        sock = self._ports.open(port)
        tunnel = Tunnel(self._reactor, sock, self._room, self._starvation, bounds, source, client)
        self._byToken[digest(tunnel.token)] = tunnel
        self._bySource[source] += 1
        return tunnel

    def _resume(self, tunnel: Tunnel, source: str, client: Client) -> None:
        self._leases.take(tunnel)
        self._bySource[source] += 1
        self._leave(tunnel.source)
        tunnel.source = source
        tunnel.client = client

    def _leave(self, source: str) -> None:
        self._bySource[source] -= 1
        if not self._bySource[source]:
            del self._bySource[source]

    def _leaseOver(self, tunnel: Tunnel, _: Tunnel) -> None:
        self._log.info("port {port}: the client did not come back, the port is free", port=tunnel.port)
        self.close(tunnel)
