"""The control connection: it asks for the tunnel, keeps it, and gets it back."""

from __future__ import annotations

import random
from typing import Any, Final, cast

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall
from twisted.internet.protocol import Protocol, ReconnectingClientFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.publicport import PublicPort
from bore.client.settings import ClientSettings
from bore.client.visitors import Visitors
from bore.streams.addresses import hostPort, peerOf
from bore.streams.dial import Dialer
from bore.streams.reactor import IReactor
from bore.streams.sockets import prepareControl
from bore.streams.transport import IStreamTransport
from bore.wire.clientsession import Alive, ControlSession, Say, TunnelOpened, Unexpected, VisitorCame
from bore.wire.errors import (
    AuthenticationFailed,
    ClientHasNoSecret,
    LateChallenge,
    Refusal,
    ServerHasNoSecret,
    Violation,
    WireError,
)
from bore.wire.limits import CHALLENGE_PATIENCE, SILENCE_TIMEOUT
from bore.wire.messages import ServerMessage

#: The first delay is a second, as the base class has it, and each further one is twice as long. Each is up to so much
#: shorter or longer, so that clients that lost their server together do not come back together.
_JITTER: Final = 0.2


class ServerUnreachable(Exception):
    """The server cannot be reached, or is lost, and the user wants no further attempt."""


class ServerSilent(Exception):
    """No frame came from the server for SILENCE_TIMEOUT seconds."""


class ControlProtocol(Protocol):
    """The control connection, from its first byte to its loss."""

    _log = Logger()
    transport: IStreamTransport

    def __init__(self, factory: ControlFactory) -> None:
        self._factory = factory
        self._session = ControlSession(factory.publicPort.wanted, factory.settings.secret)
        self._server: Dialer | None = None
        self._silence: IDelayedCall | None = None
        self._probe: IDelayedCall | None = None
        self._warned = False

    def connectionMade(self) -> None:
        reactor = self._factory.reactor
        sock = self.transport.getHandle()
        prepareControl(sock)
        try:
            self._server = Dialer(reactor, *peerOf(sock))
        except OSError as e:  # reset while we were told of it
            self._end(e)
            return
        self.transport.write(self._session.greeting())
        self._silence = reactor.callLater(SILENCE_TIMEOUT, self._silent)
        if self._factory.probes:
            self._probe = reactor.callLater(CHALLENGE_PATIENCE, self._noChallenge)

    def dataReceived(self, data: bytes) -> None:
        try:
            for event in self._session.feed(data):
                assert self._silence is not None and self._server is not None
                self._silence.reset(SILENCE_TIMEOUT)
                match event:
                    case Alive():
                        pass
                    case VisitorCame(id):
                        self._factory.visitors.came(id, self._server)
                    case Say(words):
                        self.transport.write(words)
                    case TunnelOpened(port):
                        self._factory.opened(port)
                    case Unexpected(message):
                        self._ignored(message)
        except WireError as e:
            self._end(e)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        for timer in (self._silence, self._probe):
            if timer is not None and timer.active():
                timer.cancel()

    def _ignored(self, message: ServerMessage) -> None:
        if not self._warned:
            self._warned = True
            self._log.warn("the server said {message}: ignored, and so are others like it", message=message)

    def _noChallenge(self) -> None:
        self.transport.write(self._session.noChallenge())

    def _silent(self) -> None:
        self._end(ServerSilent(f"nothing came from it for {SILENCE_TIMEOUT:.0f} s"))

    def _end(self, why: Exception) -> None:
        self._factory.ending(why)
        self.transport.abortConnection()


class ControlFactory(ReconnectingClientFactory):
    """
    Makes the control connection, and makes it again when it is lost.

    :ivar firstOpened: fires with the public port when the tunnel is up for the first time.
    :ivar gaveUp: fails with the reason when no further attempt is made.
    """

    _log = Logger()
    noisy = False
    jitter = 0.0  # retry() has its own, which keeps to the user's limit
    factor = 2.0

    def __init__(self, reactor: IReactor, settings: ClientSettings, visitors: Visitors) -> None:
        self.reactor = reactor
        self.clock = cast(Any, reactor)  # the base class asks for more of a reactor than it uses
        self.settings = settings
        self.visitors = visitors
        self.publicPort = PublicPort(reactor, settings.port)
        self.probes = settings.secret is not None
        self.firstOpened: Deferred[int] = Deferred()
        self.gaveUp: Deferred[None] = Deferred()
        self._cap = settings.maxReconnectDelay / (1 + _JITTER)
        self._announced = 0
        self._up = False
        self._stopped = False
        self._why: Exception | None = None

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol:
        return ControlProtocol(self)

    def opened(self, port: int) -> None:
        """The tunnel is up."""
        if not self._stopped:
            ReconnectingClientFactory.resetDelay(self)
        self.publicPort.opened(port)
        self._up = True
        if self._announced and port != self._announced:
            self._log.warn("the public port changed from {had} to {port}", had=self._announced, port=port)
        self._log.info(
            "listening at {public} -> {local}",
            announce=port != self._announced,
            public=hostPort(self.settings.server, port),
            local=self.visitors.localName,
        )
        self._announced = port
        if not self.firstOpened.called:
            self.firstOpened.callback(port)

    def ending(self, why: Exception) -> None:
        """The connection is about to be cut, for this reason."""
        self._why = self._why or why

    def stop(self) -> None:
        """Make no further attempt."""
        self._stopped = True
        ReconnectingClientFactory.stopTrying(self)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.publicPort.interrupted()
        self._next(connector, "cannot reach", reason.value)

    def clientConnectionLost(self, connector: IConnector, unused_reason: Failure) -> None:
        why, self._why = self._why or unused_reason.value, None
        up, self._up = self._up, False
        if not isinstance(why, Refusal):
            self.publicPort.interrupted()
        elif not up and self.publicPort.refused(why) and self.settings.reconnect and not self._stopped:
            self._log.warn("{why}: the public port cannot be had back, any other will do", why=describe(why))
            connector.connect()
            return
        self._next(connector, "lost" if up else "no tunnel from", why)

    def retry(self, connector: IConnector | None = None) -> None:
        """Make the next attempt after the current delay, give or take the jitter, but never above the user's limit."""
        delay = min(self.delay, self._cap)
        self.delay = random.uniform(1 - _JITTER, 1 + _JITTER) * delay
        self._log.info("next attempt in {delay} s", delay=round(self.delay, 1))
        ReconnectingClientFactory.retry(self, connector)
        self.delay = min(delay * self.factor, self._cap)

    def _next(self, connector: IConnector, what: str, why: BaseException | None) -> None:
        """Decide what follows when there is no connection, or no longer one."""
        if self._stopped:
            return
        server = hostPort(self.settings.server, self.settings.controlPort)
        if isinstance(why, AuthenticationFailed):
            self._giveUp(why)
            return
        if not self.settings.reconnect:
            text = f"{what} {server}: {describe(why)}"
            self._giveUp(why if isinstance(why, Refusal | Violation) else ServerUnreachable(text))
            return
        self._log.warn("{what} {server}: {why}", what=what, server=server, why=describe(why))
        if isinstance(why, LateChallenge):
            self.probes = False
        self.connector = connector
        self.retry()

    def _giveUp(self, why: Exception) -> None:
        self._stopped = True
        self.gaveUp.errback(why)


_REASONS: Final[dict[type[Exception], str]] = {
    error.ConnectionRefusedError: "connection refused",
    error.ConnectionDone: "it closed the connection",
    error.ConnectionLost: "the connection was cut",
    error.TimeoutError: "it does not answer",
    error.TCPTimedOutError: "it does not answer",
    error.NoRouteError: "there is no route to it",
    error.DNSLookupError: "its name cannot be looked up",
}


def describe(why: BaseException | None) -> str:
    """Say in a few words what happened to a connection."""
    if isinstance(why, Refusal) and not isinstance(why, ClientHasNoSecret | ServerHasNoSecret):
        return f"server error: {why}"
    return _REASONS.get(cast("type[Exception]", type(why)), str(why))
