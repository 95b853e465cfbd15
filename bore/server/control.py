"""One connection to the control port: it translates between the wire and the session."""
# Longer than 300 lines: what arrives and what is sent are translated side by side.

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias
from uuid import UUID

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.events import Sink
from bore.events.server import ConnectionClosed, ConnectionRefused, FirstMessageTimedOut, Loss
from bore.server.firstmessage import FirstMessages, Misplaced
from bore.server.guesses import LONGEST_WAIT, Guesses
from bore.server.session import Session
from bore.server.sessions import SPACING, Sessions
from bore.server.settings import ServerSettings
from bore.server.tunnel import Tunnel
from bore.server.unclassified import UnclassifiedConnections
from bore.server.users import Authenticator, Login, User
from bore.server.visitor import Visitor
from bore.streams.addresses import SocketAddress, peerAddress
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import BASE_TIMEOUT, PEER_TIMEOUT, prepareControl
from bore.streams.transport import IDetachable
from bore.timing.turns import Inflow, Turns
from bore.wire.binding import claimedUser
from bore.wire.errors import InvalidSecret, ProtocolViolation, Refusal, TooManyGuesses
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import (
    ClientAlive,
    ClientLeft,
    LaneOffered,
    SendData,
    ServerEvent,
    SessionAsked,
    TunnelAsked,
    TunnelLeft,
    VisitorTaken,
)
from bore.wire.values import value
from bore.wire.workernumbers import NO_WORKER

#: A client that leaves this number of bytes unread is dropped. The announcements of all visitors of a tunnel that may
#: wait are less.
_BUFFER: Final = 1 << 18

#: Each further tunnel of a session adds this number of bytes: more than MAX_ANNOUNCED announcements have.
_BUFFER_PER_TUNNEL: Final = 1 << 16

#: A session without a tunnel is closed when its client has asked for none during this time, in seconds.
EMPTY_TIMEOUT: Final = 60.0


#: Hands a connection on to the worker with a number: with the address of its client, with the bytes that were read from
#: it, and with the challenge that it was sent; None: it was sent none.
HandOn: TypeAlias = Callable[[int, socket.socket, SocketAddress, bytes, UUID | None], None]


@value
class ControlContext:
    """
    What all connections to a control port share.

    :ivar authenticator: identifies their clients.
    :ivar unclassified: those that have not sent their first message yet.
    :ivar firstMessages: hands data connections and lanes over.
    :ivar sessions: the sessions of all clients.
    :ivar guesses: limits the wrong secrets of each source.
    :ivar turns: shares each turn of the reactor among the connections.
    :ivar worker: the number of this worker of the server; NO_WORKER: it has none.
    :ivar handOn: hands connections on that belong to other workers; None: there are none.
    """

    reactor: IReactor
    sink: Sink
    settings: ServerSettings
    authenticator: Authenticator
    unclassified: UnclassifiedConnections
    firstMessages: FirstMessages
    sessions: Sessions
    guesses: Guesses
    turns: Turns
    worker: int = NO_WORKER
    handOn: HandOn | None = None


@implementer(IPushProducer)
class ControlProtocol(Protocol):
    """
    One connection to the control port.

    It gets a session when its client agrees on the extension, or asks for a tunnel in the base protocol. A data
    connection or a lane is handed over when its first message has come.

    :param peer: the address of the client, as ``HOST:PORT``.
    :param source: the key of limits per source (:func:`bore.streams.addresses.sourceOf`).
    :param binding: identifies the TLS connection; empty: the connection is not encrypted.
    :param names: those in the client's certificate.
    :param isHandedOn: whether another worker has read from it, and sent the greeting if there is one.
    :param challenge: the challenge in that; None: there is none.
    """

    transport: IDetachable

    def __init__(
        self,
        context: ControlContext,
        peer: str,
        source: str,
        binding: bytes = b"",
        names: Sequence[str] = (),
        isHandedOn: bool = False,
        challenge: UUID | None = None,
    ) -> None:
        self._context = context
        self._peer = peer
        self._source = source
        self._encrypted = bool(binding)
        self._names = names
        self._wire = ServerSession(
            context.authenticator.proof(binding, context.firstMessages.ownerOf, names), encrypted=self._encrypted
        )
        self._isHandedOn = isHandedOn
        if challenge is not None:
            self._wire.goOnFrom(challenge)
        self._inflow: Inflow[ServerEvent]
        self._counted = False
        self._session: Session | None = None
        self._delayed: IDelayedCall | None = None
        self._produces = False
        self._loss = Loss.GONE
        self._emptySince: float | None = None  # when a session had its last tunnel, or was refused its first

    def connectionMade(self) -> None:
        self._inflow = Inflow(self._context.turns, self.transport, self._goOn)
        self._context.unclassified.add(self, self._source)
        if not self._isHandedOn:
            self.transport.write(self._wire.greeting())

    def dataReceived(self, data: bytes) -> None:
        if self._session is not None and self._wire.isAnswer(data):
            self._session.received()  # most of what clients without visitors send
            self._answered()
            return
        context = self._context
        if self._wire.unproven and len(context.guesses) and b"\0" in data:
            sent = self._wire.part + data  # a proof in two parts is one guess, too
            user = claimedUser(sent) if self._encrypted else ""
            if context.guesses.limits(self._source, user):
                try:
                    owner = context.firstMessages.owner(sent)
                except Misplaced as e:
                    if self._passOn(e, sent):
                        return
                    owner = None
                if owner is None or not self._wire.triesOnly(owner, user):
                    self._readLater(data, user)
                    return
        self._read(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stopWaiting()
        self._inflow.stop()
        self._context.unclassified.take(self)
        session, self._session = self._session, None
        if session is not None:
            session.lost(self._loss)
            self._context.sessions.gone(session)

    # The methods of :class:`~bore.server.session.ControlConnection`.

    @property
    def extended(self) -> bool:
        return self._wire.extended

    @property
    def handle(self) -> socket.socket:
        return self.transport.getHandle()

    @property
    def unanswered(self) -> int:
        return self._wire.unanswered

    def tunnelOpened(self, number: int, tunnel: Tunnel) -> None:
        assert self._session is not None
        self._produce()
        self._bound(self._session)
        grant = tunnel.grant
        self.transport.write(self._wire.opened(number, grant.address, grant.token, self._context.settings.lease))

    def tunnelRefused(self, number: int, refusal: Refusal) -> None:
        if self.extended:
            self._produce()
            self.transport.write(self._wire.refused(number, refusal))
            self._tunnelGone()
        else:
            self.refuse(refusal)  # in the base protocol a session has one tunnel, and is over without it

    def tunnelTaken(self, number: int, refusal: Refusal) -> None:
        if self.extended:
            self.transport.write(self._wire.closed(number, refusal))
            self._tunnelGone()
        else:
            self.refuse(refusal)

    def announce(self, visitor: Visitor) -> None:
        self.transport.write(self._wire.visitor(visitor.tunnel.number, visitor.id, visitor.source))

    def announceKey(self, key: str) -> None:
        if self.extended:
            self.transport.write(self._wire.nextKey(key))

    def nameNodes(self, addresses: Sequence[str]) -> None:
        self.transport.write(self._wire.nodes(addresses))

    def sendHeartbeat(self) -> None:
        self.transport.writeNow(self._wire.heartbeat())

    def end(self, refusal: Refusal) -> None:
        self._endWith(self._wire.refusal(refusal))

    def move(self, to: str | None, within: float | None) -> None:
        self._endWith(self._wire.moved(to, within))

    @property
    def isPassable(self) -> bool:
        return not (self._encrypted or self._wire.part or self.transport.queued)

    def handOver(self) -> socket.socket:
        session, self._session = self._session, None
        self._stopProducing()
        self._stopWaiting()
        if session is not None:
            self._context.sessions.gone(session)
        return self._detach()

    def drop(self) -> None:
        """Close the connection at once, without a message."""
        self._stopWaiting()
        self._inflow.stop()
        self.transport.abortConnection()

    def refuse(self, refusal: Refusal) -> None:
        """Send the client why the connection is closed, and close its tunnels."""
        if self._session is None:
            self.end(refusal)
        else:
            self._session.refuse(refusal)

    def timedOut(self) -> bool:
        """
        The first message, or the next one that is due while there is no tunnel, has not come in time.

        :returns: whether the client has more time: a session that was refused a tunnel may ask for another one.
        """
        now = self._context.reactor.seconds()
        if self._emptySince is not None and now < self._emptySince + EMPTY_TIMEOUT:
            return True
        refusal = self._wire.timedOut()
        if self._emptySince is None:
            self._context.sink.emit(FirstMessageTimedOut(self._peer, self._source, FIRST_MESSAGE_TIMEOUT))
        if refusal is None:
            self._close()
        else:
            self.refuse(refusal)
        return False

    def pauseProducing(self) -> None:
        """The client reads too slowly, or not at all: more waits to be written than a working client leaves unread."""
        self._loss = Loss.NOT_READING
        self.drop()

    def resumeProducing(self) -> None:
        """Everything was written after all: too late."""

    def stopProducing(self) -> None:
        """The connection is lost: connectionLost follows."""

    def _read(self, data: bytes, counted: bool = False) -> None:
        """Follow what the client sends; a wrong secret in it may be counted already."""
        self._counted = counted
        self._inflow.received(self._wire.feed(data), len(data))
        self._goOn()

    def _goOn(self) -> None:
        """Follow what the client has sent, as far as this turn allows."""
        if self._session is not None:
            self._session.received()
        try:
            for event in self._inflow:
                self._follow(event)
        except Refusal as e:
            seconds = 0.0
            if isinstance(e, InvalidSecret):
                seconds = self._context.guesses.failed(self._source, e.user, self._counted)
            if seconds:
                self._refuseLater(seconds, e)
            else:
                self._refuseAndReport(e)
        except ProtocolViolation as e:
            if isinstance(e, Misplaced) and self._passOn(e):
                return
            if not self._hasTunnel:
                self._context.sink.emit(ConnectionClosed(self._peer, self._source, e))
            self._leave(e)

    def _passOn(self, misplaced: Misplaced, read: bytes | None = None) -> bool:
        """
        Hand the connection on to the worker that it belongs to.

        :param read: what was read from it; None: what the session has read.
        :returns: whether that is possible.
        """
        handOn = self._context.handOn
        if handOn is None or self._isHandedOn or self._encrypted:
            return False
        if read is None:
            read = self._wire.readSoFar(misplaced.request, misplaced.rest)
        self._context.unclassified.take(self)
        sock = self._detach()
        handOn(misplaced.worker, sock, peerAddress(sock, self._peer), read, self._wire.challenge)
        return True

    def _readLater(self, data: bytes, user: str) -> None:
        """Have what may be one more wrong secret wait for its check; or for its refusal, if too many wait already."""
        seconds = self._context.guesses.turn(self._source, user)
        if seconds is None:
            self._refuseLater(LONGEST_WAIT, TooManyGuesses())
            return
        self._context.unclassified.renew(self, self._source)  # this wait is not the client's fault
        self.transport.pauseProducing()
        self._delayed = self._context.reactor.callLater(seconds, self._readNow, data)

    def _refuseLater(self, seconds: float, refusal: Refusal) -> None:
        """Have a client wait for its refusal, and read nothing meanwhile."""
        self._inflow.stop()
        self._context.unclassified.renew(self, self._source)
        self.transport.pauseProducing()
        self._delayed = self._context.reactor.callLater(seconds, self._refuseAndReport, refusal)

    def _readNow(self, data: bytes) -> None:
        self._delayed = None
        self.transport.resumeProducing()
        self._read(data, counted=True)

    def _stopWaiting(self) -> None:
        delayed, self._delayed = self._delayed, None  # without this cycle of references, we are freed at once
        if delayed is not None and delayed.active():
            delayed.cancel()

    def _follow(self, event: ServerEvent) -> None:
        context = self._context
        match event:
            case ClientAlive():
                self._answered()  # as a sign of life it is one of many
            case SendData(data):
                self.transport.write(data)
                if self._session is None:
                    context.unclassified.renew(self, self._source)  # each message has its own time
            case VisitorTaken() | LaneOffered():
                context.unclassified.take(self)
                context.firstMessages.hand(event, self._detach, self._provenUser())
            case SessionAsked():
                try:
                    session = self._begin()
                except Refusal:
                    self.transport.write(self._wire.agreed())  # the client understands nothing else before it
                    raise
                permits, user = context.authenticator.permits, session.user
                rights = "" if permits is None or not user.name else permits.summary(user)
                here = context.sessions.here if self._encrypted else ""
                about = context.settings.bounds.lanes, user.name, rights, context.worker, here
                self.transport.write(self._wire.agreed(session.laneToken, *about))
                if context.sessions.givesAway:
                    session.move(within=SPACING)
                    return
                if context.sessions.nextKey:
                    self.announceKey(context.sessions.nextKey)
                context.unclassified.renew(self, self._source)
            case TunnelAsked(number, address, token, rules, _, key):
                context.unclassified.take(self)
                self._emptySince = None
                session = self._begin() if self._session is None else self._session
                if key is not None and self._encrypted and context.sessions.here and not self._wire.namesNodes:
                    self._wire.namesNodes = True
                    self.nameNodes(context.sessions.nodes)
                session.open(number, address, token, rules, key)
            case TunnelLeft(number):
                assert self._session is not None
                self._session.giveBack(number)
                self._tunnelGone()
            case ClientLeft():
                context.unclassified.take(self)
                self._leave(None)

    def _answered(self) -> None:
        if self._session is not None and self._session.unconfirmed:
            self._session.answered()

    def _begin(self) -> Session:
        self._session = self._context.sessions.begin(self, self._logIn(), self._source)
        return self._session

    def _provenUser(self) -> User:
        """
        Who the client is, once its first message has come. Each visitor without a lane needs that.

        :raises Refusal: when the user may not connect.
        """
        authenticator = self._context.authenticator
        if authenticator.permits is None:
            return authenticator.user(self._wire.identity)
        return self._logIn().user

    @property
    def _userName(self) -> str:
        """The name of the user, as far as it is proved."""
        return "" if self._wire.identity is None else self._wire.identity.user

    def _logIn(self) -> Login:
        """
        Find out who the client is, once its first message has come.

        :raises Refusal: when the user may not connect.
        """
        authenticator, identity = self._context.authenticator, self._wire.identity
        secret = None if identity is None else identity.secret
        login = Login(authenticator.user(identity, self._names), self._peer, secret, self._encrypted)
        objection = authenticator.objection(login)  # what it has proved may have become invalid since
        if objection is not None:
            raise objection
        return login

    def _tunnelGone(self) -> None:
        """
        The session has a tunnel less. A session without one is bounded in time and number as unclassified connections
        are, with more time.
        """
        if self._session is None:
            return
        self._bound(self._session)
        if not self._session.hasTunnels:
            self._emptySince = self._context.reactor.seconds()
            self._context.unclassified.renew(self, self._source)

    def _bound(self, session: Session) -> None:
        """
        Bound what waits to be written by what the session's tunnels need; what waits already is not too much at once.
        """
        transport = self.transport
        bound = _BUFFER + _BUFFER_PER_TUNNEL * max(0, len(session.tunnels) - 1)
        transport.bufferSize = max(bound, min(transport.bufferSize, transport.queued + _BUFFER))

    def _detach(self) -> socket.socket:
        """Give the connection away."""
        self._inflow.stop()
        return self.transport.detach()

    @property
    def _hasTunnel(self) -> bool:
        """Whether there is a tunnel: then the end of the session is reported, and not that of the connection."""
        return self._session is not None and bool(self._session.tunnels)

    def _refuseAndReport(self, refusal: Refusal) -> None:
        """Close the connection because of what the client has sent."""
        if not self._hasTunnel:
            self._context.sink.emit(ConnectionRefused(self._peer, self._source, refusal, self._userName))
        self.refuse(refusal)

    def _leave(self, error: ProtocolViolation | None) -> None:
        """
        Close the connection without a message, and the tunnels.

        :param error: why; None: the client has sent Goodbye.
        """
        if self._session is not None:
            self._session.close(error)
        self._stopProducing()
        self._close()

    def _produce(self) -> None:
        """From the first answer on, bound what waits to be written, and the time for which the peer may be dead."""
        if not self._produces:
            prepareControl(self.transport.getHandle(), PEER_TIMEOUT if self.extended else BASE_TIMEOUT)
            self.transport.registerProducer(self, True)
            self._produces = True

    def _stopProducing(self) -> None:
        """Have nothing to do with the transport's buffer any more: a transport that has a producer would not close."""
        if self._produces:
            self._produces = False
            self.transport.unregisterProducer()

    def _endWith(self, last: bytes) -> None:
        """Send this, and close the connection."""
        self._stopWaiting()
        self._stopProducing()
        self.transport.write(last)
        self._close()

    def _close(self) -> None:
        """
        Close the connection behind what was written.

        As long as the client does not read that, the connection counts as unclassified: bounded in time and number.
        """
        self._emptySince = None
        self._inflow.stop()
        if not self.transport.finish():
            self._context.unclassified.renew(self, self._source)
