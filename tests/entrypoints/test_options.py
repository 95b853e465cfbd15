"""The command lines."""

from __future__ import annotations

import os
from dataclasses import replace

from bore.cli import USAGE_TEXT
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target, UnixTarget
from bore.client.tunnelspec import TunnelSpec
from bore.commandline import Command
from bore.logs.settings import LogSettings
from bore.options import tunnels
from bore.options.check import checkCommand
from bore.options.client import ClientCommand, clientCommand, upCommand
from bore.options.demo import demoCommand
from bore.options.secrets import secretCommand
from bore.options.server import serverCommand
from bore.server.settings import ServerSettings
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.proxyprotocol import Version
from bore.wire.secret import Secret
from bore.workers.settings import WorkerSettings
from tests.entrypoints.optionscase import BOUNDS, DESCRIPTORS, OptionsCase, local, proof, server

#: All command lines.
ALL = (serverCommand, clientCommand, upCommand, checkCommand, demoCommand, secretCommand)


class ServerOptionsTests(OptionsCase):
    """bore server."""

    def test_theDefaultsAreTheOriginals(self) -> None:
        self.assertEqual(server().settings, ServerSettings(1024, 65535, None, "0.0.0.0", "0.0.0.0", 7835, 60, BOUNDS))

    def test_everyOptionIsUnderstood(self) -> None:
        settings = server(
            "--min-port", "2000", "--max-port=3000", "--bind-addr", "::1", "--bind-tunnels", "::", "--control-port", "0"
        ).settings
        self.assertEqual(settings, ServerSettings(2000, 3000, None, "::1", "::", 0, 60, BOUNDS))

    def test_networksAreRules(self) -> None:
        found = server("--allow", "192.0.2.0/24", "--deny", "192.0.2.7", "--allow", "2001:db8::/32").settings.rules
        self.assertEqual([str(each) for each in found.allow], ["192.0.2.0/24", "2001:db8::/32"])
        self.assertEqual([str(each) for each in found.deny], ["192.0.2.7/32"])
        self.assertUsageError("write 192.0.2.0/24", "--allow", "192.0.2.7/24", command="server")
        self.assertUsageError(
            "--allow: 192.0.2.7/32 has no effect", "--allow", "192.0.2.7", "--deny", "192.0.2.0/24", command="server"
        )

    def test_tunnelsAreBoundWhereTheControlPortIs(self) -> None:
        self.assertEqual(server("--bind-addr", "::").settings.bindTunnels, "::")

    def test_theEnvironmentIsUnderstoodAndAFlagBeatsIt(self) -> None:
        environment = {
            "BORE_MIN_PORT": "2000",
            "BORE_MAX_PORT": "3000",
            "BORE_CONTROL_PORT": "7000",
            "BORE_SECRET": "x",
        }
        settings = server(**environment).settings
        self.assertEqual((settings.minPort, settings.maxPort, settings.controlPort), (2000, 3000, 7000))
        self.assertEqual(proof(settings.secret), proof(Secret("x")))
        settings = server(
            "--min-port", "1", "--max-port", "2", "--control-port", "3", "-s", "y", **environment
        ).settings
        self.assertEqual((settings.minPort, settings.maxPort, settings.controlPort), (1, 2, 3))
        self.assertEqual(proof(settings.secret), proof(Secret("y")))

    def test_mistakesAreNamed(self) -> None:
        for text, words in {
            "--min-port '0': must be a number from 1 to 65535": ["--min-port", "0"],
            "--max-port 'x'": ["--max-port", "x"],
            "--min-port 3 is greater than --max-port 2": ["--min-port", "3", "--max-port", "2"],
            "--bind-addr 'example.com': must be an IP address": ["--bind-addr", "example.com"],
            "--log-level 'loud': must be one of debug, info, warn, error": ["--log-level", "loud"],
            "--log-format 'xml': must be one of text, json": ["--log-format", "xml"],
            "unrecognized arguments: --frob": ["--frob"],
            "unrecognized arguments: --min": ["--min", "5"],
            "--control-port: expected one argument": ["--control-port"],
            "--watch has no effect without --config": ["--watch"],
            "--secret: expected one argument": ["--secret"],
        }.items():
            self.assertUsageError(text, *words, command="server")
        self.assertUsageError("BORE_MIN_PORT='x': must be a number", command="server", BORE_MIN_PORT="x")


class WorkersTests(OptionsCase):
    """How many processes a server has."""

    def test_withoutTheOptionItIsOneProcess(self) -> None:
        self.assertIsNone(server("--drain", "7").workers)

    def test_aNumberIsThatManyWorkersAndAutoIsOneForEachCore(self) -> None:
        self.assertEqual(server("--workers", "3").workers, WorkerSettings(3))
        self.assertEqual(server("--workers", "1", "--drain", "7").workers, WorkerSettings(1, 7))
        cores = min(64, len(os.sched_getaffinity(0)))
        self.assertEqual(server("--workers", "auto").workers, WorkerSettings(cores))

    def test_otherNumbersAreMistakes(self) -> None:
        for text in ("0", "65", "-1", "two", ""):
            expected = f"--workers {text!r}: must be a whole number from 1 to 64, or auto"
            self.assertUsageError(expected, f"--workers={text}", command="server")


class ClientOptionsTests(OptionsCase):
    """bore local."""

    def test_theDefaultsAreTheOriginals(self) -> None:
        self.assertEqual(
            replace(local("8000", "--to", "example.com", "--no-state"), admin=None),
            ClientCommand(
                ClientSettings((ServerAddress("example.com", 7835),), None, True, 64.0, descriptors=DESCRIPTORS),
                (TunnelSpec(Target(8000, "localhost"), 0, name="8000"),),
                LogSettings(),
            ),
        )

    def test_everyOptionIsUnderstoodInAnyOrder(self) -> None:
        command = local(
            "-t", "example.com", "-l", "10.0.0.1", "8000", "-p", "9000", "--control-port", "7000",
            "--no-reconnect", "--max-reconnect-delay", "5", "--no-state", "--check-every", "30",
            "--exit-after-failures", "7", "--proxy-protocol", "v2", "--max-visitors", "50", "--half-open-timeout", "60",
        )  # fmt: skip
        servers = (ServerAddress("example.com", 7000),)
        expected = ClientSettings(
            servers,
            None,
            False,
            5.0,
            7,
            30.0,
            None,
            60.0,
            descriptors=DESCRIPTORS,
        )
        self.assertEqual(command.settings, expected)
        self.assertEqual(command.tunnels, (TunnelSpec(Target(8000, "10.0.0.1"), 9000, Version.V2, 50, "8000"),))

    def test_theEnvironmentIsUnderstoodAndAFlagBeatsIt(self) -> None:
        environment = {"BORE_LOCAL_PORT": "8000", "BORE_SERVER": "a.example", "BORE_CONTROL_PORT": "7000"}
        command = local(**environment)
        self.assertEqual((command.tunnels[0].target, command.settings.servers), (Target(8000), (("a.example", 7000),)))
        command = local("80", "--to", "b.example", "--control-port", "1", **environment)
        self.assertEqual((command.tunnels[0].target, command.settings.servers), (Target(80), (("b.example", 1),)))

    def test_eachLocalServiceIsATunnelAndOptionsMayStandBetween(self) -> None:
        found = local(
            "80", "-t", "x", "5432:20432", "-l", "nas.lan", "a.lan:80", "[::1]:80:8080", "--max-visitors", "7"
        )
        self.assertEqual(
            found.tunnels,
            (
                TunnelSpec(Target(80, "nas.lan"), 0, None, 7, "80"),
                TunnelSpec(Target(5432, "nas.lan"), 20432, None, 7, "5432:20432"),
                TunnelSpec(Target(80, "a.lan"), 0, None, 7, "a.lan:80"),
                TunnelSpec(Target(80, "::1"), 8080, None, 7, "[::1]:80:8080"),
            ),
        )
        several = local("-t", "x", BORE_LOCAL_PORT="80, 81:20081")
        self.assertEqual(
            [(each.target, each.public) for each in several.tunnels], [(Target(80), 0), (Target(81), 20081)]
        )

    def test_theBandwidthIsARate(self) -> None:
        for text, rate in {
            "10 MB/s": 10**7,
            "10MB/s": 10**7,
            "800 kB/s": 800_000,
            "1.5 GB/s": 1_500_000_000,
            "10 MiB/s": 10 << 20,
            "1 KiB/s": 1024,
            "1000 B/s": 1000,
            "1.1 kB/s": 1100,
        }.items():
            self.assertEqual(local("80", "-t", "x", "--bandwidth", text).tunnels[0].bandwidth, rate, text)
        self.assertEqual(local("80", "-t", "x").tunnels[0].bandwidth, 0)
        for text in ("10", "", "fast", "10 Mbit/s", "10 mb/s", "-1 MB/s", "1e9 B/s", "10  MB/s", "1. MB/s", "1,5 MB/s"):
            self.assertUsageError("such as 10 MB/s; units: B/s, kB/s", "80", "-t", "x", f"--bandwidth={text}")
        for text in ("0 B/s", "999 B/s", "101 GB/s"):
            self.assertUsageError("from 1 kB/s to 100 GB/s", "80", "-t", "x", f"--bandwidth={text}")

    def test_whatTheClientDoesAboutALocalServiceThatIsDownCanBeTurnedOff(self) -> None:
        for words, expected in (
            ((), (True, True)),
            (("--no-error-page",), (False, True)),
            (("--no-probe",), (True, False)),
        ):
            [spec] = local("80", "-t", "x", *words).tunnels
            self.assertEqual((spec.errorPage, spec.probe), expected)

    def test_aBandwidthThatTheSystemCannotKeepIsAnError(self) -> None:
        self.patch(tunnels, "canPace", lambda: False)
        self.assertUsageError("--bandwidth: this system cannot", "80", "-t", "x", "--bandwidth", "1 MB/s")
        self.assertEqual(len(local("80", "-t", "x").tunnels), 1)

    def test_aUnixSocketIsALocalService(self) -> None:
        found = local("unix:/run/a.sock", "80", "unix:/run/b.sock:20080", "-l", "nas.lan", "-t", "x").tunnels
        self.assertEqual(
            [(each.target, each.public) for each in found],
            [(UnixTarget("/run/a.sock"), 0), (Target(80, "nas.lan"), 0), (UnixTarget("/run/b.sock"), 20080)],
        )
        self.assertUsageError("--local-host has no effect", "unix:/run/a.sock", "-l", "nas.lan", "-t", "x")
        self.assertUsageError("absolute path", "unix:app.sock", "-t", "x")

    def test_theControlPortMayStandInTheServersName(self) -> None:
        for to, environment, expected in (
            ("a:1", {}, ("a", 1)),
            ("[::1]:2", {}, ("::1", 2)),
            ("::1", {}, ("::1", 7835)),
            ("a:1", {"BORE_CONTROL_PORT": "5"}, ("a", 1)),
        ):
            settings = local("80", "-t", to, **environment).settings
            self.assertEqual(settings.servers, (expected,))
        settings = local("80", "--control-port", "6", BORE_SERVER="a:1").settings
        self.assertEqual(settings.servers, (("a", 6),))
        self.assertEqual(local("80", "-t", "a:6", "--control-port", "6").settings.servers, (("a", 6),))
        self.assertUsageError("--to names port 1, and --control-port 6", "80", "-t", "a:1", "--control-port", "6")

    def test_networksAreRulesOfEachTunnel(self) -> None:
        rules = AddressRules((parseNetwork("192.0.2.0/24"),), (parseNetwork("192.0.2.7"),))
        words = ["--allow", "192.0.2.0/24", "--deny", "192.0.2.7"]
        for spec in local("80", "81", "-t", "x", *words).tunnels:
            self.assertEqual(spec.rules, rules)
        many = [f"--allow=10.{n // 256}.{n % 256}.0/24" for n in range(513)]
        self.assertUsageError("513 networks, and a tunnel may have 512", "80", "-t", "x", *many)
        self.assertUsageError(
            "--allow: 192.0.2.7/32 has no effect",
            "80",
            "-t",
            "x",
            "--allow=192.0.2.7",
            "--deny=::/0",
            "--deny=0.0.0.0/0",
        )

    def test_severalServersAreAListInTheOrderGiven(self) -> None:
        servers = (("a", 7835), ("b", 1), ("::1", 7835))
        self.assertEqual(local("80", "-t", "a", "--to", "b:1", "-t", "::1").settings.servers, servers)
        self.assertEqual(local("80", BORE_SERVER="a, b:1,::1").settings.servers, servers)
        self.assertUsageError("--to names the same server twice", "80", "-t", "a", "-t", "a:7835")

    def test_mistakesAreNamed(self) -> None:
        for text, words in {
            "no LOCAL given": ["--to", "x"],
            "--proxy-protocol 'v3': must be one of v1, v2": ["80", "--to", "x", "--proxy-protocol", "v3"],
            "--check-every '0': must be a number of seconds": ["80", "--to", "x", "--check-every", "0"],
            "--exit-after-failures '-1': must be": ["80", "--to", "x", "--exit-after-failures=-1"],
            "no --to given": ["80"],
            "LOCAL '0': must be a number from 1 to 65535": ["0", "--to", "x"],
            "LOCAL 'http': must be PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH": ["80", "http", "--to", "x"],
            "unrecognized arguments: --frob": ["80", "--frob", "--to", "x"],
            "'80' is given twice": ["80", "80", "--to", "x"],
            "--port names the public port of one local service, and there are several: write it behind each": [
                "80",
                "81",
                "-p",
                "9",
                "--to",
                "x",
            ],
            "'80:9' names a public port, and so does --port": ["80:9", "-p", "9", "--to", "x"],
            "'81:9' has the public port of '80:9': give each its own": ["80:9", "81:9", "--to", "x"],
            "--watch has no effect without --config": ["80", "--watch", "--to", "x"],
            "--local-host has no effect: each local service has a host of its own": ["a:80", "-l", "b", "--to", "x"],
            "--to 'a b': must be a name": ["80", "--to", "a b"],
            "--port '65536': must be a number from 0 to 65535": ["80", "--to", "x", "-p", "65536"],
            "--local-host 'x:80': must be a host name or an IP address, without": [
                "80",
                "-t",
                "x",
                "-l",
                "x:80",
            ],
            "--max-reconnect-delay '0': must be a number of seconds": ["80", "-t", "x", "--max-reconnect-delay", "0"],
            "--max-reconnect-delay 'nan': must be": ["80", "-t", "x", "--max-reconnect-delay", "nan"],
        }.items():
            self.assertUsageError(text, *words)
        self.assertUsageError("BORE_LOCAL_PORT='http': must be PORT", "-t", "x", BORE_LOCAL_PORT="http")


class HelpTests(OptionsCase):
    """--help."""

    def test_everyOptionIsInTheHelpWithItsDefaultAndItsVariable(self) -> None:
        for make in ALL:
            command: Command[object] = make("x")
            text = " ".join(command.help().split())
            for each in command.options:
                self.assertIn(each.name, text)
                if each.environment:
                    self.assertIn(f"[env: {each.environment}]", text)
        self.assertIn("[default: 1024]", serverCommand("x").help())

    def test_itFitsIntoEightyColumns(self) -> None:
        self.patch(os, "environ", {**os.environ, "COLUMNS": "200"})
        texts = [make("bore local").help() for make in ALL]
        for text in (USAGE_TEXT, *texts):
            self.assertLessEqual(max(map(len, text.splitlines())), 80, text)
