"""The systemd units: systemd accepts them, and the program accepts their command lines."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from bore import exits
from bore.commandline import Command
from bore.options.client import clientCommand
from bore.options.server import serverCommand
from bore.relay.interface import DRAIN_TIMEOUT
from bore.wire.limits import CONTROL_PORT
from tests.support import CHECKOUT, Program, running, temporaryFolder

C = TypeVar("C")

UNITS: Final = CHECKOUT / "systemd"

SERVER: Final = UNITS / "bore-server.service"
CLIENT: Final = UNITS / "bore-client@.service"
TUNNELS: Final = UNITS / "bore-client.service"
SOCKET: Final = UNITS / "bore-server.socket"

#: Where the units expect the program.
PROGRAM: Final = "/opt/txbore/bin/twistd"

#: Maximum exposure according to systemd-analyze, from 0 (confined) to 10 (an ordinary process).
MAX_EXPOSURE: Final = 2.0

#: The first systemd-analyze that checks files without asking a running systemd.
LEAST_VERSION: Final = 250


def whyNoSystemd() -> str | None:
    """Return why systemd-analyze cannot be used here; None if it can."""
    path = shutil.which("systemd-analyze")
    if path is None:
        return "there is no systemd-analyze on this machine"
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"systemd (\d+)", shown)
    if version is None or int(version[1]) < LEAST_VERSION:
        return f"systemd-analyze {LEAST_VERSION} or later is needed"
    return None


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, with its output and errors in one stream."""
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def values(unit: Path, key: str) -> list[str]:
    """Return all values of a key in a unit."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]


def advised(unit: Path, key: str) -> list[str]:
    """Return the values of a key that the comments of a unit suggest."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(f"#   {key}=") for line in lines if line.startswith(f"#   {key}=")]


def described(unit: Path) -> list[str]:
    """Return the lines of the first settings file in the comments of a unit."""
    found: list[str] = []
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("#   "):
            found.append(line.removeprefix("#   "))
        elif found and line != "#":
            return found
    raise AssertionError(f"{unit} describes no file")


def lines(unit: Path) -> list[str]:
    """Return all command lines in a unit and its comments."""
    return [line for line in (*values(unit, "ExecStart"), *advised(unit, "ExecStart")) if line]


class SystemdTests(SynchronousTestCase):
    """systemd accepts the units."""

    skip = whyNoSystemd()

    def setUp(self) -> None:
        # The program need not be installed here. Nothing but its path is replaced, by that of one that is there.
        self.folder = temporaryFolder(self)
        for unit in UNITS.iterdir():
            text = unit.read_text(encoding="utf-8").replace(PROGRAM, sys.executable)
            (self.folder / unit.name).write_text(text, encoding="utf-8")

    def verify(self, name: str) -> subprocess.CompletedProcess[str]:
        return analyze("verify", "--man=no", "--recursive-errors=no", str((self.folder / name).resolve()))

    def test_everyUnitIsVerifiedBySystemd(self) -> None:
        for unit in (SERVER, CLIENT, TUNNELS, SOCKET):
            found = self.verify(unit.name)
            self.assertEqual((found.returncode, found.stdout), (0, ""), unit.name)

    def test_aUnitWithAMisspeltKeyIsNotVerified(self) -> None:
        unit = self.folder / SERVER.name
        unit.write_text(unit.read_text(encoding="utf-8").replace("\nProtectHome=", "\nProtectHomes="), encoding="utf-8")
        found = self.verify(unit.name)
        self.assertNotEqual(found.returncode, 0)
        self.assertIn("ProtectHomes", found.stdout)

    def test_noServiceIsExposed(self) -> None:
        for unit in (SERVER, CLIENT, TUNNELS):
            found = analyze("security", "--offline=yes", str((self.folder / unit.name).resolve()))
            overall = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", found.stdout)
            assert overall is not None, found.stdout
            self.assertLessEqual(float(overall[1]), MAX_EXPOSURE, found.stdout)


class UnitsTests(SynchronousTestCase):
    """The program accepts the command lines and options of the units."""

    def setUp(self) -> None:
        self.credentials = temporaryFolder(self)
        secret = self.credentials / "secret"
        secret.write_text("of both\n", encoding="utf-8")
        secret.chmod(0o400)  # as systemd has it
        settings = "\n".join(described(TUNNELS))
        (self.credentials / "bore.toml").write_text(settings, encoding="utf-8")
        (self.credentials / "server.toml").write_text("min-port = 20000\n", encoding="utf-8")

    def words(self, line: str, options: str) -> list[str]:
        """Return a command line as systemd passes it, with a value of OPTIONS."""
        given = line.replace("${CREDENTIALS_DIRECTORY}", str(self.credentials)).replace("$OPTIONS", options)
        given = given.replace("/etc/txbore/", f"{self.credentials}/")
        self.assertNotIn("$", given)
        return shlex.split(given)

    def parsed(self, unit: Path, command: Command[C], environment: dict[str, str]) -> list[C]:
        """Parse all command lines of a unit, with each value of OPTIONS in its comments."""
        shown = advised(unit, "OPTIONS")
        self.assertTrue(shown)
        made: list[C] = []
        for line in lines(unit):
            for options in ("", *shown):
                program, *words = self.words(line, options)
                self.assertEqual(program, PROGRAM)
                made.append(command.parse(words[words.index(command.name) + 1 :], environment))
        return made

    def test_theServerUnderstandsItsCommandLines(self) -> None:
        made = self.parsed(SERVER, serverCommand("bore-server"), {"BORE_MIN_PORT": "20000"})
        self.assertEqual([command.settings.secret is None for command in made], [False] * 3 + [True] * 3)
        self.assertEqual([command.file is not None for command in made], [False, False, True] * 2)

    def test_theClientUnderstandsItsCommandLines(self) -> None:
        environment = {"BORE_LOCAL_PORT": "8000", "BORE_SERVER": "tunnel.example.com"}
        made = self.parsed(CLIENT, clientCommand("bore-client"), environment)
        self.assertEqual([command.settings.secret is None for command in made], [False, False, True, True])

    def test_theClientUnderstandsTheFileThatItsUnitDescribes(self) -> None:
        made = []
        for line in lines(TUNNELS):
            words = self.words(line, "")
            made.append(clientCommand("bore-client").parse(words[words.index("bore-client") + 1 :], {}))
        self.assertEqual([command.settings.secret is None for command in made], [False, True])
        for command in made:
            self.assertEqual([(each.name, each.public) for each in command.tunnels], [("web", 20080)])

    def test_twistdUnderstandsWhatStandsBeforeThat(self) -> None:
        path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
        twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        for unit in (SERVER, CLIENT, TUNNELS):
            for line in lines(unit):
                words = self.words(line, "")
                with running(Program([*twistd, *words[1:], "--help"], {"PYTHONPATH": path})) as program:
                    self.assertEqual(program.wait(), 0, program.transcript())
                    program.waitFor("usage: twistd bore-")

    def test_everyVariableThatIsNamedIsKnown(self) -> None:
        for unit, command in (
            (SERVER, serverCommand("x")),
            (SOCKET, serverCommand("x")),
            (CLIENT, clientCommand("x")),
        ):
            known = {option.environment for option in command.options}
            named = set(re.findall(r"\bBORE_\w+", unit.read_text(encoding="utf-8")))
            self.assertTrue(named)
            self.assertEqual(named - known, set(), unit.name)

    def test_theClientIsStartedAgainUnlessOnlyTheUserCanHelp(self) -> None:
        for unit in (CLIENT, TUNNELS):
            self.assertEqual(values(unit, "Restart"), ["always"])
            self.assertEqual(values(unit, "RestartPreventExitStatus"), [f"{exits.NOT_TRUSTED} {exits.NO_PERMISSION}"])

    def test_theServerIsStartedAgainWhateverHappens(self) -> None:
        self.assertEqual(values(SERVER, "Restart"), ["always"])
        self.assertEqual(values(SERVER, "RestartPreventExitStatus"), [])

    def test_startingAgainIsNeverGivenUp(self) -> None:
        for unit in (SERVER, CLIENT, TUNNELS):
            self.assertEqual(values(unit, "StartLimitIntervalSec"), ["0"])

    def test_runningVisitorsHaveTheirTimeToEnd(self) -> None:
        for unit in (SERVER, CLIENT, TUNNELS):
            (timeout,) = values(unit, "TimeoutStopSec")
            self.assertGreater(float(timeout.removesuffix("s")), DRAIN_TIMEOUT)

    def test_systemdListensWhereTheServerWould(self) -> None:
        self.assertEqual(values(SOCKET, "ListenStream"), [str(CONTROL_PORT)])

    def test_memoryMayBeWrittenAndExecuted(self) -> None:
        """pyOpenSSL's callbacks need such memory: with TLS, neither end could start without it."""
        for unit in (SERVER, CLIENT, TUNNELS):
            self.assertEqual(values(unit, "MemoryDenyWriteExecute"), [])

    def test_aReloadIsASignalThatTheProgramKnows(self) -> None:
        for unit in (SERVER, TUNNELS):
            self.assertEqual(values(unit, "ExecReload"), ["kill -HUP $MAINPID"])
