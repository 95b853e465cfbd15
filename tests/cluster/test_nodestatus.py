"""What a node answers about the tunnels of its cluster, and how it takes orders about them."""

from __future__ import annotations

import json
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport

from bore.cluster.report import ClusterStatus
from bore.events import Event, Sink
from bore.events.server import VisitorRefused
from bore.status.history import History
from bore.status.questions import Answer, Question, Refused
from bore.status.report import ServerReport
from bore.status.routes import Operated
from bore.status.server import ServerStatus
from bore.status.serverroutes import serverRoutes
from bore.streams.reactor import IReactor
from tests.cluster.test_clusternode import ClusterNodeCase, Member


class NotOperated:
    """A program of which neither is asked."""

    def reload(self) -> list[Event]:
        raise AssertionError

    def drain(self, seconds: float) -> int:
        raise AssertionError


class NodeStatusTests(ClusterNodeCase):
    """Three nodes, of which one or two have the client."""

    def setUp(self) -> None:
        super().setUp()
        self.statuses = {
            each.name: ServerStatus(
                cast(IReactor, reactor),
                each.service,
                History(Sink(), VisitorRefused),
                cluster=ClusterStatus(each.node.membership, each.node.others),
            )
            for each in self.members
        }

    def snapshot(self, member: Member) -> ServerReport:
        return self.statuses[member.name].snapshot()

    def nodesAt(self, member: Member) -> list[str]:
        """The nodes that have the tunnel of the test, as one of them sees it."""
        report = self.snapshot(member)
        assert report.forwards is not None
        return [name for each in (*report.tunnels, *report.forwards) for name in each.nodes or ()]

    async def ask(self, member: Member, method: str, path: str, **body: object) -> dict[str, object]:
        """Ask a node, as at its admin socket."""
        routes = serverRoutes(self.statuses[member.name], member.service.server, cast(Operated, NotOperated()))
        found = routes(Question(method, path, {}, {}, json.dumps(body).encode(), "unix"))
        answer = await found if isinstance(found, Deferred) else found
        assert isinstance(answer, Answer)
        text = answer.body if isinstance(answer.body, bytes) else "".join(answer.body)
        return cast("dict[str, object]", json.loads(text))

    async def refusal(self, member: Member, **body: object) -> str:
        """Why a node does not kick."""
        with self.assertRaises(Refused) as caught:
            await self.ask(member, "POST", "/kick", **body)
        return str(caught.exception)

    async def test_eachNodeKnowsWhichOnesHaveASessionOfATunnel(self) -> None:
        await self.met()
        await self.clientAt(self.members[0], nodes=2)
        await self.isEverywhere()
        has = lambda member: self.port in [each.address for each in self.snapshot(member).tunnels]  # noqa: E731
        await self.eventually(lambda: sum(map(has, self.members)) == 2)
        names = {member.name for member in self.members if has(member)}
        await self.eventually(lambda: all(set(self.nodesAt(member)) == names for member in self.members))
        for member in self.members:
            report = self.snapshot(member)
            assert report.forwards is not None and report.cluster is not None
            self.assertEqual(report.cluster.node, member.name)
            self.assertEqual(len(report.cluster.nodes), 2)
            if has(member):
                self.assertEqual((report.tunnels[0].nodes or [])[0], member.name)
                self.assertEqual(report.forwards, [])
            else:
                [forward] = report.forwards
                self.assertEqual(
                    (forward.state, forward.user, forward.network, forward.peer), ("forwarded", "", "", None)
                )
                self.assertEqual(report.tunnels, [])

    async def test_whoIsPassedOnIsCountedThereAndInTheSumsOfTheNodeThatServes(self) -> None:
        await self.met()
        first, second, _ = self.members
        await self.clientAt(first)
        await self.isEverywhere()
        self.host = second.host
        visit = await self.assertShows(self.port, b"page")
        tunnel = await self.ask(second, "GET", f"/tunnels/{self.port}")
        self.assertEqual((tunnel["state"], tunnel["nodes"]), ("forwarded", [first.name]))
        [visitor] = cast("list[dict[str, object]]", tunnel["list"])
        self.assertEqual(visitor["state"], "served")
        report = self.snapshot(second)
        assert report.forwards is not None
        self.assertEqual((report.forwards[0].visitors.open, report.totals.open, report.totals.visitors), (1, 0, 0))
        self.assertGreater(report.forwards[0].bytes.toVisitors, 0)
        self.assertEqual((report.totals.toClient, report.totals.toVisitors), (0, 0))
        self.assertEqual(self.snapshot(first).totals.visitors, 1)
        cast(ITCPTransport, visit.transport).abortConnection()

        def gone() -> bool:
            forwards = self.snapshot(second).forwards
            return forwards is not None and (forwards[0].visitors.open, forwards[0].visitors.total) == (0, 1)

        await self.eventually(gone)
        self.assertEqual(self.snapshot(second).totals.visitors, 0)

    async def test_aTunnelOfOtherNodesIsKickedThere(self) -> None:
        await self.met()
        first, second, _ = self.members
        await self.clientAt(first)
        await self.isEverywhere()
        named = f"the tunnel {self.port} is not at this node, but at a: run 'bore kick {self.port}' there"
        self.assertEqual(await self.refusal(second, address=self.port), named)
        self.assertIn("there is no tunnel 1", await self.refusal(second, address=1))
        nobody = "there is no session or tunnel of alice at this node; the others are a and c"
        self.assertEqual(await self.refusal(second, user="alice"), nobody)
        await self.assertPageAt(second)  # nothing was ended
        ended = await self.ask(first, "POST", "/kick", address=self.port)
        self.assertEqual(ended["tunnels"], 1)
        self.assertNotIn("nodes", ended)
        await self.isEverywhere()  # the client asks for it again

    async def test_whoIsKickedAtOneNodeIsAtOthersToo(self) -> None:
        await self.met()
        await self.clientAt(self.members[0], nodes=2)
        has = lambda member: member.service.server.tunnels.get(self.port) is not None  # noqa: E731
        await self.eventually(lambda: sum(map(has, self.members)) == 2)
        await self.eventually(lambda: all(len(self.nodesAt(each)) == 2 for each in self.members))
        one, other = (member for member in self.members if has(member))
        ended = await self.ask(one, "POST", "/kick", address=self.port)
        self.assertEqual((ended["tunnels"], ended["nodes"]), (1, [other.name]))

    async def test_aTunnelThatNoNodeHasNowIsNotKickedAnywhere(self) -> None:
        await self.met()
        first, second, _ = self.members
        await self.clientAt(first)
        await self.isEverywhere()
        first.node.others.withdraw()  # it is gone, as for the others
        for session in second.node.others.sessions.all():
            session.handle.shutdown(2)

        def states() -> list[tuple[str, object]]:
            return [(each.state, each.nodes) for each in self.snapshot(second).forwards or ()]

        await self.eventually(lambda: states() == [("away", [])])
        why = await self.refusal(second, address=self.port)
        self.assertEqual(why, f"no node has a session of the tunnel {self.port} now: this one keeps its address")
