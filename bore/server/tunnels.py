"""All public ports, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bore.server.entrance import Entrance
from bore.server.settings import ServerSettings
from bore.server.tcpentrance import TcpEntrances
from bore.server.tunnel import Client, Tunnel
from bore.server.unaccepted import UnacceptedVisitors
from bore.timing.bursts import Overflow
from bore.timing.deadlines import Deadlines
from bore.wire.errors import (
    NoFreePort,
    PortInUse,
    PresumedGone,
    TakenOver,
    TooManyTunnels,
    TooManyTunnelsFromSource,
)
from bore.wire.token import digest

#: When none of all clients is in doubt, they are not looked at again for so long, in seconds.
_LOOK: Final = 1.0


class Tunnels:
    """
    Opens tunnels, keeps them for clients that were lost, and gives them back.

    A client that is in doubt keeps its tunnel until another one needs the port, or the place under a bound.

    :param unaccepted: where visitors wait.
    :param entrances: opens the ports for visitors.
    """

    _log: Final = Logger()

    def __init__(
        self, clock: IReactorTime, settings: ServerSettings, unaccepted: UnacceptedVisitors, entrances: TcpEntrances
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._unaccepted = unaccepted
        self._entrances = entrances
        self._byToken: dict[bytes, Tunnel] = {}
        self._byPort: dict[int, Tunnel] = {}
        self._bySource: dict[str, dict[Tunnel, None]] = {}
        self._allWell = float("-inf")
        self._leases: Deadlines[Tunnel, Tunnel] = Deadlines(clock, settings.lease, self._leaseOver)
        self._many = Overflow(clock, "{limit} tunnels may be open, no more are opened")
        self._manyFromOne = Overflow(clock, "{limit} tunnels may be open from {source}, no more are opened for it")

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
        del self._byPort[tunnel.port]
        self._leave(tunnel)
        tunnel.close()

    def closeAll(self) -> None:
        """Give all ports back."""
        self._leases.takeAll()
        for tunnel in list(self._byToken.values()):
            self.close(tunnel)

    def _new(self, port: int, source: str, client: Client) -> Tunnel:
        doubtful = self._makeRoom(source)
        entrance = self._enter(port)
        if doubtful is not None and not doubtful.closed:
            self._giveUp(doubtful)
        tunnel = Tunnel(self._clock, entrance, self._unaccepted, self._settings.bounds, source, client)
        self._byToken[digest(tunnel.token)] = tunnel
        self._byPort[tunnel.port] = tunnel
        self._bySource.setdefault(source, {})[tunnel] = None
        return tunnel

    def _makeRoom(self, source: str) -> Tunnel | None:
        """
        Make sure that one more tunnel is within the bounds.

        :returns: the one that has to go for it, if one has to.
        :raises Refusal: when it is not.
        """
        bounds = self._settings.bounds
        mine = self._bySource.get(source, {})
        if 0 < bounds.tunnelsPerSource <= len(mine):
            doubtful = self._inDoubt(mine)
            if doubtful is None:
                self._manyFromOne.happened(limit=bounds.tunnelsPerSource, source=source)
                raise TooManyTunnelsFromSource
            return doubtful
        if 0 < bounds.tunnels <= len(self._byToken):
            doubtful = self._anyInDoubt()
            if doubtful is None:
                self._many.happened(limit=bounds.tunnels)
                raise TooManyTunnels
            return doubtful
        return None

    def _enter(self, port: int) -> Entrance:
        try:
            return self._entrances.open(port)
        except PortInUse:
            doubtful = self._inDoubt([self._byPort[port]] if port in self._byPort else [])
            if doubtful is None:
                raise
        except NoFreePort:
            doubtful = self._anyInDoubt()
            if doubtful is None:
                raise
        self._giveUp(doubtful)
        return self._entrances.open(port)

    def _inDoubt(self, tunnels: Iterable[Tunnel]) -> Tunnel | None:
        """The first of these tunnels whose client may be gone."""
        for tunnel in tunnels:
            if tunnel.client is not None and tunnel.client.inDoubt():
                return tunnel
        return None

    def _anyInDoubt(self) -> Tunnel | None:
        """One of all tunnels whose client may be gone. Refusals by the hundred do not have all looked at each time."""
        if self._clock.seconds() - self._allWell < _LOOK:
            return None
        doubtful = self._inDoubt(self._byToken.values())
        if doubtful is None:
            self._allWell = self._clock.seconds()
        return doubtful

    def _giveUp(self, tunnel: Tunnel) -> None:
        """Take a tunnel from its client, which seems to be gone. Its running streams go on."""
        client = tunnel.client
        assert client is not None
        self._log.info(
            "port {port}: its client gives no sign of life, and another one needs its place", port=tunnel.port
        )
        self.close(tunnel)
        client.end(PresumedGone())

    def _resume(self, tunnel: Tunnel, source: str, client: Client) -> None:
        self._leases.take(tunnel)
        self._leave(tunnel)
        self._bySource.setdefault(source, {})[tunnel] = None
        tunnel.source = source
        tunnel.client = client

    def _leave(self, tunnel: Tunnel) -> None:
        mine = self._bySource[tunnel.source]
        del mine[tunnel]
        if not mine:
            del self._bySource[tunnel.source]

    def _leaseOver(self, tunnel: Tunnel, _: Tunnel) -> None:
        self._log.info("port {port}: the client did not come back, the port is free", port=tunnel.port)
        self.close(tunnel)
