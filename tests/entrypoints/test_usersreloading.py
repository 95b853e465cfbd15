"""A users file that is read again."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import BadFile
from bore.events import Event, SettingsKept, SettingsMistake, SettingsReloaded, Sink
from bore.options.check import check, checkCommand
from bore.options.server import serverCommand
from bore.users.entry import Users
from bore.usersreloading import LOOK, UsersReloading
from tests.support import temporaryFolder


class UsersReloadingTests(SynchronousTestCase):
    """On request, and when it changes."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "users.toml"
        self.clock = Clock()
        self.events: list[Event] = []
        self.applied: list[list[str]] = []
        self.others = 0
        self.write("alice")
        sink = Sink()
        sink.subscribe(self.events.append)
        self.reloading = UsersReloading(self.clock, sink, Service(), self.path, self, self.reloadOthers)
        self.reloading.startService()
        self.addCleanup(self.end)

    def end(self) -> None:
        self.assertTrue(self.started)
        self.successResultOf(self.reloading.stopService())
        self.assertFalse(self.started)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def write(self, *names: str, more: str = "") -> None:
        text = "".join(f'[{name}]\nkey = "certificate"\n' for name in names) + more
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o640)
        new.replace(self.path)

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.started = False

    def apply(self, users: Users) -> None:
        self.applied.append(list(users.entries))

    def reloadOthers(self) -> None:
        self.others += 1

    def test_onRequestAllFilesAreRead(self) -> None:
        self.reloading.reload()
        self.assertEqual((self.applied, self.others), ([["alice"]], 1))
        self.assertEqual(self.events, [SettingsReloaded(str(self.path), "1 user")])

    def test_aChangeIsAppliedWithinASecond(self) -> None:
        self.clock.pump([LOOK] * 5)
        self.assertEqual(self.applied, [])
        self.write("bob", "carl")
        self.clock.pump([LOOK] * 2)
        self.assertEqual((self.applied, self.others), ([["bob", "carl"]], 0))
        self.assertLessEqual(2 * LOOK, 1)
        self.clock.pump([LOOK] * 5)
        self.assertEqual(len(self.applied), 1)

    def test_mistakesChangeNothingAndAreReportedOnce(self) -> None:
        self.write("alice", more="prots = 1\n")
        self.clock.pump([LOOK] * 5)
        self.assertEqual(self.applied, [])
        path = str(self.path)
        mistake = f"{path}:3: alice.prots: unknown key; did you mean 'ports'?"
        self.assertEqual(self.events, [SettingsMistake(mistake), SettingsKept(path)])
        self.write("alice")
        self.clock.pump([LOOK] * 2)
        self.assertEqual(self.applied, [["alice"]])

    def test_aFileThatOthersMayReadChangesNothingUntilItsModeIsCorrected(self) -> None:
        self.write("bob")
        self.path.chmod(0o644)
        self.clock.pump([LOOK] * 3)
        self.assertEqual(self.applied, [])
        self.path.chmod(0o640)
        self.clock.pump([LOOK] * 3)
        self.assertEqual(self.applied, [["bob"]])

    def test_aFileThatIsGoneChangesNothing(self) -> None:
        os.unlink(self.path)
        self.clock.pump([LOOK] * 4)
        self.assertEqual((self.applied, self.events), ([], []))


class OptionTests(SynchronousTestCase):
    """The option, the key and the variable."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)

    def users(self, words: list[str], variables: dict[str, str]) -> Path | None:
        return serverCommand("x").parse(words, variables).users

    def test_eachNamesTheFile(self) -> None:
        self.assertIsNone(self.users([], {}))
        self.assertEqual(self.users(["--users", "a"], {"BORE_USERS": "b"}), Path("a"))
        self.assertEqual(self.users([], {"BORE_USERS": "b"}), Path("b"))
        settings = self.folder / "server.toml"
        settings.write_text('users = "users.toml"\n')
        self.assertEqual(self.users(["--config", str(settings)], {}), self.folder / "users.toml")

    def test_theCheckOfASettingsFileFindsTheMistakesOfItsUsersFile(self) -> None:
        settings, users = self.folder / "server.toml", self.folder / "users.toml"
        settings.write_text('users = "users.toml"\nmin-port = 2000\n')
        command = checkCommand("x").parse([str(settings)], {})
        with self.assertRaisesRegex(BadFile, "users.toml: does not exist"):
            check(command)
        users.write_text("[alice]\n")
        users.chmod(0o600)
        with self.assertRaisesRegex(BadFile, "users.toml:1: alice.key: missing"):
            check(command)
