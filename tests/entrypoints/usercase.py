"""What the tests of bore user share."""

from __future__ import annotations

from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import UsageError
from bore.options.invitation import Invitation, parseInvitation
from bore.options.usercommands import UserCommand, userCommand
from bore.options.users import readUsers
from bore.userprogram import CannotDo, Printed, run
from bore.users.entry import UserEntry
from tests.support import temporaryFolder

ADDRESS: Final = ("--address", "tunnel.example.com")


class UserCase(SynchronousTestCase):
    """A machine with a users file, or none yet."""

    def setUp(self) -> None:
        self.home = temporaryFolder(self)
        self.path = self.home / "users.toml"

    def parse(self, *words: str) -> UserCommand:
        line = userCommand(words[0])
        assert line is not None
        environment = {name: str(self.home) for name in ("XDG_STATE_HOME", "HOME", "RUNTIME_DIRECTORY")}
        environment["BORE_USERS"] = str(self.path)
        return line.parse(words[1:], environment)

    def run_(self, *words: str) -> Printed:
        return run(self.parse(*words))

    def line(self, *words: str) -> Invitation:
        """Run a command that prints a line."""
        (line,) = self.run_(*words).lines
        return parseInvitation(line)

    def entry(self, name: str = "alice") -> UserEntry:
        return readUsers(self.path).entries[name]

    def assertCannot(self, text: str, *words: str) -> None:
        before = self.path.read_bytes() if self.path.exists() else None
        with self.assertRaises(CannotDo) as caught:
            self.run_(*words)
        self.assertIn(text, str(caught.exception))
        self.assertEqual(self.path.read_bytes() if self.path.exists() else None, before, "nothing is written")

    def assertUsage(self, text: str, *words: str) -> None:
        with self.assertRaises(UsageError) as caught:
            self.parse(*words)
        self.assertIn(text, str(caught.exception))
