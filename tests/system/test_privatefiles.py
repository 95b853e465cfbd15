"""Files that only their user may use: the policy, and each file of ours that it is for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.system.atomicfiles import makeFolder
from bore.system.privatefiles import GIVEN, NotPrivate, Policy, checkFolders, openPrivate, readPrivate
from tests.support import temporaryFolder

#: The id of a user and a group that do not exist.
STRANGER: Final = 4711

_OURS: Final = Policy(forbidden=0o077, mayBeLink=False)


class PrivateCase(SynchronousTestCase):
    """A directory below another one."""

    if os.name != "posix":
        skip = "files have no modes here"

    def setUp(self) -> None:
        self.above = temporaryFolder(self)
        self.folder = self.above / "state" / "txbore"
        makeFolder(self.folder)
        self.path = self.folder / "file"

    def giveAway(self, path: Path, group: bool = False) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        os.chown(path, -1 if group else STRANGER, STRANGER if group else -1)


class FoldersTests(PrivateCase):
    """Directories, and those above them."""

    def assertExposed(self, *texts: str, groupMay: bool = False) -> None:
        error = str(self.assertRaises(NotPrivate, checkFolders, self.folder, groupMay))
        for text in texts:
            self.assertIn(text, error)

    def test_directoriesThatDoNotExistAreLeftOut(self) -> None:
        checkFolders(self.folder / "not" / "yet")

    def test_oneThatAllUsersMayWrite(self) -> None:
        for each in (self.folder, self.folder.parent):
            each.chmod(0o707)
            self.assertExposed(f"is in the directory {each}, which is writable by all users: chmod o-w {each}")
            self.assertExposed(f"{each}, which is writable by all users", groupMay=True)
            each.chmod(0o1777)
            checkFolders(self.folder)
            each.chmod(0o755)
        checkFolders(self.folder)

    def test_aGroupThatMayWriteIsRefusedUnlessItIsTheOwnersOwn(self) -> None:
        self.folder.chmod(0o770)
        self.giveAway(self.folder, group=True)
        self.assertExposed(f"{self.folder}, which is writable by its group: chmod g-w")
        checkFolders(self.folder, groupMay=True)
        os.chown(self.folder, -1, 0)
        checkFolders(self.folder)

    def test_theGroupOfTheUserOfThisProcessMayWriteADirectoryOfRoot(self) -> None:
        """A volume of Kubernetes with ``fsGroup``, for instance."""
        self.folder.chmod(0o2770)
        self.giveAway(self.folder, group=True)
        self.patch(os, "geteuid", lambda: STRANGER)
        checkFolders(self.folder)

    def test_oneOfAnotherUser(self) -> None:
        for each in (self.folder, self.folder.parent):
            self.giveAway(each)
            self.assertExposed(f"the directory {each}, which belongs to user {STRANGER}", "runs as root", "run it as")
            self.assertExposed(f"the directory {each}, which belongs to", groupMay=True)
            os.chown(each, 0, -1)

    def test_aLinkIsFollowed(self) -> None:
        link = self.above / "link"
        link.symlink_to(self.folder)
        self.folder.chmod(0o707)
        real, self.folder = self.folder, link
        self.assertExposed(str(real))


class FileTests(PrivateCase):
    """The checks of a file that is opened."""

    def setUp(self) -> None:
        super().setUp()
        self.path.write_bytes(b"content")
        self.path.chmod(0o600)

    def assertRefused(self, policy: Policy, text: str) -> None:
        self.assertIn(text, str(self.assertRaises(NotPrivate, openPrivate, self.path, policy)))

    def test_aPrivateFileIsReadUpToTheLimit(self) -> None:
        for policy in (_OURS, GIVEN):
            self.assertEqual(readPrivate(self.path, policy, 100), b"content")
            self.assertEqual(readPrivate(self.path, policy, 3), b"con")

    def test_theErrorHasTheCommandThatCorrectsTheMode(self) -> None:
        for forbidden, command in ((0o077, "go="), (0o007, "o="), (0o022, "go-w"), (0o020, "g-w"), (0o027, "g-w,o=")):
            self.path.chmod(0o600 | forbidden)
            self.assertRefused(Policy(forbidden), f"chmod {command} {self.path}")
            subprocess.run(["chmod", command, str(self.path)], check=True)
            openPrivate(self.path, Policy(forbidden)).close()

    def test_theErrorNamesWhoMayDoWhat(self) -> None:
        for mode, text in (
            (0o640, "is readable by its group"),
            (0o620, "is writable by its group"),
            (0o604, "is readable by all users of this machine"),
            (0o602, "is writable by all users of this machine"),
            (0o601, "is executable by all users of this machine"),
        ):
            self.path.chmod(mode)
            self.assertRefused(_OURS, text)

    def test_aMissingFileIsAnOrdinaryError(self) -> None:
        self.path.unlink()
        self.assertRaises(FileNotFoundError, openPrivate, self.path, _OURS)

    def test_aLinkIsRefusedOrBothItsDirectoriesAreChecked(self) -> None:
        elsewhere = self.above / "elsewhere"
        makeFolder(elsewhere)
        self.path.rename(elsewhere / "file")
        self.path.symlink_to(elsewhere / "file")
        self.assertRefused(_OURS, "is a link")
        openPrivate(self.path, GIVEN).close()
        for each in (elsewhere, self.folder):
            each.chmod(0o707)
            self.assertRefused(GIVEN, f"is in the directory {each}, which is writable by all users")
            each.chmod(0o700)
