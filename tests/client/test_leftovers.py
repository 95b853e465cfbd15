"""Tunnels that are removed while the session is lost: they are given back in the next one."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost

from bore.client.control import ControlProtocol
from bore.client.leftovers import Leftovers
from bore.client.link import ServerLink
from bore.client.settings import ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.wire.extension import Close, Closed, Extended, Open, Opened, encode
from bore.wire.limits import MAX_TUNNELS
from tests.client.case import tunnelOf
from tests.client.manycase import TOKENS, ManyCase
from tests.fakes import FakeTransport

SERVER = ServerAddress("example.com")


class LeftoversTests(ManyCase):
    """A client that has lost its session with three tunnels."""

    def setUp(self) -> None:
        super().setUp()
        protocol, _ = self.session()
        self.lose(protocol, ConnectionLost())

    def comeBack(self) -> tuple[ControlProtocol, FakeTransport]:
        self.delayToNextAttempt()
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        return protocol, transport

    def test_oneThatWasRemovedIsGivenBackBeforeOthersAreRequested(self) -> None:
        self.successResultOf(self.link.remove(self.tunnels[1]))
        protocol, transport = self.comeBack()
        frames = Open(1, 20001, TOKENS[1]), Close(1), Open(2, 20000, TOKENS[0]), Open(3, 20002, TOKENS[2])
        self.assertEqual(transport.takeWritten(), b"".join(encode(frame) for frame in frames))
        self.hear(protocol, Opened(1, 20001, TOKENS[1], 60), Closed(1), Opened(2, 20000, TOKENS[0], 60))
        self.assertEqual(self.successResultOf(self.tunnels[0].whenOpened()), 20000)
        self.lose(protocol, ConnectionLost())
        _, transport = self.comeBack()
        self.assertEqual(len(self.asked(transport)), 2, "it is given back once")

    def test_oneThatIsWantedAgainMeanwhileIsNotGivenBack(self) -> None:
        self.link.remove(self.tunnels[1])
        self.link.tunnels.add(self.tunnels[1])
        _, transport = self.comeBack()
        self.assertNotIn(b"Close", transport.takeWritten())

    def test_oneWithoutATokenIsNoLeftover(self) -> None:
        never = tunnelOf(self.reactor, self.sink, TunnelSpec(Target(8003), name="d"))
        self.link.tunnels.add(never)
        self.link.remove(never)
        self.assertEqual(len(self.owner.leftovers), 0)

    def test_anotherLinkGivesBackTheLastOfOneThatHasEnded(self) -> None:
        for tunnel in self.tunnels:
            self.link.remove(tunnel)
        self.assertTrue(self.link.stopped)
        one = tunnelOf(self.reactor, self.sink, TunnelSpec(Target(8004), 20001, name="e"))
        link = ServerLink(
            self.link.reactor, self.link.settings, self.servers, self.link.visitors, [one], self.policies, self.owner
        )
        self.factory = link._factory
        protocol, transport = self.connect()
        transport.takeWritten()
        self.hear(protocol, Extended(1))
        self.assertEqual([b"Close" in frame for frame in self.asked(transport)], [False, True] * 3 + [False])

    def test_theirNumberIsBounded(self) -> None:
        leftovers = Leftovers()
        for number in range(MAX_TUNNELS + 10):
            tunnel = tunnelOf(self.reactor, self.sink, TunnelSpec(Target(1), name=str(number)))
            tunnel.publicPort(SERVER).opened(1 + number, TOKENS[0])
            leftovers.add(tunnel)
        self.assertEqual(len(leftovers), MAX_TUNNELS)
        self.assertEqual(leftovers.take(ServerAddress("b.example")), [])
        self.assertEqual([port for port, _ in leftovers.take(SERVER)], list(range(11, MAX_TUNNELS + 11)))
        self.assertEqual(len(leftovers), 0)
