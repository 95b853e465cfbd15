"""The links of a client: each tunnel has one of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, TimeoutError, gatherResults

from bore.client.link import ServerLink
from bore.client.retry import RetryPolicy
from bore.client.servers import Servers, Trusts
from bore.client.settings import ClientSettings
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.client.visitors import Visitors
from bore.streams.reactor import IReactor

#: How long a server has to read that a tunnel is not wanted any more, in seconds.
_FAREWELL_TIMEOUT: Final = 2.0


class Links:
    """
    Keeps tunnels open, from the start of the client until it stops.

    :param visitors: serves the visitors of all tunnels.
    :param gaveUp: called with a tunnel and the reason when no further attempt is made to open it.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ClientSettings,
        visitors: Visitors,
        gaveUp: Callable[[Tunnel, Exception], None],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._visitors = visitors
        self._gaveUp = gaveUp
        self._trusts = (
            None if settings.tls is None else Trusts(settings.tls, settings.secret is not None, visitors.sink)
        )
        self._random = random.Random()
        self._links: dict[Tunnel, ServerLink] = {}
        self._waiting: dict[Tunnel, None] = {}
        self._closing: set[Deferred[None]] = set()

    def open(self, tunnels: Iterable[Tunnel]) -> None:
        """Open tunnels, when those that are being closed are: they may have had the same ports."""
        self._waiting.update(dict.fromkeys(tunnels))
        gatherResults(list(self._closing)).addCallback(lambda _: self._start())

    def canServe(self, tunnel: Tunnel, spec: TunnelSpec) -> bool:
        """Return whether a tunnel can stay open when it is changed to this."""
        return tunnel in self._links and self._links[tunnel].canServe(spec)

    def close(self, tunnel: Tunnel) -> None:
        """Give a tunnel back, if it is open. Visitors that are served stay."""
        self._waiting.pop(tunnel, None)
        link = self._links.pop(tunnel, None)
        if link is None:
            return
        closed = link.stop().addTimeout(_FAREWELL_TIMEOUT, self._reactor)
        closed.addErrback(lambda reason: reason.trap(TimeoutError))
        self._closing.add(closed)
        closed.addCallback(lambda _: self._closing.discard(closed))

    def stop(self) -> Deferred[None]:
        """
        Give all tunnels back.

        :returns: fires when the servers have read that, or have had the time for it.
        """
        for tunnel in [*self._waiting, *self._links]:
            self.close(tunnel)
        return gatherResults(list(self._closing)).addCallback(lambda _: None)

    def _start(self) -> None:
        """Open the tunnels that are still wanted."""
        waiting, self._waiting = self._waiting, {}
        for tunnel in waiting:
            self._links[tunnel] = self._makeLink(tunnel)
            self._links[tunnel].start()

    def _makeLink(self, tunnel: Tunnel) -> ServerLink:
        settings = self._settings
        policy = RetryPolicy(
            self._reactor, self._random, settings.maxReconnectDelay, settings.exitAfterFailures, settings.reconnect
        )
        servers = Servers(self._reactor, settings.servers, self._trusts)
        gaveUp = partial(self._gaveUp, tunnel)
        return ServerLink(self._reactor, settings, servers, self._visitors, tunnel, policy, gaveUp)
