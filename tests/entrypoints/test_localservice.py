"""How local services are written."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.options.localservice import LocalService, localService, localServiceOrTunnel

HOSTS = {
    "nas.lan": "nas.lan",
    "nas": "nas",
    "7up": "7up",
    "192.0.2.7": "192.0.2.7",
    "[::1]": "::1",
    "[2001:db8::1]": "2001:db8::1",
    "bücher.example": "bücher.example",
    "my_service": "my_service",
}

PUBLIC = {"": None, ":0": 0, ":20080": 20080, ":65535": 65535}


class LocalServiceTests(SynchronousTestCase):
    """The grammar, form by form."""

    def test_everyFormIsRead(self) -> None:
        for port, (public, number) in product(("1", "80", "65535"), PUBLIC.items()):
            text = f"{port}{public}"
            self.assertEqual(localServiceOrTunnel(text), LocalService(text, int(port), None, number))
            for host, name in HOSTS.items():
                text = f"{host}:{port}{public}"
                self.assertEqual(localServiceOrTunnel(text), LocalService(text, int(port), name, number))

    def test_withoutAPublicPortThereIsNone(self) -> None:
        self.assertEqual(localService("nas.lan:80"), LocalService("nas.lan:80", 80, "nas.lan"))
        for text in ("5432:20432", "nas.lan:80:8080", "[::1]:80:8080"):
            with self.assertRaises(ValueError) as caught:
                localService(text)
            self.assertEqual(
                str(caught.exception), "must be PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH, without a public port"
            )

    def test_aUnixSocketHasAPathAndMayHaveAPublicPort(self) -> None:
        for path in ("/run/app.sock", "/a:b", "/run/x y", "/1:x"):
            self.assertEqual(localService(f"unix:{path}"), LocalService(f"unix:{path}", 0, path=path))
            for public, number in PUBLIC.items():
                text = f"unix:{path}{public}"
                self.assertEqual(localServiceOrTunnel(text), LocalService(text, 0, None, number, path))
        self.assertRaises(ValueError, localService, "unix:/run/app.sock:80")

    def test_aPathThatCannotBeASocketsIsRefused(self) -> None:
        for text, expected in {
            "unix:": "absolute path",
            "unix:app.sock": "absolute path",
            "unix:/run/": "absolute path",
            "unix:/a\0b": "absolute path",
            f"unix:/{'x' * 107}": "at most 107 bytes",
            f"unix:/{'ä' * 60}": "at most 107 bytes",
            "unix:/run/app.sock:70000": "has a public port that must be a number from 0 to 65535",
        }.items():
            with self.assertRaises(ValueError) as caught:
                localServiceOrTunnel(text)
            self.assertIn(expected, str(caught.exception), text)

    def test_twoNumbersAreALocalAndAPublicPort(self) -> None:
        self.assertEqual(localServiceOrTunnel("5432:20432"), LocalService("5432:20432", 5432, None, 20432))

    def test_whatIsWrongIsRefusedWithTheForms(self) -> None:
        forms = "must be PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH, each with or without :PUBLIC"
        for text, expected in {
            "": forms,
            ":": forms,
            ":80": forms,
            "80:": forms,
            "http": forms,
            "nas.lan": forms,
            "nas.lan:": forms,
            "nas.lan:http": forms,
            "nas.lan:80:": forms,
            "nas.lan:80:90:1": forms,
            "80:90:100": forms,
            "80:90:100:1": forms,
            "192.0.2.7": forms,
            "::1": forms,
            "::1:80": forms,
            "2001:db8::1": forms,
            "[::1]": forms,
            "[::1]80": forms,
            "[nas.lan]:80": forms,
            "[::1:80": forms,
            "nas lan:80": forms,
            "http://nas.lan:80": forms,
            "-80": forms,
            "٣": forms,
            "0": "must be a number from 1 to 65535",
            "65536": "must be a number from 1 to 65535",
            "0:80": "has a port that must be a number from 1 to 65535",
            "80:65536": "has a port that must be a number from 0 to 65535",
            "nas.lan:0": "has a port that must be a number from 1 to 65535",
        }.items():
            with self.assertRaises(ValueError, msg=text) as caught:
                localServiceOrTunnel(text)
            self.assertEqual(str(caught.exception), expected, text)

    @given(st.text(st.sampled_from("0123456789:[]ab."), max_size=12))
    def test_anyTextHasOneMeaningOrNone(self, text: str) -> None:
        try:
            found = localServiceOrTunnel(text)
        except ValueError:
            return
        host = "" if found.host is None else f"[{found.host}]:" if ":" in found.host else f"{found.host}:"
        public = "" if found.public is None else f":{found.public}"
        again = localServiceOrTunnel(f"{host}{found.port}{public}")
        self.assertEqual((again.host, again.port, again.public), (found.host, found.port, found.public))
        self.assertEqual(found.host is None, text.split(":")[0].isdigit())
