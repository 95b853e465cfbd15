"""Settings files of clients and servers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target, UnixTarget
from bore.client.tunnelspec import TunnelSpec
from bore.commandline import BadFile, UsageError
from bore.logs.settings import LogSettings
from bore.options.client import ClientCommand, clientCommand, upCommand
from bore.options.server import ServerCommand, serverCommand
from bore.system.descriptors import FOR_CONTROL, descriptorsForVisitors
from bore.wire.proxyprotocol import Version
from bore.wire.secret import Secret
from tests.support import temporaryFolder

TUNNELS = """
[tunnel.home]
local = "ha.lan:8123"
port = 8123

[tunnel.postgres]
local = "nas.lan:5432"
port = 20432
proxy-protocol = "v2"
max-visitors = 100

[tunnel.game]
local = 27015
port = "27015-27017"
"""

SPECS = (
    TunnelSpec(Target(8123, "ha.lan"), 8123, name="home"),
    TunnelSpec(Target(5432, "nas.lan"), 20432, Version.V2, 100, "postgres"),
    TunnelSpec(Target(27015), 27015, name="game-0"),
    TunnelSpec(Target(27016), 27016, name="game-1"),
    TunnelSpec(Target(27017), 27017, name="game-2"),
)


class FileCase(SynchronousTestCase):
    """Has a file."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        self.path = self.folder / "bore.toml"
        secret = self.folder / "secret"
        secret.write_text("hush, it is a secret\n")
        secret.chmod(0o600)

    def write(self, text: str) -> str:
        self.path.write_text(text)
        return str(self.path)

    def up(self, text: str, *words: str, **environment: str) -> ClientCommand:
        return upCommand("bore up").parse([self.write(text), *words], environment)

    def server(self, text: str, *words: str, **environment: str) -> ServerCommand:
        return serverCommand("bore server").parse(["--config", self.write(text), *words], environment)

    def mistakes(self, text: str, *words: str, server: bool = False) -> list[str]:
        with self.assertRaises(BadFile) as caught:
            (self.server if server else self.up)(text, *words)
        return [line.removeprefix(f"{self.path}:") for line in caught.exception.lines]


class ClientFileTests(FileCase):
    """A client's file."""

    def pathOf(self, command: ClientCommand) -> Path:
        assert command.file is not None
        return command.file.path

    def test_itHasTunnelsAndOptions(self) -> None:
        found = self.up(
            f'server = ["a.example", "b.example:7000"]\nsecret-file = "secret"\nlanes = 2\nno-state = true\n'
            f"no-reconnect = false\nlog-level = 'warn'\nwatch = true\n{TUNNELS}"
        )
        settings = ClientSettings(
            (ServerAddress("a.example"), ServerAddress("b.example", 7000)),
            Secret("hush, it is a secret"),
            lanes=2,
            descriptors=descriptorsForVisitors(FOR_CONTROL),
        )
        self.assertEqual(replace(found, file=None, admin=None), ClientCommand(settings, SPECS, LogSettings("warn")))
        assert found.file is not None
        self.assertEqual((found.file.path, found.file.watch), (self.path, True))

    def test_theSameFileIsTheSameValue(self) -> None:
        text = f"server = 'x'\nsecret-file = 'secret'\n{TUNNELS}"
        self.assertEqual(self.up(text), self.up(text))
        self.assertEqual(self.up(text).tunnels, SPECS)

    def test_whatStandsAtTheTopIsForAllTunnelsThatSayNothingElse(self) -> None:
        found = self.up(f"server = 'x'\nproxy-protocol = 'v1'\nmax-visitors = 7\nlocal-host = 'pi.lan'\n{TUNNELS}")
        home, postgres, game, *_ = found.tunnels
        self.assertEqual(home, replace(SPECS[0], proxyProtocol=Version.V1, maxVisitors=7))
        self.assertEqual(postgres, SPECS[1])
        self.assertEqual(game.target, Target(27015, "pi.lan"))

    def test_aTunnelHasABandwidth(self) -> None:
        found = self.up(
            "server = 'x'\nbandwidth = '1 MB/s'\n[tunnel.a]\nlocal = 1\n[tunnel.b]\nlocal = 2\nbandwidth = '10 MB/s'\n"
        )
        self.assertEqual([each.bandwidth for each in found.tunnels], [10**6, 10**7])
        self.assertIn(
            "4: tunnel.a.bandwidth: 10 must be a rate with a unit, such as 10 MB/s",
            self.mistakes("server = 'x'\n[tunnel.a]\nlocal = 1\nbandwidth = 10\n")[0],
        )

    def test_aTunnelMayUndoWhatIsOffAtTheTop(self) -> None:
        found = self.up(
            "server = 'x'\nno-error-page = true\nno-probe = false\n[tunnel.a]\nlocal = 1\nno-probe = true\n"
            "[tunnel.b]\nlocal = 2\nno-error-page = false\n"
        )
        self.assertEqual([(each.errorPage, each.probe) for each in found.tunnels], [(False, False), (True, True)])

    def test_aTunnelMayHaveAUnixSocketAndThenOnePort(self) -> None:
        found = self.up("server = 'x'\n[tunnel.a]\nlocal = 'unix:/run/app.sock'\nport = 80\n")
        self.assertEqual(found.tunnels, (TunnelSpec(UnixTarget("/run/app.sock"), 80, name="a"),))
        self.assertEqual(
            self.mistakes("server = 'x'\n[tunnel.a]\nlocal = 'unix:/run/app.sock'\nport = '80-81'\n"),
            ["4: tunnel.a.port: is a range, and a Unix socket is one service: give it one port"],
        )

    def test_aTunnelHasRulesOnAddresses(self) -> None:
        found = self.up(
            "server = 'x'\n[tunnel.a]\nlocal = 1\nallow = ['192.0.2.0/24', '2001:db8::/32']\ndeny = '192.0.2.7'\n"
            "[tunnel.b]\nlocal = 2\n"
        )
        self.assertEqual([str(each) for each in found.tunnels[0].rules.allow], ["192.0.2.0/24", "2001:db8::/32"])
        self.assertEqual([str(each) for each in found.tunnels[0].rules.deny], ["192.0.2.7/32"])
        self.assertFalse(found.tunnels[1].rules)
        self.assertEqual(
            self.mistakes(
                "server = 'x'\n[tunnel.a]\nlocal = 1\nallow = ['192.0.2.1/24']\n"
                "[tunnel.b]\nlocal = 2\nallow = '192.0.2.0/24'\ndeny = '192.0.0.0/16'\n"
            ),
            [
                "4: tunnel.a.allow: '192.0.2.1/24' has bits set behind the first 24: for the network write "
                "192.0.2.0/24",
                "5: tunnel.b: allow: 192.0.2.0/24 has no effect, as a network in deny contains it, and deny takes "
                "precedence: leave one of them out. With allow, visitors from all other networks are closed anyway",
            ],
        )

    def test_aServersFileMayHaveManyRules(self) -> None:
        networks = [f"10.{n // 256}.{n % 256}.0/24" for n in range(10_000)]
        self.assertEqual(len(self.server(f"deny = {networks}\n").settings.rules.deny), 10_000)

    def test_aFlagPrecedesTheKeyAndThatTheVariable(self) -> None:
        for text, words, expected in (
            (TUNNELS, [], "env"),
            (f"server = 'key'\n{TUNNELS}", [], "key"),
            (f"server = 'key'\n{TUNNELS}", ["--to", "flag"], "flag"),
        ):
            self.assertEqual(self.up(text, *words, BORE_SERVER="env").settings.servers, ((expected, 7835),))
        text = f"server = 'x'\nsecret-file = 'secret'\n{TUNNELS}"
        self.assertEqual(self.up(text, "-s", "flag", BORE_SECRET="env").settings.secret, Secret("flag"))
        self.assertEqual(self.up(text, BORE_SECRET="env").settings.secret, Secret("hush, it is a secret"))

    def test_allMistakesAreNamedAtOnce(self) -> None:
        self.assertEqual(
            self.mistakes(
                'server = "tls://x"\nsecret = "hush"\nlanes = "many"\n\n[tunnel.a]\nlocal = "80:90"\nport = 70000\n'
                '[tunnel.b]\nloacl = 1\nport = "7-3"\n[tunnel.c]\nlocal = 65535\nport = "1-2"\n'
            ),
            [
                "2: secret: a secret must be in a file of its own: write it with 'bore secret --write PATH', and name "
                'it by secret-file = "PATH"',
                "3: lanes: 'many' must be a whole number from 0 to 10000000",
                "6: tunnel.a.local: '80:90' must be PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH, without a public "
                "port",
                "7: tunnel.a.port: 70000 must be a number from 0 to 65535, a range such as 27015-27020, or unix:PATH",
                "8: tunnel.b.local: missing: local service: PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH",
                "9: tunnel.b.loacl: unknown key; did you mean 'local'?",
                "10: tunnel.b.port: '7-3' must be a number from 0 to 65535, a range such as 27015-27020, or unix:PATH",
                "12: tunnel.c.local: 65535 to 65536 goes beyond 65535",
            ],
        )

    def test_contradictionsAreNamedByTheirKeys(self) -> None:
        for text, mistake in (
            ("to = 'x'", "1: to: unknown key; did you mean 'server'?"),
            ("local-port = 5", "1: local-port: unknown key; did you mean 'local', in a [tunnel.NAME] table?"),
            ("port = 5", "1: port: belongs into a [tunnel.NAME] table"),
            ("server = ['a', 'tls://b']", "1: server names servers with and without tls://: add it to all of them"),
            ("server = 'a'\ntls-ca = 'ca'", "2: tls-ca has no effect without TLS: add tls or server tls://HOST"),
            (
                "",
                ' no server given, and no server was joined: name the server, as in server = "tls://example.com", '
                "or join one with 'bore join'",
            ),
        ):
            self.assertEqual(self.mistakes(text + TUNNELS), [mistake])

    def test_optionsOfATunnelAreNamedAsTheyAreWritten(self) -> None:
        table = '[tunnel."a.b"]\nlocal = 1\nport = 7\nproxy-protocol = "v1"\n[tunnel.c]\nlocal = 2\n'
        text = 'server = "x"\nallow = ["::/0"]\n' + table
        first, second = self.up(text, "--proxy-protocol", "v2").tunnels
        self.assertEqual(first.nameOf("--port"), 'tunnel."a.b".port')
        self.assertEqual((first.nameOf("--allow"), second.nameOf("--allow")), ("allow", "allow"))
        self.assertEqual((first.nameOf("--proxy-protocol"), second.nameOf("--deny")), ("--proxy-protocol", "--deny"))
        [first, _] = self.up(text).tunnels
        self.assertEqual(first.nameOf("--proxy-protocol"), 'tunnel."a.b".proxy-protocol')
        first, second = clientCommand("bore local").parse(["8000:81", "8001", "-t", "x"], {}).tunnels
        self.assertEqual((first.nameOf("--port"), second.nameOf("--port")), ("the public port in '8000:81'", "--port"))

    def test_publicPortsAndNamesAreThoseOfOneTunnel(self) -> None:
        text = "server = 'x'\n[tunnel.a]\nlocal = 1\nport = '20000-20002'\n[tunnel.b]\nlocal = 2\nport = 20002\n"
        self.assertEqual(
            self.mistakes(text), ["7: tunnel.b.port: 20002 is the public port of 'a-2' already: give each its own"]
        )
        text = "server = 'x'\n[tunnel.a-1]\nlocal = 1\n[tunnel.a]\nlocal = 2\nport = '20001-20002'"
        self.assertEqual(self.mistakes(text), ["4: tunnel.a: the name of 'a-1' is taken: rename one of the two"])
        text = "server = 'x'\n[tunnel.a]\nlocal = 1\n[tunnel.b]\nlocal = 2\nport = 0"
        self.assertEqual([spec.public for spec in self.up(text).tunnels], [0, 0])

    def test_aRangeOfLocalPortsHasOnlyTheFirst(self) -> None:
        self.assertEqual(
            self.mistakes("server = 'x'\n[tunnel.a]\nlocal = 'nas.lan:1000-1005'\nport = '2000-2010'"),
            [
                "3: tunnel.a.local: 'nas.lan:1000-1005' must be the first port only: port has the range, and local "
                "ports count along with it"
            ],
        )

    def test_aFileWithoutTunnelsIsAMistake(self) -> None:
        self.assertEqual(
            self.mistakes("server = 'x'"), [" has no tunnel: add a table such as [tunnel.web] with local = 8000"]
        )

    def test_theFileIsFoundHereOrInTheUsersSettings(self) -> None:
        here = Path.cwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        line = upCommand("bore up")
        home = self.folder / "home"
        environment = {"HOME": str(home)}
        with self.assertRaises(UsageError) as caught:
            line.parse([], environment)
        self.assertEqual(
            str(caught.exception),
            f"no FILE given, and there is no bore.toml and no {home}/.config/txbore/bore.toml: name the file, as in "
            "'bore up tunnels.toml'",
        )
        settings = home / ".config" / "txbore"
        settings.mkdir(parents=True)
        (settings / "bore.toml").write_text(f"server = 'home'\n{TUNNELS}")
        self.assertEqual(line.parse([], environment).settings.servers, (("home", 7835),))
        self.assertEqual(
            self.pathOf(line.parse([], {"XDG_CONFIG_HOME": str(home / ".config")})), settings / "bore.toml"
        )
        self.write(f"server = 'here'\n{TUNNELS}")
        self.assertEqual(line.parse([], environment).settings.servers, (("here", 7835),))

    def test_theOtherCommandLineTakesAFileAsWell(self) -> None:
        path = self.write(f"server = 'x'\n{TUNNELS}")
        line = clientCommand("twistd bore-client")
        self.assertEqual(line.parse(["--config", path], {"BORE_LOCAL_PORT": "80"}).tunnels, SPECS)
        for words in (["80"], ["--port", "80"]):
            with self.assertRaises(UsageError) as caught:
                line.parse(["--config", path, *words], {})
            self.assertIn("and --config exclude each other: the file names the tunnels", str(caught.exception))
