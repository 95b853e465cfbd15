"""The control port: what all connections to it share."""

from __future__ import annotations

import socket
from typing import Final
from uuid import UUID

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from bore.relay.interface import Relay, Stream
from bore.server.control import ControlProtocol
from bore.server.controlface import ControlConnection
from bore.server.guesses import Guesses
from bore.server.lanepool import LaneBudget, LanePool
from bore.server.settings import ServerSettings
from bore.server.strangers import Strangers
from bore.server.tcpentrance import TcpEntrances
from bore.server.tunnel import Tunnel
from bore.server.tunnellog import TunnelLog
from bore.server.tunnels import Tunnels
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.unclassified import UnclassifiedConnections
from bore.server.visitor import Visitor
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.listener import Starvation
from bore.streams.reactor import IReactor
from bore.streams.sockets import RECORD, channelBinding
from bore.streams.transport import SocketTransport
from bore.streams.visitorlog import VisitorLog
from bore.system.descriptors import Descriptors
from bore.timing.turns import Turns
from bore.wire.errors import MalformedMessage, ProtocolViolation, Refusal
from bore.wire.extension import Lane, decodeRequest
from bore.wire.messages import Accept
from bore.wire.serversession import LaneOffered, ServerSession, VisitorTaken
from bore.wire.token import digest

#: So much of what a new connection has said is read at once: whatever the first frame is, it is in there, and inside
#: TLS nothing is left behind it of which no poll would tell.
_FIRST_READ: Final = RECORD

#: How data connections and lanes begin, white space apart.
_AT_ONCE: Final = (b'{"Accept":', b'{"Lane":')


class ControlFactory(Factory):
    """
    Serves the connections to the control port.

    :ivar unclassified: those that have not said yet what they want.
    :ivar guesses: how often each source was wrong about the secret.
    :ivar strangers: logs what is refused.
    :ivar tunnelLog: logs the life of tunnels.
    :ivar turns: shares each turn of the reactor among the connections.
    :ivar tunnels: the tunnels of all clients.
    :ivar unaccepted: the visitors that wait for a client.
    :ivar starvation: a time without descriptors.
    :ivar descriptors: how many descriptors there are for visitors.
    """

    _log = VisitorLog()
    noisy = False

    def __init__(self, reactor: IReactor, settings: ServerSettings, relay: Relay) -> None:
        self.reactor = reactor
        self.settings = settings
        self.relay = relay
        self.descriptors = Descriptors(reactor, settings.bounds.descriptors)
        self._budget = LaneBudget(self.descriptors)
        self.unaccepted = UnacceptedVisitors(reactor, self.descriptors, lambda: self._budget.count, self.giveWay)
        self.starvation = Starvation(reactor)
        entrances = TcpEntrances(reactor, settings, self.starvation, self.descriptors, self.giveWay)
        self.tunnels = Tunnels(reactor, settings, self.unaccepted, entrances)
        self.unclassified = UnclassifiedConnections(reactor, settings.bounds, self.tunnels.hasSome)
        self.guesses = Guesses(reactor)
        self.turns = Turns(reactor)
        self.strangers = Strangers(reactor)
        self.tunnelLog = TunnelLog(reactor)
        self._lanes: dict[bytes, LanePool] = {}
        self._clients: set[ControlConnection] = set()
        self._left: Deferred[None] | None = None

    def buildProtocol(
        self, addr: IAddress | None, peer: str = "somebody", source: str = "somewhere", binding: bytes = b""
    ) -> ControlProtocol:
        """Make the protocol of one connection."""
        return ControlProtocol(self, peer, source, binding)

    def accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        """Serve a connection that was accepted on the control port."""
        first = self._readFirst(sock) if self.settings.secret is None else b""
        if first.startswith(_AT_ONCE) and self._serveAtOnce(sock, first):
            return
        binding = b"" if self.settings.secret is None else channelBinding(sock)
        protocol = self.buildProtocol(None, socketAddress(address), sourceOf(address), binding)
        SocketTransport(sock, protocol, self.reactor, control=True).start()
        if first:
            protocol.dataReceived(first)

    def takeVisitor(self, id: UUID) -> Visitor:
        """
        Take a visitor that waits.

        :raises ProtocolViolation: when nobody waits under this id.
        """
        visitor = self.unaccepted.take(id)
        if visitor is None:
            raise ProtocolViolation(f"no visitor {id} waits")
        return visitor

    def join(self, visitor: Visitor, client: Stream) -> None:
        """Join a visitor with the data connection that its client has made for it."""
        if VisitorLog.wanted:
            self._log.debug("the visitor {id} is taken", id=visitor.name)
        ended = visitor.tunnel.serve(visitor, client.socket)
        self.relay.join(Stream(visitor.socket, visitor.early), client, ended)

    def opened(self, connection: ControlConnection, tunnel: Tunnel, extended: bool) -> LanePool | None:
        """A connection has got a tunnel; its lanes, if there can be some."""
        self._clients.add(connection)
        relay = self.relay.lanes
        if not extended or relay is None:
            return None
        lanes = LanePool(self.reactor, relay, tunnel, self.settings.bounds.lanes, self._budget)
        self._lanes[digest(lanes.token)] = lanes
        return lanes

    def offer(self, token: str) -> LanePool:
        """
        Find the session to which a lane belongs.

        :raises ProtocolViolation: when there is none.
        """
        lanes = self._lanes.get(digest(token))
        if lanes is None:
            raise ProtocolViolation("a lane of a session that is over, or never was")
        return lanes

    def ended(self, lanes: LanePool) -> None:
        """A session with lanes is over."""
        del self._lanes[digest(lanes.token)]
        lanes.close()

    def expects(self, data: bytes) -> bool:
        """Whether behind the proof of the secret there is what only a client with a tunnel knows."""
        frame, end, _ = data.partition(b"\0")[2].partition(b"\0")
        try:
            request = decodeRequest(frame) if end else None
        except MalformedMessage:
            return False
        match request:
            case Accept(id):
                return id in self.unaccepted
            case Lane(token):
                return digest(token) in self._lanes
            case _:
                return False

    def endSessions(self, sockets: set[socket.socket], refusal: Refusal) -> set[socket.socket]:
        """
        End the sessions on some sockets, and close their ports.

        :returns: those of the sockets on which there was a session.
        """
        clients = [client for client in self._clients if client.transport.getHandle() in sockets]
        found = {client.transport.getHandle() for client in clients}
        for client in clients:
            client.expel(refusal)
        return found

    def gone(self, connection: ControlConnection) -> None:
        """A connection is closed."""
        self._clients.discard(connection)
        if self._left is not None and not self._clients:
            left, self._left = self._left, None
            self.unclassified.close()  # they were bounded while they read what was said to them
            left.callback(None)

    def shutDown(self) -> Deferred[None]:
        """
        Tell all clients that the server stops, and close what belongs to no running visitor.

        :returns: fires when what was said to them is with the kernel.
        """
        self.unclassified.close()
        for client in list(self._clients):
            client.shutDown()
        self.tunnels.closeAll()
        self.unaccepted.close()
        self.starvation.stop()
        self.strangers.stop()
        self.tunnelLog.stop()
        if not self._clients:
            self.unclassified.close()
            return succeed(None)
        self._left = Deferred()
        return self._left

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
        return sum(lanes.shrink() for lanes in self._lanes.values()) > 0 or self.relay.relieve()

    def _readFirst(self, sock: socket.socket) -> bytes:
        """What a client has said already: without a secret it is the client who speaks first."""
        try:
            return sock.recv(_FIRST_READ)
        except OSError:
            return b""  # nothing yet, or nothing ever: the transport will find out

    def _serveAtOnce(self, sock: socket.socket, first: bytes) -> bool:
        """Serve a connection that has said already whose it is: it needs no transport and no timer."""
        try:
            for event in ServerSession().feed(first):
                match event:
                    case VisitorTaken(id, rest):
                        self.join(self.takeVisitor(id), Stream(sock, rest))
                    case LaneOffered(token, rest):
                        self.offer(token).arrived(sock, rest)
                    case _:
                        return False
                return True
        except ProtocolViolation:
            pass  # the protocol will say the same
        return False
