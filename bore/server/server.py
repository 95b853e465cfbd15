"""The parts of a server, and how they are put together."""
# Longer than 300 lines: the parts, and what is done with all of them, are read together.

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from twisted.internet.defer import Deferred

from bore.events import Sink, Stopped
from bore.events.server import ClientsKicked
from bore.relay.interface import Relay
from bore.server.control import ControlContext, HandOn
from bore.server.controlport import ControlFactory
from bore.server.custody import Custody
from bore.server.entrances import Entrances
from bore.server.firstmessage import FirstMessages
from bore.server.guesses import Guesses
from bore.server.heartbeats import Rhythms
from bore.server.lanepool import LaneBudget, LanePools
from bore.server.localcustody import LocalCustody
from bore.server.localholder import LocalHolder
from bore.server.places import Places
from bore.server.registry import LocalRegistry, Registry
from bore.server.session import SessionContext
from bore.server.sessions import Sessions
from bore.server.settings import ServerSettings
from bore.server.tunnel import Tunnel
from bore.server.tunnels import Tunnels
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.unclassified import UnclassifiedConnections
from bore.server.users import Authenticator, Login, SharedSecret
from bore.server.visitor import Visitor
from bore.server.visitorids import markIds
from bore.streams.listener import ListenerGroup
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors
from bore.timing.turns import Turns
from bore.wire.errors import Kicked, Refusal
from bore.wire.secret import Secret
from bore.wire.workernumbers import NO_WORKER

if TYPE_CHECKING:
    from bore.server.proxyheaders import ProxyHeaders
    from bore.server.usertunnels import UserTunnels


class Kicks(NamedTuple):
    """How many sessions, tunnels and visitors were ended at the operator's request."""

    sessions: int
    tunnels: int
    visitors: int


class Server:
    """
    All that a server has behind its control ports.

    :param authenticator: identifies clients; None: they share the secret of the settings.
    :param registry: grants public ports; None: this server alone does.
    :param worker: the number of this worker of the server; NO_WORKER: it has none.
    :param custody: has the public addresses, in the registry's place; None: this server has them.
    :param unclassified: limits the connections that have not sent their first message; None: this server alone does.
    :param whole: the custody of this server, in the registry's place; None: it makes one.
    :ivar control: serves the connections to the control ports.
    :ivar unclassified: the connections that have not sent their first message yet.
    :ivar sessions: the sessions of all clients.
    :ivar users: the tunnels of each user; None: all may do the same.
    :ivar tunnels: their tunnels.
    :ivar pools: their lanes.
    :ivar budget: limits the idle lanes of all sessions.
    :ivar entrances: makes what visitors come in by.
    :ivar unaccepted: the visitors that wait for a client.
    :ivar group: all listeners.
    :ivar descriptors: how many descriptors there are for visitors.
    :ivar relay: joins the streams of all visitors.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        settings: ServerSettings,
        relay: Relay,
        authenticator: Authenticator | None = None,
        registry: Registry | None = None,
        worker: int = NO_WORKER,
        custody: Custody | None = None,
        unclassified: UnclassifiedConnections | None = None,
        whole: LocalCustody | None = None,
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self.relay = relay
        self.descriptors = Descriptors(reactor, settings.bounds.descriptors)
        budget = self.budget = LaneBudget(self.descriptors)
        self.pools = LanePools(reactor, sink, relay, settings.bounds.lanes, budget, worker)
        self.unaccepted = UnacceptedVisitors(reactor, sink, self.descriptors, lambda: budget.count, self.giveWay)
        self.group = ListenerGroup(sink)
        self._custody: LocalCustody | None = None
        if custody is None:
            if whole is None:
                registry = LocalRegistry(reactor, settings.lease) if registry is None else registry
                whole = LocalCustody(reactor, sink, settings, registry, Places(reactor, settings))
            self._custody = whole
            custody = whole.forHolder()
        self.entrances = Entrances(reactor, self.group, self.descriptors, self.giveWay)
        self.users = None if authenticator is None else _usersOf(authenticator)
        self.tunnels = Tunnels(reactor, sink, settings, custody, self.unaccepted, self.entrances, self.users)
        custody.holder = LocalHolder(self.tunnels, self.withdraw)
        self.sessions = Sessions(SessionContext(reactor, sink, settings, self.tunnels, self.pools, Rhythms(reactor)))
        if unclassified is None:
            unclassified = UnclassifiedConnections(reactor, sink, settings.bounds, self.tunnels.hasSome)
        self.unclassified = unclassified
        self._shared = SharedSecret(settings.secrets) if authenticator is None else None
        self._headers: ProxyHeaders | None = None
        self._trust(settings)
        self._firstMessages = FirstMessages(self.unaccepted, relay, self.pools, worker)
        self.guesses = Guesses(reactor, settings.bounds.wrongSecrets)
        self.control = ControlFactory(
            ControlContext(
                reactor,
                sink,
                settings,
                authenticator or cast(SharedSecret, self._shared),
                self.unclassified,
                self._firstMessages,
                self.sessions,
                self.guesses,
                Turns(reactor),
                worker,
            )
        )

    @property
    def whole(self) -> LocalCustody | None:
        """The custody of all public addresses of the server; None: another process has it."""
        return self._custody

    def useCustody(self, custody: Custody) -> None:
        """Have another custody, which has all addresses of the one before."""
        custody.holder = LocalHolder(self.tunnels, self.withdraw)
        self.tunnels.custody = custody

    def setNumber(self, number: int) -> None:
        """Take the number of a node, which the ids of visitors and the tokens of lanes have from now on."""
        markIds(number)
        self.pools.worker = number
        self._firstMessages.worker = number

    def follow(self, handOn: HandOn | None) -> None:
        """
        Hand connections for visitors that are not here on to the process from which this one has taken over.

        :param handOn: hands on; None: that process has ended.
        """
        self._firstMessages.predecessor = handOn is not None
        self.control.setHandOn(handOn)

    @property
    def follows(self) -> bool:
        """Whether there is such a process."""
        return self._firstMessages.predecessor

    def handedOver(self) -> None:
        """Another process has the custody of all addresses."""
        if self._custody is not None:
            self._custody.handedOver(lambda grant, visitor: self.tunnels.custody.forward(grant, visitor))
            self._custody = None

    def apply(self, settings: ServerSettings) -> None:
        """Apply other limits and rules, and another range of ports. Sessions and tunnels stay."""
        self.tunnels.apply(settings)
        if self._custody is not None:
            self._custody.apply(settings)
        self.unclassified.apply(settings.bounds)
        self.pools.apply(settings.bounds.lanes)
        self.guesses.apply(settings.bounds.wrongSecrets)
        self.control.apply(settings)
        self._trust(settings)

    def applySecrets(self, secrets: Sequence[Secret]) -> None:
        """Use other shared secrets, where there are no users. Sessions that have proved one that is gone end."""
        if self._shared is not None:
            self._shared.apply(secrets)
            self.endSessions(self._shared.objection)

    def endSessions(self, objection: Callable[[Login], Refusal | None]) -> None:
        """
        End the sessions whose clients may not stay connected, their tunnels and the streams of their visitors. So it is
        with the tunnels that are kept for such clients.

        :param objection: why a client may not; None: it may.
        """
        self.relay.cut(self.sessions.review(objection))
        self.withdraw(self.tunnels.kept(objection))

    def withdraw(self, tunnels: Sequence[Tunnel]) -> None:
        """Close the tunnels that a user may not have any more, and the streams of their visitors."""
        sockets = {visitor.socket for tunnel in tunnels for visitor in tunnel.serving}
        for tunnel in tunnels:
            if not tunnel.closed:
                self.tunnels.withdraw(tunnel)
        if sockets:
            self.relay.cut(sockets)

    def kick(self, user: str) -> Kicks:
        """
        End the sessions of a user, close all its tunnels, and cut all its visitors. Its clients may come again.

        :param user: the name; empty: all who have none.
        """
        sessions = [session for session in self.sessions.all() if session.user.name == user]
        tunnels = [tunnel for tunnel in self.tunnels.all() if tunnel.user.name == user]
        visitors = self._served(lambda visitor: visitor.tunnel.user.name == user)
        for session in sessions:
            session.refuse(Kicked())
        for tunnel in tunnels:
            if not tunnel.closed:
                self.tunnels.kick(tunnel)
        return self._cut(user or "*", Kicks(len(sessions), len(tunnels), len(visitors)), visitors)

    def kickTunnel(self, tunnel: Tunnel) -> Kicks:
        """Close a tunnel, and cut its visitors. Its client may ask for it again."""
        visitors = self._served(lambda visitor: visitor.tunnel is tunnel)
        self.tunnels.kick(tunnel)
        return self._cut(str(tunnel.address), Kicks(0, 1, len(visitors)), visitors)

    def _served(self, wanted: Callable[[Visitor], bool]) -> set[socket.socket]:
        """The sockets of visitors that are served."""
        running = (each.ended for each in self.relay.running())
        return {ended.socket for ended in running if isinstance(ended, Visitor) and wanted(ended)}

    def _cut(self, whom: str, kicks: Kicks, visitors: set[socket.socket]) -> Kicks:
        self.relay.cut(visitors)
        if any(kicks):
            self._sink.emit(ClientsKicked(whom, *kicks))
        return kicks

    def moveSessions(self, to: str | None = None) -> int:
        """
        Give the sessions away: their clients come again within a second, at random, and their tunnels stay.

        :param to: the server to go to, such as ``tls://example.com:7835``; None: this one, or whichever listens there
            then.
        :returns: the number of sessions. Clients of the base protocol stay.
        """
        return self.sessions.move() if to is None else self.sessions.move(to)

    def shutDown(self) -> Deferred[None]:
        """
        Send all clients that the server stops, and close what belongs to no running visitor.

        :returns: fires when all control connections are closed.
        """
        self.unclassified.close()
        left = self.sessions.shutDown()
        self.tunnels.closeAll()
        self.unaccepted.close()
        self._sink.emit(Stopped())
        # Connections were unclassified while their clients had not read the last message.
        return left.addCallback(lambda _: self.unclassified.close())

    def relieve(self) -> bool:
        """
        Free descriptors, as there are none left for new connections to the control port.

        :returns: whether some are free already.
        """
        if self.giveWay() or self.unaccepted.closeNewest():
            return True
        self.unclassified.dropOne()
        return False

    def giveWay(self) -> bool:
        """
        Close half of each session's idle lanes; if there are none, reset streams that only linger.

        Nothing is lost with an idle lane; a stream that lingers may still have an answer to pass on.

        :returns: whether something was closed.
        """
        return self.pools.shrink() or self.relay.relieve()

    def _trust(self, settings: ServerSettings) -> None:
        """Read the headers of trusted proxies, of the connections that come from now on."""
        if settings.trustedProxies and self._headers is None:
            from bore.server.proxyheaders import ProxyHeaders

            self._headers = ProxyHeaders(self._reactor, self._sink, self.group, self.unclassified)
        if self._headers is not None:
            self._headers.apply(settings.trustedProxies)


def _usersOf(authenticator: Authenticator) -> UserTunnels | None:
    if authenticator.permits is None:
        return None
    from bore.server.usertunnels import UserTunnels

    return UserTunnels(authenticator.permits)
