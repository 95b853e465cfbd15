"""A listening socket behind trusted proxies."""

from __future__ import annotations

import socket
import struct
from typing import Final, cast

from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.server.proxyheaders import ProxyHeaders
from bore.server.settings import Bounds, TrustedProxies
from bore.server.unclassified import UnclassifiedConnections
from bore.streams.addresses import SocketAddress
from bore.streams.listener import Listener, ListenerGroup, bindSocket
from bore.streams.reactor import IReactor
from bore.wire.addressrules import parseNetwork
from bore.wire.proxyprotocol import Version, header
from tests.fakes import FakeReactor
from tests.ports import loopbackHost
from tests.support import connect

V1: Final = b"PROXY TCP4 203.0.113.9 192.0.2.1 50123 443\r\n"
V2: Final = header(Version.V2, ("203.0.113.9", 50123), ("192.0.2.1", 443))
OWN: Final = (b"PROXY UNKNOWN\r\n", header(Version.V2, None, ("192.0.2.1", 443)))
ANNOUNCED: Final = ("203.0.113.9", 50123)

HERE: Final = TrustedProxies((parseNetwork("127.0.0.0/8"),))

RESET: Final = struct.pack("ii", 1, 0)


class ProxyCase(SynchronousTestCase):
    """
    A listening socket behind trusted proxies.

    :ivar came: the connections that were passed on, and their addresses.
    """

    trusted = HERE
    bounds = Bounds()

    def setUp(self) -> None:
        self.host = loopbackHost()
        self.reactor = FakeReactor()
        self.sink, self.events = Sink(), list[Event]()
        self.sink.subscribe(self.events.append)
        self.unclassified = UnclassifiedConnections(self.reactor, self.sink, self.bounds, lambda source: False)
        self.came: list[tuple[socket.socket, SocketAddress]] = []
        self.group = ListenerGroup(self.sink)
        self.headers = ProxyHeaders(cast(IReactor, self.reactor), self.sink, self.group, self.unclassified)
        self.headers.apply(self.trusted)
        self.listener = self.listen(bindSocket(self.host, 0))
        self.addCleanup(self._leaveNothing)

    def listen(self, sock: socket.socket) -> Listener:
        listener = Listener(cast(IReactor, self.reactor), sock, self.accepted, self.group)
        self.addCleanup(listener.stop)
        return listener

    def accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        self.addCleanup(sock.close)
        self.came.append((sock, address))

    def _leaveNothing(self) -> None:
        self.listener.stop()
        self.unclassified.close()
        self.assertEqual((len(self.unclassified), self.headers.waiting, self.reactor.getReaders()), (0, {}, []))
        self.assertEqual(self.reactor.getDelayedCalls(), [], "timers were left")

    def connect(self, data: bytes = b"") -> socket.socket:
        """Connect, and send something."""
        client = connect(self.host, self.listener.port)
        self.addCleanup(client.close)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if data:
            client.sendall(data)
        self.turn()
        return client

    def turn(self) -> int:
        """See :meth:`~tests.fakes.FakeReactor.turn`."""
        return self.reactor.turn(100)

    def addresses(self) -> list[SocketAddress]:
        """The addresses of those that were passed on."""
        return [address for _, address in self.came]
