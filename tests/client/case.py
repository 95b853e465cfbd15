"""What the tests of the client have in common."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, cast
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError, NotConnectingError
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.client.control import ControlProtocol
from bore.client.leftovers import Leftovers
from bore.client.link import ServerLink
from bore.client.log import ClientLog
from bore.client.opentunnel import OpenTunnel
from bore.client.retry import RetryPolicy
from bore.client.servers import Servers, Trusts
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.state import NoMemory
from bore.client.target import Target
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.client.visitors import Visitors
from bore.events import Sink
from bore.events.client import Stage
from bore.relay.portable import PortableRelay
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors
from bore.wire import extension
from bore.wire.addressrules import NO_RULES, AddressRules
from bore.wire.extension import Source
from bore.wire.messages import Message, encode
from bore.wire.proxyprotocol import Version
from bore.wire.publicaddress import ANY_PORT, PublicAddress
from tests.fakes import FakeReactor, FakeTransport, captureLog


def loggingSink(reactor: FakeReactor, visitors: bool = False) -> Sink:
    """A sink whose events are logged."""
    log = ClientLog(reactor)
    sink = Sink(log.failed)
    sink.subscribe(log, visitors=visitors)
    return sink


def makeTunnel(reactor: FakeReactor, sink: Sink, **wanted: Any) -> Tunnel:
    """A tunnel of the local port 8000 that is remembered nowhere."""
    return tunnelOf(reactor, sink, TunnelSpec(Target(8000), **wanted))


def tunnelOf(reactor: FakeReactor, sink: Sink, spec: TunnelSpec) -> Tunnel:
    """A tunnel that is remembered nowhere, and whose local service is not probed."""
    return Tunnel(cast(IReactor, reactor), replace(spec, probe=False), lambda spec, server: NoMemory(), sink)


class FakeDialer:
    """
    Makes no connections.

    :ivar under: the dials that are under way, the oldest first.
    :ivar count: how many there were.
    :ivar atOnce: whether dials succeed before they return.
    :ivar sendsFirst: whether bytes are sent at once on the last one.
    :ivar worker: the worker of the server to which they should lead.
    """

    patience = 0.0
    atOnce = False

    def __init__(self, case: SynchronousTestCase) -> None:
        self._case = case
        self.under: list[Deferred[socket.socket]] = []
        self.count = 0
        self.sendsFirst = False
        self.worker = 0

    def leadTo(self, worker: int) -> None:
        self.worker = worker

    def dial(self, sendsFirst: bool = False) -> Deferred[socket.socket]:
        self.count += 1
        self.sendsFirst = sendsFirst
        dial: Deferred[socket.socket] = Deferred(lambda dial: self.under.remove(dial))
        self.under.append(dial)
        if self.atOnce:
            self.succeed()
        return dial

    def succeed(self) -> socket.socket:
        """The oldest dial has succeeded; gives the other side."""
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        self._case.addCleanup(near.close)
        self._case.addCleanup(far.close)
        self.under.pop(0).callback(near)
        return far

    def fail(self) -> None:
        """The oldest dial has failed."""
        self.under.pop(0).errback(ConnectionRefusedError())


class FakeConnector:
    """Counts the calls."""

    def __init__(self) -> None:
        self.attempts = self.stopped = 0
        self.connecting = False

    def connect(self) -> None:
        self.attempts += 1

    def stopConnecting(self) -> None:
        if not self.connecting:
            raise NotConnectingError
        self.connecting = False
        self.stopped += 1

    def disconnect(self) -> None: ...


class FakeVisitors:
    """Keeps the visitors that were announced."""

    relay = PortableRelay(cast(IReactor, FakeReactor()), 600)

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.ids: list[UUID] = []
        self.headers: list[bytes] = []
        self.lanes: set[object] = set()
        self.descriptors = Descriptors(FakeReactor(), 0)

    def announced(self, id: UUID, at: OpenTunnel, source: Source | None) -> None:
        self.ids.append(id)
        self.headers.append(at.header(source))


class FakeOwner:
    """
    Has a link.

    :ivar handedOver: the tunnels that the link cannot have at a server of the base protocol.
    """

    def __init__(self) -> None:
        self.handedOver: list[Tunnel] = []
        self.extended = 0
        self.leftovers = Leftovers()

    def foundBase(self, link: ServerLink, others: list[Tunnel]) -> None:
        self.handedOver += others

    def foundExtended(self, link: ServerLink) -> None:
        self.extended += 1

    def gaveUp(self, tunnel: Tunnel, why: Exception) -> None:
        tunnel.gaveUp(why)

    def named(self, link: ServerLink) -> None: ...

    def opening(self, link: ServerLink) -> None: ...

    def lost(self, link: ServerLink, stage: Stage, why: BaseException | None) -> bool:
        return False


class ControlCase(SynchronousTestCase):
    """
    A client without a network.

    :ivar provesSecret: whether a server inside TLS has to prove that it knows a secret.
    """

    provesSecret = False

    def make(
        self,
        *hosts: str,
        proxyProtocol: Version | None = None,
        rules: AddressRules = NO_RULES,
        public: PublicAddress = ANY_PORT,
        others: Sequence[TunnelSpec] = (),
        **settings: Any,
    ) -> None:
        self.reactor = FakeReactor()
        reactor = cast(IReactor, self.reactor)
        addresses = tuple(map(ServerAddress, hosts or ("example.com",)))
        self.sink = loggingSink(self.reactor)
        self.tunnel = makeTunnel(self.reactor, self.sink, proxyProtocol=proxyProtocol, rules=rules, public=public)
        self.tunnels = [self.tunnel, *[tunnelOf(self.reactor, self.sink, spec) for spec in others]]
        for tunnel in self.tunnels:
            tunnel.label = tunnel.spec.name
        made = ClientSettings(addresses, **settings)
        self.visitors = FakeVisitors(self.sink)
        self.connector = FakeConnector()
        trusts = None if made.tls is None else Trusts(made.tls, self.provesSecret, self.sink)
        self.servers = Servers(reactor, addresses, trusts)
        self.policies = partial(
            RetryPolicy,
            reactor,
            Random(),
            made.maxReconnectDelay,
            made.exitAfterFailures,
            made.reconnect,
            made.failFast,
        )
        visitors = cast(Visitors, self.visitors)
        self.owner = FakeOwner()
        self.link = ServerLink(reactor, made, self.servers, visitors, self.tunnels, self.policies, self.owner)
        self.factory = self.link._factory
        self._events = captureLog(self)

    @property
    def logged(self) -> list[str]:
        return [formatEvent(event) for event in self._events]

    @property
    def announced(self) -> list[str]:
        return [formatEvent(event) for event in self._events if event.get("announce")]

    def setUp(self) -> None:
        self.make()

    def connect(self) -> tuple[ControlProtocol, FakeTransport]:
        protocol = cast(ControlProtocol, self.factory.buildProtocol(None))
        transport = FakeTransport()
        listener = socket.create_server(("127.0.0.1", 0))
        transport.socket.connect(listener.getsockname())
        self.addCleanup(listener.close)
        self.addCleanup(transport.socket.close)
        protocol.makeConnection(transport)
        return protocol, transport

    def receive(self, protocol: ControlProtocol, *messages: Message) -> None:
        protocol.dataReceived(b"".join(map(encode, messages)))

    def hear(self, protocol: ControlProtocol, *messages: extension.ExtendedServerMessage) -> None:
        protocol.dataReceived(b"".join(map(extension.encode, messages)))

    def lose(self, protocol: ControlProtocol, reason: Exception | None = None) -> None:
        failure = Failure(reason or ConnectionDone())
        protocol.connectionLost(failure)
        self.factory.clientConnectionLost(cast(Any, self.connector), failure)

    def refuseConnection(self) -> None:
        self.failToConnect(ConnectionRefusedError())

    def failToConnect(self, why: Exception) -> None:
        self.factory.clientConnectionFailed(cast(Any, self.connector), Failure(why))

    def delayToNextAttempt(self) -> float:
        """Advance the clock to the next attempt, and return the seconds until then."""
        before, begin = self.connector.attempts, self.reactor.seconds()
        for _ in range(1000):
            if self.connector.attempts > before:
                return self.reactor.seconds() - begin
            self.reactor.advance(0.1)
        raise AssertionError("no further attempt")

    def gaveUp(self) -> BaseException | None:
        """Why the client makes no further attempt; None: it does."""
        reasons: list[Failure] = []
        self.tunnel.whenGaveUp().addErrback(reasons.append)
        return reasons[0].value if reasons else None
