"""Makes the control connection, and makes it again when it is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import NotConnectingError
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall
from twisted.internet.protocol import ReconnectingClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.control import ControlProtocol
from bore.client.publicport import PublicPort
from bore.client.reasons import (
    CheckFailed,
    ServerUnreachable,
    describe,
)
from bore.client.servers import Servers
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.verdicts import isBlip, isFinal, isUnproven
from bore.client.visitors import Visitors
from bore.streams.addresses import hostPort
from bore.streams.dial import Dials
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.tls.errors import CertificateNotCurrent
from bore.wire.errors import AuthenticationFailed, LateChallenge, ProtocolViolation, Refusal

#: A server that was lost, and keeps the port for us, is tried for so many seconds before the next one is: a blip of the
#: network is mostly over by then, and who has several servers wants to be at another one soon when one is dead.
_RETURN: Final = 3.0

#: A session that was lost sooner counts as an attempt that has failed, in seconds.
_SETTLED: Final = 60.0

#: When more sessions than these were lost so soon, one after the other, the server is not worth coming back to.
_LOST_SOON: Final = 2


class ControlFactory(ReconnectingClientFactory):
    """
    Keeps a control connection to one of the servers.

    :ivar firstOpened: fires with the public port when the tunnel is up for the first time.
    :ivar gaveUp: fails with the reason when no further attempt is made.
    """

    _log = Logger()
    noisy = False
    initialDelay = 1.0
    factor = 2.0
    jitter = 0.0  # retry() has its own, which keeps to the user's limit

    def __init__(self, reactor: IReactor, settings: ClientSettings, servers: Servers, visitors: Visitors) -> None:
        self.reactor = reactor
        self.clock = cast(Any, reactor)  # the base class asks for more of a reactor than it uses
        self.settings = settings
        self.visitors = visitors
        self.turns = Turns(reactor)
        self.firstOpened: Deferred[int] = Deferred()
        self.gaveUp: Deferred[None] = Deferred()
        self.delay = min(self.initialDelay, settings.maxReconnectDelay)
        self._servers = servers
        self._announced = ""
        self._control: ControlProtocol | None = None
        self._up = False
        self._stopped = False
        self._failures = self._checkFailures = self._lostSoon = 0
        self._openedAt = 0.0
        self._leaving: IDelayedCall | None = None
        self._tried = 0
        self._met: set[ServerAddress] = set()
        self._challengeLate: set[ServerAddress] = set()
        self._why: Exception | None = None
        self._left: Deferred[None] | None = None

    @property
    def publicPort(self) -> PublicPort:
        """The public port to ask for."""
        return self._servers.publicPort

    @property
    def probes(self) -> bool:
        """Whether a server that sends no challenge is asked if it has a secret; not where challenges came late."""
        return self.settings.secret is not None and self._servers.address not in self._challengeLate

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol:
        self._control = ControlProtocol(self)
        return self._control

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> Dials:
        """What makes further connections to the server, at this IP address."""
        return self._servers.dialer(host, port, distrusted)

    def proven(self) -> None:
        """The server has proved that it knows the secret."""
        self._servers.proven()

    def opened(self, port: int, resume: str | None) -> None:
        """The tunnel is up."""
        self._servers.opened()
        if not self._stopped:
            ReconnectingClientFactory.resetDelay(self)
        self.delay = min(self.delay, self.settings.maxReconnectDelay)
        self._tried = 0
        self._openedAt = self.reactor.seconds()
        self._stay()
        self.publicPort.opened(port, resume)
        self._up = True
        public = hostPort(self._servers.address.host, port)
        if self._announced and public != self._announced:
            self._log.warn("the public address changed from {had} to {public}", had=self._announced, public=public)
        self._log.info(
            "listening at {public} -> {local}",
            announce=public != self._announced,
            public=public,
            local=self.settings.local,
        )
        self._announced = public
        if not self.firstOpened.called:
            self.firstOpened.callback(port)

    def checked(self) -> None:
        """A check has shown that visitors come through."""
        self._checkFailures = 0

    def ending(self, why: Exception) -> None:
        """The connection is about to be cut, for this reason."""
        self._why = self._why or why

    def stop(self) -> Deferred[None]:
        """
        Make no further attempt, and end the connection on purpose.

        :returns: fires when the server has been told, or cannot be.
        """
        self._stopped = True
        self._stay()
        ReconnectingClientFactory.stopTrying(self)
        if self._control is None:
            return succeed(None)
        self._control.leave()
        self._left = Deferred()
        return self._left

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        why, self._why = self._why or reason.value, None
        self.publicPort.interrupted()
        self._next(connector, "cannot reach", why)

    def clientConnectionLost(self, connector: IConnector, unused_reason: Failure) -> None:
        why, self._why = self._why or unused_reason.value, None
        up, self._up = self._up, False
        self._control = None
        if self._left is not None:
            self._left.callback(None)
        if not isinstance(why, Refusal):
            self.publicPort.interrupted()
        elif self.publicPort.refused(why) and not up and self.settings.reconnect and not self._stopped:
            self._log.warn("{why}: the public port cannot be had back, any other will do", why=describe(why))
            connector.connect()
            return
        if up:
            self._wasUp(connector, why)
        self._next(connector, "lost" if up else "no tunnel from", why)

    def _wasUp(self, connector: IConnector, why: BaseException | None) -> None:
        """A session has ended in which the tunnel was up."""
        settled = self.reactor.seconds() - self._openedAt >= _SETTLED
        self._failures = 0 if settled else self._failures + 1
        self._lostSoon = 0 if settled else self._lostSoon + 1
        kept = self.publicPort.resume is not None and isBlip(why) and self._lostSoon <= _LOST_SOON
        if kept and len(self._servers) > 1 and self.settings.reconnect and not self._stopped:
            self._leaving = self.reactor.callLater(_RETURN, self._leave, connector)

    def _stay(self) -> None:
        """The server is not left any more, or was left already."""
        if self._leaving is not None and self._leaving.active():
            self._leaving.cancel()
        self._leaving = None

    def _leave(self, connector: IConnector) -> None:
        """The server that was lost has had its time: go on to the next one."""
        self._leaving = None
        if self._control is not None:
            self._control.giveUp()
            return
        try:
            self._why = TimeoutError()
            connector.stopConnecting()
        except NotConnectingError:  # it waits for its next attempt, which is at the next server then
            self._why = None
            self._servers.moveOn()

    def retry(self, connector: IConnector | None = None) -> None:
        """
        Make the next attempt after the current delay, or after the second half of it, at random.

        So clients that lost their server together do not come back together. A server that was not tried yet since
        the last one was lost, or keeps the port for us, is tried in the first half second.
        """
        delay = self.delay
        fresh = self._leaving is not None or self._tried % len(self._servers) != 0
        self.delay = random.uniform(0.0, 0.5) if fresh else random.uniform(0.5, 1.0) * delay
        self._log.info("next attempt in {delay} s", delay=round(self.delay, 1))
        ReconnectingClientFactory.retry(self, connector)
        self.delay = delay if fresh else min(delay * self.factor, self.settings.maxReconnectDelay)

    def _next(self, connector: IConnector, what: str, why: BaseException | None) -> None:
        """Decide what follows when there is no connection, or no longer one."""
        if self._stopped:
            return
        server = str(self._servers.address)
        text = f"{what} {server}: {describe(why)}"
        returns = self._leaving is not None and isBlip(why)
        self._failures += what != "lost" and not returns
        self._checkFailures += isinstance(why, CheckFailed)
        failures = max(self._failures, self._checkFailures)
        final = self._isFinal(why)
        if final:
            self._servers.drop(forGood=isinstance(why, AuthenticationFailed))
        if final and not len(self._servers):
            self._giveUp(cast(Exception, why))
        elif not self.settings.reconnect:
            self._giveUp(why if isinstance(why, Refusal | ProtocolViolation) else ServerUnreachable(text))
        elif 0 < self.settings.exitAfterFailures <= failures:
            self._giveUp(ServerUnreachable(f"failures in a row: {failures}, the last one: {text}"))
        else:
            self._complain(what, why, final)
            if isinstance(why, LateChallenge):
                self._challengeLate.add(self._servers.address)
            if not returns:
                self._stay()
                self._tried += 1
                self._servers.moveOn()
            self.connector = connector
            self.retry()

    def _complain(self, what: str, why: BaseException | None, final: bool) -> None:
        """Log why there is no tunnel, and choose the delay that belongs to it."""
        server = str(self._servers.address)
        if final:
            forGood = isinstance(why, AuthenticationFailed)
            self._log.error(
                "{what} {server}: {why}; it is not tried again{until}",
                what=what,
                server=server,
                why=describe(why),
                until="" if forGood else " before there was a tunnel at another server",
            )
        elif isinstance(why, CertificateNotCurrent):
            self._log.error("{what} {server}: {why}", what=what, server=server, why=describe(why))
        elif isUnproven(why):
            self._log.error(
                "{what} {server}: {why}; nothing proves that this is the right server, so the client goes on trying",
                what=what,
                server=server,
                why=describe(why),
            )
            self.delay = self.settings.maxReconnectDelay
        else:
            self._log.warn("{what} {server}: {why}", what=what, server=server, why=describe(why))
            if isinstance(why, Refusal) and not why.retry:
                self.delay = self.settings.maxReconnectDelay  # it would say the same again soon

    def _isFinal(self, why: BaseException | None) -> bool:
        """Whether nothing but the user can help, as far as the current server is concerned."""
        address = self._servers.address
        first = address not in self._met
        self._met.add(address)
        return isFinal(why, first, bool(self._announced), self._servers.known)

    def _giveUp(self, why: Exception) -> None:
        self._stopped = True
        self._stay()
        self.gaveUp.errback(why)
