"""A dialler as a Twisted endpoint."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from bore.streams.dial import Dialer
from bore.streams.encryption import peerError
from bore.streams.reactor import IReactor
from bore.streams.transport import SocketTransport, addressOf


@implementer(IStreamClientEndpoint)
class DialerEndpoint:
    """
    An endpoint that connects by a dialler, plain or inside TLS.
    """

    def __init__(self, reactor: IReactor, dialer: Dialer) -> None:
        self._reactor = reactor
        self._dialer = dialer

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect once. Fails as the dialler does."""
        dial = cast(Callable[[], Deferred[socket.socket]], self._dialer.dial)
        return maybeDeferred(dial).addCallback(self._start, protocolFactory)

    def _start(self, sock: socket.socket, factory: IProtocolFactory) -> IProtocol:
        try:
            address = addressOf(sock)
        except OSError as e:
            trouble = peerError(sock, e)
            sock.close()
            raise trouble from None
        protocol = factory.buildProtocol(address)
        assert protocol is not None
        SocketTransport(sock, protocol, self._reactor, control=True).start()
        return protocol
