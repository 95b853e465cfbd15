"""The control port: what all connections to it share."""

from __future__ import annotations

import socket
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from bore.events import Sink, Stopped
from bore.relay.interface import Relay
from bore.server.control import ControlContext, ControlProtocol
from bore.server.firstmessage import FirstMessages
from bore.server.guesses import Guesses
from bore.server.lanepool import LaneBudget, LanePools
from bore.server.registry import LocalRegistry, Registry
from bore.server.session import SessionContext
from bore.server.sessions import Sessions
from bore.server.settings import ServerSettings
from bore.server.tcpentrance import TcpEntrances
from bore.server.tunnels import Tunnels
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.unclassified import UnclassifiedConnections
from bore.server.users import Authenticator, SharedSecret
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.encryption import RECORD, channelBinding
from bore.streams.listener import ListenerGroup
from bore.streams.reactor import IReactor
from bore.streams.transport import SocketTransport
from bore.system.descriptors import Descriptors
from bore.timing.turns import Turns
from bore.wire.errors import Refusal

#: What is read of a new connection at once, in bytes: the first frame fits, and inside TLS nothing is left behind it
#: that a poll would not show.
_FIRST_READ: Final = RECORD


class ControlFactory(Factory):
    """
    Serves the connections to the control port.

    :param authenticator: says who clients are; None: they share the secret of the settings.
    :param registry: says who owns which public port; None: this server alone decides.
    :ivar unclassified: the connections that have not sent their first message yet.
    :ivar tunnels: the tunnels of all clients.
    :ivar pools: the lanes of all sessions.
    :ivar unaccepted: the visitors that wait for a client.
    :ivar group: a time without descriptors.
    :ivar descriptors: how many descriptors there are for visitors.
    """

    noisy = False

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        settings: ServerSettings,
        relay: Relay,
        authenticator: Authenticator | None = None,
        registry: Registry | None = None,
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._relay = relay
        self.descriptors = Descriptors(reactor, settings.bounds.descriptors)
        self._budget = LaneBudget(self.descriptors)
        self.pools = LanePools(reactor, sink, relay, settings.bounds.lanes, self._budget)
        self.unaccepted = UnacceptedVisitors(reactor, sink, self.descriptors, lambda: self._budget.count, self.giveWay)
        self.group = ListenerGroup(sink)
        entrances = TcpEntrances(reactor, settings, self.group, self.descriptors, self.giveWay)
        registry = LocalRegistry(reactor, settings.lease) if registry is None else registry
        self.tunnels = Tunnels(reactor, sink, settings, registry, self.unaccepted, entrances)
        context = SessionContext(reactor, sink, settings, self.tunnels, self.pools)
        self._sessions = Sessions(context)
        self.unclassified = UnclassifiedConnections(reactor, sink, settings.bounds, self.tunnels.hasSome)
        self._firstMessages = FirstMessages(self.unaccepted, relay, self.pools)
        self._authenticator = SharedSecret(settings.secret) if authenticator is None else authenticator
        self._context = ControlContext(
            reactor,
            sink,
            settings,
            self._authenticator,
            self.unclassified,
            self._firstMessages,
            self._sessions,
            Guesses(reactor),
            Turns(reactor),
        )

    def buildProtocol(
        self, addr: IAddress | None, peer: str = "somebody", source: str = "somewhere", binding: bytes = b""
    ) -> ControlProtocol:
        """Make the protocol of one connection."""
        return ControlProtocol(self._context, peer, source, binding)

    def accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        """Serve a connection that was accepted on the control port."""
        first = binding = b""
        if self._authenticator.asks:
            binding = channelBinding(sock)
        else:  # the client sends the first message, and may have done so
            first = self._readFirst(sock)
            if first and self._firstMessages.handAtOnce(sock, first):
                return
        protocol = self.buildProtocol(None, socketAddress(address), sourceOf(address), binding)
        SocketTransport(sock, protocol, self._reactor, control=True).start()
        if first:
            protocol.dataReceived(first)

    def endSessions(self, sockets: set[socket.socket], refusal: Refusal) -> set[socket.socket]:
        """
        End the sessions whose control connections are on some sockets, and close their tunnels.

        :returns: those of the sockets on which there was a session.
        """
        return self._sessions.endOn(sockets, refusal)

    def shutDown(self) -> Deferred[None]:
        """
        Send all clients that the server stops, and close what belongs to no running visitor.

        :returns: fires when all control connections are closed.
        """
        self.unclassified.close()
        left = self._sessions.shutDown()
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
        Close half of each session's idle lanes, or else reset streams that only linger; whether there was one.

        An idle lane costs nobody anything; a stream that lingers may still have an answer to pass on.
        """
        return self.pools.shrink() or self._relay.relieve()

    def _readFirst(self, sock: socket.socket) -> bytes:
        """Read what a client has sent already."""
        try:
            return sock.recv(_FIRST_READ)
        except OSError:
            return b""  # nothing yet, or an error that the transport will find, too
