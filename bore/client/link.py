"""A link: a session with one of the servers, again and again."""
# Longer than 300 lines: what becomes of a session and what becomes of its tunnels is decided together.

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Protocol as Interface

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import NotConnectingError
from twisted.internet.interfaces import IDelayedCall

from bore.client.control import ControlProtocol
from bore.client.kepttunnel import KeptTunnel
from bore.client.publicport import PublicPort
from bore.client.reasons import describe
from bore.client.reconnecting import ControlFactory
from bore.client.retry import RETURN, Failed, RetryPolicy
from bore.client.servers import Servers
from bore.client.settings import ClientSettings
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.client.verdicts import FINAL, concernsPort, verdictOn
from bore.client.visitors import Visitors
from bore.events.client import AddressChanged, Connected, PortGivenUp, ServerLost, Stage, TunnelUp, Verdict
from bore.streams.addresses import hostPort
from bore.streams.connector import EndpointConnector
from bore.streams.dial import Dialer
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.wire.errors import LateChallenge, Refusal, ServerLeft
from bore.wire.sessionevents import BASE_TUNNEL


class LinkOwner(Interface):
    """What has links, as each of them sees it."""

    def foundBase(self, link: ServerLink, others: list[Tunnel]) -> None:
        """The server of a link is of the base protocol: all its tunnels but one need links of their own."""

    def foundExtended(self, link: ServerLink) -> None:
        """The server of a link knows the extension: a session can have any number of tunnels."""

    def gaveUp(self, tunnel: Tunnel, why: Exception) -> None:
        """No further attempt is made to open a tunnel."""


class ServerLink:
    """
    Keeps a session with one of the servers, and its tunnels open in it.

    A tunnel that is refused is asked for again while the session goes on, unless the session would have no other
    tunnel: then it ends, so that the next attempt can be at another server. A server of the base protocol opens one
    tunnel in a session; the others are handed to the owner.

    :param servers: the servers.
    :param visitors: serves the visitors.
    :param tunnels: what is open in each session.
    :param policies: makes what decides when there is a further attempt.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ClientSettings,
        servers: Servers,
        visitors: Visitors,
        tunnels: Iterable[Tunnel],
        policies: Callable[[], RetryPolicy],
        owner: LinkOwner,
    ) -> None:
        self.reactor = reactor
        self.settings = settings
        self.visitors = visitors
        self.sink = visitors.sink
        self.turns = Turns(reactor)
        self._servers = servers
        self._policies = policies
        self._policy = policies()
        self._owner = owner
        self._tunnels = {tunnel: KeptTunnel(tunnel, policies()) for tunnel in tunnels}
        self._factory = ControlFactory(reactor, self)
        self._connector = EndpointConnector(servers, self._factory)
        self._control: ControlProtocol | None = None
        self._numbers = count(BASE_TUNNEL)
        self._inSession: dict[int, KeptTunnel] = {}
        self._closing: dict[int, Deferred[None]] = {}
        self._first: KeptTunnel | None = None  # the one of the Hello
        self._concerned: KeptTunnel | None = None  # the one for whose sake we have ended the connection
        self._up = False
        self._wasUp = False
        self._stopped = False
        self._why: BaseException | None = None  # why we have ended the connection, or the attempt
        self._leaving: IDelayedCall | None = None
        self._left: Deferred[None] | None = None

    @property
    def server(self) -> str:
        """The current server, as events name it."""
        return self._servers.current.name

    @property
    def firstPort(self) -> int:
        """The public port for the Hello; 0: any."""
        self._first = next(iter(self._tunnels.values()))
        return self._portOf(self._first).wanted

    @property
    def probes(self) -> bool:
        """Whether to ask a server that sends no challenge if it has a secret; not if its challenge was late once."""
        return self.settings.secret is not None and not self._servers.current.challengeLate

    @property
    def stopped(self) -> bool:
        """Whether it makes no further attempt."""
        return self._stopped

    @property
    def extended(self) -> bool:
        """Whether there is a session with a server that knows the extension."""
        return self._control is not None and self._control.extended

    def start(self) -> None:
        """Connect."""
        self._connector.connect()

    def stop(self) -> Deferred[None]:
        """
        Make no further attempt, and end the session on purpose.

        :returns: fires when the connection is closed, which waits for the server to read the farewell.
        """
        self._stopped = True
        self._stay()
        self._factory.stop()
        for kept in self._tunnels.values():
            kept.reset()
        left: Deferred[None] = succeed(None)
        if self._control is not None:
            self._left = left = Deferred()
            self._control.leave()
        self._connector.disconnect()
        return left

    def add(self, tunnel: Tunnel) -> None:
        """Keep one more tunnel open. The server of the current session is not one of the base protocol."""
        kept = self._tunnels[tunnel] = KeptTunnel(tunnel, self._policies())
        if self._control is not None:
            self._portOf(kept).recall()
        if self.extended:
            self._ask(kept)

    def remove(self, tunnel: Tunnel) -> Deferred[None]:
        """
        Give a tunnel back, if it is open.

        :returns: fires when the server has read that, or the session has ended.
        """
        kept = self._tunnels.pop(tunnel)
        number = kept.number
        kept.reset()
        if not self._tunnels:
            return self.stop()
        if not number or self._control is None:
            return succeed(None)
        del self._inSession[number]
        closed: Deferred[None] = Deferred()
        self._closing[number] = closed
        self._control.close(number)
        return closed

    def takeAll(self) -> list[Tunnel]:
        """Let go of all tunnels, none of which is open."""
        tunnels = list(self._tunnels)
        self._tunnels.clear()
        return tunnels

    def canServe(self, tunnel: Tunnel, spec: TunnelSpec) -> bool:
        """Return whether the current session, if there is one, can go on when a tunnel is changed to this."""
        objection = None if self._control is None or self.extended else spec.objectionToBase()
        return spec.isOpenAs(tunnel.spec) and objection is None

    def connecting(self) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        for kept in self._tunnels.values():
            self._portOf(kept).recall()

    def makeControl(self) -> ControlProtocol:
        """See :class:`bore.client.reconnecting.Attempts`."""
        self._numbers = count(BASE_TUNNEL)
        self._control = ControlProtocol(self)
        self.sink.emit(Connected(self.server))
        return self._control

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> Dialer:
        """What makes further connections to the current server, at this IP address."""
        return self._servers.current.dialer(host, port, distrusted)

    def proven(self) -> None:
        """The server has proved that it knows the secret."""
        self._servers.current.proven()

    def foundBase(self) -> None:
        """
        The server is of the base protocol, and has opened the first tunnel.

        :raises bore.client.reasons.ExtensionNeeded: if that tunnel needs the extension.
        """
        kept = self._first
        if kept is None or kept.tunnel not in self._tunnels:
            raise ServerLeft("its only tunnel is not wanted any more")
        self._split(kept)
        objection = kept.tunnel.spec.objectionToBase()
        if objection is not None:
            raise objection
        kept.number = BASE_TUNNEL
        self._inSession[BASE_TUNNEL] = kept

    def foundExtended(self) -> None:
        """The server knows the extension: ask for all tunnels."""
        self._owner.foundExtended(self)
        for kept in list(self._tunnels.values()):
            self._ask(kept)

    def opened(self, number: int, port: int, resume: str | None) -> Tunnel | None:
        """A tunnel is up. Returns it; None if it is not wanted any more."""
        kept = self._inSession.get(number)
        if kept is None:
            return None
        if not self._up:
            self._up = self._wasUp = True
            self._servers.opened()
            self._factory.opened()
            self._policy.opened()
            self._stay()
        kept.up = True
        kept.policy.opened()
        self._portOf(kept).opened(port, resume)
        tunnel, had = kept.tunnel, kept.address
        kept.address = hostPort(self._servers.current.address.host, port)
        if had not in ("", kept.address):
            self.sink.emit(AddressChanged(had, kept.address, tunnel.name, tunnel.label))
        self.sink.emit(TunnelUp(kept.address, tunnel.name, new=kept.address != had))
        tunnel.opened(port)
        return tunnel

    def closed(self, number: int, why: Exception | None) -> None:
        """A tunnel is refused, or closed; None: on our request."""
        if number in self._closing:
            self._closing.pop(number).callback(None)
            return
        kept = self._inSession.get(number)
        if kept is not None:
            self._lostOne(kept, why or ServerLeft("it has closed the tunnel"))

    def checked(self) -> None:
        """A check has shown that visitors come through."""
        self._policy.checked()

    def checkFailed(self, number: int, why: Exception) -> None:
        """Visitors of a tunnel do not come through: open it again."""
        kept = self._inSession.get(number)
        if kept is None or self._control is None:
            return
        if len(self._inSession) > 1:
            self._closing[number] = Deferred()
            self._control.close(number)
        self._lostOne(kept, why)

    def ending(self, why: Exception) -> None:
        """The connection is about to be cut, for this reason."""
        self._why = self._why or why

    def failed(self, why: BaseException | None) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        why, self._why = self._why or why, None
        self._interrupted()
        self._next(Stage.UNREACHED, why)

    def lost(self, why: BaseException | None) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        why, self._why = self._why or why, None
        up, self._up = self._up, False
        first = self._first
        refusedByBase = isinstance(why, Refusal) and concernsPort(why) and not self.extended
        if refusedByBase and first is not None and first.tunnel in self._tunnels:
            self._split(first)
        self._control = None
        self._inSession.clear()
        closing, self._closing = self._closing, {}
        for closed in closing.values():
            closed.callback(None)
        for kept in self._tunnels.values():
            kept.reset()
        if self._left is not None:
            self._left.callback(None)
        concerned, self._concerned = self._concerned, None
        asked = concerned or first
        if not isinstance(why, Refusal):
            self._interrupted()
        elif asked is not None and self._portOf(asked).refused(why) and not up and self._goesOn:
            self.sink.emit(PortGivenUp(self.server, describe(why), asked.tunnel.label))
            self._factory.retryNow()
            return
        if up:
            keepsPort = any(self._portOf(kept).resume is not None for kept in self._tunnels.values())
            self._policy.lost(why, keepsPort, len(self._servers))
            if self._policy.returning and not self._stopped:
                self._leaving = self.reactor.callLater(RETURN, self._leave)
        self._next(Stage.TUNNEL if up else Stage.NO_TUNNEL, why, concerned)

    @property
    def _goesOn(self) -> bool:
        """Whether there may be further attempts."""
        return self.settings.reconnect and not self._stopped

    def _portOf(self, kept: KeptTunnel) -> PublicPort:
        """A tunnel's public port at the current server."""
        return kept.tunnel.publicPort(self._servers.current.address)

    def _interrupted(self) -> None:
        for kept in self._tunnels.values():
            self._portOf(kept).interrupted()

    def _split(self, first: KeptTunnel) -> None:
        """The server is of the base protocol: keep one tunnel, and hand the others to the owner."""
        others = [tunnel for tunnel in self._tunnels if tunnel is not first.tunnel]
        self._tunnels = {first.tunnel: first}
        self._owner.foundBase(self, others)

    def _ask(self, kept: KeptTunnel) -> None:
        """Ask for a tunnel in the current session."""
        assert self._control is not None
        kept.retrying = None
        kept.number = next(self._numbers)
        self._inSession[kept.number] = kept
        port = self._portOf(kept)
        self._control.open(kept.number, port.wanted, port.resume, kept.tunnel.spec.rules)

    def _lostOne(self, kept: KeptTunnel, why: Exception) -> None:
        """A tunnel is not open any more, or was refused: ask for it again later, or end a session without another."""
        assert self._control is not None
        if len(self._inSession) == 1:
            self._concerned = kept
            self._control.end(why)
            return
        del self._inSession[kept.number]
        up = kept.up
        kept.reset()
        if isinstance(why, Refusal) and self._portOf(kept).refused(why) and not up and self._goesOn:
            self.sink.emit(PortGivenUp(self.server, describe(why), kept.tunnel.label))
            self._ask(kept)
            return
        stage = Stage.TUNNEL if up else Stage.NO_TUNNEL
        if up:
            kept.policy.lost(why, keepsPort=False, servers=1)
        server = self._servers.current
        verdict = verdictOn(why, first=False, wasUp=True, known=server.known)
        failed = Failed(why, verdict, f"{stage.value} {server.name}: {describe(why)}", up)
        follows = kept.policy.next(failed, servers=0 if verdict in FINAL else 1)
        if isinstance(follows, Exception):
            del self._tunnels[kept.tunnel]
            self._owner.gaveUp(kept.tunnel, follows)
            return
        self._report(stage, why, verdict, follows.delay, kept.tunnel.label)
        kept.retrying = self.reactor.callLater(follows.delay, self._ask, kept)

    def _stay(self) -> None:
        """Cancel the time after which the server is left."""
        if self._leaving is not None and self._leaving.active():
            self._leaving.cancel()
        self._leaving = None

    def _leave(self) -> None:
        """The time of the server that was lost is up: go on to the next one."""
        self._leaving = None
        self._policy.returning = False
        if self._control is not None:
            self._control.giveUp()
            return
        try:
            self._why = TimeoutError()
            self._factory.stopConnecting()
        except NotConnectingError:  # it waits for its next attempt, which is at the next server then
            self._why = None
            self._servers.moveOn()

    def _next(self, stage: Stage, why: BaseException | None, concerned: KeptTunnel | None = None) -> None:
        """
        Do what follows when an attempt has failed, or a connection was lost.

        :param concerned: the tunnel for whose sake we have ended the connection; None: it concerns all.
        """
        if self._stopped:
            return
        server = self._servers.current
        verdict = verdictOn(why, not server.met, self._wasUp, server.known)
        server.met = True
        server.challengeLate |= isinstance(why, LateChallenge)
        if verdict in FINAL:
            self._servers.drop(forGood=verdict is Verdict.DROP_FOR_GOOD)
        reason = describe(why)
        failed = Failed(why, verdict, f"{stage.value} {server.name}: {reason}", stage is Stage.TUNNEL)
        follows = self._policy.next(failed, len(self._servers))
        if isinstance(follows, Exception):
            self._giveUp(follows)
            return
        if concerned is None and len(self._tunnels) == 1:
            (concerned,) = self._tunnels.values()
        label = "" if concerned is None else concerned.tunnel.label
        self._report(stage, why, verdict, follows.delay, label)
        if follows.elsewhere:
            self._stay()
            self._servers.moveOn()
        self._factory.retryIn(follows.delay)

    def _report(self, stage: Stage, why: BaseException | None, verdict: Verdict, delay: float, label: str) -> None:
        code = why.code if isinstance(why, Refusal) else ""
        self.sink.emit(ServerLost(self.server, stage, describe(why), code, verdict, delay, label))

    def _giveUp(self, why: Exception) -> None:
        self._stopped = True
        self._stay()
        for tunnel in self.takeAll():
            self._owner.gaveUp(tunnel, why)
