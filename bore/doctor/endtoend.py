"""Opens tunnels for a moment with the client itself, and visits them from this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Final, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol

from bore.client.publicport import publicText
from bore.client.service import ClientService
from bore.client.settings import ClientSettings
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.doctor.network import Talk, begin, waitFor
from bore.events import Sink
from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor
from bore.wire.publicaddress import ANY_PORT, PublicAddress

_LOOPBACK: Final = "127.0.0.1"

#: Bytes that are sent back to each visitor: more than a question behind the longest header of the PROXY protocol.
_ECHOED: Final = 1024

#: How long the server has to read that the tunnels are not wanted any more, in seconds.
_FAREWELL: Final = 3.0


@dataclass(frozen=True, slots=True)
class Visit:
    """
    What became of a tunnel.

    :ivar opened: its public address, or why there is none.
    :ivar public: the same, for people.
    :ivar why: why a visit did not come back; None: it did, or there was none.
    :ivar wasThere: whether the visitor came to this machine.
    :ivar visited: whether there was a visit.
    """

    spec: TunnelSpec
    opened: PublicAddress | BaseException
    public: str = ""
    why: BaseException | None = None
    wasThere: bool = False
    visited: bool = False
    seconds: float = 0.0


class NothingCameBack(Exception):
    """A visitor was connected, and nothing came back in time."""


class EndToEnd:
    """
    The tunnels of a client, with a service of our own in the place of the local ones: it sends everything back.

    :param settings: those of the client, with one server.
    :param seconds: gives the time for each step that is left.
    """

    def __init__(self, reactor: IReactor, settings: ClientSettings, seconds: Callable[[], float]) -> None:
        self._reactor = reactor
        self._settings = replace(
            settings, reconnect=False, exitAfterFailures=0, checkEvery=0.0, stateFolder=None, failFast=False
        )
        self._seconds = seconds
        self._came = 0

    async def visit(self, specs: Sequence[TunnelSpec]) -> list[Visit]:
        """Open tunnels, visit each that is open, and close them."""
        service = _Echo(self._noticed)
        listening: IListeningPort = await TCP4ServerEndpoint(self._reactor, 0, interface=_LOOPBACK).listen(service)
        target = Target(cast(IPv4Address, listening.getHost()).port, _LOOPBACK)
        own = [
            replace(spec, target=target, name=str(number), errorPage=False, probe=False)
            for number, spec in enumerate(specs)
        ]
        client = ClientService(self._reactor, self._settings, own, Sink())
        client.startService()
        try:
            answers = await gatherResults([self._opened(client, spec) for spec in own])
            return [await self._visited(spec, answer) for spec, answer in zip(specs, answers, strict=True)]
        finally:
            service.end()  # strangers may visit the tunnels as well, and stay
            await waitFor(self._reactor, client.stopService(), _FAREWELL)
            await maybeDeferred(listening.stopListening)

    def _opened(self, client: ClientService, spec: TunnelSpec) -> Deferred[PublicAddress | BaseException]:
        """Wait until a tunnel is open, or is refused."""
        opened: Deferred[PublicAddress | BaseException] = Deferred()
        opening = client.whenOpened(spec.name).addTimeout(self._seconds(), self._reactor)
        opening.addCallbacks(opened.callback, lambda reason: opened.callback(reason.value))
        return opened

    async def _visited(self, spec: TunnelSpec, opened: PublicAddress | BaseException) -> Visit:
        if isinstance(opened, BaseException):
            return Visit(spec, opened)
        host = self._settings.servers[0].host
        public = publicText(host, opened)
        if not isinstance(opened, int) or opened == ANY_PORT:
            return Visit(spec, opened, public)
        before, start = self._came, self._reactor.seconds()
        why = await self._exchange(host, opened)
        return Visit(spec, opened, public, why, self._came > before, True, self._reactor.seconds() - start)

    async def _exchange(self, host: str, port: int) -> BaseException | None:
        """Visit a public port, and return why the bytes that were sent did not come back; None: they did."""
        question = token_hex(16).encode()
        seconds = self._seconds()
        try:
            talk = await begin(self._reactor, TcpDialer(self._reactor, host, port), _Question(question), seconds)
        except Exception as e:
            return e
        try:
            talk.transport.write(question)
            await waitFor(self._reactor, talk.ended, seconds)
            return None if question in talk.received else NothingCameBack("nothing came back")
        finally:
            talk.transport.abortConnection()

    def _noticed(self) -> None:
        self._came += 1


class _Question(Talk):
    """
    A visitor.

    :param question: ends when this has come back, be it behind the header of the PROXY protocol.
    """

    def __init__(self, question: bytes) -> None:
        Talk.__init__(self)
        self._question = question

    def dataReceived(self, data: bytes) -> None:
        Talk.dataReceived(self, data)
        if self._question in self.received:
            self._end()


class _Back(Protocol):
    """Sends back what comes first; a stranger that sends more gets nothing for it."""

    def __init__(self, owner: _Echo) -> None:
        self._owner = owner
        self._left = _ECHOED

    def connectionMade(self) -> None:
        self._owner.came(self)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        sent = data[: self._left]
        self._left -= len(sent)
        self.transport.write(sent)


class _Echo(Factory):
    """
    The service.

    :param noticed: called with each connection.
    """

    noisy = False

    def __init__(self, noticed: Callable[[], None]) -> None:
        self._noticed = noticed
        self._open: list[_Back] = []

    def buildProtocol(self, addr: object) -> _Back:
        return _Back(self)

    def came(self, connection: _Back) -> None:
        """A visitor came."""
        self._open.append(connection)
        self._noticed()

    def end(self) -> None:
        """End all connections."""
        for each in self._open:
            if each.transport is not None:
                each.transport.loseConnection()
