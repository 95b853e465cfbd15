"""The connection to a Redis server that is made again when it is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IConnector, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, ReconnectingClientFactory
from twisted.python.failure import Failure
from txredisapi import ResponseError
from zope.interface import implementer

from bore.cluster.dialling import engineAway, engineEndpoint, engineErrorText
from bore.cluster.engine import ENGINE_TIMEOUT, EngineAway
from bore.cluster.redislink import Commands, RedisLink, RedisProtocol, replyText
from bore.cluster.url import EngineServer, EngineTls, Login
from bore.streams.connector import EndpointConnector
from bore.streams.reactor import IReactor

#: A connection without an answer for this time, in seconds, is ended if an answer is late.
_SILENCE: Final = 1.0


class HeldRedis(ReconnectingClientFactory):
    """
    Holds a connection to a Redis server, or to a Sentinel, from :meth:`start` until :meth:`stop`.

    It can be used when the server has answered PING: one that still loads its data, refuses the password, or has a
    certificate for another name, is away.

    :param find: finds the server, anew for each connection.
    :param tls: how TLS is used; None: not at all.
    :param database: the number of the database.
    :ivar server: the server that was tried, or is used; None: none was found yet.
    """

    noisy = False
    initialDelay = delay = 0.1
    maxDelay = 2
    factor = 2.0

    def __init__(
        self,
        reactor: IReactor,
        find: Callable[[], Deferred[EngineServer]],
        login: Login,
        tls: EngineTls | None,
        database: int = 0,
    ) -> None:
        self.clock = cast(Any, reactor)  # the base class asks for more of a reactor than it uses
        self._reactor = reactor
        self._find = find
        self._login = login
        self._tls = tls
        self._database = database
        self.connector = self._connector = EndpointConnector(_Endpoint(self._connectOnce), self)
        self._made: RedisLink | None = None  # from the begin of the connection
        self._usable: RedisLink | None = None
        self._waiting: list[Deferred[RedisLink]] = []
        self._why = "it does not answer"
        self._stopped: Deferred[None] | None = None
        self.server: EngineServer | None = None

    def start(self) -> None:
        """Begin to connect."""
        self._connector.connect()

    def stop(self) -> Deferred[None]:
        """End the connection, and make no other one; fires when there is none."""
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        self._why = "it is not used any more"
        ReconnectingClientFactory.stopTrying(self)
        if self._made is not None:
            self._made.drop(self._why)
        elif not stopped.called:  # else an attempt was under way, and has ended
            self._end(stopped)
        return stopped

    def link(self) -> Deferred[RedisLink]:
        """
        Return the connection that can be used, or that is made next.

        :returns: fails with EngineAway if that cannot be used. It is for the caller to limit the time.
        """
        if self._usable is not None and not self._usable.ended:
            return succeed(self._usable)
        if self._stopped is not None:
            return fail(self.away())
        waiting: Deferred[RedisLink] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def timedOut(self) -> EngineAway:
        """An answer is late: end the connection, if all are. Returns the error."""
        link = self._usable
        if link is not None and self._reactor.seconds() - link.answeredAt < _SILENCE:
            return engineAway(self.server, "it answers too slowly")
        if link is not None:
            link.drop("it does not answer")
        return self.away()

    def away(self) -> EngineAway:
        """The error that there is no connection."""
        return engineAway(self.server, self._why if self._made is None else self._made.why)

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        made = RedisProtocol()
        cast(Commands, made).whenConnected().addCallback(self._connected)
        return cast(Protocol, made)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._why = engineErrorText(reason.value)
        self._again(connector, failed=True)

    def clientConnectionLost(self, connector: IConnector, unused_reason: Failure) -> None:
        assert self._made is not None
        self._why = self._made.why if unused_reason.check(ConnectionAborted) else engineErrorText(unused_reason.value)
        failed = self._usable is None
        self._made = self._usable = None
        self._again(connector, failed)

    def _connectOnce(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        def found(server: EngineServer) -> Deferred[IProtocol]:
            self.server = server
            return engineEndpoint(self._reactor, server, self._tls).connect(factory)

        return self._find().addCallback(found)

    def _connected(self, commands: Commands) -> None:
        assert self.server is not None
        self._made = link = RedisLink(self._reactor, commands, self.server)
        commands.broken = link.drop
        entering = Deferred.fromCoroutine(link.enter(*self._login, self._database))
        entering.addTimeout(ENGINE_TIMEOUT, self._reactor)
        entering.addCallbacks(lambda _: self._entered(link), self._refused, errbackArgs=(link,))

    def _entered(self, link: RedisLink) -> None:
        self._usable = link
        ReconnectingClientFactory.resetDelay(self)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(link)

    def _refused(self, reason: Failure, link: RedisLink) -> None:
        if reason.check(ResponseError, DeferredTimeout):  # else it is lost
            link.drop(replyText(reason.value) if reason.check(ResponseError) else link.why)

    def _again(self, connector: IConnector, failed: bool) -> None:
        """Try again later. Calls that wait for the attempt that has failed do not wait for the next."""
        if self._stopped is not None:
            self._end(self._stopped)
            return
        ReconnectingClientFactory.retry(self, connector)
        if failed:
            self._fail()

    def _end(self, stopped: Deferred[None]) -> None:
        """There is no connection any more, and no attempt."""
        self._fail()
        stopped.callback(None)

    def _fail(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.errback(self.away())


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """A function as an endpoint."""

    def __init__(self, connect: Callable[[IProtocolFactory], Deferred[IProtocol]]) -> None:
        self._connect = connect

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect once."""
        return self._connect(protocolFactory)
