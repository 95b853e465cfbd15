"""What the tests of the client have in common."""

from __future__ import annotations

import socket
from math import inf
from typing import Any, cast
from uuid import UUID

from twisted.internet.error import ConnectionDone, ConnectionRefusedError, NotConnectingError
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.client.control import ControlProtocol
from bore.client.reconnecting import ControlFactory
from bore.client.servers import Servers
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.visitors import Visitors
from bore.relay.portable import PortableRelay
from bore.streams.dial import Dialer
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors
from bore.wire import extension
from bore.wire.messages import Message, encode
from tests.fakes import FakeReactor, FakeTransport, captureLog


class FakeConnector:
    """Counts what it is told."""

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
    """Writes down who came."""

    relay = PortableRelay(cast(IReactor, FakeReactor()), 600)

    def __init__(self) -> None:
        self.ids: list[UUID] = []
        self.headers: list[bytes] = []
        self.lanes: set[object] = set()
        self.descriptors = Descriptors(FakeReactor(), 0)

        self.age = inf

    def noticed(self) -> None: ...

    def sinceReceived(self, server: Dialer) -> float:
        return self.age

    def came(self, id: UUID, server: Dialer, header: bytes) -> None:
        self.ids.append(id)
        self.headers.append(header)


class ControlCase(SynchronousTestCase):
    """A client without a network."""

    def make(self, *hosts: str, **settings: Any) -> None:
        self.reactor = FakeReactor()
        reactor = cast(IReactor, self.reactor)
        servers = tuple(map(ServerAddress, hosts or ("example.com",)))
        made = ClientSettings(8000, servers, **settings)
        self.visitors = FakeVisitors()
        self.connector = FakeConnector()
        self.factory = ControlFactory(reactor, made, Servers(reactor, made), cast(Visitors, self.visitors))
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
        protocol = self.factory.buildProtocol(None)
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
        """Wait for the next attempt, and say how long it took."""
        before, begin = self.connector.attempts, self.reactor.seconds()
        for _ in range(1000):
            if self.connector.attempts > before:
                return self.reactor.seconds() - begin
            self.reactor.advance(0.1)
        raise AssertionError("no further attempt")

    def gaveUp(self) -> BaseException | None:
        reasons: list[Failure] = []
        self.factory.gaveUp.addErrback(reasons.append)
        return reasons[0].value if reasons else None
