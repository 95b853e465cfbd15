"""Files, and who may change them."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.system.files import Exposed, checkFolders, checkOwner, locked, makeFolder, syncFolder
from tests.support import temporaryFolder

#: A user and a group that nobody has.
_STRANGER = 4711


class FoldersTests(SynchronousTestCase):
    """Folders, and those above them."""

    def setUp(self) -> None:
        self.above = temporaryFolder(self)
        self.folder = self.above / "state" / "txbore"
        makeFolder(self.folder)

    def assertExposed(self, *texts: str, groupMay: bool = False) -> None:
        error = str(self.assertRaises(Exposed, checkFolders, self.folder, groupMay))
        for text in texts:
            self.assertIn(text, error)

    def giveAway(self, path: Path, group: bool = False) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can give a folder away")
        os.chown(path, -1 if group else _STRANGER, _STRANGER if group else -1)

    def test_whatIsForTheUserAloneIsMadeWhateverTheUmaskSays(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        folder = self.above / "a" / "b" / "c"
        makeFolder(folder)
        makeFolder(folder)
        for each in (folder, folder.parent, folder.parent.parent):
            self.assertEqual(each.stat().st_mode & 0o777, 0o700)
        checkFolders(folder)
        (self.above / "file").write_text("")
        self.assertRaises(FileExistsError, makeFolder, self.above / "file")
        self.assertRaises(NotADirectoryError, makeFolder, self.above / "file" / "folder")

    def test_whatDoesNotExistYetIsLeftOut(self) -> None:
        checkFolders(self.folder / "not" / "yet")

    def test_folderThatEverybodyMayWrite(self) -> None:
        for each in (self.folder, self.folder.parent):
            each.chmod(0o707)
            self.assertExposed(f"{each} may be written by everybody: chmod o-w")
            self.assertExposed(f"{each} may be written by everybody", groupMay=True)
            each.chmod(0o1777)
            checkFolders(self.folder)
            each.chmod(0o755)
        checkFolders(self.folder)

    def test_aGroupThatMayWriteIsRefusedUnlessItIsTheOwnersOwn(self) -> None:
        self.folder.chmod(0o770)
        self.giveAway(self.folder, group=True)
        self.assertExposed(f"{self.folder} may be written by its group: chmod g-w")
        checkFolders(self.folder, groupMay=True)
        os.chown(self.folder, -1, 0)
        checkFolders(self.folder)

    def test_aFolderOfSomebodyElse(self) -> None:
        for each in (self.folder, self.folder.parent):
            self.giveAway(each)
            self.assertExposed(f"the directory {each} belongs to user {_STRANGER}", "runs as root", "run it as")
            self.assertExposed(f"the directory {each} belongs to", groupMay=True)
            os.chown(each, 0, -1)

    def test_aLinkIsFollowed(self) -> None:
        link = self.above / "link"
        link.symlink_to(self.folder)
        self.folder.chmod(0o707)
        real, self.folder = self.folder, link
        self.assertExposed(str(real))

    def test_aFileOfSomebodyElse(self) -> None:
        path = self.folder / "file"
        path.write_text("")
        checkOwner(path, path.stat())
        self.giveAway(path)
        error = str(self.assertRaises(Exposed, checkOwner, path, path.stat()))
        self.assertIn(f"{path} belongs to user {_STRANGER}, and this program runs as root", error)


class LockTests(SynchronousTestCase):
    """Locks between processes."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        self.first, self.second = (os.open(self.folder, os.O_RDONLY) for _ in range(2))
        self.addCleanup(os.close, self.first)
        self.addCleanup(os.close, self.second)

    def test_oneAtATimeAndTheOtherWaitsForAWhile(self) -> None:
        with locked(self.first) as ours:
            self.assertTrue(ours)
            begin = time.monotonic()
            with locked(self.second, 0.1) as theirs:
                self.assertFalse(theirs)
            self.assertGreaterEqual(time.monotonic() - begin, 0.1)
        with locked(self.second) as theirs:
            self.assertTrue(theirs)

    def test_whereThereAreNoLocksNobodyElseHasOne(self) -> None:
        def refuse(descriptor: int, operation: int) -> None:
            raise OSError(37, "No locks available")

        self.patch(fcntl, "flock", refuse)
        with locked(self.first) as ours:
            self.assertTrue(ours)

    def test_aFolderIsSyncedOrNothingHappens(self) -> None:
        syncFolder(self.folder)
        syncFolder(self.folder / "missing")
