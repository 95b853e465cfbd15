"""A server with tunnels in this process, and their visitors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet import reactor as untyped
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from bore import Server, Tunnel
from tests.support import temporaryFolder

reactor: Any = untyped


@implementer(IHalfCloseableProtocol)
class Upper(Protocol):
    """Answers all that it was sent, in capitals, when the visitor has ended."""

    transport: ITCPTransport
    made: ClassVar[list[Upper]] = []

    def __init__(self) -> None:
        self.data = b""
        self.lost: Failure | None = None
        Upper.made.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def readConnectionLost(self) -> None:
        self.transport.write(self.data.upper())
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.lost = reason


class Visitor(Protocol):
    """Collects what it receives, until the end."""

    def __init__(self) -> None:
        self.received = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.ended.callback(self.received)


class LibraryCase(TestCase):
    """Has a server."""

    async def server(self, **options: Any) -> Server:
        server = await Server.open(reactor, **options)
        self.addCleanup(server.close)
        return server

    async def tunnel(self, server: Server, local: Any, **options: Any) -> Tunnel:
        tunnel = await Tunnel.open(reactor, local=local, to=f"127.0.0.1:{server.address[1]}", **options)
        self.addCleanup(tunnel.close)
        return tunnel

    async def visit(self, port: int, data: bytes) -> tuple[bytes, Any]:
        """Visit, send, end, and return the answer with the visitor's own address."""
        visitor = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Visitor())
        assert visitor.transport is not None
        own = visitor.transport.getHost()
        visitor.transport.write(data)
        visitor.transport.loseWriteConnection()
        return await visitor.ended, own

    def patch_environment(self) -> None:
        self.patch(os, "environ", {**os.environ, "XDG_STATE_HOME": str(temporaryFolder(self))})

    def run_(self, test: Callable[[], Any]) -> Deferred[None]:
        return ensureDeferred(test())
