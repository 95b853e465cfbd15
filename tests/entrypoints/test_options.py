"""The command lines."""

from __future__ import annotations

import ast
import os
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from bore.cli import USAGE_TEXT
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.commandline import Command, UsageError, Values, option, repeated, switch
from bore.logs.settings import LogSettings
from bore.options.check import checkCommand
from bore.options.client import ClientCommand, clientCommand, upCommand
from bore.options.demo import DemoCommand, demoCommand
from bore.options.secrets import secretCommand
from bore.options.server import ServerCommand, serverCommand
from bore.server.settings import Bounds, ServerSettings
from bore.system.descriptors import FOR_CLIENTS, FOR_CONTROL, descriptorsForVisitors
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.proof import proveBase
from bore.wire.proxyprotocol import Version
from bore.wire.secret import Secret
from tests.support import CHECKOUT, temporaryFolder

CHALLENGE = UUID(int=1)


def server(*words: str, **environment: str) -> ServerCommand:
    return serverCommand("bore server").parse(words, environment)


def local(*words: str, **environment: str) -> ClientCommand:
    return clientCommand("bore local").parse(words, environment)


def proof(secret: Secret | None) -> str | None:
    return None if secret is None else proveBase(secret, CHALLENGE)


class OptionsCase(SynchronousTestCase):
    """Parses command lines."""

    def assertUsageError(self, text: str, *words: str, command: str = "local", **environment: str) -> None:
        """The error contains a text, and is one line."""
        parse = server if command == "server" else local
        with self.assertRaises(UsageError) as caught:
            parse(*words, **environment)
        self.assertIn(text, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def file(self, content: bytes) -> str:
        path = temporaryFolder(self) / "secret"
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)


#: All command lines.
ALL = (serverCommand, clientCommand, upCommand, checkCommand, demoCommand, secretCommand)

DESCRIPTORS = descriptorsForVisitors(FOR_CONTROL)
BOUNDS = Bounds(descriptors=descriptorsForVisitors(FOR_CLIENTS))


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
            "--secret: expected one argument": ["--secret"],
        }.items():
            self.assertUsageError(text, *words, command="server")
        self.assertUsageError("BORE_MIN_PORT='x': must be a number", command="server", BORE_MIN_PORT="x")


class ClientOptionsTests(OptionsCase):
    """bore local."""

    def test_theDefaultsAreTheOriginals(self) -> None:
        self.assertEqual(
            local("8000", "--to", "example.com", "--no-state"),
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
        self.assertEqual((command.tunnels[0].target.port, command.settings.servers), (8000, (("a.example", 7000),)))
        command = local("80", "--to", "b.example", "--control-port", "1", **environment)
        self.assertEqual((command.tunnels[0].target.port, command.settings.servers), (80, (("b.example", 1),)))

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
        self.assertEqual([(each.target.port, each.port) for each in several.tunnels], [(80, 0), (81, 20081)])

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
            "LOCAL 'http': must be PORT, HOST:PORT or [ADDRESS]:PORT": ["80", "http", "--to", "x"],
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


class SecretOptionsTests(OptionsCase):
    """The sources of the secret."""

    def secretOf(self, *words: str, **environment: str) -> str | None:
        return proof(server(*words, **environment).settings.secret)

    def test_aNewlineAtTheEndOfTheFileIsNoPartOfIt(self) -> None:
        for content in (b"hush", b"hush\n", b"hush\r\n"):
            self.assertEqual(self.secretOf("--secret-file", self.file(content)), proof(Secret("hush")))
        self.assertEqual(self.secretOf("--secret-file", self.file(b" h\xc3\xbcsh ")), proof(Secret(" h\u00fcsh ")))

    def test_anEmptySecretIsOneOnlyIfItIsWrittenOut(self) -> None:
        self.assertEqual(self.secretOf("-s", ""), proof(Secret("")))
        self.assertEqual(self.secretOf("-s", "", BORE_SECRET=""), proof(Secret("")))
        self.assertIsNone(self.secretOf())
        for command, words in (("server", []), ("local", ["80", "--to", "x"])):
            self.assertUsageError("BORE_SECRET is empty", *words, command=command, BORE_SECRET="")
            for content in (b"", b"\n", b"\r\n"):
                self.assertUsageError("is empty", "--secret-file", self.file(content), *words, command=command)

    def test_anEmptyVariableDoesNotMatterWhereAFlagIsGiven(self) -> None:
        self.assertEqual(self.secretOf("--secret-file", self.file(b"file"), BORE_SECRET=""), proof(Secret("file")))
        self.assertEqual(self.secretOf("-s", "flag", BORE_SECRET=""), proof(Secret("flag")))

    def test_aFlagBeatsTheEnvironment(self) -> None:
        self.assertEqual(self.secretOf("-s", "flag", BORE_SECRET="env"), proof(Secret("flag")))
        self.assertEqual(self.secretOf("--secret-file", self.file(b"file"), BORE_SECRET="env"), proof(Secret("file")))

    def test_mistakesAreNamed(self) -> None:
        for text, words in {
            "--secret-file '/nonexistent': cannot be read (No such file": ["--secret-file", "/nonexistent"],
            "is not UTF-8": ["--secret-file", self.file(b"\xff\xfe")],
            "is longer than 4096 characters": ["--secret-file", self.file(b"x" * 5000)],
            "begins with a byte order mark: save it as UTF-8": [
                "--secret-file",
                self.file(b"\xef\xbb\xbfx\n"),
            ],
            "ends with an empty line: it must end with": ["--secret-file", self.file(b"hush\n\n")],
            "ends with an empty line: it must": ["--secret-file", self.file(b"hush\r\n\r\n")],
            "--secret and --secret-file exclude each other": ["-s", "x", "--secret-file", self.file(b"x")],
            "the secret is not valid UTF-8": ["-s", os.fsdecode(b"\xff")],
        }.items():
            self.assertUsageError(text, *words, command="server")


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


class DefaultsTests(OptionsCase):
    """Where defaults are written."""

    def test_anOptionTakesItsDefaultFromTheSettingsOrHasNone(self) -> None:
        for file in (CHECKOUT / "bore" / "options").glob("*.py"):
            for call in ast.walk(ast.parse(file.read_text())):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "option":
                    default = call.args[4]
                    literal = isinstance(default, ast.Constant) and default.value is not None
                    self.assertFalse(literal, f"{file}:{default.lineno}")

    def test_withoutOptionsTheSettingsHaveTheirDefaults(self) -> None:
        self.assertEqual(server().settings, ServerSettings(bounds=BOUNDS))
        servers = (ServerAddress("a"),)
        self.assertEqual(
            local("8000", "-t", "a", "--no-state").settings,
            ClientSettings(servers, descriptors=DESCRIPTORS),
        )
        self.assertEqual((server().log, demoCommand("x").parse([], {})), (LogSettings(), DemoCommand()))

    def test_noNumberIsTheDefaultOfTwoFields(self) -> None:
        """A limit that server and client share has a name, and both refer to it."""
        literals = []
        for room in ("server", "client"):
            tree = ast.parse((CHECKOUT / "bore" / room / "settings.py").read_text())
            fields = [each.value for each in ast.walk(tree) if isinstance(each, ast.AnnAssign)]
            numbers = [each.value for each in fields if isinstance(each, ast.Constant)]
            literals.append({each for each in numbers if type(each) in (int, float) and each})
        self.assertEqual(literals[0] & literals[1], set())


class EnvironmentTests(OptionsCase):
    """Variables that are not the other form of a flag."""

    def test_theStateFolderComesFromTheEnvironmentThatIsParsed(self) -> None:
        for environment, expected in (
            ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
            ({"XDG_STATE_HOME": "/state", "HOME": "/home/a"}, "/state/txbore"),
            ({"XDG_STATE_HOME": "relative", "HOME": "/home/a"}, "/home/a/.local/state/txbore"),
        ):
            self.assertEqual(str(local("80", "-t", "a", **environment).settings.stateFolder), expected)
            tls = server("--tls", **environment).settings.tls
            assert tls is not None
            self.assertEqual(str(tls.folder), expected)

    def test_theRelayIsChosenAndATypoIsAnError(self) -> None:
        for value, portable in (("portable", True), ("splice", False), ("", False)):
            self.assertEqual(server(BORE_RELAY=value).settings.portableRelay, portable)
            self.assertEqual(local("80", "-t", "a", BORE_RELAY=value).settings.portableRelay, portable)
            self.assertEqual(demoCommand("x").parse([], {"BORE_RELAY": value}).portableRelay, portable)
        for command, words in (("server", []), ("local", ["80", "-t", "a"])):
            text = "BORE_RELAY='protable': must be splice or portable, or not be set"
            self.assertUsageError(text, *words, command=command, BORE_RELAY="protable")


class ValuesTests(SynchronousTestCase):
    """The values of options, looked up by the option."""

    count = option("-n --count", "", int, "NUMBER", 3, environment="COUNT")
    names = repeated("--name", "", str, "NAME", environment="NAMES")
    loud = switch("--loud", "")

    def parse(self, *words: str, **environment: str) -> Values:
        return Command("x", "", (self.count, self.names, self.loud), lambda found: found).parse(words, environment)

    def test_theyHaveTheTypesOfTheirOptions(self) -> None:
        found = self.parse("-n", "4", "--name", "a", "--name", "b", "--loud")
        count: int = found[self.count]
        names: tuple[str, ...] = found[self.names]
        loud: bool = found[self.loud]
        self.assertEqual((count, names, loud), (4, ("a", "b"), True))

    def test_aFlagPrecedesTheVariableAndThatTheDefault(self) -> None:
        self.assertEqual(self.parse()[self.count], 3)
        self.assertEqual(self.parse(COUNT="5", NAMES="a, b")[self.count], 5)
        self.assertEqual(self.parse(COUNT="5", NAMES="a, b")[self.names], ("a", "b"))
        self.assertEqual(self.parse("-n", "6", COUNT="5")[self.count], 6)
        self.assertEqual(self.parse("-n", "6", "--count", "7")[self.count], 7)
        self.assertEqual([self.parse("-n", "6").given(each) for each in (self.count, self.loud)], [True, False])

    def test_anOptionOfAnotherCommandIsAnError(self) -> None:
        self.assertRaises(KeyError, lambda: self.parse()[switch("--loud", "")])
