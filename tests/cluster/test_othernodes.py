"""Visitors come to one node, and the client of their tunnel is at another one."""

from __future__ import annotations

import select
import socket
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, formatEvent

from bore.streams.reactor import IReactor
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.proxyprotocol import Version
from tests.cluster.nodescase import SECRET, SECRET_TEXT, Node, NodesCase
from tests.fakes import captureLog
from tests.support import pattern


class TwoNodesTests(NodesCase):
    """Two nodes, and a client at one of them or at both."""

    async def test_aVisitorAtTheOtherNodeIsServed(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        visits = [await self.assertShowsAt(node, b"here") for node in (there, here, there)]
        data = pattern(1, 1 << 20)
        echoes = await gatherResults([Deferred.fromCoroutine(visit.ask(data)) for visit in visits])
        self.assertEqual(echoes, [data] * 3)
        self.assertEqual(there.service.server.tunnels.all(), [], "it is not a tunnel of that node")

    async def test_theLocalServiceSeesTheVisitorsAddress(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here, proxyProtocol=Version.V1)
        await self.eventually(lambda: self.forwards(there))
        visit = await self.visitAt(there)
        await visit.ask(b"hello")
        port = cast(ITCPTransport, visit.transport).getHost().port
        await self.eventually(lambda: b"hello" in visit.received)
        self.assertIn(f" {port} ".encode(), visit.received.splitlines()[0], "that of the visitor, and not of a node")

    async def test_theRulesOfTheTunnelHoldWhereItsClientIs(self) -> None:
        here, there = self.nodes
        await self.met()
        rules = AddressRules(deny=(parseNetwork("127.0.0.0/8"),))
        await self.clientAt(here, rules=rules)
        await self.eventually(lambda: self.forwards(there))
        visit = await self.visitAt(there)
        self.assertEqual(await visit.take(1), b"")

    async def test_aClientThatComesToTheOtherNodeAsWellHasItsVisitorsThere(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        client = await self.clientAt(there, b"there")
        await self.assertShowsAt(there, b"there")
        await self.assertShowsAt(here, b"here")
        self.assertEqual(self.records.owners[self.port], (1, {"a", "b"}))
        await client.stopService()
        await self.eventually(lambda: self.forwards(there))
        await self.assertShowsAt(there, b"here")
        self.assertEqual(self.records.owners[self.port], (1, {"a"}), "who only forwards is no owner")

    async def test_aClientThatComesBackToItsNodeHasItsVisitorsThere(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        await self.clientAt(there, b"there")
        for _ in range(3):
            there.loseClients()
            await self.eventually(lambda: self.forwards(there))
            await self.assertShowsAt(there, b"here")
            await self.eventually(lambda: not self.forwards(there))
            await self.assertShowsAt(there, b"there")

    async def test_visitorsThatWaitForALostClientGoToTheOtherNode(self) -> None:
        here, there = self.nodes
        await self.clientAt(there, b"there", reconnect=False)
        there.loseClients()
        waiting = [await self.visitAt(there) for _ in range(3)]
        await self.clientAt(here)
        await self.met()
        self.assertEqual([await visit.take(5) for visit in waiting], [b"here\n"] * 3)

    async def test_visitorsThatHaveConnectedArePassedOnWhenTheNodeIsAboutToStop(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        with socket.create_connection((there.host, self.port)) as visitor:  # nobody has accepted it yet
            there.others.forwards.closeEntrances()
            self.assertRaises(ConnectionRefusedError, socket.create_connection, (there.host, self.port))
            visitor.setblocking(False)
            await self.eventually(lambda: select.select([visitor], [], [], 0)[0])
            self.assertEqual(visitor.recv(5), b"here\n")

    async def test_anAddressThatNoNodeOffersIsKeptForALease(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        here.cut()
        await self.eventually(lambda: not self.forwards(there))
        waiting = await self.visitAt(there)
        self.meet()
        self.assertEqual(await waiting.take(5), b"here\n")

    async def test_whatAClientGivesBackIsClosedAtTheOtherNode(self) -> None:
        here, there = self.nodes
        await self.met()
        client = await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        await client.stopService()
        await self.eventually(lambda: there.others.forwards.get(self.port) is None)
        self.assertEqual(self.records.owners, {})

    async def test_aNodeThatDoesNotActOffersNothing(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        here.others.act(False)
        await self.eventually(lambda: not self.forwards(there))
        waiting = await self.visitAt(there)
        await deferLater(cast(IReactor, reactor), 0.1)
        self.assertEqual(waiting.received, b"")
        here.others.act(True)
        self.assertEqual(await waiting.take(5), b"here\n")

    async def test_aNodeThatDoesNotActPassesTheVisitorsOfItsOwnClientsOn(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.clientAt(there, b"there")
        await self.eventually(lambda: there.others.forwards.offers.waits(self.port))
        there.registry.acts = False
        waiting = await self.visitAt(there)
        there.others.act(False)
        self.assertEqual(await waiting.take(5), b"here\n")
        await self.assertShowsAt(there, b"here")
        self.assertEqual(self.records.owners[self.port], (1, {"a", "b"}))
        there.registry.acts = True
        there.others.act(True)
        await self.eventually(lambda: not self.forwards(there))
        await self.assertShowsAt(there, b"there")

    async def test_visitorsOfAnAddressThatIsLostGoToANodeThatOwnsItForTheSameClient(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.clientAt(there, b"there", reconnect=False)
        await self.eventually(lambda: there.others.forwards.offers.waits(self.port))
        there.registry.acts = False
        waiting = await self.visitAt(there)
        there.registry._leave(self.port)
        there.others.lose(self.port)
        self.assertEqual(await waiting.take(5), b"here\n")
        self.assertEqual(self.records.owners[self.port], (1, {"a"}))
        there.others.lose(self.port)
        await self.assertShowsAt(there, b"here")

    async def test_visitorsOfAnAddressThatIsLostToAnotherClientAreClosed(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(there, b"there", reconnect=False)
        there.registry.acts = False
        waiting = await self.visitAt(there)
        there.registry._leave(self.port)
        await self.clientAt(here)
        await self.eventually(lambda: there.others.forwards.offers.waits(self.port))
        there.others.lose(self.port)
        self.assertEqual(await waiting.take(5), b"")
        await self.eventually(lambda: self.forwards(there))
        await self.assertShowsAt(there, b"here")

    async def test_aSessionWithANodeThatHasNoEntryStaysUntilItIsLost(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        here.others.setNodes({})
        self.assertEqual(here.others.retained, [f"tls://{there.place}"])
        await self.assertShowsAt(there, b"here")
        self.meet()
        self.assertEqual(here.others.retained, [])
        here.others.setNodes({})
        [link] = here.others.links.values()
        for session in there.others.sessions.all():
            session.handle.shutdown(2)
        await self.eventually(lambda: not link.up)
        waiting = await self.visitAt(there)
        self.meet()
        self.assertEqual(await waiting.take(5), b"here\n")

    async def test_aVisitorThatIsUnderWayToANodeThatDoesNotActWaitsThere(self) -> None:
        here, there = self.nodes
        await self.met()
        await self.clientAt(here)
        await self.eventually(lambda: self.forwards(there))
        here.registry.acts = False  # it has not noticed yet
        waiting = await self.visitAt(there)
        await self.eventually(lambda: len(here.others._held) == 1)
        here.others.act(False)
        await self.eventually(lambda: not self.forwards(there))
        self.assertEqual(waiting.received, b"")
        here.registry.acts = True
        here.others.act(True)
        self.assertEqual(await waiting.take(5), b"here\n")


class ThreeNodesTests(NodesCase):
    """Three nodes, and a client at two of them."""

    count = 3

    async def begin(self, reconnect: bool = True) -> tuple[Node, Node, Node]:
        one, two, three = self.nodes
        await self.met()
        await self.clientAt(one, b"one", reconnect)
        await self.eventually(lambda: self.forwards(three))
        await self.clientAt(two, b"two")
        await self.eventually(lambda: three.others.forwards.offers.waits(self.port))
        return one, two, three

    async def test_aNodeThatIsGoneIsReplacedAtOnce(self) -> None:
        one, _, three = await self.begin()
        await self.assertShowsAt(three, b"one")
        one.cut()
        await self.eventually(lambda: not three.others.forwards.offers.waits(self.port))
        visits = [await self.assertShowsAt(three, b"two") for _ in range(3)]
        self.assertEqual(len(visits), 3)
        self.assertEqual(self.superseded(), [])

    async def test_aNodeThatSeemsToBeAwayIsPassedOverAsLongAsThereIsAnother(self) -> None:
        one, two, three = await self.begin()
        for unfit, name in ((1, b"two"), (2, b"one"), (1, b"two")):
            three.others.forwards.prefer(frozenset({unfit}))
            await self.assertShowsAt(three, name)
        three.others.forwards.prefer(frozenset({1, 2}))
        await self.assertShowsAt(three, b"two")
        two.cut()
        await self.eventually(lambda: not three.others.forwards.offers.waits(self.port))
        await self.assertShowsAt(three, b"one")
        self.assertEqual(self.records.owners[self.port], (1, {"a", "b"}), one.name)

    async def test_aClientThatLeavesANodeIsFoundAtTheOther(self) -> None:
        one, two, three = await self.begin(reconnect=False)
        one.loseClients()
        await self.eventually(lambda: self.forwards(one))
        for node, name in ((one, b"two"), (two, b"two"), (three, b"two")):
            await self.assertShowsAt(node, name)


class StrangersTests(NodesCase):
    """Who is not a node of the cluster."""

    keys = ("the key of the cluster", "another key")

    async def test_aNodeWithAnotherKeyIsRefused(self) -> None:
        here, there = self.nodes
        logged = captureLog(self)
        await self.eventually(lambda: all(link.why for link in self.links()))
        lines = [formatEvent(event) for event in logged if event["log_level"] is LogLevel.error]
        self.assertEqual([line.split(": ")[1].split(",")[0] for line in lines],
                         2 * ["all nodes of a cluster need the same --cluster-key"])  # fmt: skip
        for node in (here, there):
            self.assertEqual(node.others.sessions.all(), [])
            [link] = node.others.links.values()
            self.assertIn("secret", link.why or "")


class SecretTests(NodesCase):
    """The cluster has a key that is the secret of the clients as well, which it should not."""

    keys = (SECRET_TEXT,)

    async def test_aClientIsNoNode(self) -> None:
        await self.met()
        here, there = self.nodes
        here.others.withdraw()
        here.others._context = here.others._context._replace(secret=SECRET)
        self.meet()
        [link] = here.others.links.values()
        await self.eventually(lambda: link.why)
        self.assertIn("secret", link.why or "")
        await self.clientAt(there)
