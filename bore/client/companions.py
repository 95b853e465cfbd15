"""Sessions with further nodes of a cluster, each of which has all tunnels, so that none is lost with its node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from bore.client.leftovers import Leftovers
from bore.client.link import ServerLink
from bore.client.linkowner import LinkOwner
from bore.client.reasons import describe
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnel import Tunnel
from bore.events import Sink
from bore.events.client import NodeLost, NodeOpened, Stage
from bore.streams.reactor import IReactor

#: A node that was lost is not tried again for this time, in seconds, and for twice as long each further time, up to a
#: limit. Of that time, between half and all is waited, at random.
_FIRST_REST: Final = 1.0
_LONGEST_REST: Final = 60.0

#: A session that has lasted for this time, in seconds, is no reason to expect that the next one is lost soon.
_SETTLED: Final = 60.0

#: When so many sessions in a row have not lasted that long, at whatever nodes, each further one has to wait as a node
#: has that was lost: servers name any nodes, and other ones each time.
_AT_ONCE: Final = 3


class Household(Protocol):
    """
    What has the home link: :class:`bore.client.links.Links`.

    :ivar settings: the settings in effect.
    :ivar sink: gets the events.
    """

    settings: ClientSettings
    sink: Sink

    @property
    def home(self) -> ServerLink | None:
        """The home link; None: there is none."""

    def linkWith(self, node: ServerAddress, settings: ClientSettings, owner: LinkOwner[ServerLink]) -> ServerLink:
        """Make a link with a node of the cluster, whose events are not emitted."""

    def succeed(self, heir: ServerLink) -> None:
        """Have a link that was made by :meth:`linkWith` in the place of the home link."""

    def leave(self, closed: Deferred[None]) -> None:
        """Wait until a server has read what a link has sent it last, or has had the time for it."""


class _Rest(NamedTuple):
    """
    The time during which a node is not tried: until when, by the clock, and how long it is, in seconds.

    :ivar why: why the node was left.
    """

    until: float
    length: float
    why: str = ""


class _Companion:
    """
    A session with a further node.

    :ivar tunnels: those that it was given, with their public ports.
    :ivar since: when one of them was open there first, by the clock; None: none was.
    """

    __slots__ = ("node", "since", "tunnels")

    def __init__(self, node: ServerAddress) -> None:
        self.node = node
        self.tunnels: dict[Tunnel, int] = {}
        self.since: float | None = None


class Companions:
    """
    Keeps sessions with further nodes beside the home link, which the user sees.

    A companion is a link with a node that the server of the home link has named. It has all tunnels that are up at
    home, at the same public ports and with the same keys. Its events are not emitted. When it is lost, it is replaced,
    by one at another node if there is one. When the session of the home link is lost, the companion with the most open
    tunnels becomes the home link. Only a tunnel without a session anywhere is lost to the user.

    :param household: what has the home link.
    :ivar resting: whether nothing changes, as another process, or other links, take the tunnels over.
    """

    def __init__(self, reactor: IReactor, household: Household, random: Random) -> None:
        self._reactor = reactor
        self._household = household
        self._random = random
        self._companions: dict[ServerLink, _Companion] = {}
        self._rests: dict[ServerAddress, _Rest] = {}
        self._soonLost = 0  # how many sessions in a row have not lasted
        self._pause = _Rest(0.0, _FIRST_REST)  # during which no node is tried
        self._next: IDelayedCall | None = None
        self.leftovers = Leftovers()
        self.resting = False

    @property
    def links(self) -> list[ServerLink]:
        """The links with further nodes."""
        return list(self._companions)

    def soon(self, seconds: float = 0.0) -> None:
        """See whether something has to be changed, when what happens now is over, or after this time."""
        if self._next is not None and self._next.active():
            if self._next.getTime() <= self._reactor.seconds() + seconds:
                return
            self._next.cancel()
        self._next = self._reactor.callLater(seconds, self._look)

    def apply(self, settings: ClientSettings) -> None:
        """Use other settings."""
        for link in self.links:
            if settings.servers == link.settings.servers:
                link.apply(_ofCompanion(settings), None)
            else:
                self._end(link)
        self.soon()

    def close(self, tunnel: Tunnel) -> None:
        """Give a tunnel back."""
        for link, companion in list(self._companions.items()):
            if companion.tunnels.pop(tunnel, None) is not None:
                if not companion.tunnels:
                    del self._companions[link]
                self._household.leave(link.remove(tunnel))

    def rest(self, resting: bool) -> None:
        """Change nothing from now on, or go on."""
        self.resting = resting
        if not resting:
            self.soon()

    def stop(self, cut: bool = False) -> None:
        """Give all tunnels back; or cut the sessions, as others have the tunnels."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        links, self._companions = self.links, {}
        for link in links:
            if cut:
                link.abandon()
            else:
                self._household.leave(link.stop())

    def takeOver(self, stage: Stage, why: BaseException | None) -> bool:
        """The session of the home link is lost. Returns whether a companion has taken its place."""
        heir = max(self._companions, key=lambda link: len(link.tunnels.up), default=None)
        if heir is None or self.resting or not heir.tunnels.up:
            return False
        home = self._household.home
        assert home is not None
        self._report(home.server, stage, why, heir.server)
        if home.here is not None:
            self._leave(home.here, _reason(why))
        self._promote(heir)
        return True

    def foundBase(self, link: ServerLink, others: list[Tunnel]) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`: it is not a node, whatever answers there."""
        self._reactor.callLater(0, self.lost, link, Stage.NO_TUNNEL, None)

    def foundExtended(self, link: ServerLink) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`."""

    def named(self, link: ServerLink) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`: what the server of the home link names counts."""

    def opening(self, link: ServerLink) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`: if no tunnel is up at home, the link becomes the home link."""
        companion, home = self._companions.get(link), self._household.home
        if companion is None:
            return
        if companion.since is None:
            companion.since = self._reactor.seconds()
            self._household.sink.emit(NodeOpened(link.server))
        if not self.resting and (home is None or not home.tunnels.up):
            self._promote(link)

    def lost(self, link: ServerLink, stage: Stage, why: BaseException | None) -> bool:
        """See :class:`bore.client.linkowner.LinkOwner`: the link is replaced."""
        companion = self._companions.get(link)
        if companion is not None:
            node, since = companion.node, companion.since
            if since is not None or node not in self._rests or self._rests[node].why != _reason(why):
                self._report(link.server, stage, why)
            if since is not None and self._reactor.seconds() - since >= _SETTLED:
                self._rests.pop(node, None)
                self._soonLost = 0
            self._leave(node, _reason(why))
            self._soonLost += 1
            if self._soonLost >= _AT_ONCE:
                self._pause = self._longer(self._pause if self._soonLost > _AT_ONCE else None)
            self._end(link)
            self.soon()
        return True

    def gaveUp(self, tunnel: Tunnel, why: Exception) -> None:
        """See :class:`bore.client.linkowner.LinkOwner`: the node does not get the tunnel again in this session."""

    def _look(self) -> None:
        """Have as many companions as are wanted, with the tunnels that are up at home."""
        home, wanted = self._household.home, self._household.settings.nodes - 1
        if home is None or self.resting or not home.tunnels.up:
            return  # what there is may be needed
        ports = {kept.tunnel: home.tunnels.portOf(kept).had for kept in home.tunnels.up}
        up = {tunnel: port for tunnel, port in ports.items() if isinstance(port, int)}
        for link, companion in reversed(list(self._companions.items())):
            moved = any(up.get(tunnel, port) != port for tunnel, port in companion.tunnels.items())
            if moved or companion.node == home.here or len(self._companions) > wanted:
                self._end(link)
        for link, companion in self._companions.items():
            self._share(link, companion, up)
        while up and len(self._companions) < wanted and self._mayBegin() and (node := self._choose(home)) is not None:
            self._begin(node, up)

    def _mayBegin(self) -> bool:
        """Whether a node may be tried now."""
        left = self._pause.until - self._reactor.seconds()
        if self._soonLost < _AT_ONCE or left <= 0:
            return True
        self.soon(left)
        return False

    def _choose(self, home: ServerLink) -> ServerAddress | None:
        """A node for one more companion; None: there is none now."""
        used = {home.here, home.address, *(each.node for each in self._companions.values())}
        named = {home.nodeAt(address) for address in home.nodes} - {None}
        self._rests = {node: rest for node, rest in self._rests.items() if node in named}
        free = sorted(node for node in named if node is not None and node not in used)
        now = self._reactor.seconds()
        ready = [node for node in free if node not in self._rests or self._rests[node].until <= now]
        if ready:
            return self._random.choice(ready)
        if free:
            self.soon(min(self._rests[node].until for node in free) - now)
        return None

    def _begin(self, node: ServerAddress, tunnels: Mapping[Tunnel, int]) -> None:
        settings = _ofCompanion(self._household.settings)
        link = self._household.linkWith(node, settings, self)
        companion = self._companions[link] = _Companion(node)
        self._share(link, companion, tunnels)
        link.start()

    def _share(self, link: ServerLink, companion: _Companion, tunnels: Mapping[Tunnel, int]) -> None:
        """Have a companion open the tunnels that it was not given yet."""
        for tunnel, port in tunnels.items():
            if tunnel not in companion.tunnels:
                companion.tunnels[tunnel] = port
                tunnel.join(companion.node, port)
                link.tunnels.add(tunnel, tunnel.public)

    def _leave(self, node: ServerAddress, why: str) -> None:
        """A node was lost, or cannot be had: do not try it again for a time."""
        self._rests[node] = self._longer(self._rests.get(node))._replace(why=why)

    def _longer(self, former: _Rest | None) -> _Rest:
        """A rest that begins now, longer than the one before it."""
        length = _FIRST_REST if former is None else min(2 * former.length, _LONGEST_REST)
        return _Rest(self._reactor.seconds() + self._random.uniform(0.5, 1.0) * length, length)

    def _promote(self, heir: ServerLink) -> None:
        del self._companions[heir]
        self._household.succeed(heir)
        self.soon()

    def _end(self, link: ServerLink) -> None:
        del self._companions[link]
        self._household.leave(link.stop())

    def _report(self, server: str, stage: Stage, why: BaseException | None, heir: str = "") -> None:
        self._household.sink.emit(NodeLost(server, stage, _reason(why), heir))


def _reason(why: BaseException | None) -> str:
    """Why a node was left, for people."""
    return "the server has given the session away" if why is None else describe(why)


def _ofCompanion(settings: ClientSettings) -> ClientSettings:
    """The settings of a companion: that visitors come through is checked at home."""
    return replace(settings, checkEvery=0.0)
