"""A session with many tunnels. No wire has them yet: the session is used without one."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import cast

from bore.events.server import Loss
from bore.server.server import Server
from bore.server.session import Session
from bore.server.settings import ServerSettings
from bore.server.tunnel import Tunnel
from bore.server.users import NAMELESS, Login
from bore.server.visitor import Visitor
from bore.streams.reactor import IReactor
from bore.wire.errors import NoAnswer, PortInUse, Refusal, ShuttingDown, TakenOver
from tests.server.case import ControlCase
from tests.server.lanecase import FakeLane, FakeLaneRelay
from tests.support import isOpen


class FakeConnection:
    """Records what the client is sent."""

    def __init__(self) -> None:
        self.extended = True
        self.handle = socket.socket()
        self.opened: dict[int, Tunnel] = {}
        self.refused: dict[int, Refusal] = {}
        self.taken: dict[int, Refusal] = {}
        self.announced: list[Visitor] = []
        self.keys: list[str] = []
        self.nodes: list[Sequence[str]] = []
        self.heartbeats = 0
        self.unanswered = 0
        self.ended: Refusal | None = None
        self.movedTo: list[str | None] = []
        self.dropped = False

    def tunnelOpened(self, number: int, tunnel: Tunnel) -> None:
        self.opened[number] = tunnel

    def tunnelRefused(self, number: int, refusal: Refusal) -> None:
        self.refused[number] = refusal

    def tunnelTaken(self, number: int, refusal: Refusal) -> None:
        self.taken[number] = refusal

    def announce(self, visitor: Visitor) -> None:
        self.announced.append(visitor)

    def announceKey(self, key: str) -> None:
        self.keys.append(key)

    def nameNodes(self, addresses: Sequence[str]) -> None:
        self.nodes.append(addresses)

    def sendHeartbeat(self) -> None:
        self.heartbeats += 1

    def end(self, refusal: Refusal) -> None:
        self.ended = refusal

    def move(self, to: str | None, within: float | None) -> None:
        self.movedTo.append(to)

    def drop(self) -> None:
        self.dropped = True

    @property
    def isPassable(self) -> bool:
        return True

    def handOver(self) -> socket.socket:
        return self.handle


class ManyTunnelsTests(ControlCase):
    """Three tunnels of one session."""

    relay: FakeLaneRelay

    def setUp(self) -> None:
        super().setUp()
        reactor = cast(IReactor, self.reactor)
        self.relay = FakeLaneRelay(reactor)
        self.server = Server(reactor, self.sink, ServerSettings(bindTunnels=self.host), self.relay)
        self.addCleanup(self.relay.finishAll)
        self.session, self.connection = self.begin()
        for number in (1, 2, 3):
            self.session.open(number, 0, None)
        self.tunnels = dict(self.connection.opened)

    def begin(self, source: str = "192.0.2.1") -> tuple[Session, FakeConnection]:
        connection = FakeConnection()
        self.addCleanup(connection.handle.close)
        return self.server.sessions.begin(
            connection, Login(NAMELESS, f"{source}:4711", None, False), source
        ), connection

    @property
    def listening(self) -> list[bool]:
        return [isOpen(self.host, self.tunnels[number].address) for number in (1, 2, 3)]

    def lane(self) -> FakeLane:
        """The client opens a lane."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        assert self.session.laneToken is not None
        pool = self.server.pools.find(self.session.laneToken)
        assert pool is not None
        pool.arrived(ours, b"")
        return self.relay.adopted[-1]

    def test_eachHasItsPortAndItsNumber(self) -> None:
        self.assertEqual(self.session.tunnels, self.tunnels)
        self.assertEqual(len({tunnel.address for tunnel in self.tunnels.values()}), 3)
        self.assertEqual(self.listening, [True] * 3)

    def test_theyShareTheLanesAndTheHeartbeats(self) -> None:
        before = self.connection.heartbeats
        self.reactor.advance(3)
        self.assertEqual(self.connection.heartbeats, before + 1)
        lanes = [self.lane() for _ in range(3)]
        for number in (3, 1, 2):
            self.visit(self.tunnels[number].address)
        self.assertEqual([one.lane for one in self.relay.carried], lanes[::-1])
        self.assertEqual(self.connection.announced, [])

    def test_aLaneTakesAVisitorOfAnyOfThem(self) -> None:
        for number in (2, 3):
            self.visit(self.tunnels[number].address)
        self.assertEqual([visitor.tunnel for visitor in self.connection.announced], [self.tunnels[2], self.tunnels[3]])
        for count in (1, 2):
            self.lane()
            self.assertEqual(len(self.relay.carried), count)

    def test_theirVisitorsTakeTurns(self) -> None:
        for number in (1, 1, 1, 2, 3, 3):
            self.visit(self.tunnels[number].address)
        served = []
        for _ in range(6):
            self.lane()
            served.append(self.relay.carried[-1].who.tunnel)
        self.assertEqual(served, [1, 2, 3, 1, 3, 1])

    def test_aVisitorOfATunnelThatIsGoneIsNotOnALane(self) -> None:
        for number in (1, 2, 3):
            self.visit(self.tunnels[number].address)
        self.session.giveBack(1)
        self.lane()
        self.assertEqual([one.who.tunnel for one in self.relay.carried], [2])

    def test_aVisitorOnADeadLaneIsOfTheSessionThatHasTheTunnelThen(self) -> None:
        idle, dead = self.lane(), self.lane()
        self.visit(self.tunnels[1].address)
        other, connection = self.begin()
        other.open(7, 0, self.tunnels[1].grant.token)
        self.relay.giveBack(dead, b"", silent=False)
        self.assertEqual([visitor.tunnel.number for visitor in connection.announced], [7])
        self.assertFalse(idle.closed)

    def test_oneThatIsRefusedLeavesTheOthersAlone(self) -> None:
        self.session.open(4, self.tunnels[1].address, None)
        self.assertIsInstance(self.connection.refused[4], PortInUse)
        self.assertEqual(self.session.tunnels, self.tunnels)
        self.assertEqual((self.listening, self.connection.ended), ([True] * 3, None))

    def test_oneThatAnotherSessionTakesOverLeavesTheOthersAlone(self) -> None:
        other, connection = self.begin()
        other.open(7, 0, self.tunnels[2].grant.token)
        self.assertEqual(connection.opened, {7: self.tunnels[2]})
        self.assertIsInstance(self.connection.taken[2], TakenOver)
        self.assertEqual(list(self.session.tunnels), [1, 3])
        self.assertIsNone(self.connection.ended)
        self.visit(self.tunnels[2].address)
        self.assertEqual((len(connection.announced), self.connection.announced), (1, []))
        self.session.close(None)
        self.assertEqual(self.listening, [False, True, False])

    def test_aSessionWithoutTunnelsGoesOn(self) -> None:
        other, _ = self.begin()
        for number, tunnel in self.tunnels.items():
            other.open(number, 0, tunnel.grant.token)
        self.session.received()
        self.reactor.pump([0.5] * 19)
        self.assertIsNone(self.connection.ended)
        self.reactor.pump([0.5] * 2)
        self.assertIsInstance(self.connection.ended, NoAnswer)

    def test_allAreKeptWhenTheSessionIsLost(self) -> None:
        self.session.lost(Loss.GONE)
        self.reactor.advance(self.lease - 1)
        self.assertEqual(self.listening, [True] * 3)
        again, connection = self.begin()
        again.open(1, 0, self.tunnels[3].grant.token)
        self.assertEqual(connection.opened, {1: self.tunnels[3]})
        self.reactor.advance(1)
        self.assertEqual(self.listening, [False, False, True])

    def test_allAreClosedWithTheSession(self) -> None:
        self.session.refuse(ShuttingDown())
        self.assertIsInstance(self.connection.ended, ShuttingDown)
        self.assertEqual((self.listening, self.session.tunnels), ([False] * 3, {}))
