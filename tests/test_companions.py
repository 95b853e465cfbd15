"""A client of a cluster has its tunnels at several nodes, on real sockets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

from twisted.internet import reactor
from twisted.internet.task import deferLater

from bore.client.bequest import estateOf, inherit, inventoryOf, isReady, learn
from bore.client.estate import fieldsOfEstate, readEstate
from bore.client.service import ClientService
from bore.client.settings import ServerAddress
from bore.client.tunnelspec import TunnelSpec
from bore.events import Sink
from bore.events.client import (
    AddressChanged,
    NodeLost,
    NodeOpened,
    ServerLost,
    ServerMoved,
    SettingsAccepted,
    TunnelUp,
    VisitorRefused,
)
from bore.server.service import ServerService
from bore.status.client import ClientStatus
from bore.status.history import History
from bore.streams.reactor import IReactor
from bore.tls.settings import ClientTls, ServerTls
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret
from tests.ports import loopbackHost
from tests.tunnelscase import TunnelsCase

SECRET = Secret("correct horse battery staple")


class CompanionsCase(TunnelsCase):
    """
    Three servers that name each other, and have the same key.

    Each has addresses of its own, so that the same public port can be open at all of them: they need no cluster.
    """

    def setUp(self) -> None:
        super().setUp()
        self.nodes = [self.node() for _ in range(3)]
        for node in self.nodes:
            self.nameOthers(node)

    def node(self) -> ServerService:
        host = loopbackHost()
        node = self.server(secret=SECRET, tls=ServerTls(folder=self.folder / "key"), bindAddr=host, bindTunnels=host)
        node._server.sessions.here = self.addressOf(node)
        return node

    def addressOf(self, node: ServerService) -> str:
        return f"tls://{ServerAddress(self.hostOf(node), node.controlPort)}"

    def nameOthers(self, node: ServerService, but: ServerService | None = None) -> None:
        """A node names all others to its clients."""
        node._server.sessions.nameNodes([self.addressOf(each) for each in self.nodes if each not in (node, but)])

    async def begin(self, *names: bytes, **settings: object) -> list[PublicAddress]:
        """Have tunnels up at the first node."""
        certificate = self.nodes[0]._certificate
        assert certificate is not None
        self.host = self.hostOf(self.nodes[0])
        tls = ClientTls(fingerprint=certificate.fingerprint)
        specs = [TunnelSpec(await self.service(name), name=name.decode()) for name in names]
        self.showing = self.client(self.nodes[0].controlPort, specs, secret=SECRET, tls=tls, **settings)
        self.showing.startService()
        return [await self.showing.whenOpened(name.decode()) for name in names]

    def hostOf(self, node: ServerService) -> str:
        return node.settings.bindAddr

    def counts(self) -> list[int]:
        """How many tunnels with a session each node has."""
        return [sum(each.owner is not None for each in node._server.tunnels.all()) for node in self.nodes]

    async def untilCounts(self, *counts: int) -> None:
        await self.eventually(lambda: sorted(self.counts()) == sorted(counts))

    def cut(self, node: ServerService) -> None:
        """Cut all connections with a node."""
        for session in node._server.sessions.all():
            session._connection.drop()

    async def crash(self, node: ServerService) -> None:
        """A node fails: its connections are cut, and nothing listens any more."""
        node._closeControlPorts()
        self.cut(node)
        await self.eventually(lambda: not node._server.sessions.all())


class TunnelTests(CompanionsCase):
    """What the client opens at which node."""

    async def test_eachTunnelIsAtTwoNodesUnderOneAddressThatIsShownOnce(self) -> None:
        ports = await self.begin(b"a", b"b")
        await self.untilCounts(2, 2, 0)
        await self.eventually(lambda: self.seen(NodeOpened))
        for node, count in zip(self.nodes, self.counts(), strict=True):
            self.host = self.hostOf(node)
            for port, name in zip(ports, (b"a", b"b"), strict=True) if count else ():
                await self.assertShows(port, name)
        self.assertEqual([self.seen(kind) for kind in (TunnelUp, NodeOpened, AddressChanged)], [2, 1, 0])
        self.assertEqual(self.showing.publicAddresses, [f"{self.hostOf(self.nodes[0])}:{port}" for port in ports])

    async def test_asManyNodesAsAreWantedHaveThemAtOnceAfterAReload(self) -> None:
        await self.begin(b"a", nodes=1)
        await deferLater(cast(IReactor, reactor), 0.1)
        self.assertEqual(self.counts(), [1, 0, 0])
        for nodes, counts in ((4, (1, 1, 1)), (2, (1, 1, 0)), (1, (1, 0, 0))):
            self.showing.applySettings(replace(self.showing.settings, nodes=nodes))
            await self.untilCounts(*counts)
        self.assertEqual((self.counts(), self.seen(ServerLost), self.seen(NodeLost)), ([1, 0, 0], 0, 0))

    async def test_aTunnelThatIsAddedOrClosedIsSoAtAll(self) -> None:
        ports = await self.begin(b"a")
        spec = TunnelSpec(await self.service(b"b"), name="b")
        self.showing.apply([*self.showing.tunnels, spec])
        await self.untilCounts(2, 2, 0)
        self.showing.apply([spec])
        await self.untilCounts(1, 1, 0)
        self.assertNotIn(ports[0], [each.address for node in self.nodes for each in node._server.tunnels.all()])
        await self.showing.stopService()
        await self.eventually(lambda: not any(len(node._server.tunnels) for node in self.nodes))


class LossTests(CompanionsCase):
    """Nodes that go away."""

    def sees(self, *counts: int) -> None:
        """How many tunnels the user has seen lost, moved and up."""
        self.assertEqual(tuple(self.seen(kind) for kind in (ServerLost, ServerMoved, TunnelUp)), counts)

    async def settled(self) -> tuple[PublicAddress, ServerService]:
        """A tunnel at two nodes. Returns its port, and the one that is not the home."""
        [port] = await self.begin(b"a")
        await self.eventually(lambda: self.seen(NodeOpened))
        return port, self.nodes[self.counts().index(1, 1)]

    async def test_aCompanionThatFailsIsReplacedAndTheUserNoticesNothing(self) -> None:
        port, other = await self.settled()
        await self.crash(other)
        await self.eventually(lambda: sum(self.counts()) == 2)
        self.sees(0, 0, 1)
        self.assertEqual(self.seen(NodeLost), 1)
        await self.assertShows(port, b"a")

    async def test_aTunnelThatIsClosedAtHomeAloneIsNotLost(self) -> None:
        ports = await self.begin(b"a", b"b")
        await self.untilCounts(2, 2, 0)
        await self.eventually(lambda: self.seen(NodeOpened))
        home = self.nodes[0]._server
        for tunnel in [each for each in home.tunnels.all() if each.address == ports[0]]:
            home.tunnels.kick(tunnel)
        await self.eventually(lambda: len(self.showing.parts.links[0].tunnels.up) == 1)
        report = ClientStatus(cast(IReactor, reactor), self.showing, History(Sink(), VisitorRefused)).snapshot()
        self.assertEqual([each.state for each in report.tunnels], ["up", "up"])
        self.assertEqual([each.state for each in report.servers], ["up", "up"], "of both nodes")
        self.assertEqual(len(self.showing.publicAddresses), 2)
        await self.untilCounts(2, 2, 0)
        self.assertEqual((self.seen(ServerLost), self.seen(AddressChanged)), (0, 0))

    async def test_aHomeThatFailsIsSucceededAndTheTunnelKeepsItsAddress(self) -> None:
        port, other = await self.settled()
        await self.crash(self.nodes[0])
        await self.eventually(lambda: self.counts()[1:] == [1, 1])
        self.sees(0, 0, 1)
        self.host = self.hostOf(other)
        await self.assertShows(port, b"a")
        self.assertEqual(self.showing.publicAddresses, [f"{self.hostOf(self.nodes[0])}:{port}"])

    async def test_aHomeThatGivesItsSessionAwayIsSucceeded(self) -> None:
        await self.settled()
        for node in self.nodes[1:]:
            self.nameOthers(node, but=self.nodes[0])
        self.nodes[0].moveSessions(None)
        await self.eventually(lambda: self.counts()[1:] == [1, 1])
        self.sees(0, 0, 1)

    async def test_aTunnelIsLostWithItsLastNodeAndComesBackAtTheSameAddress(self) -> None:
        port, _ = await self.settled()
        for node in self.nodes[1:]:
            await self.crash(node)
        self.cut(self.nodes[0])
        await self.eventually(lambda: self.seen(TunnelUp) == 2)
        self.assertEqual((self.seen(ServerLost), self.seen(AddressChanged)), (1, 0))
        await self.assertShows(port, b"a")


class SuccessionTests(CompanionsCase):
    """Other settings, and another process."""

    async def assertIsUp(self, port: PublicAddress, client: ClientService) -> None:
        """The tunnel is at two nodes under its address, and was never lost."""
        await self.untilCounts(1, 1, 0)
        self.assertEqual(client.publicAddresses, [f"{self.hostOf(self.nodes[0])}:{port}"])
        self.assertEqual((self.seen(ServerLost), self.seen(AddressChanged)), (0, 0))
        for node, count in zip(self.nodes, self.counts(), strict=True):
            self.host = self.hostOf(node)
            if count:
                await self.assertShows(port, b"a")

    async def test_settingsThatAServerHasToAcceptDoNotInterruptIt(self) -> None:
        [port] = await self.begin(b"a")
        await self.eventually(lambda: self.seen(NodeOpened))
        tls = self.showing.settings.tls
        assert tls is not None
        self.showing.applySettings(replace(self.showing.settings, tls=replace(tls, lasting=not tls.lasting)))
        await self.eventually(lambda: self.seen(SettingsAccepted) and not self.showing.isChanging)
        await self.eventually(lambda: self.seen(NodeOpened) == 2)
        await self.assertIsUp(port, self.showing)

    async def test_aProcessThatHasLentItTakesItBackAtAllNodes(self) -> None:
        [port] = await self.begin(b"a")
        await self.eventually(lambda: self.seen(NodeOpened))
        heir = ClientService(cast(IReactor, reactor), self.showing.settings, self.showing.tunnels, sink := Sink())
        sink.subscribe(self.events.append)
        self.addCleanup(heir.stopService)
        inherit(heir, estateOf(self.showing))
        self.showing.lend()
        heir.startService()
        await self.eventually(lambda: self.seen(NodeOpened) == 2)
        learn(self.showing, inventoryOf(heir))
        heir.retire(giveBack=False)
        self.showing.takeBack()
        await self.eventually(lambda: len(self.showing.parts.links[0].tunnels.up) == 1)
        await self.eventually(lambda: heir.parts.links == [] and not heir.isChanging)
        await self.eventually(lambda: any(link.tunnels.up for link in self.showing.parts.further))
        await self.assertIsUp(port, self.showing)

    async def test_anotherProcessHasItAtNodesWithItsAddress(self) -> None:
        [port] = await self.begin(b"a")
        await self.eventually(lambda: self.seen(NodeOpened))
        await self.crash(self.nodes[0])
        await self.eventually(lambda: self.seen(NodeOpened) == 2)
        for node in self.nodes[1:]:
            self.nameOthers(node, but=self.nodes[0])
        estate = readEstate(json.loads(json.dumps(fieldsOfEstate(estateOf(self.showing)))))
        heir = ClientService(cast(IReactor, reactor), self.showing.settings, self.showing.tunnels, sink := Sink())
        sink.subscribe(self.events.append)
        self.addCleanup(heir.stopService)
        inherit(heir, estate)
        self.showing.lend()
        heir.startService()
        await self.eventually(lambda: isReady(heir, estate))
        self.showing.retire(giveBack=True)
        heir.own()
        await self.eventually(lambda: not self.showing.isChanging and self.seen(NodeOpened) == 3)
        await self.assertIsUp(port, heir)
        self.assertEqual([each.key for each in estate.tunnels], [each.key for each in estateOf(heir).tunnels])
