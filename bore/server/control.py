"""One connection to the control port."""

from __future__ import annotations

import socket
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.relay.interface import Stream
from bore.server.controlface import ControlPort
from bore.server.guesses import LONGEST_WAIT
from bore.server.lanepool import LanePool
from bore.server.life import SignsOfLife
from bore.server.tunnel import Tunnel
from bore.server.visitor import Visitor
from bore.streams.sockets import BASE_TIMEOUT, PEER_TIMEOUT, prepareControl
from bore.streams.transport import IDetachable
from bore.timing.turns import Inflow
from bore.wire.errors import InvalidSecret, NoAnswer, ProtocolViolation, Refusal, ShuttingDown, TooManyGuesses
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT, HEARTBEAT_INTERVAL
from bore.wire.proof import serverProof
from bore.wire.serversession import (
    ClientAlive,
    ClientLeft,
    Event,
    LaneOffered,
    SendData,
    ServerSession,
    TunnelAsked,
    VisitorTaken,
)

#: When so many bytes wait to be written the client does not read. The announcements of all visitors that may wait are
#: less.
_BUFFER: Final = 1 << 18


@implementer(IPushProducer)
class ControlProtocol(Protocol):
    """
    One connection to the control port.

    It becomes a tunnel's control connection when its client asks for a tunnel, and is handed to the relay when it says
    Accept.

    :param peer: how the log calls the other side.
    :param source: whom its address belongs to.
    :param binding: what names the TLS connection; empty: there is none.
    """

    _log = Logger()
    transport: IDetachable

    def __init__(self, port: ControlPort, peer: str, source: str, binding: bytes = b"") -> None:
        self._port = port
        self._peer = peer
        self._source = source
        self._session = ServerSession(serverProof(port.settings.secret, binding), encrypted=bool(binding))
        self._inflow: Inflow[Event]
        self._counted = False
        self._tunnel: Tunnel | None = None
        self._lanes: LanePool | None = None
        self._heartbeats: LoopingCall | None = None
        self._life = SignsOfLife(port.reactor)
        self._turn: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._inflow = Inflow(self._port.turns, self.transport, self._goOn)
        self._port.unclassified.add(self, self._source)
        self.transport.write(self._session.greeting())

    def dataReceived(self, data: bytes) -> None:
        if self._session.unproven and self._port.guesses.limits(self._source) and not self._port.expects(data):
            self._readLater(data)
        else:
            self._read(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stopWaiting()
        self._inflow.stop()
        self._port.unclassified.take(self)
        self._loseTunnel("is gone")
        self._port.gone(self)

    def serve(self, visitor: Visitor) -> bool:
        """Put a visitor on an idle lane, if there is one."""
        return self._lanes is not None and self._lanes.serve(visitor)

    def announce(self, visitor: Visitor) -> None:
        """Tell the client of a visitor."""
        self.transport.write(self._session.visitor(visitor.id, visitor.source))

    def refuse(self, refusal: Refusal) -> None:
        """Tell the client why the connection is closed, and give its port back."""
        self._closeTunnel()
        self.end(refusal)

    def expel(self, refusal: Refusal) -> None:
        """End a session that is not allowed any more."""
        self._log.warn("{peer} refused: {error}", peer=self._peer, error=refusal)
        self.refuse(refusal)

    def end(self, refusal: Refusal) -> None:
        """Tell the client why the connection is closed, and close it. Its tunnel is somebody else's by now."""
        self._stopWaiting()
        self._letGo()
        self.transport.write(self._session.refusal(refusal))
        self._close()

    def inDoubt(self) -> bool:
        """Whether an original client may be gone. A client of the extension answers, or is lost."""
        return not self._session.extended and self._life.inDoubt(self.transport.getHandle())

    def timedOut(self) -> None:
        """Nothing said what this connection is for in time."""
        refusal = self._session.timedOut()
        self._log.debug("{peer} said nothing in {seconds} s", peer=self._peer, seconds=FIRST_MESSAGE_TIMEOUT)
        if refusal is None:
            self._close()
        else:
            self.refuse(refusal)

    def shutDown(self) -> None:
        """Tell the client that the server stops, and give its port back."""
        self.refuse(ShuttingDown())

    def drop(self) -> None:
        """Close the connection at once, without a word."""
        self._stopWaiting()
        self._inflow.stop()
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """So much is waiting to be written that the client cannot have read anything for long."""
        self._log.warn("{peer} does not read its control connection and is dropped", peer=self._peer)
        self.drop()

    def resumeProducing(self) -> None:
        """Everything was written after all: too late."""

    def stopProducing(self) -> None:
        """The connection is lost: connectionLost tells."""

    def _read(self, data: bytes, counted: bool = False) -> None:
        """
        Follow what the client says.

        :param counted: if this is a wrong secret, it is counted already.
        """
        self._counted = counted
        self._inflow.received(self._session.feed(data), len(data))
        self._goOn()

    def _goOn(self) -> None:
        """Follow what the client has said, as far as this turn allows."""
        self._life.heard()
        try:
            for event in self._inflow:
                self._follow(event)
        except Refusal as e:
            if isinstance(e, InvalidSecret) and not self._counted:
                self._port.guesses.failed(self._source)
            self._port.strangers.refused(self._source, self._peer, e)
            self.refuse(e)
        except ProtocolViolation as e:
            self._port.strangers.closed(self._source, self._peer, e)
            self._closeTunnel()
            self._close()

    def _readLater(self, data: bytes) -> None:
        """Have what may be one more wrong secret wait: for its check, or for its refusal if too many wait already."""
        seconds = self._port.guesses.turn(self._source)
        self._port.unclassified.renew(self, self._source)  # the client is not to blame for this wait
        self.transport.pauseProducing()
        later = self._port.reactor.callLater
        if seconds is None:
            self._turn = later(LONGEST_WAIT, self._refuseUnread)
        else:
            self._turn = later(seconds, self._readNow, data)

    def _refuseUnread(self) -> None:
        self._turn = None
        refusal = TooManyGuesses()
        self._port.strangers.refused(self._source, self._peer, refusal)
        self.refuse(refusal)

    def _readNow(self, data: bytes) -> None:
        self._turn = None
        self.transport.resumeProducing()
        self._read(data, counted=True)

    def _stopWaiting(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _follow(self, event: Event) -> None:
        match event:
            case ClientAlive():
                pass  # any byte says it
            case SendData(words):
                self.transport.write(words)
                self._port.unclassified.renew(self, self._source)  # each message has its own time
            case VisitorTaken(id, rest):
                self._port.unclassified.take(self)
                visitor = self._port.takeVisitor(id)
                self._port.join(visitor, Stream(self._detach(), rest))
            case LaneOffered(token, rest):
                self._port.unclassified.take(self)
                lanes = self._port.offer(token)
                lanes.arrived(self._detach(), rest)
            case TunnelAsked(port, resume):
                self._port.unclassified.take(self)
                self._openTunnel(port, resume)
            case ClientLeft():
                self._port.unclassified.take(self)
                self._say("{peer} said goodbye", peer=self._peer)
                self._closeTunnel()
                self._close()

    def _detach(self) -> socket.socket:
        """Have nothing to do with the connection any more, which is somebody else's from here on."""
        self._inflow.stop()
        return self.transport.detach()

    def _openTunnel(self, port: int, resume: str | None) -> None:
        tunnel = self._port.tunnels.open(port, resume, self._source, self)
        back = tunnel.token == resume
        self._tunnel = tunnel
        lanes = self._lanes = self._port.opened(self, tunnel, self._session.extended)
        what = "{peer} is back" if back else "opened for {peer}"
        self._say("port {port}: " + what, port=tunnel.port, peer=self._peer)
        prepareControl(self.transport.getHandle(), PEER_TIMEOUT if self._session.extended else BASE_TIMEOUT)
        self.transport.bufferSize = _BUFFER
        self.transport.registerProducer(self, True)
        lane = None if lanes is None else lanes.token
        settings = self._port.settings
        self.transport.write(
            self._session.opened(tunnel.port, tunnel.token, settings.lease, lane, settings.bounds.lanes)
        )
        self._life = SignsOfLife(self._port.reactor)
        self._heartbeats = LoopingCall(self._beat)
        self._heartbeats.clock = self._port.reactor
        self._heartbeats.start(HEARTBEAT_INTERVAL).addErrback(self._heartbeatsFailed)
        tunnel.announceAll()

    def _beat(self) -> None:
        self._life.beat()
        if self._session.extended and self._tunnel is not None and self._life.isLost(self._tunnel.sinceReceived):
            self._loseTunnel("does not answer")
            self.end(NoAnswer())
            return
        self.transport.write(self._session.heartbeat())

    def _loseTunnel(self, why: str) -> None:
        """Leave the tunnel to the client that comes back, if it is one that can."""
        tunnel = self._tunnel
        self._letGo()
        if tunnel is None:
            return
        if self._session.extended and self._port.tunnels.lost(tunnel):
            self._say(
                "port {port}: {peer} {why}, kept for {seconds} s",
                port=tunnel.port,
                peer=self._peer,
                why=why,
                seconds=self._port.settings.lease,
            )
            return
        self._say("port {port}: {peer} {why}", port=tunnel.port, peer=self._peer, why=why)
        if not self._session.extended:
            self._port.tunnels.close(tunnel)

    def _closeTunnel(self) -> None:
        tunnel = self._tunnel
        self._letGo()
        if tunnel is not None:
            self._say("port {port}: closed", port=tunnel.port)
            self._port.tunnels.close(tunnel)

    def _say(self, text: str, **fields: object) -> None:
        """Log a step in the life of the tunnel."""
        self._port.tunnelLog.info(self._source, text, **fields)

    def _letGo(self) -> None:
        """Have nothing to do with the tunnel any more."""
        if self._heartbeats is not None:
            self._heartbeats.stop()
            self._heartbeats = None
        if self._lanes is not None:
            lanes, self._lanes = self._lanes, None
            self._port.ended(lanes)
        if self._tunnel is not None:
            self._tunnel = None
            self.transport.unregisterProducer()  # a transport that has a producer would not close

    def _close(self) -> None:
        """
        Close the connection behind what was written.

        As long as the client does not read that, the connection is one of those that are bounded in time and number.
        """
        self._inflow.stop()
        if not self.transport.finish():
            self._port.unclassified.renew(self, self._source)

    def _heartbeatsFailed(self, reason: Failure) -> None:
        self._heartbeats = None
        self._log.failure("heartbeats to {peer} failed", reason, peer=self._peer)
        self.drop()
