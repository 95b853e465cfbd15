"""Clients reach a cluster through a balancer, which may choose another node each time."""

from __future__ import annotations

from typing import cast

from twisted.internet import reactor

from bore.client.link import ServerLink
from bore.client.service import ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnelspec import TunnelSpec
from bore.events import Sink
from bore.events.client import AddressChanged
from bore.streams.reactor import IReactor
from bore.tls.settings import ClientTls
from tests.cluster.nodescase import SECRET
from tests.cluster.test_clusternode import ClusterNodeCase, Member
from tests.forwarder import Forwarder
from tests.ports import freePort
from tests.support import temporaryFolder


class BalancerTests(ClusterNodeCase):
    """A client with two tunnels, which knows the balancer alone, and one key for all nodes."""

    def setUp(self) -> None:
        self.keyFolder = temporaryFolder(self)
        super().setUp()

    async def begin(self) -> ClientService:
        """A client at the first node, and at one more."""
        await self.met()
        self.balancer = Forwarder("127.0.0.1", 0, self.placeOf(self.members[0]))
        self.addCleanup(self.balancer.close)
        self.ports = [self.port, freePort(self.members[0].host)]
        settings = ClientSettings(
            servers=(ServerAddress("127.0.0.1", self.balancer.port),),
            secret=SECRET,
            tls=ClientTls(lasting=False, knownServers=temporaryFolder(self) / "known"),
        )
        specs = [TunnelSpec(await self.service(b"page"), public=port, name=str(port)) for port in self.ports]
        client = ClientService(cast(IReactor, reactor), settings, specs, sink := Sink())
        sink.subscribe(self.events.append)
        client.startService()
        self.addCleanup(client.stopService)
        await self.eventually(lambda: self.isAtTwo(client))
        return client

    def isAtTwo(self, client: ClientService) -> bool:
        """Whether a client has all tunnels at two nodes, as far as it knows."""
        return [len(link.tunnels.up) for link in self.links(client)] == [2, 2]

    def links(self, client: ClientService) -> list[ServerLink]:
        return [*client.parts.links, *client.parts.further]

    def placeOf(self, member: Member) -> tuple[str, int]:
        return member.host, member.service.controlPort

    def cut(self) -> None:
        """Cut all sessions of clients."""
        for member in self.members:
            for session in member.service.server.sessions.all():
                session._connection.drop()

    async def test_lanesAndVisitorsDoNotPassTheBalancer(self) -> None:
        client = await self.begin()
        await self.isEverywhere()
        for _ in range(3):
            await self.assertPageAt(*self.members)
        self.assertEqual(len(self.balancer.passages), 1, "the control connection of the home link")
        self.assertEqual(client.publicAddresses, [f"127.0.0.1:{port}" for port in self.ports])

    async def test_aClientThatHasLostAllComesBackToItsPortsWhicheverNodeTheBalancerChooses(self) -> None:
        client = await self.begin()
        for member in self.members:
            cut = {link.control for link in self.links(client)}
            self.balancer._to = self.placeOf(member)
            self.cut()
            await self.eventually(
                lambda cut=cut: self.isAtTwo(client) and cut.isdisjoint(link.control for link in self.links(client))
            )
            await self.assertPageAt(*self.members)
        self.assertEqual(self.seen(AddressChanged), 0)
        self.assertEqual(client.publicAddresses, [f"127.0.0.1:{port}" for port in self.ports])
        self.assertEqual({record.epoch for record in self.store.records()}, {1, 2}, "none was ever granted anew")
