"""Both ends of tunnels in one reactor, what they report, and visitors that count what they send and receive."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any, Final, cast

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.events import Sink
from bore.events import client as clientEvents
from bore.events import server as serverEvents
from bore.server.service import ServerService
from bore.status.client import ClientStatus
from bore.status.history import History
from bore.status.report import ClientTunnelReport, TunnelReport
from bore.status.server import ServerStatus
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import closeWithReset
from bore.tls.settings import ClientTls, ServerTls
from tests.support import LocalService, connect, pattern, receiveAll, receiveExactly
from tests.test_clientservice import ServiceCase

#: What a visitor asks for: how many bytes it sends, how many it wants, and how it ends.
_ASKED: Final = struct.Struct("!IIB")

#: How visitors end.
IN_ORDER, VISITOR_CUTS, SERVICE_CUTS = range(3)


class Counter:
    """
    A local service, and visitors for it, that count.

    :ivar visitors: how many the service has seen.
    :ivar received: the bytes that it has received.
    :ivar sent: the bytes that it has sent, or tried to.
    :ivar sentByVisitors: the bytes that visitors have sent, or tried to.
    :ivar receivedByVisitors: the bytes that they have received.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.visitors = self.received = self.sent = self.sentByVisitors = self.receivedByVisitors = 0
        self.service = LocalService(self._serve)

    def _count(self, **counts: int) -> None:
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def _serve(self, sock: socket.socket) -> None:
        asked = receiveExactly(sock, _ASKED.size)
        self._count(visitors=1, received=len(asked))
        if len(asked) < _ASKED.size:
            return
        size, wanted, end = _ASKED.unpack(asked)
        with contextlib.suppress(OSError):
            self._count(sent=wanted)
            sock.sendall(pattern(wanted, wanted))
            left = size // 2 if end == SERVICE_CUTS else size
            while left and (data := sock.recv(min(left, 1 << 16))):
                self._count(received=len(data))
                left -= len(data)
            if end == SERVICE_CUTS:
                closeWithReset(sock)
            elif end == IN_ORDER:
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1)

    def visit(self, host: str, port: int, seed: int, ends: Sequence[int]) -> None:
        """Visit once, at random. Blocks."""
        chance = random.Random(seed)
        most = chance.choice((0, 10, 3000, 200_000))
        size, wanted, end = chance.randint(0, most), chance.randint(0, most), chance.choice(ends)
        with connect(host, port) as sock, contextlib.suppress(OSError):
            self._count(sentByVisitors=_ASKED.size + size)
            sock.sendall(_ASKED.pack(size, wanted, end))
            sender = threading.Thread(target=self._send, args=(sock, size // 2 if end == VISITOR_CUTS else size))
            sender.start()
            received = receiveExactly(sock, wanted)
            sender.join()
            self._count(receivedByVisitors=len(received))
            if end == VISITOR_CUTS:
                closeWithReset(sock)
            elif end == IN_ORDER:
                sock.shutdown(socket.SHUT_WR)
                receiveAll(sock)
            else:
                receiveAll(sock)

    @staticmethod
    def _send(sock: socket.socket, size: int) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(pattern(size, size))


class StatusCase(ServiceCase):
    """A server, a client, and the snapshots of both."""

    def setUp(self) -> None:
        super().setUp()
        self.counter = Counter()
        self.addCleanup(self.counter.service.close)

    async def begin(
        self, specs: Sequence[TunnelSpec] = (), server: dict[str, Any] | None = None, **settings: Any
    ) -> list[int]:
        """Start both ends; return the public ports."""
        self.serving = self.statusServer(**server or {})
        self.showing = self.client(
            self.serving.controlPort, specs or [TunnelSpec(self.target, probe=False)], **settings
        )
        clock = cast(IReactor, reactor)
        self.ofClient = ClientStatus(clock, self.showing, self.clientHistory)
        self.showing.startService()
        opened = [await self.showing.whenOpened(spec.name) for spec in self.showing.tunnels]
        return [port for port in opened if isinstance(port, int)]

    def statusServer(self, **settings: Any) -> ServerService:
        """A server whose snapshot can be read."""
        service = self.server(**settings)
        self.ofServer = ServerStatus(cast(IReactor, reactor), service, self.serverHistory)
        return service

    def clientSink(self) -> Sink:
        sink = Sink()
        self.clientHistory = History(sink, clientEvents.VisitorRefused)
        return sink

    def serverSink(self) -> Sink:
        sink = Sink()
        self.serverHistory = History(sink, serverEvents.VisitorRefused)
        return sink

    @property
    def target(self) -> Target:
        """The local service."""
        return Target(self.counter.service.port, "127.0.0.1")

    def tls(self) -> tuple[ServerTls, ClientTls]:
        """Settings for TLS at both ends."""
        return ServerTls(folder=self.folder / "server"), ClientTls(knownServers=self.folder / "known")

    def serverTunnel(self, port: int) -> TunnelReport:
        [found] = [each for each in self.ofServer.snapshot().tunnels if each.address == port]
        return found

    def clientTunnel(self, name: str = "") -> ClientTunnelReport:
        [found] = [each for each in self.ofClient.snapshot().tunnels if each.name == name]
        return found

    async def until(self, condition: Any) -> None:
        """Wait for a condition."""
        clock = cast(IReactor, reactor)
        end = clock.seconds() + 20
        while not condition():
            self.assertLess(clock.seconds(), end, "not in time")
            await deferLater(clock, 0.01)

    async def visitAll(self, port: int, count: int, ends: Sequence[int] = (IN_ORDER,), seed: int = 1) -> None:
        """Have this many random visitors, 16 at a time."""
        seeds = iter(range(seed, seed + count))

        def some() -> None:
            for each in seeds:
                self.counter.visit(self.host, port, each, ends)

        await gatherResults([deferToThread(some) for _ in range(8)])

    async def ended(self, port: int) -> None:
        """Wait until no visitor of a tunnel is there, at either end."""
        await self.until(lambda: not (self.serverTunnel(port).visitors.open or self.clientTunnel().visitors.open))
