"""The control port."""

from __future__ import annotations

import socket
from functools import partial
from typing import Final
from uuid import UUID

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.relay.face import Ending, Relay, Stream
from bore.server.ports import openPort
from bore.server.settings import ServerSettings
from bore.server.tunnel import Tunnel, Visitor, WaitingRoom
from bore.streams.addresses import SocketAddress, socketAddress
from bore.streams.bursts import Burst
from bore.streams.deadlines import Deadlines
from bore.streams.reactor import IReactor
from bore.streams.sockets import prepareControl
from bore.streams.transport import IDetachable, SocketTransport
from bore.streams.visitorlog import VisitorLog
from bore.wire.errors import Refusal, ShuttingDown, Violation
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT, HEARTBEAT_INTERVAL
from bore.wire.messages import Connection, Error, Heartbeat, Hello, encode
from bore.wire.serversession import PortAsked, Request, ServerSession, VisitorTaken

#: Connections to the control port that have not said yet what they want. When there are more, the oldest is closed:
#: a client says it within a round trip, so it is those that say nothing who lose.
MAX_UNSETTLED: Final = 1024

#: So much of what a new connection has said is read at once: whatever the first frame is, it is in there.
_FIRST_READ: Final = 4096

#: How a data connection begins, white space apart.
_ACCEPT: Final = b'{"Accept":'

_HEARTBEAT: Final = encode(Heartbeat())


@implementer(IPushProducer)
class ControlProtocol(Protocol):
    """
    One connection to the control port.

    It becomes a tunnel's control connection when it says Hello, and is handed to the relay when it says Accept.
    """

    _log = Logger()
    transport: IDetachable

    def __init__(self, factory: ControlFactory, peer: str) -> None:
        self._factory = factory
        self._peer = peer
        self._session = ServerSession(factory.settings.secret)
        self._tunnel: Tunnel | None = None
        self._heartbeats: LoopingCall | None = None

    def connectionMade(self) -> None:
        self._factory.unsettled.add(self, self)
        self.transport.write(self._session.greeting())

    def dataReceived(self, data: bytes) -> None:
        try:
            request = self._session.feed(data)
            if request is not None:
                self._factory.unsettled.take(self)
                self._serve(request)
        except Refusal as e:
            self._log.info("{peer} refused: {error}", peer=self._peer, error=e)
            self._refuse(e)
        except Violation as e:
            self._log.info("{peer} closed: {error}", peer=self._peer, error=e)
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._factory.unsettled.take(self)
        if self._tunnel is not None:
            self._log.info("port {port}: {peer} is gone", port=self._tunnel.port, peer=self._peer)
        self._closeTunnel()
        self._factory.gone(self)

    def unsettledTooLong(self) -> None:
        """Nothing said what this connection is for in time."""
        refusal = self._session.timedOut()
        self._log.debug("{peer} said nothing in {seconds} s", peer=self._peer, seconds=FIRST_MESSAGE_TIMEOUT)
        if refusal is None:
            self.transport.loseConnection()
        else:
            self._refuse(refusal)

    def shutDown(self) -> None:
        """Tell the client that the server stops, and give its port back."""
        self._refuse(ShuttingDown())

    def drop(self) -> None:
        """Close the connection at once, without a word."""
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """So much is waiting to be written (64 KiB) that the client cannot have read anything for long."""
        self._log.warn("{peer} does not read its control connection and is dropped", peer=self._peer)
        self.drop()

    def resumeProducing(self) -> None:
        """Everything was written after all: too late."""

    def stopProducing(self) -> None:
        """The connection is lost: connectionLost tells."""

    def _serve(self, request: Request) -> None:
        match request:
            case PortAsked(port):
                self._openTunnel(port)
            case VisitorTaken(id, rest):
                visitor = self._factory.takeVisitor(id)
                self._factory.join(visitor, Stream(self.transport.detach(), rest))

    def _openTunnel(self, asked: int) -> None:
        sock = openPort(self._factory.settings, asked)
        self._tunnel = Tunnel(self._factory.reactor, sock, self._factory.room, self._announce)
        self._factory.tunnels.add(self)
        port = self._tunnel.port
        self._log.info("port {port}: opened for {peer}", port=port, peer=self._peer)
        prepareControl(self.transport.getHandle())
        self.transport.registerProducer(self, True)
        self.transport.write(encode(Hello(port)))
        self._heartbeats = LoopingCall(self.transport.write, _HEARTBEAT)
        self._heartbeats.clock = self._factory.reactor
        self._heartbeats.start(HEARTBEAT_INTERVAL).addErrback(self._heartbeatsFailed)

    def _announce(self, id: UUID) -> None:
        self.transport.write(encode(Connection(id)))

    def _refuse(self, refusal: Refusal) -> None:
        self._closeTunnel()
        self.transport.write(encode(Error(str(refusal))))
        self.transport.loseConnection()

    def _closeTunnel(self) -> None:
        self._factory.tunnels.discard(self)
        if self._heartbeats is not None:
            self._heartbeats.stop()
            self._heartbeats = None
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None
            self.transport.unregisterProducer()  # a transport that has a producer would not close

    def _heartbeatsFailed(self, reason: Failure) -> None:
        self._heartbeats = None
        self._log.failure("heartbeats to {peer} failed", reason, peer=self._peer)
        self.drop()


class ControlFactory(Factory):
    """
    All connections to the control port, and what they share.

    :ivar tunnels: the control connections that have a tunnel.
    :ivar unsettled: the connections that have not said yet what they want.
    :ivar room: the visitors that wait for a client.
    """

    _log = VisitorLog()
    noisy = False

    def __init__(self, reactor: IReactor, settings: ServerSettings, relay: Relay) -> None:
        self.reactor = reactor
        self.settings = settings
        self.relay = relay
        self.room = WaitingRoom(reactor)
        self.tunnels: set[ControlProtocol] = set()
        self.unsettled: Deadlines[ControlProtocol, ControlProtocol] = Deadlines(
            reactor, FIRST_MESSAGE_TIMEOUT, lambda _, protocol: protocol.unsettledTooLong()
        )
        self._crowd = Burst(reactor)
        self._leaving: set[ControlProtocol] = set()
        self._left: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None, peer: str = "somebody") -> ControlProtocol:
        """Make the protocol of one connection; ``peer`` is how the log calls the other side."""
        return ControlProtocol(self, peer)

    def accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        """Serve a connection that was accepted on the control port."""
        first = self._readFirst(sock) if self.settings.secret is None else b""
        if first.startswith(_ACCEPT) and self._joinAtOnce(sock, first):
            return
        if len(self.unsettled) >= MAX_UNSETTLED:
            self._makeRoom()
        protocol = self.buildProtocol(None, socketAddress(address))
        SocketTransport(sock, protocol, self.reactor).start()
        if first:
            protocol.dataReceived(first)

    def takeVisitor(self, id: UUID) -> Visitor:
        """
        Take a visitor that waits.

        :raises Violation: when nobody waits under this id.
        """
        visitor = self.room.take(id)
        if visitor is None:
            raise Violation(f"no visitor {id} waits")
        return visitor

    def join(self, visitor: Visitor, client: Stream) -> None:
        """Join a visitor with the data connection that its client has made for it."""
        if VisitorLog.wanted:
            self._log.debug("the visitor {id} is taken", id=visitor.id)
        self.relay.join(Stream(visitor.socket), client, partial(self._visitorLeft, visitor.id))

    def _readFirst(self, sock: socket.socket) -> bytes:
        """What a client has said already: without a secret it is the client who speaks first."""
        try:
            return sock.recv(_FIRST_READ)
        except OSError:
            return b""  # nothing yet, or nothing ever: the transport will find out

    def _joinAtOnce(self, sock: socket.socket, first: bytes) -> bool:
        """Serve a data connection that has said Accept already: it needs no transport and no timer."""
        try:
            request = ServerSession(None).feed(first)
            if isinstance(request, VisitorTaken):
                self.join(self.takeVisitor(request.id), Stream(sock, request.rest))
                return True
        except Violation:
            pass  # the protocol will say the same
        return False

    def _visitorLeft(self, id: UUID, ending: Ending) -> None:
        if VisitorLog.wanted:
            self._log.debug(
                "the visitor {id} is gone: {reason}; {toClient} bytes to the client, {toVisitor} to the visitor",
                id=id,
                reason=ending.reason.value,
                toClient=ending.toRight,
                toVisitor=ending.toLeft,
            )

    def shutDown(self) -> Deferred[None]:
        """
        Tell all clients that the server stops, and close what belongs to no running visitor.

        :returns: fires when what was said to them is with the kernel.
        """
        for protocol in self.unsettled.takeAll():
            protocol.drop()
        self.room.close()
        self._leaving = set(self.tunnels)
        for protocol in list(self.tunnels):
            protocol.shutDown()
        if not self._leaving:
            return succeed(None)
        self._left = Deferred()
        return self._left

    def gone(self, protocol: ControlProtocol) -> None:
        """A connection is closed."""
        self._leaving.discard(protocol)
        if self._left is not None and not self._leaving:
            left, self._left = self._left, None
            left.callback(None)

    def relieve(self) -> bool:
        """
        Free descriptors, as there are none left for new connections to the control port.

        :returns: whether some are free already.
        """
        if self.room.shrink():
            return True
        if len(self.unsettled):
            self.unsettled.takeOldest().drop()
        return False

    def _makeRoom(self) -> None:
        self.unsettled.takeOldest().drop()
        if self._crowd.begins():
            self._log.warn(
                "{limit} connections to the control port have said nothing yet: the oldest are closed",
                limit=MAX_UNSETTLED,
            )
