"""The client as a service: it keeps its tunnels up, and ends in order."""
# Longer than 300 lines: how the client starts, changes and ends is read together.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.python.failure import Failure

from bore.client.link import ServerLink
from bore.client.log import logged
from bore.client.oldstate import removeOldState
from bore.client.outcome import Outcome
from bore.client.reasons import describe
from bore.client.saves import Saves, SpreadMemory
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.state import Memory, NoMemory, StateFile
from bore.client.succession import Succession
from bore.client.tunnel import Tunnel
from bore.client.tunneldiff import diff
from bore.client.tunnelspec import TunnelSpec
from bore.client.usage import Usage
from bore.client.visitors import Visitors
from bore.events import Draining, NothingToReload, ShortSecret, Sink, Stopped
from bore.events.client import GaveUp, TunnelGivenUp
from bore.relay.backend import makeRelay
from bore.relay.interface import DRAIN_TIMEOUT
from bore.streams.reactor import IReactor
from bore.wire.publicaddress import PublicAddress

#: Seconds at least between two attempts that the user asks for.
RETRY_INTERVAL: Final = 1.0


class ClientParts(NamedTuple):
    """
    What a client consists of, as long as nothing changes.

    :ivar links: keep the sessions with servers.
    :ivar tunnels: what the user wants.
    :ivar visitors: the visitors of all tunnels; None: the client does not run.
    :ivar reasons: why no further attempt is made for a tunnel.
    :ivar former: what the tunnels were used for that are not wanted any more.
    :ivar further: keep sessions with further nodes of a cluster.
    """

    links: Sequence[ServerLink]
    tunnels: Sequence[Tunnel]
    visitors: Visitors | None
    reasons: Mapping[Tunnel, Exception]
    former: Usage
    further: Sequence[ServerLink] = ()


class ClientService(Service):
    """
    The whole client. It can be started again after it was stopped.

    Tunnels fail one by one: the client has given up when it makes no further attempt for any of them.

    :param tunnels: what the user wants, each with a name of its own.
    :param sink: gets the events; None: they are logged.
    :ivar since: when it was made, by the clock.
    :ivar isOwner: whether the tunnels are its own, and no other process takes them over, or has.
    """

    def __init__(
        self, reactor: IReactor, settings: ClientSettings, tunnels: Sequence[TunnelSpec], sink: Sink | None = None
    ) -> None:
        self._reactor = reactor
        self.since = reactor.seconds()
        self._settings = settings
        self._sink = logged(reactor) if sink is None else sink
        self._tunnels: dict[str, Tunnel] = {}
        self._saves = Saves(reactor)
        self._reserved: set[PublicAddress] = set()  # the public addresses that the user wants
        self._gaveUp: Outcome[None] = Outcome()
        self._reasons: dict[Tunnel, Exception] = {}  # why tunnels were given up, the first one first
        self._links: Succession | None = None
        self._visitors: Visitors | None = None
        self._hurriedAt = float("-inf")
        self._seen: Callable[[str, bytes], None] | None = None
        self._drainsFor: float | None = None
        self._startsAt: tuple[ServerAddress, str] | None = None
        self.isOwner = True
        self._former = Usage()  # of the tunnels that are not wanted any more
        self.apply(tunnels)

    @property
    def tunnels(self) -> tuple[TunnelSpec, ...]:
        """What the user wants."""
        return tuple(tunnel.spec for tunnel in self._tunnels.values())

    @property
    def parts(self) -> ClientParts:
        """What the client consists of now."""
        links = [] if self._links is None else self._links.all()
        further = [] if self._links is None else self._links.further
        return ClientParts(links, list(self._tunnels.values()), self._visitors, self._reasons, self._former, further)

    @property
    def settings(self) -> ClientSettings:
        """The settings in effect. Others that were applied may wait for a server that accepts them."""
        return self._settings if self._links is None else self._links.settings

    @property
    def alive(self) -> bool:
        """Whether it does what it is for: it has a session, or makes another attempt, for each tunnel."""
        return self._links is None or self._links.alive

    @property
    def publicAddresses(self) -> list[str]:
        """Where the tunnels are that are up, as ``HOST:PORT``."""
        return [address for link in self.parts.links for address in link.tunnels.publicAddresses]

    def applySettings(self, settings: ClientSettings) -> None:
        """
        Have other settings. Visitors that are served stay.

        What no server has to accept is changed at once, and sessions go on. Other servers, another secret or another
        trust are in effect when a server has accepted them, which opens the tunnels anew then, with their public ports
        if it is the same server. Until then the former settings stay in effect.
        """
        former, self._settings = self._settings, settings
        if settings.stateFolder != former.stateFolder:
            for tunnel in self._tunnels.values():
                tunnel.remember()
        if self._links is None:
            return
        if settings.secret is not None and settings.secret.short and settings.secret != former.secret:
            self._sink.emit(ShortSecret())
        self._links.apply(settings)

    def apply(self, tunnels: Sequence[TunnelSpec]) -> None:
        """
        Replace what the user wants. A tunnel is the same as before if its name is.

        Unchanged tunnels notice nothing of it, unless they were given up: then there are further attempts. A tunnel
        that is not wanted any more is given back, and its visitors are served to their end. A changed one is changed
        in place where it can be; else it is closed, and opened again. One with any public port leaves it when the user
        wants that port for another tunnel.

        :param tunnels: what the user wants, each with a name of its own.
        """
        if len({spec.name for spec in tunnels}) < len(tunnels):
            raise ValueError("each tunnel must have a name of its own")
        changes = diff(self.tunnels, tunnels)
        self._reserved.clear()
        self._reserved.update(spec.public for spec in tunnels if spec.public)
        for spec in changes.removed:
            tunnel = self._tunnels.pop(spec.name)
            self._close(tunnel)
            tunnel.stopped()
            self._former.add(tunnel.usage)
            tunnel.usage = self._former
        again = list(self._reasons)
        for _, spec in changes.changed:
            tunnel = self._tunnels[spec.name]
            if tunnel not in again and self._links is not None and not self._links.canServe(tunnel, spec):
                self._close(tunnel)
                again.append(tunnel)
            tunnel.change(spec)
        if self._links is not None:
            again += [each for each in self._tunnels.values() if each not in again and self._givesWay(each)]
        for tunnel in again:
            self._close(tunnel)
            tunnel.renew()
        added = [Tunnel(self._reactor, spec, self._memory, self._sink, self._reserved) for spec in changes.added]
        if self._seen is not None:
            for tunnel in added:
                tunnel.watch(self._seen)
        self._tunnels |= {tunnel.spec.name: tunnel for tunnel in added}
        self._tunnels = {spec.name: self._tunnels[spec.name] for spec in tunnels}
        for tunnel in self._tunnels.values():
            tunnel.label = tunnel.spec.name if len(self._tunnels) > 1 else ""
        if self._links is not None:
            self._links.open([*again, *added])

    def whenOpened(self, name: str | None = None) -> Deferred[PublicAddress]:
        """
        Wait until a tunnel is up for the first time since the start.

        :param name: its name; None: it is the only one.
        :returns: fires with the public address; fails with the reason when the client gives the tunnel up before, and
            with CancelledError when it is stopped before, or the tunnel is not wanted any more.
        """
        if name is None:
            (name,) = self._tunnels
        return self._tunnels[name].whenOpened()

    def whenGaveUp(self, name: str | None = None) -> Deferred[None]:
        """
        Wait until the client makes no further attempt.

        :param name: the tunnel for which it makes none; None: all of them.
        :returns: fails with the reason then, which is the first one if there are several: an
            :class:`bore.wire.errors.AuthenticationFailed`, or anything else that is final.
        """
        return self._gaveUp.wait() if name is None else self._tunnels[name].whenGaveUp()

    def startService(self) -> None:
        """Start to connect."""
        Service.startService(self)
        settings = self._settings
        if settings.secret is not None and settings.secret.short:
            self._sink.emit(ShortSecret())
        relay = makeRelay(
            self._reactor, settings.halfOpenTimeout, settings.descriptors, portable=settings.portableRelay
        )
        self._visitors = Visitors(self._reactor, relay, settings.descriptors, self._sink)
        self._links = Succession(
            self._reactor, settings, self._visitors, lambda: self._tunnels.values(), self._givenUp, self._renewed
        )
        if self._startsAt is not None:
            self._links.startAt(*self._startsAt)
        self._links.open(self._tunnels.values())

    def retryNow(self) -> bool:
        """
        Make the attempts at once that the client waits for, but not more often than every RETRY_INTERVAL seconds.

        :returns: whether there was one.
        """
        now = self._reactor.seconds()
        if self._links is None or now < self._hurriedAt + RETRY_INTERVAL or not self._links.hurry():
            return False
        self._hurriedAt = now
        return True

    def watchServices(self, seen: Callable[[str, bytes], None]) -> None:
        """
        Have the first bytes passed on that the local service of each tunnel sends.

        :param seen: called with the name of a tunnel and the bytes: once, and again for another local service.
        """
        self._seen = seen
        for tunnel in self._tunnels.values():
            tunnel.watch(seen)

    def reload(self) -> None:
        """Report that a client has no files that it would read again."""
        self._sink.emit(NothingToReload())

    def stopService(self) -> Deferred[None]:
        """
        Give the tunnels back, and give running visitors DRAIN_TIMEOUT seconds, or as long as :meth:`drain` says.

        :returns: fires when nothing is left.
        """
        Service.stopService(self)
        if self._links is None or self._visitors is None:
            return succeed(None)
        left = self._links.stop()
        self._visitors.stop()
        for tunnel in self._tunnels.values():
            tunnel.stopped()
        self._reasons.clear()
        if self._gaveUp.settled:
            self._gaveUp = Outcome()
        if self._settings.stateFolder is not None:
            removeOldState(self._settings.stateFolder)
        self._sink.emit(Stopped())
        seconds = DRAIN_TIMEOUT if self._drainsFor is None else self._drainsFor
        visitors, self._links = self._visitors, None
        return gatherResults([left, visitors.relay.drain(seconds)]).addCallback(lambda _: self._ended(visitors))

    @property
    def isChanging(self) -> bool:
        """Whether other settings are tried, or former ones are still in use."""
        return self._links is not None and self._links.isChanging

    def holdFiles(self, startAt: ServerAddress | None, host: str = "") -> None:
        """
        Read and write nothing that is remembered, as another process has it, before :meth:`own`.

        :param startAt: the server to begin with, too; None: the first one of the settings.
        :param host: the host of its public addresses, for people; empty: its own.
        """
        self._saves.held = True
        self.isOwner = False
        self._startsAt = None if startAt is None else (startAt, host)

    def own(self) -> None:
        """The other process has let go of all files."""
        self.isOwner = True
        self._saves.release()

    def lend(self) -> None:
        """Another process takes the tunnels over, until :meth:`takeBack` or :meth:`retire`."""
        if self._links is not None:
            self._links.lend()

    def takeBack(self) -> None:
        """The other process has failed."""
        if self._links is not None:
            self._links.takeBack()

    def retire(self, giveBack: bool) -> None:
        """
        Leave all tunnels to another process for good. Visitors that are served stay, and those that are on their way.

        :param giveBack: whether what that has not taken over is given back; else the servers keep it.
        """
        self.isOwner = False
        if self._links is not None:
            self._links.retire(giveBack)
        for tunnel in self._tunnels.values():
            tunnel.stopped()

    @property
    def isIdle(self) -> bool:
        """Whether there is no visitor, and none on its way."""
        visitors = self._visitors
        return visitors is None or not (visitors.count or len(visitors.relay) or any(True for _ in visitors.waiting()))

    def drain(self, seconds: float) -> int:
        """
        Give running visitors this many seconds when the service is stopped, which has to follow.

        :returns: how many there are.
        """
        self._drainsFor = seconds
        self._sink.emit(Draining(seconds))
        return 0 if self._visitors is None else len(self._visitors.relay)

    def _ended(self, visitors: Visitors) -> None:
        """The last visitor has left."""
        if self._visitors is visitors:  # else the client was started again meanwhile
            self._visitors = None

    def _givesWay(self, tunnel: Tunnel) -> bool:
        """Whether a tunnel with any public port is at one that the user wants for another tunnel."""
        return not tunnel.spec.public and tunnel.address in self._reserved

    def _close(self, tunnel: Tunnel) -> None:
        self._reasons.pop(tunnel, None)
        if self._links is not None:
            self._links.close(tunnel)

    def _renewed(self, former: ClientSettings) -> None:
        """All tunnels are being opened anew: who waits from now on waits for that."""
        self._reasons.clear()
        for tunnel in self._tunnels.values():
            tunnel.renew()
            if former.user != self.settings.user:
                tunnel.forgetPorts()

    def _givenUp(self, tunnel: Tunnel, why: Exception) -> None:
        """No further attempt is made to open a tunnel."""
        self._reasons[tunnel] = why
        first = next(iter(self._reasons.values()))
        over = len(self._reasons) == len(self._tunnels)
        if tunnel.label:
            self._sink.emit(TunnelGivenUp(tunnel.label, tunnel.name, describe(why)))
        if over:
            self._sink.emit(GaveUp(describe(first)))
        tunnel.gaveUp(why)
        if over and tunnel in self._reasons:  # who waited for the tunnel may have stopped the client
            self._gaveUp.settle(Failure(first))

    def _memory(self, spec: TunnelSpec, server: ServerAddress) -> Memory:
        folder = self._settings.stateFolder
        if folder is None:
            return NoMemory()
        name = server.nameFor(self.settings.user)
        return SpreadMemory(StateFile(folder, name, str(spec.target), self._sink, spec.ownName), self._saves)
