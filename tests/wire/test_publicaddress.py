"""The public addresses of tunnels."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bore.events import fieldsOf
from bore.events.server import TunnelClosed, TunnelEnd
from bore.wire.publicaddress import (
    ANY_PORT,
    MAX_UNIX_PATH,
    OtherKind,
    PublicAddress,
    UnixPath,
    fieldOf,
    parseUnixPath,
    satisfies,
)

WEB = UnixPath("/run/bore/web.sock")


class PublicAddressTests(SynchronousTestCase):
    """What is true for addresses of all kinds."""

    def test_equalOnesAreOneKey(self) -> None:
        tunnels: dict[PublicAddress, str] = {8000: "port", WEB: "path"}
        self.assertEqual((tunnels[8000], tunnels[UnixPath("/run/bore/web.sock")]), ("port", "path"))
        self.assertNotIn(UnixPath("/run/bore/other.sock"), tunnels)

    def test_theirTextIsWhatUsersWrite(self) -> None:
        self.assertEqual((str(8000), str(WEB)), ("8000", "unix:/run/bore/web.sock"))

    def test_theirFieldIsThatOfTheirKind(self) -> None:
        self.assertEqual(fieldOf(8000), ("port", 8000))
        self.assertEqual(fieldOf(WEB), ("path", "/run/bore/web.sock"))
        self.assertEqual(fieldOf(OtherKind("udp")), ("kind", "udp"))

    def test_anEventHasTheAddressInThePlaceOfItsField(self) -> None:
        fields = fieldsOf(TunnelClosed(8000, "192.0.2.1", TunnelEnd.STOPPED))
        self.assertEqual(list(fields.items())[:2], [("port", 8000), ("network", "192.0.2.1")])
        fields = fieldsOf(TunnelClosed(WEB, "192.0.2.1", TunnelEnd.STOPPED))
        self.assertEqual(list(fields.items())[:2], [("path", "/run/bore/web.sock"), ("network", "192.0.2.1")])

    def test_anyPortMeansAPort(self) -> None:
        self.assertTrue(satisfies(8000, ANY_PORT))
        self.assertFalse(satisfies(WEB, ANY_PORT))

    def test_aCertainAddressIsThatOneOnly(self) -> None:
        for asked in (8000, WEB):
            found = [each for each in (8000, 8001, WEB, UnixPath("/run/bore/other.sock")) if satisfies(each, asked)]
            self.assertEqual(found, [asked])


class UnixPathTests(SynchronousTestCase):
    """Paths of Unix sockets, as users write them."""

    def test_aSocketHasOneAddress(self) -> None:
        for text in (
            "/run/bore/web.sock",
            "//run//bore/./web.sock",
            "/run/bore/x/../web.sock",
            "/../run/bore/web.sock",
        ):
            self.assertEqual(parseUnixPath(text), WEB)

    def test_itIsAbsoluteAndNamesAFile(self) -> None:
        for text in ("", "web.sock", "./web.sock", "/", "/run/", "/run/..", "/run/a\0b", "~/web.sock"):
            error = self.assertRaises(ValueError, parseUnixPath, text)
            self.assertIn("such as unix:/run/bore/web.sock", str(error))

    def test_itFitsTheSystemsAddress(self) -> None:
        longest = "/" + "a" * (MAX_UNIX_PATH - 1)
        self.assertEqual(parseUnixPath(longest).path, longest)
        for text in (longest + "a", "/" + "ä" * (MAX_UNIX_PATH // 2) + "a"):
            error = self.assertRaises(ValueError, parseUnixPath, text)
            self.assertIn("at most 107 bytes", str(error))

    def test_itIsText(self) -> None:
        error = self.assertRaises(ValueError, parseUnixPath, "/run/\udcff")
        self.assertIn("UTF-8", str(error))
