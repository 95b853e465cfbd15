"""The links of a client: one for all tunnels, or one for each where the server is of the base protocol."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.leftovers import Leftovers
from bore.client.link import ServerLink
from bore.client.retry import RetryPolicy
from bore.client.servers import Servers, Trusts
from bore.client.settings import ClientSettings, ServerAddress
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
    :ivar leftovers: the tunnels that have to be given back in the next session.
    :ivar isBase: whether the server is known to be of the base protocol.
    :ivar first: the server where the first session begins; None: it is the first one of the settings.
    :ivar accepted: called with a server, as events name it, in each session that has begun.
    """

    _log: Final = Logger()

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
        self.leftovers = Leftovers()
        self._links: dict[Tunnel, ServerLink] = {}
        self._shared: ServerLink | None = None  # the one that further tunnels belong to
        self.isBase = False
        self.accepted: Callable[[str], None] = lambda server: None
        self.first: ServerAddress | None = None
        self._waiting: dict[Tunnel, None] = {}
        self._closing: set[Deferred[None]] = set()

    def open(self, tunnels: Iterable[Tunnel]) -> None:
        """Open tunnels, when those that are being closed are: they may have had the same ports."""
        self._waiting.update(dict.fromkeys(tunnels))
        gatherResults(list(self._closing)).addCallback(lambda _: self._start()).addErrback(self._failed)

    def canServe(self, tunnel: Tunnel, spec: TunnelSpec) -> bool:
        """Return whether a tunnel can stay open when it is changed to this."""
        return tunnel in self._links and self._links[tunnel].canServe(tunnel, spec)

    def all(self) -> list[ServerLink]:
        """The links that there are."""
        return list(dict.fromkeys(self._links.values()))

    @property
    def isEmpty(self) -> bool:
        """Whether no tunnel is open, or being opened."""
        return not self._links and not self._waiting

    @property
    def alive(self) -> bool:
        """Whether each link has a session, or makes another attempt."""
        return all(link.alive for link in dict.fromkeys(self._links.values()))

    @property
    def publicAddresses(self) -> list[str]:
        """Where the tunnels are that are up, as ``HOST:PORT``."""
        return [address for link in dict.fromkeys(self._links.values()) for address in link.tunnels.publicAddresses]

    @property
    def settled(self) -> bool:
        """Whether a server has answered for each tunnel, in the session that there is."""
        return not self._waiting and all(link.tunnels.settled for link in dict.fromkeys(self._links.values()))

    @property
    def addresses(self) -> set[ServerAddress]:
        """The servers that are used, or tried next."""
        return {link.address for link in self._links.values()}

    @property
    def servers(self) -> set[str]:
        """The servers that are used, as events name them."""
        return {link.server for link in self._links.values()}

    def apply(self, settings: ClientSettings) -> None:
        """Use other settings, in which the servers that are used, the secret and TLS are the same."""
        self._settings = settings
        for link in dict.fromkeys(self._links.values()):
            link.apply(settings, self._trusts)

    def hurry(self) -> bool:
        """Make the attempts at once that are waited for; returns whether there was one."""
        hurried = [link.hurry() for link in dict.fromkeys(self._links.values())]
        return any(hurried)

    def abandon(self) -> None:
        """Cut all sessions."""
        self._waiting.clear()
        for link in dict.fromkeys(self._links.values()):
            link.abandon()
        self._links.clear()

    def retire(self) -> None:
        """Leave all tunnels to other sessions. What those do not take over is given back by :meth:`stop`."""
        self._waiting.clear()
        for link in dict.fromkeys(self._links.values()):
            link.retire()

    def lend(self) -> None:
        """See :meth:`bore.client.kepttunnels.KeptTunnels.lend`."""
        for link in self.all():
            link.tunnels.lend()

    def takeBack(self) -> None:
        """See :meth:`bore.client.kepttunnels.KeptTunnels.takeBack`."""
        for link in self.all():
            link.tunnels.takeBack()

    def close(self, tunnel: Tunnel) -> None:
        """Give a tunnel back, if it is open. Visitors that are served stay."""
        self._waiting.pop(tunnel, None)
        link = self._links.pop(tunnel, None)
        if link is not None:
            self._awaitClosed(link.remove(tunnel))

    def stop(self) -> Deferred[None]:
        """
        Give all tunnels back.

        :returns: fires when the servers have read that, or have had the time for it.
        """
        self._waiting.clear()
        for link in dict.fromkeys(self._links.values()):
            self._awaitClosed(link.stop())
        self._links.clear()
        return gatherResults(list(self._closing)).addCallback(lambda _: None)

    def foundBase(self, link: ServerLink, others: list[Tunnel]) -> None:
        """See :class:`bore.client.link.LinkOwner`."""
        self.isBase = True
        self.accepted(link.server)
        for tunnel in others:
            self._begin([tunnel])

    def foundExtended(self, link: ServerLink) -> None:
        """See :class:`bore.client.link.LinkOwner`: the links that were made for a server of the base protocol end."""
        self.isBase = False
        self.accepted(link.server)
        shared = self._shared
        if shared is None or shared is link or shared.stopped or not shared.extended:
            self._shared = link
            return
        for tunnel in link.tunnels.takeAll():
            self._links[tunnel] = shared
            shared.tunnels.add(tunnel)
        link.stop()

    def gaveUp(self, tunnel: Tunnel, why: Exception) -> None:
        """See :class:`bore.client.link.LinkOwner`."""
        if self._links.pop(tunnel, None) is not None:  # else it was closed because of another one that was given up
            self._gaveUp(tunnel, why)

    def _awaitClosed(self, closed: Deferred[None]) -> None:
        closed.addTimeout(_FAREWELL_TIMEOUT, self._reactor)
        closed.addErrback(lambda reason: reason.trap(TimeoutError))
        self._closing.add(closed)
        closed.addCallback(lambda _: self._closing.discard(closed)).addErrback(self._failed)

    def _failed(self, reason: Failure) -> None:
        self._log.failure("tunnels could not be opened", reason)

    def _start(self) -> None:
        """Open the tunnels that are still wanted."""
        waiting, self._waiting = self._waiting, {}
        if self.isBase:
            for tunnel in waiting:
                self._begin([tunnel])
        elif self._shared is None or self._shared.stopped:
            self._shared = self._begin(waiting) if waiting else None
        else:
            for tunnel in waiting:
                self._links[tunnel] = self._shared
                self._shared.tunnels.add(tunnel)

    def _begin(self, tunnels: Iterable[Tunnel]) -> ServerLink:
        """Open tunnels in a link of their own."""
        settings = self._settings
        servers = Servers(self._reactor, settings.servers, self._trusts, settings.user)
        if self.first is not None:
            servers.follow(self.first)
            self.first = None
        link = ServerLink(self._reactor, settings, servers, self._visitors, tunnels, self._makePolicy, self)
        self._links.update(dict.fromkeys(tunnels, link))
        link.start()
        return link

    def _makePolicy(self) -> RetryPolicy:
        settings = self._settings
        return RetryPolicy(
            self._reactor,
            self._random,
            settings.maxReconnectDelay,
            settings.exitAfterFailures,
            settings.reconnect,
            settings.failFast,
        )
