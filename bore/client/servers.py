"""The servers that a client knows, and which of them it uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from bore.client.publicport import PublicPort
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.state import Memory, NoMemory, StateFile
from bore.streams.addresses import isLiteral
from bore.streams.dial import DIAL_TIMEOUT, Dialer, Dials
from bore.streams.reactor import IReactor

if TYPE_CHECKING:
    from bore.client.trust import Trust


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
        self._tls = settings.tls
        self._secret = settings.secret is not None
        self._trusts: dict[ServerAddress, Trust] = {}
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
        connecting: Deferred[IProtocol] = self._endpoint().connect(protocolFactory)
        return connecting

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> Dials:
        """
        What makes further connections to the current server.

        :param host: its IP address.
        :param distrusted: called when it turns out to be another one.
        """
        plain = Dialer(self._reactor, host, port)
        if self._tls is None:
            return plain
        from bore.client.tls import TlsDialer

        return TlsDialer(self._reactor, plain, self._trust(), distrusted)

    def proven(self) -> None:
        """The current server has proved that it knows the secret."""
        self._trust().proven()

    def opened(self) -> None:
        """There is a tunnel at the current server."""
        if self._tls is not None:
            self._trust().tell()

    def _trust(self) -> Trust:
        """Judges the current server. OpenSSL is loaded here, and not before."""
        from bore.client.trust import Trust

        assert self._tls is not None
        address = self.address
        if address not in self._trusts:
            self._trusts[address] = Trust(address, self._tls, self._secret)
        return self._trusts[address]

    def _endpoint(self) -> IStreamClientEndpoint:
        if self._tls is None:
            return _endpoint(self._reactor, self.address)
        from bore.client.tls import TlsDialer, TlsEndpoint

        plain = Dialer(self._reactor, *self.address)
        return TlsEndpoint(self._reactor, TlsDialer(self._reactor, plain, self._trust()))


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
