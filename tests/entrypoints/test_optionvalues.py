"""Defaults, the environment, and what values may be."""

from __future__ import annotations

import ast

from twisted.trial.unittest import SynchronousTestCase

from bore.client.settings import ClientSettings, ServerAddress
from bore.commandline import Command, Values
from bore.logs.settings import LogSettings
from bore.option import option, repeated, switch
from bore.options.demo import DemoCommand, demoCommand
from bore.server.settings import ServerSettings
from tests.entrypoints.optionscase import BOUNDS, DESCRIPTORS, OptionsCase, local, server
from tests.support import CHECKOUT


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
