"""Whatever nodes and clients do, an address has one owner at a node, who gets all that wait, and nothing is left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Final, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.cluster.nodeport import NodePort, nodeSecret
from bore.cluster.othernodes import OtherNodes
from bore.events import Sink
from bore.server.control import ControlProtocol
from bore.server.core import ServerCore
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor
from bore.wire import extension, nodesession
from bore.wire.extension import Close, Closed, Goodbye, Open, Refused, markedHello
from bore.wire.secret import Secret
from bore.wire.serverproof import Identity
from tests.cluster.nodescase import JoinedRegistry, Records
from tests.fakes import FakeReactor, FakeTransport
from tests.ports import freePort, loopbackHost
from tests.server.case import ALIVE, FakeRelay
from tests.support import isOpen

LEASE: Final = 30
_KEY: Final = Secret("key")

#: What can happen. The number chooses a node or a client.
STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(
            "offer offer offer withdraw suspend goodbye lost own own giveBack ownLost apart together unfit turn turn "
            "later lease visit visit".split()
        ),
        st.integers(0, 2),
    ),
    max_size=30,
)


class World:
    """A node with real listeners, three other nodes that have sessions with it, and clients."""

    def __init__(self) -> None:
        self.host = loopbackHost()
        self.port = freePort(self.host)
        self.reactor = FakeReactor()
        clock = cast(IReactor, self.reactor)
        self.registry = JoinedRegistry(Records(), "here", LEASE, clock)
        settings = ServerSettings(bindTunnels=self.host, lease=LEASE)
        self.server = Server(clock, Sink(), settings, FakeRelay(clock), registry=self.registry)
        core = SimpleNamespace(server=self.server, settings=settings, sink=Sink(), nodes=None)
        self.others = OtherNodes(clock, cast(ServerCore, core), self.registry, _KEY)
        self.nodePort = cast(NodePort, core.nodes.__self__)
        self.nodes: dict[int, tuple[ControlProtocol, FakeTransport]] = {}
        self.offers: dict[int, int] = {}
        self.clients: list[tuple[ControlProtocol, FakeTransport]] = []
        self.last = 0

    def node(self, number: int) -> ControlProtocol:
        """The session of a node."""
        if number not in self.nodes:
            protocol = self.nodePort.buildProtocol(None, "192.0.2.2:1", "192.0.2.2", b"b" * 32)
            transport = FakeTransport()
            protocol.makeConnection(transport)
            wire = protocol._wire
            assert wire._proof is not None
            wire._proof.identity = Identity("", nodeSecret(_KEY))
            wire._state = nodesession.State.REQUEST
            protocol.dataReceived(markedHello(number + 1))
            self.nodes[number] = protocol, transport
        return self.nodes[number][0]

    def step(self, what: str, number: int) -> None:
        match what:
            case "offer" if number not in self.offers:
                self.last += 1
                node = self.node(number)
                self.offers[number] = self.last
                node.dataReceived(extension.encode(Open(self.last, self.port, epoch=1)))
            case "withdraw" | "suspend" if number in self.offers:
                self.node(number).dataReceived(extension.encode(Close(self.offers.pop(number), what == "suspend")))
            case "goodbye" if number in self.nodes:
                self.nodes[number][0].dataReceived(extension.encode(Goodbye()))
                self._gone(number)
            case "lost" if number in self.nodes:
                self._gone(number)
            case "own":
                protocol = self.server.control.buildProtocol(None, "192.0.2.1:1", "192.0.2.1")
                transport = FakeTransport()
                protocol.makeConnection(transport)
                protocol.dataReceived(markedHello(0))
                protocol.dataReceived(extension.encode(Open(1, self.port)))
                self.clients.append((protocol, transport))
            case "giveBack" | "ownLost" if self.clients:
                protocol, transport = self.clients.pop()
                if what == "giveBack" and not transport.disconnecting:
                    protocol.dataReceived(extension.encode(Close(1)))
                protocol.connectionLost(Failure(ConnectionDone()))
                transport.socket.close()
            case "apart" | "together":
                self.registry.acts = what == "together"
                self.others.act(self.registry.acts)
            case "unfit":
                self.others.forwards.prefer(frozenset({number + 1}))
            case "turn":
                self.reactor.advance(0)
            case "later":
                self.live(3)
            case "lease":
                self.live(LEASE + 1)

    def live(self, seconds: float) -> None:
        """Have time pass, for peers that answer."""
        for _ in range(int(seconds * 2)):
            self.reactor.advance(0.5)
            for protocol, _ in [*self.nodes.values(), *self.clients]:
                if protocol._session is not None and protocol._wire._unanswered:
                    protocol.dataReceived(ALIVE * protocol._wire._unanswered)

    def _gone(self, number: int) -> None:
        protocol, transport = self.nodes.pop(number)
        self.offers.pop(number, None)
        protocol.connectionLost(Failure(ConnectionDone()))
        transport.socket.close()

    def _read(self) -> None:
        """Nodes notice that their offers are refused, as their epoch is over."""
        for number, (_, transport) in self.nodes.items():
            for frame in transport.takeWritten().split(b"\0")[:-1]:
                if frame.startswith((b'{"Refused"', b'{"Closed"')):
                    message = extension.decodeServerMessage(frame)
                    assert isinstance(message, Refused | Closed)
                    if message.tunnel == self.offers.get(number):
                        del self.offers[number]

    def check(self, case: SynchronousTestCase) -> None:
        """What has to be so after each turn."""
        self._read()
        own, forward = self.server.tunnels.get(self.port), self.others.forwards.get(self.port)
        case.assertFalse(own is not None and forward is not None, "two hold the address")
        whole = self.server.whole
        assert whole is not None
        case.assertEqual(len(whole), (own is not None) + (forward is not None))
        case.assertEqual(isOpen(self.host, self.port), len(whole) > 0)
        served = own if own is not None and own.owner is not None else forward
        if self.offers:
            case.assertTrue(served is not None and served.owner is not None, "an offer waits in vain")
        if forward is not None and forward.owner is not None:
            case.assertTrue(self.offers, "an offer that is over serves the address")
        if own is not None and not self.registry.acts:
            case.assertFalse(self.offers and own.owner is not None, "a node that does not act keeps the visitors")

    def end(self, case: SynchronousTestCase) -> None:
        """Stop the node: nothing is left."""
        for number in list(self.nodes):
            self._gone(number)
        for protocol, transport in self.clients:
            protocol.connectionLost(Failure(ConnectionDone()))
            transport.socket.close()
        self.others.stop()
        self.server.shutDown()
        self.live(20)
        case.assertEqual(self.reactor.getDelayedCalls(), [], "timers were left")
        case.assertEqual(self.reactor.getReaders(), [], "listeners were left")
        case.assertFalse(isOpen(self.host, self.port))


class SequencesTests(SynchronousTestCase):
    """Sequences of what can happen."""

    @given(STEPS)
    def test_theAddressHasOneOwnerAndNoOfferWaitsInVain(self, steps: list[tuple[str, int]]) -> None:
        world = World()
        try:
            for what, number in steps:
                world.step(what, number)
                world.reactor.advance(0)
                world.check(self)
        finally:
            world.end(self)
