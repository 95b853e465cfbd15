"""The servers that a client knows, and which of them it uses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from bore.client.publicport import PublicPort
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.state import Memory, NoMemory, StateFile
from bore.streams.dial import Dialer, Dials
from bore.streams.endpoint import DialerEndpoint
from bore.streams.reactor import IReactor

if TYPE_CHECKING:
    from bore.tls.trust import Trust
    from bore.tls.verdict import Verdict


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
        self._verdicts: dict[ServerAddress, Verdict] = {}
        self._dialers: dict[ServerAddress, Dialer] = {}
        self._dropped: dict[int, bool] = {}
        self._current = 0

    def __len__(self) -> int:
        """How many of them are tried."""
        return len(self._all) - len(self._dropped)

    @property
    def address(self) -> ServerAddress:
        """Where the current server is."""
        return self._all[self._current][0]

    @property
    def publicPort(self) -> PublicPort:
        """The public port at the current server."""
        return self._all[self._current][1]

    @property
    def known(self) -> bool:
        """Whether the current server has shown to be the one that is meant; without TLS nothing can be shown."""
        verdict = self._verdicts.get(self.address)
        return self._tls is None or (verdict is not None and verdict.isKnown)

    def moveOn(self) -> None:
        """Make the next one that is tried the current one; behind the last comes the first."""
        for _ in self._all:
            self._current = (self._current + 1) % len(self._all)
            if self._current not in self._dropped:
                return

    def drop(self, forGood: bool) -> None:
        """
        Do not try the current server again.

        :param forGood: else it is tried again when there was a tunnel at another one.
        """
        self._dropped[self._current] = forGood

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Dial the current server; its name is looked up afresh."""
        self.publicPort.recall()
        plain = self._dialers.setdefault(self.address, Dialer(self._reactor, *self.address))
        plain.forget()
        self._verdicts.pop(self.address, None)
        return DialerEndpoint(self._reactor, self._firstDialer(plain)).connect(protocolFactory)

    def dialer(self, host: str, port: int, distrusted: Callable[[Exception], None]) -> Dials:
        """
        What makes further connections to the current server.

        :param host: its IP address.
        :param distrusted: called when it turns out to be another one.
        """
        plain = Dialer(self._reactor, host, port)
        if self._tls is None:
            return plain
        from bore.tls.dialer import FurtherTlsDialer

        return FurtherTlsDialer(self._reactor, plain, self._trust(), self._verdicts[self.address], distrusted)

    def proven(self) -> None:
        """The current server has proved that it knows the secret."""
        address = self.address
        self._verdicts[address] = self._trust().proven(self._verdicts[address])

    def opened(self) -> None:
        """There is a tunnel at the current server."""
        self._dropped = {number: forGood for number, forGood in self._dropped.items() if forGood}
        if self._tls is not None:
            self._trust().tell(self._verdicts[self.address])

    def _trust(self) -> Trust:
        """Judges the current server. OpenSSL is loaded here, and not before."""
        from bore.tls.trust import Trust

        assert self._tls is not None
        address = self.address
        if address not in self._trusts:
            self._trusts[address] = Trust(*address, self._tls, self._secret)
        return self._trusts[address]

    def _firstDialer(self, plain: Dialer) -> Dials:
        """What dials the control connection: with TLS, if the user wants it."""
        if self._tls is None:
            return plain
        from bore.tls.dialer import TlsDialer

        return TlsDialer(self._reactor, plain, self._trust(), partial(self._judged, self.address))

    def _judged(self, address: ServerAddress, verdict: Verdict) -> None:
        self._verdicts[address] = verdict


def _memory(settings: ClientSettings, address: ServerAddress) -> Memory:
    if settings.stateFolder is None:
        return NoMemory()
    return StateFile(settings.stateFolder, str(address), settings.local)
