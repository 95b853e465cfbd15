"""The links of a client while its settings change: new ones replace the former ones when a server has accepted them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall

from bore.client.kepttunnels import ANSWER_TIMEOUT
from bore.client.leftovers import Leftovers
from bore.client.link import ServerLink
from bore.client.links import Links
from bore.client.reasons import describe
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.settingsdiff import Effect, effectOf
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.client.visitors import Visitors
from bore.events.client import SettingsAccepted, SettingsRefused, SettingsTried
from bore.streams.reactor import IReactor

#: Seconds, at least, until settings that no server has accepted are tried again: it may get its new secret later.
TRY_AGAIN: Final = 10.0

#: How often it is checked, in seconds, whether a session has taken over the tunnels of another one at the same server.
#: What was asked for there last, and not answered, is given back then.
HANDOVER: Final = 1.0

#: After this time, in seconds, that other session ends in any case.
LONGEST_HANDOVER: Final = ANSWER_TIMEOUT


class Succession:
    """
    Keeps the tunnels of a client open, and has links with other settings succeed those that there are.

    Other settings that a server has to accept are tried in links of their own, while the former ones keep the tunnels
    open. So a wrong secret or an unreachable server costs no tunnel: the settings are tried again, and the former ones
    stay in effect until they are accepted, or until these lead nowhere themselves. A server of the base protocol opens
    a tunnel before it shows that it accepts the settings: there the former link ends first, and comes back; as that
    interrupts the tunnel, it is not tried again then.

    :param settings: the settings in effect.
    :param tunnels: what the user wants.
    :param gaveUp: called with a tunnel and the reason when no further attempt is made to open it.
    :param renewed: called with the former settings when all tunnels are being opened anew with others.
    :ivar settings: the settings in effect.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ClientSettings,
        visitors: Visitors,
        tunnels: Callable[[], Iterable[Tunnel]],
        gaveUp: Callable[[Tunnel, Exception], None],
        renewed: Callable[[ClientSettings], None],
    ) -> None:
        self._reactor = reactor
        self.settings = settings
        self._visitors = visitors
        self._tunnels = tunnels
        self._gaveUp = gaveUp
        self._renewed = renewed
        self._leftovers = Leftovers()
        self._links = self._make(settings)
        self._wanted: ClientSettings | None = None
        self._heir: Links | None = None  # the links that are tried
        self._again: IDelayedCall | None = None
        self._gone = False  # whether the links have ended for the sake of those that are tried
        self._retired: dict[Links, IDelayedCall] = {}
        self._abandoned: set[Links] = set()  # of those the ones whose tunnels are not given back
        self._left: set[Deferred[None]] = set()

    @property
    def alive(self) -> bool:
        """See :attr:`bore.client.links.Links.alive`."""
        return self._links.alive and (self._heir is None or self._heir.alive)

    def all(self) -> list[ServerLink]:
        """The links with the settings in effect."""
        return self._links.all()

    @property
    def further(self) -> list[ServerLink]:
        """See :attr:`bore.client.links.Links.further`."""
        return self._links.further

    def open(self, tunnels: Iterable[Tunnel]) -> None:
        """Open tunnels."""
        self._links.open(tunnels)
        if self._heir is not None:
            self._try()

    def canServe(self, tunnel: Tunnel, spec: TunnelSpec) -> bool:
        """See :meth:`bore.client.links.Links.canServe`."""
        return self._links.canServe(tunnel, spec)

    def close(self, tunnel: Tunnel) -> None:
        """Give a tunnel back, if it is open. Visitors that are served stay."""
        self._links.close(tunnel)
        if self._heir is not None:
            self._tryIn(0)  # with the tunnels that there are then

    def apply(self, settings: ClientSettings) -> None:
        """Have other settings: at once, or as soon as a server accepts them."""
        self._stopTrying()
        self._comeBack()
        effect = effectOf(self.settings, settings)
        if effect is Effect.NEW_LINKS or (
            effect is Effect.OTHER_SERVERS and not self._links.addresses <= set(settings.servers)
        ):
            former = self.settings
            self._change(
                replace(settings, servers=former.servers, secret=former.secret, user=former.user, tls=former.tls)
            )
            self._wanted = settings
            if not self._links.isEmpty:
                self._visitors.sink.emit(SettingsTried(", ".join(map(str, settings.servers))))
            self._try()
        else:
            self._change(settings)
        used = {*self.settings.servers, *settings.servers, *self._links.addresses}
        for tunnel in self._tunnels():
            tunnel.leave(used)

    def hurry(self) -> bool:
        """Make the attempts at once that are waited for; returns whether there was one."""
        hurried = self._links.hurry()
        if self._heir is not None:
            hurried |= self._heir.hurry()
        if self._again is not None:
            self._again.reset(0)
            hurried = True
        return hurried

    @property
    def isChanging(self) -> bool:
        """Whether other settings are tried, or former ones are still in use."""
        return self._wanted is not None or bool(self._retired)

    def startAt(self, server: ServerAddress, host: str) -> None:
        """Begin with this server, as in :meth:`bore.client.servers.Servers.follow`, when tunnels are opened."""
        self._links.first = server, host

    def lend(self) -> None:
        """See :meth:`bore.client.kepttunnels.KeptTunnels.lend`."""
        self._links.lend()

    def takeBack(self) -> None:
        """See :meth:`bore.client.kepttunnels.KeptTunnels.takeBack`."""
        self._links.takeBack()

    def retire(self, giveBack: bool) -> None:
        """
        Leave all tunnels to another process, and end the sessions HANDOVER seconds later.

        :param giveBack: whether what it has not taken over by then is given back; else the servers keep it.
        """
        self._stopTrying()
        retired, self._links = self._links, self._make(self.settings)
        retired.retire()
        if not giveBack:
            self._abandoned.add(retired)
        self._retired[retired] = self._reactor.callLater(HANDOVER, self._end, retired)

    def stop(self) -> Deferred[None]:
        """
        Give all tunnels back.

        :returns: fires when the servers have read that, or have had the time for it.
        """
        self._stopTrying()
        for each in list(self._retired):
            self._end(each)
        self._leave(self._links.stop())
        return gatherResults(list(self._left)).addCallback(lambda _: None)

    def _make(self, settings: ClientSettings) -> Links:
        links = Links(self._reactor, settings, self._visitors, lambda tunnel, why: self._lost(links, tunnel, why))
        links.leftovers = self._leftovers
        links.accepted = lambda server: self._accepted(links, server)
        return links

    def _change(self, settings: ClientSettings) -> None:
        """Change what can be changed while links go on."""
        self.settings = settings
        self._visitors.relay.halfOpenTimeout = settings.halfOpenTimeout
        self._links.apply(settings)

    def _try(self) -> None:
        """Try the settings that are wanted; without tunnels to lose they are in effect at once."""
        wanted = self._wanted
        assert wanted is not None
        self._stopTrying()
        self._wanted = wanted
        heir = self._heir = self._make(wanted)
        if self._links.isEmpty and not self._gone:
            self._succeed()
        elif self._links.isBase and set(wanted.servers) & set(self.settings.servers):
            self._gone = True
            self._links.abandon()
        heir.open(self._tunnels())

    def _tryIn(self, seconds: float) -> None:
        wanted = self._wanted
        self._stopTrying()
        self._wanted = wanted
        self._again = self._reactor.callLater(seconds, self._tryNow)

    def _tryNow(self) -> None:
        self._again = None
        self._try()

    def _stopTrying(self) -> None:
        self._wanted = None
        heir, self._heir = self._heir, None
        if heir is not None:
            self._leave(heir.stop())
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _accepted(self, links: Links, server: str) -> None:
        """A server has accepted the settings of these links."""
        if links is self._heir:
            former = self._links
            self._succeed()
            self._visitors.sink.emit(SettingsAccepted(server))
            if server in former.servers:  # as the same user
                former.retire()
                self._handOver(former, self._reactor.seconds() + LONGEST_HANDOVER)
            else:
                self._leave(former.stop())

    def _handOver(self, retired: Links, until: float) -> None:
        """End links when the present ones have their tunnels: until then, the ports and visitors are with these."""
        self._retired[retired] = self._reactor.callLater(HANDOVER, self._look, retired, until)

    def _look(self, retired: Links, until: float) -> None:
        if self._links.settled or self._reactor.seconds() >= until:
            self._end(retired)
        else:
            self._handOver(retired, until)

    def _end(self, retired: Links) -> None:
        """Give back what other links have not taken over."""
        timer = self._retired.pop(retired)
        if timer.active():
            timer.cancel()
        if retired in self._abandoned:
            self._abandoned.discard(retired)
            retired.abandon()
        else:
            self._leave(retired.stop())

    def _succeed(self) -> None:
        assert self._heir is not None and self._wanted is not None
        former, self.settings = self.settings, self._wanted
        self._links = self._heir
        self._heir = self._wanted = None
        self._gone = False
        self._renewed(former)

    def _comeBack(self) -> None:
        """Have links with the settings in effect again."""
        if self._gone:
            self._gone = False
            self._links = self._make(self.settings)
            self._links.open(self._tunnels())

    def _lost(self, links: Links, tunnel: Tunnel, why: Exception) -> None:
        """Links make no further attempt to open a tunnel."""
        if links is self._heir:
            wanted = self._wanted
            self._heir = None
            self._leave(links.stop())
            delay = 0.0 if self._gone else max(TRY_AGAIN, self.settings.maxReconnectDelay)
            self._comeBack()
            self._visitors.sink.emit(SettingsRefused(describe(why), delay))
            self._wanted = wanted
            if delay:
                self._tryIn(delay)
        elif links is self._links:
            if self._wanted is not None and links.isEmpty:
                if self._heir is None:
                    self._try()
                else:
                    self._succeed()
                return
            self._gaveUp(tunnel, why)

    def _leave(self, left: Deferred[None]) -> None:
        self._left.add(left)
        left.addBoth(lambda _: self._left.discard(left))
