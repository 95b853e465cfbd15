"""The page in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from bore.status.report import ProcessReport, WorkerReport
from tests.status.browsercase import PHONE, BrowserCase, reactor
from tests.status.pagereports import HOSTILE, ago, busyServer, clientReport, serverReport, tunnelReport

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab


class BrowserTests(BrowserCase):
    """What a reader sees and does."""

    async def test_aServersPageFollowsTheServer(self) -> None:
        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            expect(tab.get_by_role("heading", level=1)).to_have_text("bore server")
            rows = tab.locator("#tunnels tbody tr")
            expect(rows).to_have_count(2)
            expect(rows.first).to_contain_text("alice")
            self.report = serverReport(
                tunnelReport(20000, 9_000_000, 3), tunnelReport(20001, away=True), state="draining"
            )
            expect(rows.nth(1)).to_contain_text("away")
            expect(rows.first).to_contain_text("6.8 MB")
            expect(tab.locator("#state")).to_have_text("draining")
            expect(tab.locator("#notices")).to_contain_text("A tunnel has lost its client: 20001")
            expect(tab).to_have_title("1 not up · 2 tunnels · bore server")

        await self.look(look)

    async def test_aServersWorkersAreInATable(self) -> None:
        process = ProcessReport(75.0, 30 << 20, 40)
        workers = [
            WorkerReport(1, 1, 4712, "retired", ago(7500), 7500.0, False, 0, 0, 2, process),
            WorkerReport(2, 2, 4800, "serving", ago(12), 12.0, True, 1, 1, 3, None),
        ]
        tunnel = tunnelReport(20000)._replace(worker=2, generation=2)
        report = serverReport(tunnel)
        self.report = replace(report, workers=workers)

        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            rows = tab.locator("#workers tbody tr")
            expect(rows).to_have_count(2)
            expect(rows.first).to_contain_text("does not answer")
            expect(rows.first).to_contain_text("1 min")
            expect(rows.nth(1)).to_contain_text("serving")
            expect(tab.locator("#tunnels tbody tr").first).to_contain_text("worker 2")
            expect(tab.locator("#notices")).to_contain_text("A worker does not answer: 1")
            for width in (320, 768, 1280):
                tab.set_viewport_size({"width": width, "height": 800})
                self.assertEqual(tab.evaluate("document.documentElement.scrollWidth"), width)
            self.report = replace(report, workers=workers[1:])
            expect(rows).to_have_count(1)

        await self.look(look)

    async def test_aClientsPageHasItsServersAndLocalServices(self) -> None:
        self.report = clientReport(state="refused", why="port 80 is outside this server's range, 20000 to 20999")

        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            expect(tab.get_by_role("heading", level=1)).to_have_text("bore client")
            expect(tab.locator("#servers tbody")).to_contain_text("tunnel.example.com:7835")
            expect(tab.locator("#tunnels tbody")).to_contain_text("port 80 is outside this server's range")
            expect(tab.locator("#tunnels tbody")).to_contain_text("does not answer")

        await self.look(look)

    async def test_whatStrangersWriteIsText(self) -> None:
        """Markup is shown as it is written, and what is not seen, or turns the text around it, as an escape."""

        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            escaped = "<img src=x onerror=alert(1)>\\u001b[31m\\u202egnp.exe\\u200b'\"&amp;__proto__"
            expect(tab.locator("main")).to_contain_text(escaped)
            expect(tab.locator("#events")).to_contain_text(escaped)
            self.assertEqual(tab.locator("main img").count(), 0)
            self.assertIsNone(re.search("[\x00-\x08\x1b\u200b\u202e]", cast(str, tab.locator("body").text_content())))

        self.report = serverReport(tunnelReport(f"unix:/run/{HOSTILE}", user=HOSTILE), text=HOSTILE)
        await self.look(look)
        self.report = clientReport(name=HOSTILE, state="givenUp", why=HOSTILE)
        await self.look(lambda tab: self.assertEqual(tab.locator("main img").count(), 0))

    async def test_aThousandTunnelsAreFoundByKeyboard(self) -> None:
        self.report = busyServer(1000)

        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            rows = tab.locator("#tunnels > tbody > tr")
            expect(rows).to_have_count(200)
            tab.get_by_role("button", name="Show 200 more of 800").press("Enter")
            expect(rows).to_have_count(400)
            expect(rows.nth(200).get_by_role("button")).to_be_focused()
            tab.get_by_role("columnheader", name="From visitors").get_by_role("button").press("Enter")
            expect(rows.first).to_contain_text("250 MB")
            tab.get_by_role("searchbox").focus()
            tab.keyboard.type("alice 2049")
            expect(rows).to_have_count(2)
            expect(tab.locator("#found")).to_have_text("2 tunnels found")
            tab.keyboard.press("Control+A")
            tab.keyboard.type("nobody")
            expect(tab.locator("#nothing")).to_have_text("No tunnel matches the filter.")

        await self.look(look)

    async def test_aRowOpensItsVisitorsByKeyboard(self) -> None:
        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            button = tab.get_by_role("button", name="20000", exact=True)
            button.press("Enter")
            expect(button).to_have_attribute("aria-expanded", "true")
            expect(tab.locator(".visitors caption")).to_have_text("The first 1 of 900 visitors")
            expect(tab.locator(".visitors tbody")).to_contain_text("198.51.100.7:4711")
            tab.keyboard.press("Enter")
            expect(button).to_have_attribute("aria-expanded", "false")
            expect(tab.locator(".visitors")).to_have_count(0)

        await self.look(look)

    async def test_aLostConnectionIsShownAndComesBack(self) -> None:
        def again() -> None:
            self.port = self.listen(int(self.port.url.rstrip("/").rpartition(":")[2]))

        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            reactor.callFromThread(self.port.stopService)
            expect(tab.locator("#connection")).to_have_text("Connection lost, trying again …")
            expect(tab.locator("#tunnels tbody tr")).to_have_count(2)
            self.report = serverReport(tunnelReport(20005))
            reactor.callFromThread(again)
            expect(tab.locator("#connection")).to_have_text("Live")
            expect(tab.locator("#tunnels tbody tr")).to_have_count(1)

        await self.look(look)

    async def test_nothingIsCutOffOnAnyScreen(self) -> None:
        def look(tab: Tab) -> None:
            tab.get_by_role("button", name=re.compile("^(20000|web)$")).click()
            tab.wait_for_selector(".visitors tbody tr")
            for width in (320, 768, 1216, 1280):
                tab.set_viewport_size({"width": width, "height": 800})
                self.assertEqual(tab.evaluate("document.documentElement.scrollWidth"), width)

        self.report = busyServer(5)
        await self.look(look, **PHONE)
        self.report = clientReport(state="refused", why="port 80 is outside this server's range, 20000 to 20999")
        await self.look(look, **PHONE)

    async def test_thePageIsReadableWithoutItsColours(self) -> None:
        """In dark mode the ground is dark; each state has a word, and each table a caption."""

        def look(tab: Tab) -> None:
            self.assertEqual(tab.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(14, 17, 22)")
            self.assertEqual(tab.evaluate("document.querySelectorAll('table:not(:has(> caption))').length"), 0)
            for text in tab.locator("#tunnels .state").all_text_contents():
                self.assertEqual(text, "up")

        await self.look(look, color_scheme="dark")

    async def test_aTokenIsAskedForOnceAndServesTheStream(self) -> None:
        self.port.stopService()
        self.port = self.listen(0, lambda: ["open sesame"])

        def look(tab: Tab) -> None:
            from playwright.sync_api import expect

            tab.get_by_role("button", name="20000", exact=True).click()
            expect(tab.locator(".visitors tbody")).to_contain_text("198.51.100.7:4711")

        await self.look(look, http_credentials={"username": "me", "password": "open sesame"})
