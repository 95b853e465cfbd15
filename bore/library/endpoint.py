"""A tunnel as a server endpoint of Twisted."""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from zope.interface import implementer

from bore.library.arrivals import addressFor
from bore.library.tunnel import Tunnel

#: Separates several servers in a string.
_SEPARATOR: Final = ","

#: TLS, as strings with endpoints have it.
_TLS: Final = re.compile("^tls:(?!//)")


@implementer(IListeningPort)
class TunnelPort:
    """The public port of a tunnel, as Twisted has listening ports."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel

    def startListening(self) -> None:
        """See IListeningPort: it is open from the beginning."""

    def stopListening(self) -> Deferred[None]:
        """Close the tunnel; running visitors have 5 seconds."""
        return self.tunnel.close()

    def getHost(self) -> IAddress:
        """The public address."""
        return addressFor(*self.tunnel.address)


@implementer(IStreamServerEndpoint)
class TunnelServerEndpoint:
    """
    Listens at the public port of a tunnel. No local port is opened; ``getPeer()`` of a transport is the visitor.

    :param reactor: Twisted's.
    :param options: the parameters of :meth:`bore.Tunnel.open` but ``local``.
    """

    def __init__(self, reactor: object, **options: Any) -> None:
        self._reactor = reactor
        self._options = options

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Open the tunnel.

        :returns: see :meth:`bore.Tunnel.open`.
        :raises ValueError: see there.
        """
        return Tunnel.open(self._reactor, local=protocolFactory, **self._options).addCallback(TunnelPort)


def parse(reactor: object, to: str = "", keepAddress: str = "yes", **options: str) -> TunnelServerEndpoint:
    """
    Make the endpoint of ``bore:to=tls\\:tunnel.example.com:port=8080:secretFile=secret.txt``.

    :param to: the servers, separated by commas, each as ``--to`` takes it; ``tls:HOST`` is ``tls://HOST``.
    :param keepAddress: ``yes`` or ``no``: whether the public port is saved for the next start.
    :param options: the other parameters of :meth:`bore.Tunnel.open`.
    :raises ValueError: when one of these is invalid; what is wrong with the others is raised when it listens.
    """
    if keepAddress not in ("yes", "no"):
        raise ValueError(f"keepAddress={keepAddress!r}: must be yes or no")
    servers = tuple(_TLS.sub("tls://", part.strip()) for part in to.split(_SEPARATOR) if part.strip())
    if not servers:
        raise ValueError(r"to= is missing: name the server, as in bore:to=tls\:tunnel.example.com")
    return TunnelServerEndpoint(reactor, to=servers, keepAddress=keepAddress == "yes", **options)
