"""The files of the page, and what stands beside them."""

from __future__ import annotations

import re

from bore.status.questions import Answer, Endless
from tests.status.pagecase import PageCase
from tests.support import CHECKOUT

FILES = CHECKOUT / "bore" / "status" / "page"


class FilesTests(PageCase):
    """What a browser is sent."""

    def test_eachFileIsThereWithItsType(self) -> None:
        for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
            answer = self.answer(path)
            self.assertEqual((answer.code, answer.kind), (200, f"{kind}; charset=utf-8"))
            self.assertTrue(answer.body)
        self.assertEqual(self.answer("/icon.svg").kind, "image/svg+xml")

    def test_theyMayUseThemselvesAndNothingElse(self) -> None:
        for path in ("/", "/page.css", "/page.js", "/icon.svg"):
            policy = self.answer(path).headers["Content-Security-Policy"]
            self.assertTrue(policy.startswith("default-src 'none'; script-src 'self'; "), path)
            self.assertNotIn("unsafe", policy)
            self.assertTrue(policy.endswith("; frame-ancestors 'none'"))

    def test_theyNeedNothingFromElsewhere(self) -> None:
        for path in FILES.iterdir():
            addresses = set(re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+[^\s\"')]*", path.read_text(encoding="utf-8")))
            self.assertEqual(addresses - {"http://www.w3.org/2000/svg"}, set(), path.name)

    def test_theScriptMakesNoMarkupOfTexts(self) -> None:
        script = (FILES / "page.js").read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", ".style"):
            self.assertNotIn(word, script)

    def test_thePageHasNoScriptsOrStylesInline(self) -> None:
        page = (FILES / "index.html").read_text(encoding="utf-8")
        self.assertEqual(re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page), [])

    def test_beforeTheFirstAnswerNothingIsSeparatedFromNothing(self) -> None:
        page = (FILES / "index.html").read_text(encoding="utf-8")
        self.assertNotIn("></span> ·", page)

    def test_textsHaveEnoughContrast(self) -> None:
        """WCAG 2.2, 1.4.3: 4.5 for texts; 1.4.11: 3 for the edges of fields."""
        light, dark = re.findall(r":root \{(.*?)\}", (FILES / "page.css").read_text(encoding="utf-8"), re.DOTALL)
        for scheme in (light, dark):
            colours = dict(re.findall(r"--(\w+): (#\w{6});", scheme))
            for text in ("text", "muted", "accent", "good", "warn", "bad"):
                for ground in ("page", "surface", "raised"):
                    self.assertGreaterEqual(contrast(colours[text], colours[ground]), 4.5, f"{text} on {ground}")
            self.assertGreaterEqual(contrast(colours["edge"], colours["surface"]), 3)


class AnswersTests(PageCase):
    """What is not a file."""

    def test_theSnapshotIsThere(self) -> None:
        self.assertEqual(self.jsonOf("/status")["program"], "server")
        self.assertNotIn("unsafe", self.answer("/status").headers["Content-Security-Policy"])

    def test_aTunnelIsThereWithSomeOfItsVisitors(self) -> None:
        self.assertEqual(self.jsonOf("/tunnels/20000"), {"address": "20000", "list": list(range(100))})
        self.assertEqual(self.jsonOf("/tunnels/unix:/run/a")["address"], "unix:/run/a")

    def test_oneThatDoesNotExistIsAnErrorThatSaysWhereTheyAre(self) -> None:
        for path in ("/tunnels/7", "/tunnels/", "/tunnels/\x00\x1b"):
            self.assertEqual(self.answer(path).code, 404)
            self.assertIn("'bore status', or GET /status, lists the tunnels", str(self.jsonOf(path)["error"]))

    def test_nothingCanBeSent(self) -> None:
        for path in ("/", "/status", "/events", "/tunnels/20000"):
            self.assertEqual(self.answer(path, "POST").code, 405)

    def test_theStreamIsEndless(self) -> None:
        stream = self.ask("/events")
        assert isinstance(stream, Endless)
        self.assertEqual(stream.kind, "text/event-stream")

    def test_askingForItsHeadersMakesNoViewer(self) -> None:
        self.assertIsInstance(self.ask("/events", "HEAD"), Answer)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, ``#rrggbb`` (WCAG 2.2)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    values = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
