"""Shared by the tests of the server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import NamedTuple, cast
from uuid import UUID

from twisted.internet.error import ConnectionDone
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.relay.interface import Ending, Reason, Stream
from bore.relay.pairs import Pair, PairRelay
from bore.server.control import ControlProtocol
from bore.server.log import logged
from bore.server.server import Server
from bore.server.settings import Bounds, ServerSettings
from bore.streams.reactor import IReactor
from bore.wire import extension
from bore.wire.addressrules import AddressRules
from bore.wire.extension import Alive, Closed, Extended, ExtendedServerMessage, Open, Opened, Refused, markedHello
from bore.wire.messages import Connection, Heartbeat, Hello, decodeServerMessage, encode
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret
from tests.fakes import FakeReactor, FakeTransport, captureLog
from tests.ports import freePort, loopbackHost
from tests.server.balance import Balance
from tests.support import connect

HEARTBEAT = b'"Heartbeat"\0'
ALIVE = extension.encode(Alive())


class FakePair(Pair):
    moved = 0
    progress = 0, 0, None

    def __init__(self, relay: FakeRelay, left: socket.socket) -> None:
        self.relay = relay
        self.left = left

    def isOn(self, sockets: AbstractSet[socket.socket]) -> bool:
        return self.left in sockets

    def stop(self, reason: Reason) -> None:
        self.relay.pairEnded(self, Ending(reason, 0, 0))


class FakeRelay(PairRelay):
    """Records the streams to join."""

    def __init__(self, reactor: IReactor) -> None:
        super().__init__(reactor, 600)
        self.joined: list[tuple[Stream, Stream]] = []
        self.pairs: list[FakePair] = []

    def _makePair(self, left: Stream, right: Stream) -> tuple[Pair, Callable[[], None]]:
        self.joined.append((left, right))
        self.pairs.append(FakePair(self, left.socket))
        return self.pairs[-1], lambda: None


class ControlCase(SynchronousTestCase):
    """A control port without a network. The public ports are real."""

    secret: Secret | None = None
    bounds = Bounds()
    lease = 60
    ports = (1024, 65535)
    rules = AddressRules()

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.sink = logged(self.reactor, visitors=True)
        self.balance = Balance()
        self.sink.subscribe(self.balance, visitors=True)
        self.host = loopbackHost()
        self.relay = FakeRelay(cast(IReactor, self.reactor))
        lowest, highest = self.ports
        settings = ServerSettings(
            lowest, highest, self.secret, bindTunnels=self.host, bounds=self.bounds, rules=self.rules, lease=self.lease
        )
        self.server = Server(cast(IReactor, self.reactor), self.sink, settings, self.relay)
        self.addCleanup(self._leaveNothing)
        self.logged = captureLog(self)

    def _leaveNothing(self) -> None:
        self.server.shutDown()
        self.reactor.advance(20)
        for left, _ in self.relay.joined:
            left.socket.close()
        self.assertEqual(self.reactor.getDelayedCalls(), [], "timers were left")
        self.assertEqual(self.reactor.getReaders(), [], "listeners were left")
        self.balance.assertEnded()

    @property
    def warnings(self) -> list[str]:
        return [formatEvent(e) for e in self.logged if e["log_level"].name == "warn"]

    def connect(self, source: str = "192.0.2.1", binding: bytes = b"") -> tuple[ControlProtocol, FakeTransport]:
        """A client connects; inside TLS if there is a binding."""
        protocol = self.server.control.buildProtocol(None, f"{source}:4711", source, binding)
        transport = FakeTransport()
        self.addCleanup(transport.socket.close)
        protocol.makeConnection(transport)
        return protocol, transport

    def lose(self, protocol: ControlProtocol) -> None:
        protocol.connectionLost(Failure(ConnectionDone()))

    def openTunnel(self, port: int | None = None) -> tuple[ControlProtocol, FakeTransport, int]:
        """Open a tunnel on the base protocol."""
        protocol, transport = self.connect()
        port = freePort(self.host) if port is None else port
        protocol.dataReceived(encode(Hello(port)))
        frame = transport.takeWritten().split(b"\0")[0]
        answer = decodeServerMessage(frame)
        assert isinstance(answer, Hello), frame
        return protocol, transport, answer.port

    def visit(self, port: PublicAddress) -> socket.socket:
        visitor = connect(self.host, port)
        self.addCleanup(visitor.close)
        self.turn()
        return visitor

    def turn(self) -> None:
        """Accept the visitors that may be accepted."""
        for listener in self.reactor.getReaders():
            listener.doRead()

    def announced(self, transport: FakeTransport) -> list[UUID]:
        frames = transport.takeWritten().split(b"\0")[:-1]
        messages = [decodeServerMessage(frame) for frame in frames]
        return [message.id for message in messages if isinstance(message, Connection)]


class Granted(NamedTuple):
    """What a client has got: a session with a tunnel."""

    port: int
    resume: str
    lease: int
    lane: str | None


class SessionCase(ControlCase):
    """
    Clients that speak the extension.

    :ivar agreed: what the session that began last has.
    """

    agreed: ExtendedServerMessage

    def said(self, transport: FakeTransport) -> list[ExtendedServerMessage]:
        """What the server has sent since the last call, without heartbeats."""
        frames = transport.takeWritten().split(b"\0")[:-1]
        return [message for message in map(extension.decodeServerMessage, frames) if message != Heartbeat()]

    def begin(self, source: str = "192.0.2.1") -> tuple[ControlProtocol, FakeTransport]:
        protocol, transport = self.connect(source)
        protocol.dataReceived(markedHello(0))
        [self.agreed] = self.said(transport)
        assert isinstance(self.agreed, Extended)
        self.assertEqual(self.agreed.version, 1)
        return protocol, transport

    def session(
        self, port: int | None = None, resume: str | None = None, source: str = "192.0.2.1"
    ) -> tuple[ControlProtocol, FakeTransport, Granted]:
        protocol, transport = self.begin(source)
        protocol.dataReceived(extension.encode(Open(1, freePort(self.host) if port is None else port, resume)))
        [opened] = self.said(transport)
        assert isinstance(opened, Opened), opened
        assert isinstance(self.agreed, Extended) and opened.resume is not None and isinstance(opened.address, int)
        return protocol, transport, Granted(opened.address, opened.resume, opened.lease, self.agreed.lane)

    def refusal(self, transport: FakeTransport) -> str:
        """The code with which the server has refused, or taken, the only tunnel; or refused the session."""
        [refused] = [message for message in self.said(transport) if isinstance(message, Refused | Closed)]
        self.assertEqual(transport.disconnecting, refused.tunnel is None)
        assert refused.code is not None
        return refused.code

    def live(self, protocol: ControlProtocol, seconds: float) -> None:
        """Let time pass for a client that answers."""
        for _ in range(int(seconds * 2)):
            self.reactor.advance(0.5)
            if protocol._wire._unanswered:
                protocol.dataReceived(ALIVE * protocol._wire._unanswered)
