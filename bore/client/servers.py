"""The servers that a client knows, and which of them it uses."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from bore.client.publicport import PublicPort
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.state import Memory, NoMemory, StateFile
from bore.streams.addresses import isLiteral
from bore.streams.dial import DIAL_TIMEOUT
from bore.streams.reactor import IReactor


@implementer(IStreamClientEndpoint)
class Servers:
    """
    A list of servers with a current one. As an endpoint, it dials that one.

    :ivar address: where the current server is.
    :ivar publicPort: the public port at the current server.
    """

    def __init__(self, reactor: IReactor, settings: ClientSettings) -> None:
        self._reactor = reactor
        self._all = [
            (address, PublicPort(reactor, settings.port, _memory(settings, address))) for address in settings.servers
        ]
        self._current = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def address(self) -> ServerAddress:
        """Where the current server is."""
        return self._all[self._current][0]

    @property
    def publicPort(self) -> PublicPort:
        """The public port at the current server."""
        return self._all[self._current][1]

    def moveOn(self) -> None:
        """Make the next one the current one; behind the last comes the first."""
        self._current = (self._current + 1) % len(self._all)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Dial the current server; its name is looked up afresh."""
        self.publicPort.recall()
        connecting: Deferred[IProtocol] = _endpoint(self._reactor, self.address).connect(protocolFactory)
        return connecting


def _memory(settings: ClientSettings, address: ServerAddress) -> Memory:
    if settings.stateFolder is None:
        return NoMemory()
    return StateFile(settings.stateFolder, str(address), settings.local)


def _endpoint(reactor: IReactor, address: ServerAddress) -> IStreamClientEndpoint:
    """Both address families of a name, and the one of an address."""
    host, port = address
    if not isLiteral(host):
        return HostnameEndpoint(reactor, host, port, timeout=DIAL_TIMEOUT)
    kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
    return kind(reactor, host, port, timeout=int(DIAL_TIMEOUT))
