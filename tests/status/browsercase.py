"""A program whose page is looked at in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from twisted.internet import reactor as untyped
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import TestCase

from bore.events import Sink
from bore.status.page import pageRoutes
from bore.status.report import Visited
from bore.status.statusport import StatusPort
from bore.status.traffic import Report, Traffic
from bore.status.viewers import Viewers
from bore.streams.listener import bindSocket
from bore.streams.reactor import IReactor
from tests.status.browser import Browser, whyNoBrowser
from tests.status.pagereports import NOW, serverReport, tunnelReport

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

reactor = cast(IReactor, untyped)

T = TypeVar("T")

PHONE = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


class BrowserCase(TestCase):
    """
    A page.

    :ivar report: the snapshot that it shows next.
    """

    skip = whyNoBrowser()
    browser: ClassVar[Browser]

    @classmethod
    def setUpClass(cls) -> None:
        if cls.skip is None:
            cls.browser = Browser()

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.skip is None:
            cls.browser.close()

    def setUp(self) -> None:
        self.report: Report = serverReport(tunnelReport(20000, 5_000_000, 2, user="alice"), tunnelReport(20001))
        self.traffic = Traffic(reactor, lambda: succeed(self.report))
        self.viewers = Viewers(reactor, lambda: succeed(self.report), self.traffic, lambda: NOW)
        self.port = self.listen(0)
        self.addCleanup(lambda: self.port.stopService())

    def listen(self, number: int, tokens: Callable[[], Sequence[str]] | None = None) -> StatusPort:
        routes = pageRoutes(lambda: succeed(self.report), self.tunnel, self.viewers)
        port = StatusPort(reactor, Sink(), bindSocket("127.0.0.1", number), tokens, lambda: routes)
        port.startService()
        return port

    def tunnel(self, address: str, most: int | None) -> Deferred[Visited[object, object]]:
        visitor = {"id": "1", "from": "198.51.100.7:4711", "since": None, "seconds": 75, "state": "served", "lane": 1}
        tunnel = {"visitors": {"open": 900, "waiting": 0}}
        return succeed((tunnel, [visitor | {"toClient": 1000, "fromVisitor": 1000, "toVisitor": 2000}]))

    def look(self, look: Callable[[Tab], T], **settings: Any) -> Deferred[T]:
        """Open the page, and look at it when it shows the first snapshot."""

        def whenLive(tab: Tab) -> T:
            from playwright.sync_api import expect

            expect(tab.locator("#connection")).to_have_text("Live")
            return look(tab)

        return self.browser.visit(self.port.url, whenLive, **(DESKTOP | settings))
