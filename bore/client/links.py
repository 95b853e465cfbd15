"""The links of a client: one for all tunnels, or one for each where the server is of the base protocol."""
# Longer than 300 lines: it is decided in one place which link has which tunnel.

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.leftovers import Leftovers
from bore.client.link import ServerLink
from bore.client.linkowner import LinkOwner
from bore.client.retry import RetryPolicy
from bore.client.servers import Servers, Trusts
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.client.visitors import Visitors
from bore.events import Sink
from bore.events.client import Stage
from bore.streams.reactor import IReactor

if TYPE_CHECKING:
    from bore.client.companions import Companions

#: How long a server has to read that a tunnel is not wanted any more, in seconds.
_FAREWELL_TIMEOUT: Final = 2.0

#: For how long tunnels that come up are collected before further nodes of a cluster are asked for them, in seconds.
_COLLECT: Final = 0.05


class Links:
    """
    Keeps tunnels open, from the start of the client until it stops.

    :param visitors: serves the visitors of all tunnels.
    :param gaveUp: called with a tunnel and the reason when no further attempt is made to open it.
    :ivar settings: the settings in effect.
    :ivar sink: gets the events.
    :ivar leftovers: the tunnels that have to be given back in the next session.
    :ivar isBase: whether the server is known to be of the base protocol.
    :ivar first: the server where the first session begins, and the host of its public addresses, for people; None: it
        is the first one of the settings.
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
        self.settings = settings
        self._visitors = visitors
        self.sink = visitors.sink
        self._gaveUp = gaveUp
        self._trusts = (
            None if settings.tls is None else Trusts(settings.tls, settings.secret is not None, visitors.sink)
        )
        self._random = random.Random()
        self.leftovers = Leftovers()
        self._links: dict[Tunnel, ServerLink] = {}
        self._shared: ServerLink | None = None  # the one that further tunnels belong to
        self._companions: Companions | None = None
        self.isBase = False
        self.accepted: Callable[[str], None] = lambda server: None
        self.first: tuple[ServerAddress, str] | None = None
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
    def further(self) -> list[ServerLink]:
        """The links with further nodes of a cluster."""
        return [] if self._companions is None else self._companions.links

    def _every(self) -> list[ServerLink]:
        return self.all() + self.further

    @property
    def home(self) -> ServerLink | None:
        """The link that further tunnels belong to; None: there is none."""
        return None if self._shared is None or self._shared.stopped else self._shared

    @property
    def isEmpty(self) -> bool:
        """Whether no tunnel is open, or being opened."""
        return not self._links and not self._waiting

    @property
    def alive(self) -> bool:
        """Whether each link has a session, or makes another attempt."""
        return all(link.alive for link in dict.fromkeys(self._links.values()))

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
        """The servers that are used, and those that have sent us there, as events name them."""
        used, user = {link.server for link in self._links.values()}, self.settings.user
        sent = not self.addresses <= set(self.settings.servers)
        return used | {each.nameFor(user) for each in self.settings.servers} if sent else used

    def apply(self, settings: ClientSettings) -> None:
        """Use other settings, in which the servers that are used, the secret and TLS are the same."""
        self.settings = settings
        for link in self.all():
            link.apply(settings, self._trusts)
        if self._companions is not None:
            self._companions.apply(settings)
        elif self.home is not None:
            self.named(self.home)

    def hurry(self) -> bool:
        """Make the attempts at once that are waited for; returns whether there was one."""
        hurried = [link.hurry() for link in dict.fromkeys(self._links.values())]
        return any(hurried)

    def abandon(self) -> None:
        """Cut all sessions."""
        self._waiting.clear()
        for link in self.all():
            link.abandon()
        self._endCompanions(cut=True)
        self._links.clear()

    def retire(self) -> None:
        """Leave all tunnels to other sessions. What those do not take over is given back by :meth:`stop`."""
        self._waiting.clear()
        self._rest(True)
        for link in self._every():
            link.retire()

    def lend(self) -> None:
        """See :meth:`bore.client.kepttunnels.KeptTunnels.lend`."""
        self._rest(True)
        for link in self._every():
            link.tunnels.lend()

    def takeBack(self) -> None:
        """See :meth:`bore.client.kepttunnels.KeptTunnels.takeBack`."""
        self._rest(False)
        for link in self._every():
            link.tunnels.takeBack()

    def close(self, tunnel: Tunnel) -> None:
        """Give a tunnel back, if it is open. Visitors that are served stay."""
        self._waiting.pop(tunnel, None)
        link = self._links.pop(tunnel, None)
        if link is not None:
            self._closeElsewhere(tunnel)
            self.leave(link.remove(tunnel))

    def stop(self) -> Deferred[None]:
        """
        Give all tunnels back.

        :returns: fires when the servers have read that, or have had the time for it.
        """
        self._waiting.clear()
        self._endCompanions()
        for link in self.all():
            self.leave(link.stop())
        self._links.clear()
        return gatherResults(list(self._closing)).addCallback(lambda _: None)

    def foundBase(self, link: ServerLink, others: list[Tunnel]) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`."""
        self.isBase = True
        self._endCompanions()
        self.accepted(link.server)
        for tunnel in others:
            self._begin([tunnel])

    def foundExtended(self, link: ServerLink) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`: links that were made for a server of the base protocol end."""
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

    def named(self, link: ServerLink) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`: nothing of a cluster is loaded before."""
        if link is not self._shared or not link.nodes or self.settings.nodes < 2:
            return
        if self._companions is None:
            from bore.client.companions import Companions

            self._companions = Companions(self._reactor, self, self._random)
        self._companions.soon()

    def opening(self, link: ServerLink) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`."""
        if self._companions is not None and link is self._shared:
            self._companions.soon(_COLLECT)

    def lost(self, link: ServerLink, stage: Stage, why: BaseException | None) -> bool:
        """See :class:`bore.client.linkowner.LinkOwner`."""
        return self._companions is not None and link is self._shared and self._companions.takeOver(stage, why)

    def gaveUp(self, tunnel: Tunnel, why: Exception) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`."""
        if self._links.pop(tunnel, None) is not None:  # else it was closed because of another one that was given up
            self._closeElsewhere(tunnel)
            self._gaveUp(tunnel, why)

    def linkWith(self, node: ServerAddress, settings: ClientSettings, owner: LinkOwner[ServerLink]) -> ServerLink:
        """Make a link with a node of the cluster, whose events are not emitted."""
        assert self._shared is not None
        servers = Servers(self._reactor, settings.servers, self._trusts, settings.user)
        servers.follow(node, self._shared.host)
        return ServerLink(self._reactor, settings, servers, self._visitors, (), self._makePolicy, owner, Sink())

    def succeed(self, heir: ServerLink) -> None:
        """Have a link that was made by :meth:`linkWith` in the place of the one that further tunnels belong to."""
        former, self._shared = self._shared, heir
        assert former is not None
        heir.owner = self
        heir.sink.subscribe(self.sink.emit)
        heir.apply(self.settings, self._trusts)
        for tunnel in [each for each, link in self._links.items() if link is former]:
            self._links[tunnel] = heir
            if not heir.tunnels.has(tunnel):
                tunnel.join(heir.address, tunnel.publicPort(former.address).wanted)
                heir.tunnels.add(tunnel)
        self.leave(former.stop())

    def _closeElsewhere(self, tunnel: Tunnel) -> None:
        if self._companions is not None:
            self._companions.close(tunnel)

    def _endCompanions(self, cut: bool = False) -> None:
        companions, self._companions = self._companions, None
        if companions is not None:
            companions.stop(cut)

    def _rest(self, resting: bool) -> None:
        if self._companions is not None:
            self._companions.rest(resting)

    def leave(self, closed: Deferred[None]) -> None:
        """Wait until a server has read what a link has sent it last, or has had the time for it."""
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
        settings = self.settings
        servers = Servers(self._reactor, settings.servers, self._trusts, settings.user)
        if self.first is not None:
            servers.follow(*self.first)
            self.first = None
        link = ServerLink(self._reactor, settings, servers, self._visitors, tunnels, self._makePolicy, self)
        self._links.update(dict.fromkeys(tunnels, link))
        link.start()
        return link

    def _makePolicy(self) -> RetryPolicy:
        settings = self.settings
        return RetryPolicy(
            self._reactor,
            self._random,
            settings.maxReconnectDelay,
            settings.exitAfterFailures,
            settings.reconnect,
            settings.failFast,
        )
