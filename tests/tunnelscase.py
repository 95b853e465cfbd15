"""What the tests of a client with several tunnels have in common."""

from __future__ import annotations

import socket
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from bore.client.service import ClientService
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.streams.reactor import IReactor
from bore.wire.publicaddress import PublicAddress
from tests.test_clientservice import ServiceCase

LOOPBACK = "127.0.0.1"


class Named(Protocol):
    """A local service that sends its name first, and echoes."""

    name = b""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.name + b"\n")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Visit(Protocol):
    """A visitor that keeps what it receives."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = False
        self._waiting: tuple[int, Deferred[bytes]] | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._look()

    def connectionLost(self, reason: object = None) -> None:
        self.lost = True
        self._look()

    def take(self, size: int) -> Deferred[bytes]:
        """The next bytes; fewer if the stream ends before."""
        self._waiting = size, Deferred()
        done = self._waiting[1]
        self._look()
        return done

    async def ask(self, data: bytes) -> bytes:
        """Have something echoed."""
        assert self.transport is not None
        self.transport.write(data)
        return await self.take(len(data))

    def _look(self) -> None:
        if self._waiting is not None and (len(self.received) >= self._waiting[0] or self.lost):
            (size, done), self._waiting = self._waiting, None
            data, self.received = self.received[:size], self.received[size:]
            done.callback(data)


class TunnelsCase(ServiceCase):
    """Local services with names, and a server with a range of its own."""

    async def service(self, name: bytes) -> Target:
        """A local service that sends this name first."""
        factory = Factory()
        factory.protocol = type("Service", (Named,), {"name": name})
        port = await TCP4ServerEndpoint(cast(IReactor, reactor), 0, interface=LOOPBACK).listen(factory)
        self.addCleanup(port.stopListening)
        return Target(port.getHost().port, LOOPBACK)

    async def visit(self, port: PublicAddress) -> Visit:
        """Visit a public port."""
        assert isinstance(port, int)
        factory = Factory()
        factory.protocol = Visit
        endpoint = HostnameEndpoint(cast(IReactor, reactor), self.host, port)
        visit = cast(Visit, await endpoint.connect(factory))
        self.addCleanup(cast(ITCPTransport, visit.transport).abortConnection)
        return visit

    async def assertShows(self, port: PublicAddress, name: bytes) -> Visit:
        """A new visitor reaches the local service with this name."""
        visit = await self.visit(port)
        self.assertEqual(await visit.take(len(name) + 1), name + b"\n")
        return visit

    async def eventually(self, condition: object) -> None:
        assert callable(condition)
        while not condition():
            await deferLater(cast(IReactor, reactor), 0.01)

    async def started(self, *specs: TunnelSpec, **settings: object) -> ClientService:
        """A client whose tunnels are up."""
        client = self.client(self.server().controlPort, specs, **settings)
        client.startService()
        for spec in specs:
            await client.whenOpened(spec.name)
        return client

    def isFree(self, port: PublicAddress) -> bool:
        try:
            socket.create_server((self.host, port)).close()
        except OSError:
            return False
        return True
