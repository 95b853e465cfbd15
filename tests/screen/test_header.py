"""The header."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.screen.figures import TunnelFigures
from bore.screen.header import addressOf, headerLines
from bore.screen.lines import Painter
from tests.screen.case import cells, plain, texts, tunnels, widths

ONE = TunnelFigures("8000", "localhost:8000", "tunnel.example.com:20432", True)
TRUST = "TLS with tunnel.example.com:7835: key SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU, known"


def many(count: int) -> list[TunnelFigures]:
    return [
        TunnelFigures(f"game-{n}", f"nas.lan:{27015 + n}", f"tunnel.example.com:{20000 + n}", True)
        for n in range(count)
    ]


def shown(found: list[TunnelFigures], width: int, height: int = 24, http: dict[str, bool] | None = None) -> list[str]:
    return headerLines(found, http or {}, (), Painter(False), width, height)


class AddressTests(SynchronousTestCase):
    """addressOf()."""

    def test_aServiceThatSpeaksHttpHasAUrl(self) -> None:
        self.assertEqual(addressOf(ONE, {"8000": True}), "http://tunnel.example.com:20432")
        self.assertEqual(addressOf(ONE, {"8000": False}), "tunnel.example.com:20432")
        self.assertEqual(addressOf(ONE, {}), "tunnel.example.com:20432")
        self.assertEqual(addressOf(replace(ONE, public="unix:/run/web"), {"8000": True}), "unix:/run/web")


class OneTunnelTests(SynchronousTestCase):
    """The header of one tunnel."""

    def test_itHasTheAddressTheServiceAndWhatIsTrusted(self) -> None:
        found = headerLines([ONE], {"8000": True}, [TRUST], Painter(False), 119, 24)
        self.assertEqual(found, ["http://tunnel.example.com:20432 → localhost:8000", TRUST])

    def test_onANarrowTerminalTheAddressStaysInOnePiece(self) -> None:
        self.assertEqual(
            headerLines([ONE], {"8000": True}, [TRUST], Painter(False), 39, 24),
            [
                "http://tunnel.example.com:20432",
                "→ localhost:8000",
                "TLS with tunnel.example.com:7835: key",
                "  SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5",
                "  NMpJWZG3hSuFU, known",
            ],
        )


class TableTests(SynchronousTestCase):
    """The table of several tunnels."""

    def test_itHasThreeColumns(self) -> None:
        found = shown(
            [*many(1), TunnelFigures("web", "localhost:80", "tunnel.example.com:1", True)], 79, 24, {"web": True}
        )
        self.assertEqual(
            found,
            [
                "game-0  tunnel.example.com:20000     nas.lan:27015",
                "web     http://tunnel.example.com:1  localhost:80",
            ],
        )

    def test_withoutRoomForTheServicesItHasTwo(self) -> None:
        self.assertEqual(shown(many(2), 39)[0], "game-0  tunnel.example.com:20000")

    def test_withoutRoomForTheNamesTheAddressHasALineOfItsOwn(self) -> None:
        self.assertEqual(shown(many(2), 25)[:2], ["game-0", "tunnel.example.com:20000"])

    def test_whatDoesNotFitIsCounted(self) -> None:
        found = shown(many(28), 79, 24)
        self.assertEqual(len(found), 12)
        self.assertEqual(found[-1], "and 17 more")

    def test_whatIsNotUpComesFirstWithItsReason(self) -> None:
        refused = TunnelFigures("web", "localhost:80", "", False, "port 80 is outside this server's range")
        waiting = replace(refused, name="api", why="")
        found = shown([*many(1), refused, waiting], 79)
        self.assertEqual(found[:2], ["web     port 80 is outside this server's range", "api     not up yet"])


class WidthTests(SynchronousTestCase):
    """What is true of every header."""

    @settings(max_examples=30)
    @given(
        st.lists(tunnels, min_size=1, max_size=20),
        st.lists(texts, max_size=3),
        widths,
        st.integers(1, 100),
        st.booleans(),
        st.sampled_from(["utf-8", "ascii"]),
    )
    def test_noLineIsWiderThanTheTerminal(
        self, found: list[TunnelFigures], trust: list[str], width: int, height: int, color: bool, encoding: str
    ) -> None:
        http = {tunnel.name: True for tunnel in found[::2]}
        lines = headerLines(found, http, trust, Painter(color, encoding), width, height)
        for line in lines:
            if width > 1:  # a wide character takes two cells
                self.assertLessEqual(cells(line), width)
            line.encode(encoding)
        rows = max(3, height // 2)
        self.assertLessEqual(len(lines), 4 * rows + 12 * (len(trust) + 2))

    def test_hostileTextsAreEscaped(self) -> None:
        found = [replace(ONE, name="\x1b[2Ja", public="\x1b]0;x\x07"), replace(ONE, local="\u202ex")]
        for line in headerLines(found, {}, ["\x9b"], Painter(True), 79, 24):
            cells(line)
            self.assertNotIn("\x1b", plain(line))
