"""Whatever happens while the registry is asked, a port has one tunnel, and in the end nothing is left."""

from __future__ import annotations

from typing import TypeVar, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Sink
from bore.server.control import ControlProtocol
from bore.server.registry import Grant, LocalRegistry
from bore.server.server import Server
from bore.server.session import CLAIM_TIMEOUT
from bore.server.settings import ServerSettings
from bore.server.users import User
from bore.streams.reactor import IReactor
from bore.wire.extension import Goodbye, Open, Opened, decodeServerMessage, encode, markedHello
from bore.wire.messages import Hello
from bore.wire.messages import encode as encodeBase
from bore.wire.publicaddress import PublicAddress
from tests.fakes import FakeReactor, FakeTransport
from tests.ports import loopbackHost
from tests.server.balance import Balance
from tests.server.case import FakeRelay
from tests.server.claimcase import SlowRegistry

T = TypeVar("T")

LEASE = 60

#: Three ports: clients are in each other's way.
LOWEST, HIGHEST = 20000, 20002

#: What can happen. The number chooses a client, a token or an answer.
STEPS = st.lists(
    st.tuples(
        st.sampled_from("base open open resume resume move answer answer answer fail lose bye junk time lease".split()),
        st.integers(0, 7),
    ),
    max_size=40,
)


class UnreliableRegistry(SlowRegistry):
    """
    Fails sometimes, and has changed nothing then.

    :ivar failing: the next call fails.
    """

    failing = False

    def claim(self, address: PublicAddress, user: User, key: str | None = None, limit: int = 0) -> Deferred[Grant]:
        return self._later(fail(ConnectionLost())) if self._fails() else super().claim(address, user)

    def resume(self, token: str | None, user: User, key: str | None = None) -> Deferred[Grant | None]:
        return self._later(fail(ConnectionLost())) if self._fails() else super().resume(token, user)

    def renew(self, grant: Grant) -> Deferred[None]:
        return fail(ConnectionLost()) if self._fails() else super().renew(grant)

    def _fails(self) -> bool:
        failing, self.failing = self.failing, False
        return failing


class World:
    """A server with an unreliable registry, and its clients."""

    def __init__(self, host: str) -> None:
        self.reactor = FakeReactor()
        reactor = cast(IReactor, self.reactor)
        self.registry = UnreliableRegistry(LocalRegistry(reactor, LEASE))
        relay = FakeRelay(reactor)
        options = ServerSettings(LOWEST, HIGHEST, bindTunnels=host, lease=LEASE)
        sink = Sink()
        self.balance = Balance()
        sink.subscribe(self.balance, visitors=True)
        self.server = Server(reactor, sink, options, relay, registry=self.registry)
        self.clients: list[tuple[ControlProtocol, FakeTransport]] = []
        self.tokens: list[str] = []

    def connect(self) -> ControlProtocol:
        protocol, transport = self.server.control.buildProtocol(None, "192.0.2.1:4711", "192.0.2.1"), FakeTransport()
        protocol.makeConnection(transport)
        self.clients.append((protocol, transport))
        return protocol

    def step(self, what: str, number: int) -> None:
        match what:
            case "base":
                self.connect().dataReceived(encodeBase(Hello(0)))
            case "open":
                self.connect().dataReceived(markedHello(0) + encode(Open(1, 0, None)))
            case "resume" | "move" if self.tokens:
                port = 0 if what == "resume" else LOWEST + number % 3
                token = self.tokens[number % len(self.tokens)]
                self.connect().dataReceived(markedHello(0) + encode(Open(1, port, token)))
            case "answer" if self.registry.answers:
                self.registry.answers.pop(number % len(self.registry.answers)).deliver()
            case "fail":
                self.registry.failing = True
            case "time":
                self.reactor.advance(CLAIM_TIMEOUT)
            case "lease":
                self.reactor.pump([0.5] * (2 * LEASE))
            case "lose" | "bye" | "junk" if self.clients:
                self.end(what, number % len(self.clients))
        self.listen()

    def end(self, what: str, number: int) -> None:
        """The end of one client."""
        protocol, _ = self.clients[number]
        if what == "bye":
            protocol.dataReceived(encode(Goodbye()))
        elif what == "junk":
            protocol.dataReceived(b"junk\0")
        self.lose(number)

    def lose(self, number: int) -> None:
        protocol, transport = self.clients.pop(number)
        protocol.connectionLost(Failure(ConnectionDone()))
        transport.socket.close()

    def listen(self) -> None:
        """Read the answers to all clients, and have those closed that are to be closed."""
        for number, (_, transport) in reversed(list(enumerate(self.clients))):
            for frame in transport.takeWritten().split(b"\0")[:-1]:
                if b'"Opened"' in frame:
                    message = decodeServerMessage(frame)
                    assert isinstance(message, Opened) and message.resume is not None
                    self.tokens.append(message.resume)
            if transport.disconnecting:
                self.lose(number)


class ClaimSequenceTests(SynchronousTestCase):
    """All that can happen, in any order, and answers in any order."""

    @given(STEPS)
    def test_aPortHasOneTunnelAndNothingIsLeft(self, steps: list[tuple[str, int]]) -> None:
        world = World(loopbackHost())
        for what, number in steps:
            world.step(what, number)
            self.check(world)
        while world.clients:
            world.lose(0)
        while world.registry.answers:
            world.registry.answer()
        world.reactor.pump([0.5] * (2 * LEASE + 2))
        self.assertEqual((len(world.server.tunnels), len(world.registry.registry)), (0, 0))
        world.balance.assertEnded()
        assert world.server._custody is not None
        self.assertEqual((world.server._custody._wishes, world.server.tunnels._bySource), ({}, {}))
        self.assertEqual(len(world.server._custody), 0)
        self.assertEqual((world.reactor.getReaders(), world.reactor.getDelayedCalls()), ([], []))
        self.flushLoggedErrors(ConnectionLost)

    def check(self, world: World) -> None:
        """Each tunnel is its owner's, and its grant was given by the registry."""
        grants = world.registry.registry._byAddress
        for port, tunnel in world.server.tunnels._byAddress.items():
            self.assertEqual((tunnel.address, tunnel.grant.address), (port, port))
            self.assertLessEqual(tunnel.grant.epoch, grants[port].epoch)
            if not world.registry.answers:
                self.assertEqual(tunnel.grant, grants[port])
        for session in world.server.sessions._sessions:
            for tunnel in session.tunnels.values():
                self.assertIs(tunnel.owner, session)
                self.assertIs(world.server.tunnels._byAddress[tunnel.address], tunnel)
        if not world.registry.answers:
            self.assertEqual(set(grants), set(world.server.tunnels._byAddress))
