"""A link: a session with one of the servers, again and again."""
# Longer than 300 lines: what ends a session, and what follows from each end, are read together.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import NotConnectingError
from twisted.internet.interfaces import IDelayedCall

from bore.client.advice import adviceOn
from bore.client.contact import Contact
from bore.client.control import ControlProtocol
from bore.client.kepttunnel import KeptTunnel, failedAt, lostEvent
from bore.client.kepttunnels import KeptTunnels
from bore.client.linkowner import LinkOwner
from bore.client.reasons import describe
from bore.client.reconnecting import ControlFactory
from bore.client.retry import RETURN, RetryPolicy
from bore.client.servers import Servers, Trusts
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.client.verdicts import FINAL, concernsPort, verdictOn
from bore.client.visitors import Visitors
from bore.events import Sink
from bore.events.client import Connected, PortGivenUp, ServerMoved, Stage, Verdict
from bore.streams.connector import EndpointConnector
from bore.streams.dial import ServerDialer
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.wire.errors import LateChallenge, Refusal, ServerLeft
from bore.wire.publicaddress import ANY_PORT, PublicAddress


class ServerLink:
    """
    Keeps a session with one of the servers, and its tunnels open in it.

    A session whose only tunnel is refused ends, so that the next attempt can be at another server. A server of the base
    protocol opens one tunnel in a session; the others are handed to the owner.

    :param servers: the servers.
    :param visitors: serves the visitors.
    :param tunnels: what is open in each session.
    :param policies: makes what decides when there is a further attempt.
    :param sink: gets the events; None: that of the visitors.
    :ivar owner: what has the link.
    :ivar tunnels: what is open in each session.
    :ivar stopped: whether it makes no further attempt.
    :ivar contact: how it stands with the server, for reports.
    :ivar here: the node of a cluster that has the session; None: it is none, or not followed.
    :ivar nodes: the other nodes of its cluster, as the server of the session has named them.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ClientSettings,
        servers: Servers,
        visitors: Visitors,
        tunnels: Iterable[Tunnel],
        policies: Callable[[], RetryPolicy],
        owner: LinkOwner[ServerLink],
        sink: Sink | None = None,
    ) -> None:
        self.reactor = reactor
        self.settings = settings
        self.visitors = visitors
        self.sink = sink or visitors.sink
        self.turns = Turns(reactor)
        self._servers = servers
        self._policy = policies()
        self.owner: LinkOwner[ServerLink] = owner
        self.tunnels = KeptTunnels(
            reactor, servers, self.sink, settings.reconnect, policies, self._endFor, self._gaveUp, owner.leftovers
        )
        for tunnel in tunnels:
            self.tunnels.add(tunnel)
        self._factory = ControlFactory(reactor, self)
        self._connector = EndpointConnector(servers, self._factory)
        self._control: ControlProtocol | None = None
        self._concerned: KeptTunnel | None = None  # the one for whose sake we have ended the connection
        self._up = False
        self._wasUp = False
        self.stopped = False
        self.contact = Contact(reactor)
        self._why: BaseException | None = None  # why we have ended the connection, or the attempt
        self._leaving: IDelayedCall | None = None
        self._left: Deferred[None] | None = None
        self._moved = False
        self._within: float | None = None
        self._destination: ServerAddress | None = None  # where the session that was moved goes on; None: here
        self._ignored = ""
        self.here: ServerAddress | None = None
        self.nodes: Sequence[str] = ()

    @property
    def server(self) -> str:
        """The current server, as events name it."""
        return self._servers.current.name

    @property
    def control(self) -> ControlProtocol | None:
        """The control connection; None: there is none."""
        return self._control

    @property
    def trust(self) -> str | None:
        """Why the server is trusted; None: it is not, or there is no TLS."""
        return self._servers.current.trustedAs

    @property
    def address(self) -> ServerAddress:
        """The server that is used, or tried next."""
        return self._servers.current.address

    @property
    def host(self) -> str:
        """The host of its public addresses, for people."""
        return self._servers.host

    @property
    def firstPort(self) -> int:
        """The public port for the Hello; 0: any."""
        return self.tunnels.firstPort()

    @property
    def probes(self) -> bool:
        """Whether to ask a server that sends no challenge if it has a secret; not if its challenge was late once."""
        return self.settings.secret is not None and not self._servers.current.challengeLate

    @property
    def extended(self) -> bool:
        """Whether there is a session with a server that knows the extension."""
        return self._control is not None and self._control.extended

    @property
    def alive(self) -> bool:
        """Whether it does what it is for: a session or an attempt is under way, or the next one has its time."""
        if self._control is not None:
            silence = self._control.silence
            return silence is not None and silence.runs
        return self.stopped or self._factory.waits or self._connector.busy

    def start(self) -> None:
        """Connect."""
        self._connector.connect()

    def stop(self) -> Deferred[None]:
        """
        Make no further attempt, and end the session on purpose.

        :returns: fires when the connection is closed, which waits for the server to read the farewell.
        """
        self.stopped = True
        self._stay()
        self._factory.stop()
        self.tunnels.reset()
        left: Deferred[None] = succeed(None)
        if self._control is not None:
            self._left = left = Deferred()
            self._control.leave()
        self._connector.disconnect()
        return left

    def abandon(self) -> None:
        """Make no further attempt, and cut the session."""
        self.retire()
        if self._control is not None:
            self._control.abandon()
        self._connector.disconnect()

    def retire(self) -> None:
        """Make no further attempt, and leave the tunnels of the session to another one, until :meth:`stop`."""
        self.stopped = True
        self._stay()
        self._factory.stop()
        self.tunnels.letGo()

    def apply(self, settings: ClientSettings, trusts: Trusts | None) -> None:
        """Use other settings, in which the current server is the same."""
        former, self.settings = self.settings, settings
        if settings.servers != former.servers:
            self._servers.change(settings.servers, trusts)
        self._policy.apply(settings)
        self.tunnels.apply(settings)
        if self._control is not None:
            self._control.applySettings(former)

    def remove(self, tunnel: Tunnel) -> Deferred[None]:
        """
        Give a tunnel back, if it is open.

        :returns: fires when the server has read that, or the session has ended.
        """
        removed = self.tunnels.remove(tunnel)
        return removed if self.tunnels else self.stop()

    def canServe(self, tunnel: Tunnel, spec: TunnelSpec) -> bool:
        """Return whether the current session, if there is one, can go on when a tunnel is changed to this."""
        objection = None if self._control is None or self.extended else spec.objectionToBase()
        return spec.isOpenAs(tunnel.spec) and objection is None

    def hurry(self) -> bool:
        """Make the attempts at once that are waited for; returns whether there was one."""
        return self.tunnels.hurry() | self._factory.hurry()

    def connecting(self) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        self.tunnels.recall()

    def makeControl(self) -> ControlProtocol:
        """See :class:`bore.client.reconnecting.Attempts`."""
        self._control = ControlProtocol(self)
        self.here, self.nodes = None, ()
        self.sink.emit(Connected(self.server))
        return self._control

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> ServerDialer:
        """What makes further connections to the current server, at this IP address."""
        return self._servers.current.dialer(host, port, distrusted)

    def proven(self) -> None:
        """The server has proved that it knows the secret."""
        self._servers.current.proven()

    def announced(self, key: str) -> None:
        """The server will have another key, with this fingerprint."""
        self._servers.current.announced(key)

    def nodeAt(self, address: str) -> ServerAddress | None:
        """The node with an address that the server has named; None: it is not followed."""
        return self._servers.destination(address)

    def foundNode(self, here: str) -> ServerAddress | None:
        """The server is the node of a cluster with this address. Returns where that is; None: it is not followed."""
        self.here = self.nodeAt(here)
        return self.here

    def named(self, nodes: Sequence[str]) -> None:
        """The server has named the other nodes of its cluster."""
        self.nodes = nodes
        self.owner.named(self)

    def foundBase(self) -> None:
        """
        The server is of the base protocol, and has opened the first tunnel.

        :raises bore.client.reasons.ExtensionNeeded: if that tunnel needs the extension.
        """
        first = self.tunnels.first
        if first is None or first not in self.tunnels:
            raise ServerLeft("its only tunnel is not wanted any more")
        self.owner.foundBase(self, self.tunnels.takeOthers(first))
        objection = first.tunnel.spec.objectionToBase()
        if objection is not None:
            raise objection
        self.tunnels.beginBase(first)

    def foundExtended(self) -> None:
        """The server knows the extension: ask for all tunnels."""
        self.owner.foundExtended(self)
        assert self._control is not None
        self.tunnels.begin(self._control)

    def opened(self, number: int, address: PublicAddress, resume: str | None) -> Tunnel | None:
        """A tunnel is up. Returns it; None if it is not wanted any more."""
        if not self.tunnels.isWanted(number):
            return None
        if not self._up:
            self._up = self._wasUp = True
            self.contact.opened()
            self._servers.opened()
            self._factory.opened()
            self._policy.opened()
            self._stay()
        self.owner.opening(self)
        return self.tunnels.opened(number, address, resume)

    def checked(self, number: int) -> None:
        """A check has shown that visitors of a tunnel come through."""
        self._policy.checked()
        self.tunnels.checked(number)

    def moved(self, to: str | None, within: float | None = None) -> None:
        """
        The server has given the session away. Its streams go on; its tunnels are resumed in another session.

        :param to: the server that it names; None: itself.
        :param within: the time in which to come again, in seconds; None: a second.
        """
        destination = self._servers.destination(to)
        self._moved = True
        self._within = within
        self._destination = destination
        self._ignored = to if to is not None and destination is None else ""
        self._control = None
        self.tunnels.ended(lost=not self.stopped)

    def ending(self, why: Exception) -> None:
        """The connection is about to be cut, for this reason."""
        self._why = self._why or why

    def failed(self, why: BaseException | None) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        why, self._why = self._why or why, None
        self.tunnels.interrupted()
        self._next(Stage.UNREACHED, why)

    def lost(self, why: BaseException | None) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        why, self._why = self._why or why, None
        if self._moved:
            self._follow()
            return
        up, self._up = self._up, False
        first = self.tunnels.first
        ofPort = isinstance(why, Refusal) and concernsPort(why) and not self.extended
        if ofPort and first is not None and not isinstance(first.tunnel.spec.public, int):
            why = first.tunnel.spec.objectionToBase()  # it has refused a port that we do not want
        if ofPort and not self.stopped and first is not None and first in self.tunnels:  # it has refused the Hello's
            self.owner.foundBase(self, self.tunnels.takeOthers(first))
        self._control = None
        self.tunnels.ended(lost=not self.stopped)
        if self._left is not None:
            self._left.callback(None)
        concerned, self._concerned = self._concerned, None
        asked = concerned or first
        if ofPort and asked is not None:
            asked.tunnel.why = describe(why)
        if not isinstance(why, Refusal):
            self.tunnels.interrupted()
        elif asked and self.tunnels.portOf(asked).refused(why) and not up and self._mayRetry:
            self.sink.emit(PortGivenUp(self.server, describe(why), asked.tunnel.label))
            self._factory.retryNow()
            return
        if up:
            self._policy.lost(why, self.tunnels.mayResume, len(self._servers))
            if self._policy.returning and not self.stopped:
                self._leaving = self.reactor.callLater(RETURN, self._leave)
        self._next(Stage.TUNNEL if up else Stage.NO_TUNNEL, why, concerned)

    @property
    def _mayRetry(self) -> bool:
        return self.settings.reconnect and not self.stopped

    def _gaveUp(self, tunnel: Tunnel, why: Exception) -> None:
        self.owner.gaveUp(tunnel, why)

    def _follow(self) -> None:
        """Begin another session, as the server has given the last one away."""
        self._moved = self._up = False
        self._stay()
        if self.stopped or self.owner.lost(self, Stage.TUNNEL, None):
            return
        former, to = self._servers.current, self._destination
        delay = self._policy.moved(self._within)
        self.contact.lost("the server has given the session away", delay)
        self.sink.emit(ServerMoved(former.name, "" if to is None else str(to), self._ignored, delay))
        if to is not None:
            self._servers.follow(to, self._servers.host if self.here is not None else "")
            self.tunnels.carry(former.address, to)
        self._factory.retryIn(delay)

    def _moveOn(self) -> None:
        """Go on to the next server; what a server has moved here comes back with us."""
        former = self._servers.current
        if self._servers.moveOn():
            self.tunnels.carry(former.address, self._servers.current.address)

    def _endFor(self, concerned: KeptTunnel, why: Exception) -> None:
        """End the session for the sake of its only tunnel."""
        assert self._control is not None
        self._concerned = concerned
        self._control.end(why)

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
            self._moveOn()

    def _next(self, stage: Stage, why: BaseException | None, concerned: KeptTunnel | None = None) -> None:
        """
        Do what follows when an attempt has failed, or a connection was lost.

        :param concerned: the tunnel for whose sake we have ended the connection; None: it concerns all.
        """
        if self.stopped or self.owner.lost(self, stage, why):
            return
        server = self._servers.current
        asked = concerned or self.tunnels.first
        public = ANY_PORT if asked is None else asked.tunnel.spec.public
        advice = adviceOn(why, self._servers.tried(public), self._wasUp)
        verdict = verdictOn(why, not server.met, self._wasUp, server.known)
        if self._policy.isHopeless(advice) and verdict not in FINAL:
            verdict = Verdict.DROP
        server.met = True
        server.challengeLate |= isinstance(why, LateChallenge)
        if verdict in FINAL:
            self._servers.drop(forGood=verdict is Verdict.DROP_FOR_GOOD)
        failed = failedAt(server.name, stage, why, verdict, advice)
        follows = self._policy.next(failed, len(self._servers))
        if isinstance(follows, Exception):
            self.stopped = True
            self._stay()
            for tunnel in self.tunnels.takeAll():
                self.owner.gaveUp(tunnel, follows)
            return
        concerned = concerned or self.tunnels.only
        early = 0 if self._wasUp else self._policy.failures
        self.sink.emit(lostEvent(server.name, stage, failed, follows.delay, early, concerned))
        if follows.elsewhere:
            self._stay()
            self._moveOn()
        self.contact.lost(describe(why), follows.delay)
        self._factory.retryIn(follows.delay)
