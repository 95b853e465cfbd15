"""The control connection, from its first byte to its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as Face

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.client.check import Check
from bore.client.lanes import SessionLanes
from bore.client.publicport import PublicPort
from bore.client.reasons import (
    CheckFailed,
    NoVisitorAddresses,
    ServerNotReading,
    ServerSilent,
    describe,
)
from bore.client.settings import ClientSettings
from bore.client.silence import Silence
from bore.client.visitors import Visitors
from bore.streams.addresses import peerOf
from bore.streams.dial import Dialer, Dials
from bore.streams.reactor import IReactor
from bore.streams.sockets import PEER_TIMEOUT, channelBinding, prepareControl, troubleOf
from bore.streams.transport import IStreamTransport
from bore.timing.bursts import Burst
from bore.timing.turns import Inflow, Turns
from bore.tls.errors import ServerNotTrusted
from bore.wire import proxyprotocol
from bore.wire.clientsession import ControlSession
from bore.wire.errors import WireError
from bore.wire.extension import Source
from bore.wire.limits import CHALLENGE_PATIENCE, SILENCE_TIMEOUT
from bore.wire.messages import ServerMessage
from bore.wire.proof import clientProof
from bore.wire.sessionevents import (
    ClientEvent,
    SendData,
    ServerAlive,
    ServerProven,
    TunnelOpened,
    Unexpected,
    VisitorCame,
)


class Attempts(Face):
    """Whoever makes control connections, and makes them again."""

    reactor: IReactor
    settings: ClientSettings
    visitors: Visitors
    turns: Turns

    @property
    def probes(self) -> bool:
        """Whether a server that sends no challenge is asked if it has a secret."""

    @property
    def publicPort(self) -> PublicPort:
        """The public port to ask for."""

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> Dials:
        """What makes further connections to the server, at this IP address; told when it is another one there."""

    def proven(self) -> None:
        """The server has proved that it knows the secret."""

    def opened(self, port: int, resume: str | None) -> None:
        """The tunnel is up."""

    def checked(self) -> None:
        """A check has shown that visitors come through."""

    def ending(self, why: Exception) -> None:
        """The connection is about to be cut, for this reason."""


@implementer(IPushProducer)
class ControlProtocol(Protocol):
    """
    The control connection.

    It is the producer of what is written there: what the server has to read before it may say more is bounded.

    :param attempts: what made it, and is told what becomes of it.
    """

    _log = Logger()
    transport: IStreamTransport

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._session: ControlSession
        self._inflow: Inflow[ClientEvent]
        self._host = ""
        self._public = 0
        self._server: Dials | None = None
        self._silence: Silence | None = None
        self._probe: IDelayedCall | None = None
        self._check: Check | None = None
        self._lanes: SessionLanes | None = None
        self._warned = False
        self._strays = Burst(attempts.reactor)

    def connectionMade(self) -> None:
        reactor = self._attempts.reactor
        sock = self.transport.getHandle()
        public = self._attempts.publicPort
        proof = clientProof(self._attempts.settings.secret, channelBinding(sock))
        self._inflow = Inflow(self._attempts.turns, self.transport, self._read)
        self._session = ControlSession(public.wanted, proof, public.resume)
        prepareControl(sock)  # silence is found out by SILENCE_TIMEOUT; this is for what is dead while streams go on
        try:
            self._host, port = peerOf(sock)
        except OSError as e:  # reset while we were told of it
            self._end(troubleOf(sock, e))
            return
        self._server = self._attempts.dialer(self._host, port, self._strayed)
        self.transport.registerProducer(self, True)
        self.transport.write(self._session.greeting())
        self._silence = Silence(reactor, self._sinceReceived, self._silent)
        if self._attempts.probes:
            self._probe = reactor.callLater(CHALLENGE_PATIENCE, self._noChallenge)

    def dataReceived(self, data: bytes) -> None:
        self._inflow.received(self._session.feed(data), len(data))
        self._read()

    def _read(self) -> None:
        """Follow what the server has said."""
        try:
            for event in self._inflow:
                assert self._silence is not None
                self._silence.heard()
                self._follow(event)
        except (WireError, NoVisitorAddresses, ServerNotTrusted) as e:
            self._end(e)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._inflow.stop()
        if self._silence is not None:
            self._silence.stop()
        if self._probe is not None and self._probe.active():
            self._probe.cancel()
        if self._check is not None:
            self._check.stop()
        if self._lanes is not None:
            self._lanes.close()
            self._lanes = None

    def leave(self) -> None:
        """End the connection on purpose: the server need not wait for us."""
        self._inflow.stop()
        self.transport.write(self._session.goodbye())
        self.transport.unregisterProducer()  # a transport that has a producer would not close
        self.transport.loseConnection()

    def pauseProducing(self) -> None:
        """So much waits to be written that the server cannot have read anything for long."""
        self._end(ServerNotReading())

    def resumeProducing(self) -> None:
        """Everything was written after all: too late."""

    def stopProducing(self) -> None:
        """The connection is lost: connectionLost tells."""

    def giveUp(self) -> None:
        """End the connection, as the server has not answered soon enough."""
        self._end(ServerSilent("it does not answer"))

    def _follow(self, event: ClientEvent) -> None:
        match event:
            case ServerAlive():
                pass
            case ServerProven():
                self._attempts.proven()
            case VisitorCame(id) if self._lanes is not None:
                self._lanes.came(id)
            case VisitorCame(id, source):
                assert self._server is not None
                self._attempts.visitors.came(id, self._server, self._header(source))
            case SendData(words):
                self.transport.write(words)
            case TunnelOpened(port, resume, lane, maxLanes):
                self._opened(port, resume)
                self._openLanes(lane, maxLanes)
            case Unexpected(message):
                self._ignored(message)

    def _opened(self, port: int, resume: str | None) -> None:
        settings = self._attempts.settings
        if settings.proxyProtocol is not None and not self._session.extended:
            raise NoVisitorAddresses
        self._public = port
        if self._session.extended:
            prepareControl(self.transport.getHandle(), PEER_TIMEOUT)
        self._attempts.opened(port, resume)
        if settings.checkEvery:
            reactor, visitors = self._attempts.reactor, self._attempts.visitors
            public = Dialer(reactor, self._host, port)
            self._check = Check(
                reactor, settings.checkEvery, public, visitors, self._attempts.checked, self._checkFailed
            )

    def _openLanes(self, token: str | None, most: int) -> None:
        attempts = self._attempts
        relay, keep = attempts.visitors.relay.lanes, attempts.settings.lanes
        keep = min(keep, most or keep)  # what is more would be closed as soon as it is idle
        if token is not None and relay is not None and keep:
            assert self._server is not None
            self._lanes = SessionLanes(
                attempts.reactor, relay, attempts.visitors, self._server, token, keep, self._header
            )

    def _header(self, source: Source | None) -> bytes:
        version = self._attempts.settings.proxyProtocol
        return b"" if version is None else proxyprotocol.header(version, source, (self._host, self._public))

    def _ignored(self, message: ServerMessage) -> None:
        if not self._warned:
            self._warned = True
            self._log.warn("the server said {message}: ignored, and so are others like it", message=message)

    def _strayed(self, why: Exception) -> None:
        """A further connection led to another server: it was closed, and this one goes on."""
        if self._strays.begins():
            self._log.error("a connection beside the control connection was not used: {why}", why=describe(why))

    def _noChallenge(self) -> None:
        self.transport.write(self._session.noChallenge())

    def _sinceReceived(self) -> float:
        assert self._server is not None
        return self._attempts.visitors.sinceReceived(self._server)

    def _silent(self) -> None:
        self._end(ServerSilent(f"nothing came from it for {SILENCE_TIMEOUT:.0f} s"))

    def _checkFailed(self, why: str) -> None:
        self._end(CheckFailed(f"visitors do not come through: {why}"))

    def _end(self, why: Exception) -> None:
        self._inflow.stop()
        self._attempts.ending(why)
        self.transport.abortConnection()
