"""The page of a node of a cluster in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bore.cluster.report import ClusterStatus
from bore.events import Sink
from bore.events.server import VisitorRefused
from bore.status.history import History
from bore.status.page import pageRoutes
from bore.status.server import ServerStatus
from bore.status.serverroutes import serverTunnel
from bore.status.statusport import StatusPort
from bore.status.traffic import Traffic
from bore.status.viewers import Viewers
from bore.streams.listener import bindSocket
from tests.cluster.test_clusternode import ClusterNodeCase, Member
from tests.status.browser import Browser, whyNoBrowser
from tests.status.browsercase import BrowserCase, reactor
from tests.status.pagereports import ago, nodeReport

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab


class ClusterTests(BrowserCase):
    """What a reader sees of a cluster."""

    async def test_aNodeOfAClusterShowsTheOthersTheEngineAndWhereEachTunnelIs(self) -> None:
        self.report = nodeReport()

        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            facts = tab.locator("#cluster")
            expect(facts).to_contain_text("this node is node1")
            expect(facts).to_contain_text("it serves new visitors")
            expect(facts).to_contain_text("the engine answers")
            expect(tab.locator("#facts")).to_contain_text("node node1")
            nodes = tab.locator("#nodes tbody tr")
            expect(nodes).to_have_count(2)
            expect(nodes.first).to_contain_text("node2")
            expect(nodes.first).to_contain_text("just now")
            rows = tab.locator("#tunnels tbody tr")
            expect(rows).to_have_count(2)
            expect(rows.first.locator('[data-column="nodes"]')).to_have_text("here, node2")
            expect(rows.nth(1)).to_contain_text("passed on")
            expect(rows.nth(1).locator('[data-column="nodes"]')).to_have_text("node2, node3")
            expect(tab.locator("#figures")).to_contain_text("1 passed on")
            expect(tab.locator("#notices li")).to_have_count(0)
            for width in (320, 768, 1280):
                tab.set_viewport_size({"width": width, "height": 800})
                self.assertEqual(tab.evaluate("document.documentElement.scrollWidth"), width)
            tab.locator("#filter").fill("node3")
            expect(rows).to_have_count(1)
            tab.locator("#filter").fill("here")
            expect(rows).to_contain_text("20000")
            tab.locator("#filter").fill("")
            tab.get_by_role("button", name="20100").click()
            expect(tab.locator("#visitors-of-tunnel")).to_contain_text("198.51.100.7")
            away = nodeReport(beat=75.2, state="holding", engineAway=58.2, recovering=True, recoversIn=12.0)
            assert away.forwards is not None
            lost = away.forwards[0]._replace(state="away", nodes=[], awaySince=ago(5))
            self.report = replace(away, forwards=[lost])
            expect(nodes.nth(1)).to_contain_text("1 min ago")
            expect(nodes.nth(1)).to_contain_text("away")
            expect(facts).to_contain_text("new visitors wait")
            expect(facts).to_contain_text("the engine has not answered for 58 s")
            expect(facts).to_contain_text("no new tunnels for up to 12 s")
            notices = tab.locator("#notices")
            expect(notices).to_contain_text("This node cannot use the engine: new visitors wait.")
            expect(notices).to_contain_text("A node is away: node3")
            expect(notices).to_contain_text("A tunnel has no node now: 20100")
            expect(rows.filter(has_text="20100").locator('[data-column="nodes"]')).to_have_text("none")

        await self.look(look)

    async def test_aServerWithoutAClusterShowsNothingOfOneAndAnotherServerHasAnotherPage(self) -> None:
        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            expect(tab.locator("#tunnels tbody tr")).to_have_count(2)
            expect(tab.locator("#cluster-section")).to_be_hidden()
            self.assertEqual(tab.locator('[data-column="nodes"]').count(), 0)
            self.report = nodeReport()
            self.viewers._endAll()  # the server is started again, as a node of a cluster
            expect(tab.locator("#cluster")).to_contain_text("this node is node1")
            expect(tab.locator('#tunnels th[data-column="nodes"]')).to_be_visible()

        await self.look(look)


class NodesTests(ClusterNodeCase):
    """The pages of two nodes that run, of which one has the client."""

    skip = whyNoBrowser()

    def setUp(self) -> None:
        super().setUp()
        self.browser = Browser()
        self.addCleanup(self.browser.close)

    def page(self, member: Member) -> str:
        """Serve the page of a node, and return its URL."""
        view = ClusterStatus(member.node.membership, member.node.others)
        status = ServerStatus(reactor, member.service, History(Sink(), VisitorRefused), cluster=view)
        traffic = Traffic(reactor, status.take)
        viewers = Viewers(reactor, status.take, traffic)
        routes = pageRoutes(status.take, partial(serverTunnel, status), viewers)
        port = StatusPort(reactor, Sink(), bindSocket("127.0.0.1", 0), None, lambda: routes)
        port.startService()
        self.addCleanup(port.stopService)
        return port.url

    async def test_eachShowsWhereTheTunnelIs(self) -> None:
        await self.met()
        first, second, _ = self.members
        await self.clientAt(first)
        await self.isEverywhere()
        self.host = second.host
        await self.assertShows(self.port, b"page")

        def look(name: str, nodes: str, state: str, visitors: int) -> Callable[[Tab], None]:
            def whenLive(tab: Tab) -> None:
                from playwright.sync_api import expect

                expect(tab.locator("#cluster")).to_contain_text(f"this node is {name}")
                expect(tab.locator("#cluster")).to_contain_text("the engine answers")
                expect(tab.locator("#nodes tbody tr")).to_have_count(2)
                row = tab.locator("#tunnels tbody tr")
                expect(row.locator('[data-column="nodes"]')).to_have_text(nodes)
                expect(row.locator('[data-column="state"]')).to_contain_text(state)
                expect(row.locator('[data-column="visitors"]')).to_contain_text(f"{visitors} in all")
                tab.get_by_role("button", name=str(self.port)).click()
                expect(tab.locator("#visitors-of-tunnel")).to_contain_text("1 visitor")

            return whenLive

        await self.browser.visit(self.page(second), look("b", "a", "passed on", 1))
        await self.browser.visit(self.page(first), look("a", "here", "up", 1))
