"""Unix sockets as public addresses: what users write."""

from __future__ import annotations

from bore.client.target import Target, UnixTarget
from bore.client.tunnelspec import TunnelSpec
from bore.commandline import UsageError
from bore.options.client import clientCommand
from bore.options.localservice import LocalService, localService, localServiceOrTunnel
from bore.options.server import serverCommand
from bore.wire.publicaddress import PublicAddress, UnixPath
from tests.entrypoints.test_files import FileCase
from tests.support import temporaryFolder

WEB = UnixPath("/run/bore/web.sock")
TOP = "server = 'x'\n"


class WordsTests(FileCase):
    """On the command line."""

    def local(self, *words: str) -> tuple[TunnelSpec, ...]:
        return clientCommand("bore local").parse([*words, "--to", "x"], {}).tunnels

    def refusal(self, *words: str) -> str:
        return str(self.assertRaises(UsageError, self.local, *words))

    def test_theShortFormIsAPortAndASocket(self) -> None:
        for text, port, host in (
            ("3000:unix:/run/bore/web.sock", 3000, None),
            ("nas.lan:80:unix:/run/bore/web.sock", 80, "nas.lan"),
            ("[::1]:80:unix:/run/bore/web.sock", 80, "::1"),
        ):
            self.assertEqual(localServiceOrTunnel(text), LocalService(text, port, host, WEB))

    def test_aPathMayContainWhatLooksLikeAPublicAddress(self) -> None:
        found = localServiceOrTunnel("3000:unix:/run/a:unix:/b:80")
        self.assertEqual(found.public, UnixPath("/run/a:unix:/b:80"))
        self.assertEqual(localServiceOrTunnel("unix:/run/a:unix:/b").path, "/run/a:unix:/b")

    def test_whatIsWrongIsNamed(self) -> None:
        for text, expected in (
            ("3000:unix:web.sock", "has a public address that must have the absolute path"),
            ("3000:unix:", "has a public address that must have the absolute path"),
            (f"3000:unix:/{'x' * 107}", "has a public address that must have a path of at most 107 bytes"),
            ("3000:80:unix:/run/a", "must be PORT, HOST:PORT"),
            (":unix:/run/a", "must be PORT, HOST:PORT"),
            ("nas.lan:unix:/run/a", "must be PORT, HOST:PORT"),
            ("0:unix:/run/a", "must be a number from 1 to 65535"),
        ):
            self.assertIn(expected, str(self.assertRaises(ValueError, localServiceOrTunnel, text)), text)
        self.assertIn("without a public port", str(self.assertRaises(ValueError, localService, "80:unix:/run/a")))

    def test_thePortOptionTakesOne(self) -> None:
        for words in (("-p", "unix:/run/bore/web.sock"), ("--port", "unix:/run//bore/web.sock")):
            [spec] = self.local("80", *words)
            self.assertEqual((spec.target, spec.public), (Target(80), WEB))
        [spec] = self.local("unix:/run/app.sock", "-p", "unix:/run/bore/web.sock")
        self.assertEqual((spec.target, spec.public), (UnixTarget("/run/app.sock"), WEB))
        self.assertIn("must be a number from 0 to 65535, or unix:PATH", self.refusal("80", "-p", "x"))
        self.assertIn("such as unix:/run/bore/web.sock", self.refusal("80", "-p", "unix:x"))

    def test_eachTunnelNeedsItsOwn(self) -> None:
        self.assertIn("give each its own", self.refusal("80:unix:/run/a", "81:unix:/run/./a"))

    def test_rulesHaveNoEffectOnIt(self) -> None:
        for flag in ("--allow", "--deny"):
            text = self.refusal("80:unix:/run/a", flag, "192.0.2.7")
            self.assertIn(f"{flag} has no effect on unix:/run/a", text)

    def test_checksHaveNoEffectOnIt(self) -> None:
        self.assertIn("--check-every has no effect", self.refusal("80:unix:/run/a", "--check-every", "60"))
        self.assertEqual(len(self.local("80:unix:/run/a", "81", "--check-every", "60")), 2)


class FileTests(FileCase):
    """In settings files."""

    def public(self, text: str) -> list[PublicAddress]:
        return [each.public for each in self.up(TOP + text).tunnels]

    def test_thePortOfATunnelMayBeASocket(self) -> None:
        text = "[tunnel.a]\nlocal = 80\nport = 'unix:/run/bore/web.sock'\n[tunnel.b]\nlocal = 81\n"
        self.assertEqual(self.public(text), [WEB, 0])

    def test_allMistakesAreNamed(self) -> None:
        text = (
            "[tunnel.a]\nlocal = 80\nport = 'unix:run'\n[tunnel.b]\nlocal = 81\nport = 'unix:/run/a'\n"
            "[tunnel.c]\nlocal = 82\nport = 'unix:/run/a'\n"
            "[tunnel.d]\nlocal = 83\nport = 'unix:/run/d'\nallow = '::/0'\n"
        )
        found = self.mistakes(TOP + text)
        for line, expected in zip(
            found,
            (
                "4: tunnel.a.port: 'unix:run' must have the absolute path of a socket",
                "10: tunnel.c.port: unix:/run/a is the public port of 'b' already",
                "11: tunnel.d: allow has no effect on unix:/run/d",
            ),
            strict=True,
        ):
            self.assertIn(expected, line)

    def test_rulesOfAllTunnelsAreAMistake(self) -> None:
        [line] = self.mistakes(TOP + "allow = '::/0'\n[tunnel.a]\nlocal = 80\nport = 'unix:/run/a'\n")
        self.assertIn("allow has no effect on unix:/run/a", line)
        self.assertIn("give it to other tunnels only", line)

    def test_checksHaveNoEffectOnIt(self) -> None:
        [line] = self.mistakes(TOP + "check-every = 60\n[tunnel.a]\nlocal = 80\nport = 'unix:/run/a'\n")
        self.assertIn("2: check-every has no effect", line)


class FolderTests(FileCase):
    """--unix-folder of the server."""

    def folders(self, *words: str, **environment: str) -> tuple[str, ...]:
        return serverCommand("bore server").parse(words, environment).settings.unixFolders

    def test_thereMayBeSeveralAndThereIsNone(self) -> None:
        one, two = (str(temporaryFolder(self)) for _ in range(2))
        self.assertEqual(self.folders(), ())
        self.assertEqual(self.folders("--unix-folder", f"{one}/", "--unix-folder", two), (one, two))
        self.assertEqual(self.folders(BORE_UNIX_FOLDER=f"{one},{two}"), (one, two))
        self.assertEqual(self.server(f"unix-folder = ['{one}', '{two}']").settings.unixFolders, (one, two))

    def test_eachIsADirectoryThatExists(self) -> None:
        missing = temporaryFolder(self) / "missing"
        (missing.parent / "file").write_text("")
        for value in (str(missing), "run", ".", "", str(missing.parent / "file")):
            error = self.assertRaises(UsageError, self.folders, "--unix-folder", value)
            self.assertIn("must be the absolute path of a directory that exists", str(error))
