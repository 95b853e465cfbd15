"""Requests to one member of an etcd cluster, by treq."""

from __future__ import annotations

from typing import Final, cast

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseDone
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from bore.cluster.dialling import MAX_ANSWER, TOO_LONG, engineEndpoint, engineErrorText
from bore.cluster.engine import ENGINE_TIMEOUT
from bore.cluster.url import EngineServer, EngineTls
from bore.streams.reactor import IReactor
from bore.tls.certificates import BadCredentials
from bore.wire.values import value

#: What may be in front of that, in bytes.
_MAX_HEADERS: Final = 1 << 16

#: How many connections without a request are kept.
_KEPT: Final = 16


class Unreachable(Exception):
    """A member of etcd does not answer as it should; another one may."""


@value
class Reply:
    """
    An answer in HTTP.

    :ivar status: its status code.
    """

    status: int
    body: bytes


class EtcdServer:
    """
    One member of an etcd cluster.

    :param tls: how TLS is used; None: not at all.
    :ivar place: where it is.
    """

    def __init__(self, reactor: IReactor, server: EngineServer, tls: EngineTls | None) -> None:
        self._reactor = reactor
        self.place = server
        self._pool = HTTPConnectionPool(reactor)
        self._pool.retryAutomatically = False
        self._pool.maxPersistentPerHost = _KEPT
        agent = Agent.usingEndpointFactory(reactor, _Endpoint(reactor, server, tls), self._pool)
        self._http = HTTPClient(agent, data_to_body_producer=_Request)
        self._asking: set[Deferred[Reply]] = set()

    def ask(self, path: str, body: bytes, token: str, seconds: float) -> Deferred[Reply]:
        """
        Send a request, and read its answer.

        :param token: that of a user; empty: there is none.
        :param seconds: how long it may take; then its connection is cut.
        :returns: fails with :class:`Unreachable`.
        """
        asking = Deferred.fromCoroutine(self._ask(path, body, token))
        self._asking.add(asking)

        def ended(result: Reply | Failure) -> Reply | Failure:
            self._asking.discard(asking)
            return result

        return asking.addTimeout(seconds, self._reactor, self._noAnswer).addErrback(_failed).addBoth(ended)

    def stop(self) -> Deferred[None]:
        """End all requests, and close all connections."""
        for each in list(self._asking):
            each.cancel()
        closing = cast(Deferred[object], self._pool.closeCachedConnections())
        # Inside TLS it waits for an answer.
        return closing.addTimeout(ENGINE_TIMEOUT, self._reactor).addBoth(lambda _: None)

    def _noAnswer(self, _result: object, _seconds: float) -> Failure:
        """Nothing has come in time: the other connections may be as dead."""
        self._pool.closeCachedConnections()
        return Failure(Unreachable("it does not answer"))

    async def _ask(self, path: str, body: bytes, token: str) -> Reply:
        headers: dict[str | bytes, str | bytes] = {"Host": str(self.place), "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = token
        # The name in the URL leads nowhere: see _Endpoint. Not all names of servers are valid in one.
        url = f"http://etcd/v3/{path}"
        response = await self._http.post(url, headers=headers, data=body, allow_redirects=False, unbuffered=True)
        return await _Answer(response).done


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _Endpoint:
    """Leads all requests to one server. Files with certificates are read for each connection."""

    def __init__(self, reactor: IReactor, server: EngineServer, tls: EngineTls | None) -> None:
        self._reactor = reactor
        self._server = server
        self._tls = tls

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        limited = WrappingFactory(protocolFactory)
        limited.protocol = _Limited
        limited.noisy = False
        connecting = engineEndpoint(self._reactor, self._server, self._tls).connect(limited)
        return connecting.addCallback(lambda made: cast(_Limited, made).wrappedProtocol)


class _Limited(ProtocolWrapper):
    """A connection that ends when an answer has too much in front of its body, as headers are read without a limit."""

    _length = 0

    def write(self, data: bytes) -> None:
        self._length = 0
        ProtocolWrapper.write(self, data)

    def dataReceived(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > MAX_ANSWER + _MAX_HEADERS:
            self.abortConnection()
        else:
            ProtocolWrapper.dataReceived(self, data)


@implementer(IBodyProducer)
class _Request:
    """The body of a request, which is written at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None:
        """It has no more to write."""

    def resumeProducing(self) -> None:
        """See pauseProducing."""

    def stopProducing(self) -> None:
        """See pauseProducing."""


class _Answer(Protocol):
    """
    Reads the body of an answer.

    :ivar done: fires with the answer; cancelling it closes the connection.
    """

    def __init__(self, response: IResponse) -> None:
        self.done: Deferred[Reply] = Deferred(lambda _: self._close())
        self._status = response.code
        self._parts: list[bytes] = []
        self._length = 0
        response.deliverBody(self)

    def dataReceived(self, data: bytes) -> None:
        self._length += len(data)
        if self._length <= MAX_ANSWER:
            self._parts.append(data)
            return
        self._close()
        if not self.done.called:
            self.done.errback(Unreachable(TOO_LONG))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone):
            self.done.callback(Reply(self._status, b"".join(self._parts)))
        else:
            self.done.errback(reason)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


def _failed(reason: Failure) -> Failure:
    """Name the first cause that Twisted gives."""
    while reasons := getattr(reason.value, "reasons", None):
        reason = reasons[0]
    cause = reason.value
    if isinstance(cause, Unreachable):
        return reason
    if type(cause).__module__.startswith("twisted.web"):
        return Failure(Unreachable("it does not answer in HTTP"))
    return Failure(Unreachable(str(cause) if isinstance(cause, BadCredentials) else engineErrorText(cause)))
