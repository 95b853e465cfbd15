"""What lets a :class:`ReconnectingClientFactory` drive an endpoint."""

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
    Connects a client factory by way of an endpoint, as often as it is told to.

    ``connectTCP`` takes one address family and hands its factory a connector; an endpoint takes both families and
    hands over none. This is the connector for an endpoint: failures and lost connections reach the factory as
    ``clientConnectionFailed`` and ``clientConnectionLost``. Every attempt asks the endpoint anew, so that names are
    looked up afresh.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, factory: ClientFactory) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._attempt: Deferred[IProtocol] | None = None
        self._transport: ITransport | None = None

    def connect(self) -> None:
        """
        Start one attempt.

        :raises RuntimeError: when there is an attempt or a connection already.
        """
        if self._attempt is not None or self._transport is not None:
            raise RuntimeError("connected or connecting already")
        self._factory.doStart()
        self._factory.startedConnecting(self)
        # What goes wrong before there is a Deferred is a failure of this attempt, too, and not of whoever asked for it.
        attempt: Deferred[IProtocol] = maybeDeferred(self._endpoint.connect, _WatchedFactory(self, self._factory))
        done = False

        def ended(result: IProtocol | Failure) -> IProtocol | Failure:
            nonlocal done
            done = True
            return result

        attempt.addBoth(ended)
        if not done:  # "called" does not say that: it may have been, and wait for its next step
            self._attempt = attempt
        attempt.addErrback(self._failed)

    def stopConnecting(self) -> None:
        """
        End the attempt that is under way.

        :raises NotConnectingError: when there is none.
        """
        if self._attempt is None:
            raise NotConnectingError
        self._attempt.cancel()

    def disconnect(self) -> None:
        """End the connection, or the attempt that is under way, if there is one."""
        if self._attempt is not None:
            self.stopConnecting()
        elif self._transport is not None:
            self._transport.loseConnection()

    def getDestination(self) -> IAddress:
        """The endpoint. (IConnector wants an address here: an endpoint has none before it is connected.)"""
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
    """Stands before the real factory for one attempt."""

    noisy = False

    def __init__(self, connector: EndpointConnector, factory: ClientFactory) -> None:
        self._connector = connector
        self._factory = factory

    def buildProtocol(self, addr: IAddress | None) -> _Watched | None:
        protocol = self._factory.buildProtocol(addr)
        return None if protocol is None else _Watched(self._connector, protocol)


class _Watched(Protocol):
    """Passes everything on to the real protocol, and tells the connector of the connection's begin and end."""

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
