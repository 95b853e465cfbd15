"""A connector for endpoints, which a :class:`ReconnectingClientFactory` needs."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import NotConnectingError, UserError
from twisted.internet.interfaces import IAddress, IConnector, IProtocol, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IConnector)
class EndpointConnector:
    """
    Connects a client factory by an endpoint, again and again.

    ``connectTCP`` supports one address family and passes a connector to its factory; endpoints support both families
    and have no connector. This one calls ``clientConnectionFailed`` and ``clientConnectionLost`` of the factory. Each
    attempt connects the endpoint again, so that names are looked up again.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, factory: ClientFactory) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._attempt: Deferred[IProtocol] | None = None
        self._transport: ITransport | None = None

    def connect(self) -> None:
        """
        Start one attempt.

        :raises RuntimeError: when there is an attempt or a connection.
        """
        if self._attempt is not None or self._transport is not None:
            raise RuntimeError("connected or connecting already")
        self._factory.doStart()
        self._factory.startedConnecting(self)
        # An exception before there is a Deferred is a failure of this attempt, and not of the caller.
        attempt: Deferred[IProtocol] = maybeDeferred(self._endpoint.connect, _WatchedFactory(self, self._factory))
        done = False

        def ended(result: IProtocol | Failure) -> IProtocol | Failure:
            nonlocal done
            done = True
            return result

        attempt.addBoth(ended)
        if not done:  # "called" does not say that: it may wait for its next step
            self._attempt = attempt
        attempt.addErrback(self._failed)

    def stopConnecting(self) -> None:
        """
        End the current attempt.

        :raises NotConnectingError: when there is none.
        """
        if self._attempt is None:
            raise NotConnectingError
        self._attempt.cancel()

    def disconnect(self) -> None:
        """End the connection, or the current attempt, if there is one."""
        if self._attempt is not None:
            self.stopConnecting()
        elif self._transport is not None:
            self._transport.loseConnection()

    @property
    def busy(self) -> bool:
        """Whether there is an attempt, or a connection."""
        return self._attempt is not None or self._transport is not None

    def getDestination(self) -> IAddress:
        """The endpoint. (An address, by IConnector: an endpoint has none before it is connected.)"""
        return cast(IAddress, self._endpoint)

    def _connected(self, transport: ITransport) -> None:
        self._attempt = None
        self._transport = transport

    def _failed(self, reason: Failure) -> None:
        self._attempt = None
        if reason.check(CancelledError):
            reason = Failure(UserError())
        self._factory.clientConnectionFailed(self, reason)
        self._factory.doStop()

    def _lost(self, reason: Failure) -> None:
        self._transport = None
        self._factory.clientConnectionLost(self, reason)
        self._factory.doStop()


class _WatchedFactory(Factory):
    """Wraps the real factory for one attempt."""

    noisy = False

    def __init__(self, connector: EndpointConnector, factory: ClientFactory) -> None:
        self._connector = connector
        self._factory = factory

    def buildProtocol(self, addr: IAddress | None) -> _Watched | None:
        protocol = self._factory.buildProtocol(addr)
        return None if protocol is None else _Watched(self._connector, protocol)


class _Watched(Protocol):
    """Wraps the real protocol, and reports the begin and the end of the connection to the connector."""

    def __init__(self, connector: EndpointConnector, protocol: IProtocol) -> None:
        self._connector = connector
        self._protocol = protocol

    def logPrefix(self) -> str:
        return type(self._protocol).__name__

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._connector._connected(self.transport)
        self._protocol.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._protocol.connectionLost(reason)
        self._connector._lost(reason)
