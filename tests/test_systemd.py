"""The systemd units: systemd accepts them, and the program accepts their command lines."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore import exits
from bore.options.client import upCommand
from bore.options.server import serverCommand
from bore.relay.interface import DRAIN_TIMEOUT
from bore.server.settings import Bounds
from bore.systemd.units import PROGRAM, SETTINGS, escaped, isOurs, settingsText, unitText
from bore.wire.limits import CONTROL_PORT
from tests.support import CHECKOUT, temporaryFolder

SERVER: Final = "bore-server.service"
CLIENT: Final = "bore-client@.service"
SOCKET: Final = "bore-server.socket"

#: Maximum exposure according to systemd-analyze, from 0 (confined) to 10 (an ordinary process): of a service of the
#: system, and of one of a user, which has the user's rights.
MAX_EXPOSURE: Final = {False: 1.1, True: 6.2}

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
    with tempfile.TemporaryDirectory() as folder:  # where the manager of a user would have its sockets
        environment = os.environ | {"XDG_RUNTIME_DIR": folder, "HOME": folder}
        return subprocess.run(
            ["systemd-analyze", "--no-pager", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )


def values(unit: str, key: str, user: bool = False) -> list[str]:
    """Return all values of a key in a unit."""
    lines = unitText(unit, PROGRAM, user).splitlines()
    return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]


class SystemdTests(SynchronousTestCase):
    """systemd accepts the units."""

    skip = whyNoSystemd()

    def setUp(self) -> None:
        # The program need not be installed here: one that is there is in its place.
        self.folders = {user: temporaryFolder(self).resolve() for user in (False, True)}
        for user, folder in self.folders.items():
            for unit in (SERVER, CLIENT, SOCKET):
                (folder / unit).write_text(unitText(unit, escaped(sys.executable), user), encoding="utf-8")

    def verify(self, path: Path, user: bool = False) -> subprocess.CompletedProcess[str]:
        return analyze("verify", "--man=no", "--recursive-errors=no", *(["--user"] if user else []), str(path))

    def test_everyUnitIsVerifiedBySystemd(self) -> None:
        for user, folder in self.folders.items():
            for unit in (SERVER, CLIENT, SOCKET):
                found = self.verify(folder / unit, user)
                self.assertEqual((found.returncode, found.stdout), (0, ""), (unit, user))

    def test_soIsTheServerWithTheDropInForWorkers(self) -> None:
        unit = self.folders[False] / SERVER
        folder = unit.with_name(f"{SERVER}.d")
        folder.mkdir()
        text = (CHECKOUT / "examples" / "systemd" / folder.name / "workers.conf").read_text(encoding="utf-8")
        self.assertIn(f"\nExecStart={PROGRAM} server", text)
        text = text.replace(PROGRAM, escaped(sys.executable))
        for name, content, code in (("a.conf", text, 0), ("b.conf", text.replace("KillMode=", "KilMode="), 1)):
            (folder / name).write_text(content, encoding="utf-8")
            found = self.verify(unit)
            self.assertEqual((bool(found.stdout), min(1, found.returncode)), (bool(code), code), found.stdout)

    def test_aUnitWithAMisspeltKeyIsNotVerified(self) -> None:
        unit = self.folders[False] / SERVER
        unit.write_text(unit.read_text(encoding="utf-8").replace("\nProtectHome=", "\nProtectHomes="), encoding="utf-8")
        found = self.verify(unit)
        self.assertNotEqual(found.returncode, 0)
        self.assertIn("ProtectHomes", found.stdout)

    def test_noServiceIsExposed(self) -> None:
        for user, folder in self.folders.items():
            for unit in (SERVER, CLIENT):
                found = analyze("security", "--offline=yes", str(folder / unit))
                overall = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", found.stdout)
                assert overall is not None, found.stdout
                self.assertLessEqual(float(overall[1]), MAX_EXPOSURE[user], found.stdout)

    def test_aPathWithBlanksAndSignsIsOneWord(self) -> None:
        program = temporaryFolder(self).resolve() / "my 100% $HOME" / "bore"
        program.parent.mkdir()
        program.symlink_to("/bin/true")
        unit = self.folders[False] / SERVER
        unit.write_text(unitText(SERVER, escaped(str(program)), False), encoding="utf-8")
        found = self.verify(unit)
        self.assertEqual((found.returncode, found.stdout), (0, ""))


class UnitsTests(SynchronousTestCase):
    """The program accepts the command lines of the units, and what systemd does suits it."""

    def test_theServerUnderstandsThatOfTheDropInForWorkers(self) -> None:
        path = CHECKOUT / "examples" / "systemd" / f"{SERVER}.d" / "workers.conf"
        line = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("ExecStart=")][-1]
        words = shlex.split(line.removeprefix("ExecStart=").replace(SETTINGS, str(self.folder())))
        self.assertEqual(words[:2], [PROGRAM, "server"])
        made = serverCommand("x").parse(words[2:], {})
        self.assertIsNotNone(made.workers)

    def words(self, unit: str, folder: Path) -> list[str]:
        """Return the command line of a unit as systemd passes it, with another directory of settings."""
        (line,) = values(unit, "ExecStart")
        program, command, *words = shlex.split(line.replace("%i", "web"))
        self.assertEqual((program, command), (PROGRAM, "server" if unit == SERVER else "up"))
        return [word.replace(SETTINGS, str(folder)) for word in words]

    def folder(self) -> Path:
        folder = temporaryFolder(self)
        for name, text in (("secret", "of both"), ("server.toml", settingsText(True))):
            (folder / name).write_text(text, encoding="utf-8")
            (folder / name).chmod(0o640)
        return folder

    def test_theServerUnderstandsItsCommandLineAndItsFirstSettings(self) -> None:
        made = serverCommand("x").parse(self.words(SERVER, self.folder()), {})
        assert made.file is not None and made.settings.tls is not None
        self.assertEqual((made.settings.minPort, made.settings.maxPort), (20000, 20999))
        self.assertTrue(made.secretsInFile)

    def test_theClientUnderstandsItsCommandLineAndTheExamplesInItsFirstSettings(self) -> None:
        folder = self.folder()
        text = settingsText(False).replace('\n#server = "bore:', '\n# server = "bore:')
        settings = re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE)
        (folder / "web.toml").write_text(settings, encoding="utf-8")
        (folder / "web.toml").chmod(0o640)
        made = upCommand("x").parse(self.words(CLIENT, folder), {})
        self.assertEqual([(each.name, each.public) for each in made.tunnels], [("web", 20080)])
        self.assertEqual(str(made.settings.servers[0]), "tunnel.example.com:7835")
        self.assertIsNotNone(made.settings.secret)

    def test_aUserHasTheFileAmongItsOwnSettings(self) -> None:
        self.assertEqual(values(CLIENT, "ExecStart", user=True), [f"{PROGRAM} up %E/txbore/%i.toml"])
        self.assertEqual(values(SERVER, "ExecStart", user=True), [f"{PROGRAM} server --config %E/txbore/server.toml"])
        for unit in (SERVER, CLIENT):
            self.assertEqual(values(unit, "WantedBy", user=True), ["default.target"])

    def test_aUnitOfAUserHasNothingOfTheSystem(self) -> None:
        for unit in (SERVER, CLIENT, SOCKET):
            text = unitText(unit, PROGRAM, True)
            for word in (SETTINGS, "DynamicUser", "Protect", "txbore/client-", "multi-user", "root", '"systemctl e'):
                self.assertNotIn(word, text.replace("RuntimeDirectory=txbore/client-", ""), unit)

    def test_theManagerKnowsWhenItIsReadyAndThatItLives(self) -> None:
        for unit in (SERVER, CLIENT):
            for user in (False, True):
                self.assertEqual(values(unit, "Type", user), ["notify"])
                self.assertEqual(values(unit, "WatchdogSec", user), ["60s"])

    def test_secretsAreNotDumped(self) -> None:
        for unit in (SERVER, CLIENT):
            for user in (False, True):
                self.assertEqual(values(unit, "LimitCORE", user), ["0"])

    def test_theClientIsStartedAgainUnlessOnlyTheUserCanHelp(self) -> None:
        self.assertEqual(values(CLIENT, "Restart"), ["always"])
        self.assertEqual(values(CLIENT, "RestartPreventExitStatus"), [f"{exits.NOT_TRUSTED} {exits.NO_PERMISSION}"])

    def test_theServerIsStartedAgainWhateverHappens(self) -> None:
        self.assertEqual(values(SERVER, "Restart"), ["always"])
        self.assertEqual(values(SERVER, "RestartPreventExitStatus"), [])

    def test_startingAgainIsNeverGivenUp(self) -> None:
        for unit in (SERVER, CLIENT):
            self.assertEqual(values(unit, "StartLimitIntervalSec"), ["0"])

    def test_systemdKeepsASocketForEachTunnel(self) -> None:
        for user in (False, True):
            (size,) = values(SERVER, "FileDescriptorStoreMax", user)
            self.assertEqual(values(SERVER, "Environment", user), [f"FDSTORE={size}"])
            self.assertGreaterEqual(int(size), Bounds().tunnels + len(("control port", "TLS port", "records")))
        self.assertEqual(values(CLIENT, "FileDescriptorStoreMax"), [])

    def test_runningVisitorsHaveTheirTimeToEnd(self) -> None:
        for unit in (SERVER, CLIENT):
            (timeout,) = values(unit, "TimeoutStopSec")
            self.assertGreater(float(timeout.removesuffix("s")), DRAIN_TIMEOUT)

    def test_systemdListensWhereTheServerWould(self) -> None:
        self.assertEqual(values(SOCKET, "ListenStream"), [str(CONTROL_PORT)])

    def test_memoryMayBeWrittenAndExecuted(self) -> None:
        """pyOpenSSL's callbacks need such memory: with TLS, neither end could start without it."""
        for unit in (SERVER, CLIENT):
            self.assertEqual(values(unit, "MemoryDenyWriteExecute"), [])

    def test_aReloadIsASignalThatTheProgramKnows(self) -> None:
        for unit in (SERVER, CLIENT):
            self.assertEqual(values(unit, "ExecReload"), ["kill -HUP $MAINPID"])

    def test_itIsSeenWhetherAUnitWasChanged(self) -> None:
        text = unitText(SERVER, "/usr/bin/bore", False)
        self.assertTrue(isOurs(text))
        for changed in (text.replace("60s", "90s"), text + "LimitNOFILE=9\n", text.rpartition("#")[0], ""):
            self.assertFalse(isOurs(changed))
