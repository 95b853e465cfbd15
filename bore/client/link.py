"""A link: a session with one of the servers, again and again."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import NotConnectingError
from twisted.internet.interfaces import IDelayedCall

from bore.client.control import ControlProtocol
from bore.client.publicport import PublicPort
from bore.client.reasons import describe
from bore.client.reconnecting import ControlFactory
from bore.client.retry import RETURN, Failed, RetryPolicy
from bore.client.servers import Servers
from bore.client.settings import ClientSettings
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.client.verdicts import FINAL, verdictOn
from bore.client.visitors import Visitors
from bore.events.client import AddressChanged, Connected, PortGivenUp, ServerLost, Stage, TunnelUp, Verdict
from bore.streams.addresses import hostPort
from bore.streams.connector import EndpointConnector
from bore.streams.dial import Dialer
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.wire.errors import LateChallenge, Refusal


class ServerLink:
    """
    Keeps a session with one of the servers, and the tunnel open in it.

    :param servers: the servers.
    :param visitors: serves the visitors.
    :param tunnel: what is open in each session.
    :param policy: decides when there is a further attempt.
    :param gaveUp: called with the reason when no further attempt is made.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ClientSettings,
        servers: Servers,
        visitors: Visitors,
        tunnel: Tunnel,
        policy: RetryPolicy,
        gaveUp: Callable[[Exception], None],
    ) -> None:
        self.reactor = reactor
        self.settings = settings
        self.visitors = visitors
        self.tunnel = tunnel
        self.sink = visitors.sink
        self.turns = Turns(reactor)
        self._servers = servers
        self._policy = policy
        self._gaveUp = gaveUp
        self._factory = ControlFactory(reactor, self)
        self._connector = EndpointConnector(servers, self._factory)
        self._control: ControlProtocol | None = None
        self._up = False
        self._public = ""  # where the tunnel was up last
        self._stopped = False
        self._why: BaseException | None = None  # why we have ended the connection, or the attempt
        self._leaving: IDelayedCall | None = None
        self._left: Deferred[None] | None = None

    @property
    def server(self) -> str:
        """The current server, as events name it."""
        return self._servers.current.name

    @property
    def publicPort(self) -> PublicPort:
        """The tunnel's public port at the current server."""
        return self.tunnel.publicPort(self._servers.current.address)

    @property
    def probes(self) -> bool:
        """Whether to ask a server that sends no challenge if it has a secret; not if its challenge was late once."""
        return self.settings.secret is not None and not self._servers.current.challengeLate

    def start(self) -> None:
        """Connect."""
        self._connector.connect()

    def stop(self) -> Deferred[None]:
        """
        Make no further attempt, and end the session on purpose.

        :returns: fires when the connection is closed, which waits for the server to read the farewell.
        """
        self._stopped = True
        self._stay()
        self._factory.stop()
        left: Deferred[None] = succeed(None)
        if self._control is not None:
            self._left = left = Deferred()
            self._control.leave()
        self._connector.disconnect()
        return left

    def canServe(self, spec: TunnelSpec) -> bool:
        """Return whether the current session, if there is one, can go on when the tunnel is changed to this."""
        objection = None if self._control is None or self._control.extended else spec.objectionToBase()
        return spec.isOpenAs(self.tunnel.spec) and objection is None

    def connecting(self) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        self.publicPort.recall()

    def makeControl(self) -> ControlProtocol:
        """See :class:`bore.client.reconnecting.Attempts`."""
        self._control = ControlProtocol(self)
        self.sink.emit(Connected(self.server))
        return self._control

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> Dialer:
        """What makes further connections to the current server, at this IP address."""
        return self._servers.current.dialer(host, port, distrusted)

    def proven(self) -> None:
        """The server has proved that it knows the secret."""
        self._servers.current.proven()

    def opened(self, port: int, resume: str | None) -> None:
        """The tunnel is up."""
        self._servers.opened()
        self._factory.opened()
        self._policy.opened()
        self._stay()
        self.publicPort.opened(port, resume)
        self._up = True
        had, self._public = self._public, hostPort(self._servers.current.address.host, port)
        local = self.tunnel.name
        if had not in ("", self._public):
            self.sink.emit(AddressChanged(had, self._public, local, self.tunnel.label))
        self.sink.emit(TunnelUp(self._public, local, new=self._public != had))
        self.tunnel.opened(port)

    def checked(self) -> None:
        """A check has shown that visitors come through."""
        self._policy.checked()

    def ending(self, why: Exception) -> None:
        """The connection is about to be cut, for this reason."""
        self._why = self._why or why

    def failed(self, why: BaseException | None) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        why, self._why = self._why or why, None
        self.publicPort.interrupted()
        self._next(Stage.UNREACHED, why)

    def lost(self, why: BaseException | None) -> None:
        """See :class:`bore.client.reconnecting.Attempts`."""
        why, self._why = self._why or why, None
        up, self._up = self._up, False
        self._control = None
        if self._left is not None:
            self._left.callback(None)
        if not isinstance(why, Refusal):
            self.publicPort.interrupted()
        elif self.publicPort.refused(why) and not up and self.settings.reconnect and not self._stopped:
            self.sink.emit(PortGivenUp(self.server, describe(why), self.tunnel.label))
            self._factory.retryNow()
            return
        if up:
            self._policy.lost(why, self.publicPort.resume is not None, len(self._servers))
            if self._policy.returning and not self._stopped:
                self._leaving = self.reactor.callLater(RETURN, self._leave)
        self._next(Stage.TUNNEL if up else Stage.NO_TUNNEL, why)

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
            self._servers.moveOn()

    def _next(self, stage: Stage, why: BaseException | None) -> None:
        """Do what follows when an attempt has failed, or a connection was lost."""
        if self._stopped:
            return
        server = self._servers.current
        verdict = verdictOn(why, not server.met, bool(self._public), server.known)
        server.met = True
        server.challengeLate |= isinstance(why, LateChallenge)
        if verdict in FINAL:
            self._servers.drop(forGood=verdict is Verdict.DROP_FOR_GOOD)
        reason = describe(why)
        failed = Failed(why, verdict, f"{stage.value} {server.name}: {reason}", stage is Stage.TUNNEL)
        follows = self._policy.next(failed, len(self._servers))
        if isinstance(follows, Exception):
            self._giveUp(follows)
            return
        code = why.code if isinstance(why, Refusal) else ""
        self.sink.emit(ServerLost(server.name, stage, reason, code, verdict, follows.delay, self.tunnel.label))
        if follows.elsewhere:
            self._stay()
            self._servers.moveOn()
        self._factory.retryIn(follows.delay)

    def _giveUp(self, why: Exception) -> None:
        self._stopped = True
        self._stay()
        self._gaveUp(why)
