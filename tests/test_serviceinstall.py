"""bore service: what it writes, keeps and removes, and what it has systemd do."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore import exits
from bore.commandline import UsageError
from bore.options.servicecommands import ServiceCommand, serviceCommand
from bore.systemd import install
from bore.systemd.install import CannotInstall, Installer, Outcome, hiddenPart, programLine
from bore.systemd.units import sealed
from tests.support import bore, running, temporaryFolder

CLIENT_UNIT = "bore-client@.service"


def parsed(action: str, *words: str, **environment: str) -> ServiceCommand:
    command = serviceCommand(action)
    assert command is not None
    return command.parse(words, environment)


class CommandLineTests(SynchronousTestCase):
    """The command lines."""

    def assertError(self, text: str, *words: str) -> None:
        self.assertIn(text, str(self.assertRaises(UsageError, parsed, "install", *words)))

    def test_aClientHasANameAndAFileOfThatName(self) -> None:
        found = parsed("install", "client", "web")
        self.assertEqual((found.unit, str(found.file)), ("bore-client@web", "/etc/txbore/web.toml"))
        self.assertEqual((found.files, str(found.units)), ((CLIENT_UNIT,), "/etc/systemd/system"))

    def test_aServerHasASocketToo(self) -> None:
        found = parsed("remove", "server")
        self.assertEqual((found.unit, str(found.file)), ("bore-server", "/etc/txbore/server.toml"))
        self.assertEqual(found.files, ("bore-server.service", "bore-server.socket"))

    def test_aUserHasEverythingInTheHomeDirectory(self) -> None:
        found = parsed("show", "client", "web", "--user", HOME="/home/alice")
        self.assertEqual(str(found.units), "/home/alice/.config/systemd/user")
        self.assertEqual(str(found.file), "/home/alice/.config/txbore/web.toml")
        found = parsed("show", "server", "--user", HOME="/home/alice", XDG_CONFIG_HOME="/srv/config")
        self.assertEqual((str(found.units), str(found.settings)), ("/srv/config/systemd/user", "/srv/config/txbore"))

    def test_errorsSayWhatWouldBeRight(self) -> None:
        self.assertError("give client and a name, or server, as in 'bore service install client web'")
        self.assertError("give client and a name", "client")
        self.assertError("must be client or server", "both")
        self.assertError("a server has no name: 'bore service install server'", "server", "web")
        self.assertError("is the name of another file, users.toml", "client", "users")
        for name in ("../etc", "a/b", "a b", "a" * 65, "%i", "."):
            self.assertError("must be letters, digits", "client", name)
        for name in ("web.service", "a.b.socket"):  # systemctl would start another client, or none
            self.assertError("which systemd takes for a kind of unit: leave it out", "client", name)
        self.assertEqual(parsed("show", "client", "service.example.com").unit, "bore-client@service.example.com")


class InstallCase(SynchronousTestCase):
    """An installation in folders of the test, for a manager that only counts its orders."""

    def setUp(self) -> None:
        self.root = temporaryFolder(self)
        self.ran: list[str] = []
        (self.root / "booted").mkdir()

    def installer(self, client: str = "web", user: bool = True, now: bool = False, uid: int = 0) -> Installer:
        folder = self.root
        command = ServiceCommand("install", client, user, folder / "units", folder / "settings", now)
        return Installer(command, self.run_, uid, folder / "booted")

    def run_(self, words: Sequence[str]) -> None:
        self.ran.append(" ".join(words))

    def path(self, name: str) -> Path:
        return self.root / name

    def mode(self, name: str) -> int:
        return stat.S_IMODE(self.path(name).stat().st_mode)


class InstallTests(InstallCase):
    """install."""

    def test_aClientHasItsUnitAndSettings(self) -> None:
        made = self.installer().install()
        self.assertEqual(made.done, [f"wrote {self.root}/units/{CLIENT_UNIT}", f"wrote {self.root}/settings/web.toml"])
        self.assertEqual((self.mode(f"units/{CLIENT_UNIT}"), self.mode("settings/web.toml")), (0o644, 0o600))
        self.assertIn(f"\nExecStart={programLine()} up %E/", self.path(f"units/{CLIENT_UNIT}").read_text())
        self.assertEqual(self.ran, ["systemctl --user daemon-reload"])
        self.assertIn("then: systemctl --user enable --now bore-client@web", made.advice)
        self.assertIn("loginctl enable-linger", made.advice[-1])

    def test_aServerHasANewSecretToo(self) -> None:
        made = self.installer("").install()
        self.assertEqual([line.partition(" ")[0] for line in made.done], ["wrote"] * 4)
        self.assertEqual(self.mode("settings/secret"), 0o600)
        self.assertEqual(len(self.path("settings/secret").read_text()), 33)

    def test_settingsAndSecretsOfTheUserStay(self) -> None:
        self.path("settings").mkdir()
        for name in ("web.toml", "secret"):
            self.path(f"settings/{name}").write_text("mine")
        made = self.installer().install()
        self.assertIn(f"kept {self.root}/settings/web.toml", made.done)
        self.assertNotIn("edit", " ".join(made.advice))
        self.installer("").install()
        self.assertEqual([self.path(f"settings/{name}").read_text() for name in ("web.toml", "secret")], ["mine"] * 2)

    def test_aUnitOfAnEarlierVersionIsReplaced(self) -> None:
        self.installer().install()
        path = self.path(f"units/{CLIENT_UNIT}")
        text = path.read_text()
        old = text.rpartition("\n# Written")[0].replace("WatchdogSec=60s", "WatchdogSec=50s")
        path.write_text(sealed(old))
        self.installer().install()
        self.assertEqual(path.read_text(), text)

    def test_aUnitThatWasChangedStaysAndThatIsAnError(self) -> None:
        self.path("units").mkdir()
        path = self.path(f"units/{CLIENT_UNIT}")
        path.write_text("[Service]\n")
        for step in (self.installer().install, self.installer().remove):
            error = str(self.assertRaises(CannotInstall, step))
            self.assertIn(f"{path} is not as 'bore service install' has written it, and stays", error)
            self.assertIn("'systemctl --user edit bore-client@web'", error)
        self.assertEqual((path.read_text(), self.ran, self.path("settings").exists()), ("[Service]\n", [], False))

    def test_itIsStartedAtOnceIfItsSettingsAreThere(self) -> None:
        self.installer(now=True).install()
        self.assertEqual(self.ran, ["systemctl --user daemon-reload"])
        made = self.installer(now=True).install()
        self.assertEqual(self.ran[2:], ["systemctl --user enable --now bore-client@web"])
        self.assertIn("started bore-client@web", made.done)

    def test_withoutSystemdNothingIsWritten(self) -> None:
        (self.root / "booted").rmdir()
        self.assertIn(
            "systemd does not run this machine", str(self.assertRaises(CannotInstall, self.installer().install))
        )
        self.assertEqual(list(self.root.iterdir()), [])
        self.assertIn(f"# {self.root}/units/{CLIENT_UNIT}", self.installer().show())

    def test_onlyRootInstallsForTheSystem(self) -> None:
        error = str(self.assertRaises(CannotInstall, self.installer(user=False, uid=1000).install))
        self.assertIn("only root may do that: sudo ", error)
        self.assertIn("--user", error)

    def test_theManagersErrorIsShown(self) -> None:
        error = str(
            self.assertRaises(CannotInstall, install._runCommand, ["sh", "-c", "echo no; echo bus >&2; exit 3"])
        )
        self.assertIn("has failed: bus", error)
        self.assertIn(
            "there is no frobnicate", str(self.assertRaises(CannotInstall, install._runCommand, ["frobnicate"]))
        )

    def test_aProgramInAHomeDirectoryIsWarnedOf(self) -> None:
        hidden = hiddenPart()
        made = Outcome()
        self.installer(user=False)._advise(True, made)
        self.assertEqual(any("ProtectHome" in line for line in made.advice), hidden is not None)


class RemoveTests(InstallCase):
    """remove."""

    def test_theUnitGoesAndTheSettingsStay(self) -> None:
        self.installer().install()
        made = self.installer().remove()
        self.assertFalse(self.path(f"units/{CLIENT_UNIT}").exists())
        self.assertTrue(self.path("settings/web.toml").exists())
        self.assertEqual(
            self.ran[1:],
            ["systemctl --user disable --now bore-client@web.service", "systemctl --user daemon-reload"],
        )
        self.assertIn(f"{self.root}/settings/web.toml stays", made.advice[0])

    def test_theUnitStaysForOtherClients(self) -> None:
        self.installer().install()
        wants = self.path("units/default.target.wants")
        wants.mkdir()
        for name in ("web", "nas"):
            os.symlink(f"../{CLIENT_UNIT}", wants / f"bore-client@{name}.service")
        made = self.installer().remove()
        self.assertIn(f"kept {self.root}/units/{CLIENT_UNIT}, which others need: bore-client@nas", made.done)
        self.assertTrue(self.path(f"units/{CLIENT_UNIT}").exists())

    def test_theSocketOfAServerIsStoppedToo(self) -> None:
        self.installer("").install()
        self.installer("").remove()
        self.assertIn("systemctl --user disable --now bore-server.service bore-server.socket", self.ran)
        self.assertEqual(list(self.path("units").iterdir()), [])

    def test_whatIsNotThereCannotBeRemoved(self) -> None:
        self.assertIn("there is nothing to remove", str(self.assertRaises(CannotInstall, self.installer().remove)))
        self.installer().install()
        error = str(self.assertRaises(CannotInstall, self.installer("wbe").remove))
        self.assertEqual(error, f"there is no client wbe: {self.root}/settings/wbe.toml does not exist")
        self.assertTrue(self.path(f"units/{CLIENT_UNIT}").exists())


class ProgramTests(SynchronousTestCase):
    """The command as a program."""

    def test_showPrintsAllThatWouldBeWrittenAndWritesNothing(self) -> None:
        home = temporaryFolder(self)
        environment = {"HOME": str(home), "XDG_CONFIG_HOME": ""}
        with running(bore("service", "show", "client", "web", "--user", environment=environment)) as program:
            self.assertEqual(program.wait(), exits.OK, program.transcript())
        shown = [line for line in program.out if line.startswith(f"# {home}")]
        self.assertEqual(shown, [f"# {home}/.config/systemd/user/{CLIENT_UNIT}", f"# {home}/.config/txbore/web.toml"])
        self.assertEqual(list(home.iterdir()), [])

    def test_anErrorIsOneLine(self) -> None:
        for words, code in (
            (("install", "client", "a/b"), exits.USAGE),
            (("instal", "server"), exits.USAGE),
            (("remove", "client", "never-installed-here", "--user"), exits.FAILURE),
        ):
            environment = {"HOME": str(temporaryFolder(self)), "XDG_CONFIG_HOME": ""}
            with running(bore("service", *words, environment=environment)) as program:
                self.assertEqual((program.wait(), len(program.err)), (code, 1), program.transcript())
