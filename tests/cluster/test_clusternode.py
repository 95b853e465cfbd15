"""Whole nodes with an engine in memory: their clients, and what becomes of them when a node stops."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import ITCPTransport

from bore.client.service import ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnelspec import TunnelSpec
from bore.cluster.clusternode import ClusterNode
from bore.cluster.engine import Node
from bore.cluster.memory import MemoryEngine, MemoryStore
from bore.events.server import Loss
from bore.server.service import ServerService
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor
from bore.tls.settings import ClientTls, ServerTls
from bore.wire.secret import Secret
from tests.cluster.nodescase import LEASE, SECRET
from tests.ports import freePort, loopbackHost
from tests.support import temporaryFolder
from tests.tunnelscase import TunnelsCase

TTL = 60


class Member:
    """
    A node, at a host of its own.

    :param former: a former run of the same node, which was stopped; None: there was none.
    """

    def __init__(self, case: ClusterNodeCase, name: str, former: Member | None = None) -> None:
        clock = cast(IReactor, reactor)
        self.name = name
        self.folder: Path = case.keyFolder or temporaryFolder(case) if former is None else former.folder
        self.folder.chmod(0o700)
        self.host: str = loopbackHost() if former is None else former.host
        self.control: int = freePort(self.host) if former is None else former.control
        control = self.control
        self.engine = MemoryEngine(case.store)
        self.node = ClusterNode(
            clock, self.engine, name, f"tls://{self.host}:{control}", Secret("key"), TTL, LEASE, time.monotonic
        )
        settings = ServerSettings(
            secret=SECRET,
            bindAddr=self.host,
            bindTunnels=self.host,
            controlPort=control,
            lease=LEASE,
            tls=ServerTls(folder=self.folder),
        )
        self.service = ServerService(clock, settings, sink=case.serverSink(), registry=self.node.registry)
        self.node.attach(self.service)
        self.service.startService()
        self.node.start()
        self.runs = True

    async def stop(self) -> None:
        """Stop it in order. May be called twice."""
        if self.runs:
            self.runs = False
            await self.node.leave()
            await self.service.stopService()
            await self.node.depart()


class ClusterNodeCase(TunnelsCase):
    """
    Three nodes that have found each other.

    :ivar members: the nodes.
    :cvar keyFolder: where all have their TLS key; None: each has one of its own.
    """

    keyFolder: Path | None = None

    def setUp(self) -> None:
        super().setUp()
        self.store = MemoryStore()
        self.store.recovering = False
        self.members = [Member(self, name) for name in "abc"]
        for member in self.members:
            self.addCleanup(lambda each: Deferred.fromCoroutine(each.stop()), member)
        self.port = freePort(self.members[0].host)

    async def met(self) -> None:
        """All nodes have sessions with each other."""
        await self.eventually(
            lambda: all(
                len(member.node.others.links) == 2 and all(link.up for link in member.node.others.links.values())
                for member in self.members
            )
        )

    async def clientAt(self, member: Member, nodes: int = 1) -> ClientService:
        """A client of a node, which has the port of the test there and at further nodes."""
        tunnel = TunnelSpec(await self.service(b"page"), public=self.port)
        settings = ClientSettings(
            servers=(ServerAddress(member.host, member.service.controlPort),),
            secret=SECRET,
            tls=ClientTls(lasting=False, knownServers=temporaryFolder(self) / "known"),
            nodes=nodes,
        )
        client = ClientService(cast(IReactor, reactor), settings, [tunnel], self.clientSink())
        client.startService()
        self.addCleanup(client.stopService)
        await client.whenOpened()
        return client

    async def assertPageAt(self, *members: Member) -> None:
        """Visitors at these nodes see the page of the client."""
        for member in members:
            self.host = member.host
            visit = await self.assertShows(self.port, b"page")
            cast(ITCPTransport, visit.transport).abortConnection()

    def owners(self) -> set[str]:
        """The names of the nodes that own the port."""
        return {
            each.partition("/")[0]
            for record in self.store.records()
            for each in record.members
            if record.address == self.port
        }

    async def isEverywhere(self) -> None:
        """All nodes listen at the port."""
        for member in self.members:
            if member.runs:
                await self.eventually(lambda each=member: not _isFree(each, self.port))


def _isFree(member: Member, port: int) -> bool:
    server = member.service.server
    return server.tunnels.get(port) is None and member.node.others.forwards.get(port) is None


class ClusterNodeTests(ClusterNodeCase):
    """Visitors reach the page at every node, whatever becomes of one."""

    async def test_aNodeThatLeavesHasNoNewSessionsWhenOthersChangeMeanwhile(self) -> None:
        await self.met()
        first, second, _ = self.members
        await first.node.leave()
        second.node.membership.state = "draining"
        others = first.node.membership.neighbours
        await self.eventually(lambda: "draining" in [each.state for each in others.all()])
        self.assertEqual(first.node.others.links, {})

    async def test_visitorsAtAllNodesAreServedWhileTheNodeOfTheClientStops(self) -> None:
        await self.met()
        first, second, third = self.members
        await self.clientAt(first)
        await self.isEverywhere()
        await self.assertPageAt(first, second, third)
        self.assertEqual(self.owners(), {"a"})
        stopping = Deferred.fromCoroutine(first.stop())
        while not stopping.called:
            await self.assertPageAt(second, third)
            await self.eventually(lambda: True)
        await stopping
        self.assertEqual(len(self.owners() - {"a"}), 1, "the client is at another node")
        await self.assertPageAt(second, third)

    async def test_aNodeThatStopsPassesVisitorsOnUntilBalancersKnow(self) -> None:
        await self.met()
        first = self.members[0]
        await self.clientAt(first)
        await self.isEverywhere()
        leaving = first.node.leave(linger=2)
        self.assertTrue(first.node.leaves)
        await self.eventually(lambda: self.owners() > {"a"})
        await self.assertPageAt(*self.members)
        await leaving

    async def test_aFormerRunOfANodeIsNotAnotherNode(self) -> None:
        first = self.members[0]
        for name in ("a", "former-name"):
            advertise = f"tls://{first.host}:{first.control}"
            self.store.enter(Node(f"{name}/former", 1, 77, advertise, "up", 0, "1"))
        self.store.enter(Node("b/former", 1, 78, f"tls://{self.members[1].host}:1", "up", 0, "1"))
        await self.met()
        self.assertEqual(set(first.node.others.links), {"b", "c"})
        await self.clientAt(first)
        await self.isEverywhere()
        await self.assertPageAt(*self.members)

    async def test_theNodesOfAClientThatIsLostEverywhereAtOnceKeepItsPort(self) -> None:
        await self.met()
        await self.clientAt(self.members[0], nodes=2)
        await self.eventually(lambda: len(self.owners()) == 2)
        await self.isEverywhere()
        [record] = self.store.records()
        for member in self.members:
            for session in member.service.server.sessions.all():
                session.lost(Loss.GONE)
                session._connection.drop()
        await self.assertPageAt(*self.members)
        self.assertEqual([each.epoch for each in self.store.records()], [record.epoch])

    async def test_aNodeThatIsStartedAgainServesAsBefore(self) -> None:
        await self.met()
        await self.clientAt(self.members[0], nodes=2)
        for number, member in enumerate(list(self.members)):
            await self.eventually(lambda: len(self.owners()) == 2)
            await member.stop()
            await self.assertPageAt(*[each for each in self.members if each.runs])
            again = self.members[number] = Member(self, member.name, member)
            self.addCleanup(lambda each: Deferred.fromCoroutine(each.stop()), again)
            await self.met()
            await self.isEverywhere()
            await self.assertPageAt(*self.members)

    async def test_aClientAtTwoNodesOwnsThePortAtBoth(self) -> None:
        await self.met()
        first, *others = self.members
        await self.clientAt(first, nodes=2)
        await self.eventually(lambda: len(self.owners()) == 2)
        await self.isEverywhere()
        await self.assertPageAt(*self.members)
        await first.stop()
        await gatherResults([Deferred.fromCoroutine(self.assertPageAt(each)) for each in others])
