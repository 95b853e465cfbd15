"""A client has its tunnel at two of three nodes, and visitors come to all of them."""

from __future__ import annotations

from bore.client.service import ClientService
from bore.events import Sink
from bore.events.client import AddressChanged, NodeLost, NodeOpened, ServerLost, TunnelUp
from tests.cluster.nodescase import Node, NodesCase


class ClientNodesTests(NodesCase):
    """Three nodes that name each other to their clients."""

    count = 3

    async def asyncSetUp(self) -> ClientService:
        """A client of the first node that has its tunnel at one more."""
        for node in self.nodes:
            node.service.server.sessions.here = self.addressOf(node)
        self.nameNodes()
        await self.met()
        client = await self.clientAt(self.nodes[0])
        await self.eventually(lambda: self.seen(NodeOpened))
        return client

    def addressOf(self, node: Node) -> str:
        return f"tls://{node.host}:{node.place.port}"

    def nameNodes(self) -> None:
        """All nodes that run name each other."""
        running = [node for node in self.nodes if not node.stopped]
        for node in running:
            others = [self.addressOf(each) for each in running if each is not node]
            node.service.server.sessions.nameNodes(others)

    def clientSink(self) -> Sink:
        sink = Sink()
        sink.subscribe(self.events.append)
        return sink

    def sees(self) -> list[int]:
        """What the user has seen."""
        return [self.seen(kind) for kind in (ServerLost, AddressChanged, TunnelUp)]

    async def test_visitorsOfAllNodesAreServedWhicheverNodesTheClientHas(self) -> None:
        await self.asyncSetUp()
        epoch, owners = self.records.owners[self.port]
        self.assertEqual((epoch, len(owners), "a" in owners), (1, 2, True))
        for node in self.nodes:
            await self.assertShowsAt(node, b"here")

    async def test_theHomeGoesAndComesAndTheOthersGoOnServing(self) -> None:
        client = await self.asyncSetUp()
        home, others = self.nodes[0], self.nodes[1:]
        before = client.publicAddresses
        await home.stop()
        self.nameNodes()
        await self.eventually(lambda: self.seen(NodeOpened) == 2)
        self.assertEqual((self.sees(), self.seen(NodeLost)), ([0, 0, 1], 1))
        for node in others:
            await self.assertShowsAt(node, b"here")
        self.assertEqual((client.publicAddresses, self.records.owners[self.port]), (before, (1, {"b", "c"})))

    async def test_aCompanionGoesAndTheNextNodeIsJoinedUnderTheSameEpoch(self) -> None:
        await self.asyncSetUp()
        lost = next(node for node in self.nodes[1:] if node.name in self.records.owners[self.port][1])
        await lost.stop()
        self.nameNodes()
        await self.eventually(lambda: self.seen(NodeOpened) == 2)
        for node in self.nodes:
            if node is not lost:
                await self.assertShowsAt(node, b"here")
        self.assertEqual((self.sees(), self.records.owners[self.port][0]), ([0, 0, 1], 1))
