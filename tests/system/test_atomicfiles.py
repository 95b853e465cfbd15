"""Files that are written as a whole, and locks between processes."""

from __future__ import annotations

import errno
import fcntl
import os
import time

from twisted.trial.unittest import SynchronousTestCase

from bore.system.atomicfiles import locked, makeFolder, syncFolder, wholeFile, writeUnlessThere
from tests.support import temporaryFolder


class WriteTests(SynchronousTestCase):
    """New files, and their directories."""

    def setUp(self) -> None:
        self.above = temporaryFolder(self)
        self.path = self.above / "new" / "file"

    def test_directoriesAreForTheUserAloneWhateverTheUmaskSays(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        folder = self.above / "a" / "b" / "c"
        makeFolder(folder)
        makeFolder(folder)
        for each in (folder, folder.parent, folder.parent.parent):
            self.assertEqual(each.stat().st_mode & 0o777, 0o700)
        (self.above / "file").write_text("")
        self.assertRaises(FileExistsError, makeFolder, self.above / "file")
        self.assertRaises(NotADirectoryError, makeFolder, self.above / "file" / "folder")

    def test_aTemporaryFileThatIsNotMovedIsRemoved(self) -> None:
        with wholeFile(self.above, b"content") as name:
            with open(name, "rb") as file:
                self.assertEqual(file.read(), b"content")
            self.assertEqual(os.stat(name).st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.above), [])

    def test_aFileThatExistsStaysWithHardLinksAndWithout(self) -> None:
        for number in (0, errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            if number:
                self.refuseLinks(number)
            writeUnlessThere(self.path, b"first")
            writeUnlessThere(self.path, b"second")
            self.assertEqual(self.path.read_bytes(), b"first")
            self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
            self.assertEqual(os.listdir(self.path.parent), ["file"])
            self.path.unlink()

    def test_otherErrorsAreNotTakenForMissingHardLinks(self) -> None:
        self.refuseLinks(errno.ENOSPC)
        self.assertRaises(OSError, writeUnlessThere, self.path, b"content")
        self.assertEqual(os.listdir(self.path.parent), [])

    def refuseLinks(self, number: int) -> None:
        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        self.patch(os, "link", refuse)

    def test_aDirectoryIsSyncedOrNothingHappens(self) -> None:
        syncFolder(self.above)
        syncFolder(self.above / "missing")


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

    def test_withoutLocksTheLockIsGranted(self) -> None:
        def refuse(descriptor: int, operation: int) -> None:
            raise OSError(37, "No locks available")

        self.patch(fcntl, "flock", refuse)
        with locked(self.first) as ours:
            self.assertTrue(ours)
