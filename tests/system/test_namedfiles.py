"""Files that a user has named, which may be pipes or devices."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.system import namedfiles
from bore.system.namedfiles import hurry, openNamed, readNamed
from tests.support import temporaryFolder


class NamedFileTests(SynchronousTestCase):
    """Reading them."""

    if os.name != "posix":
        skip = "there are no such pipes here"

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)

    def read(self, path: Path, limit: int = 1000) -> bytes:
        with openNamed(path) as file:
            return readNamed(path, file, limit, 0.2)

    def fifo(self) -> Path:
        path = self.folder / "pipe"
        os.mkfifo(path)
        return path

    def write(self, path: Path, *parts: bytes, end: bool = True) -> None:
        """Have a process write to a pipe, a part at a time."""

        def write() -> None:
            with open(path, "wb", buffering=0) as file:
                for part in parts:
                    file.write(part)
                    time.sleep(0.01)
                if not end:
                    ended.wait(10)

        ended = threading.Event()
        writer = threading.Thread(target=write)
        writer.start()
        self.addCleanup(writer.join)
        self.addCleanup(ended.set)

    def test_aFileIsReadUpToTheLimit(self) -> None:
        path = self.folder / "file"
        path.write_bytes(b"x" * 100)
        self.assertEqual(self.read(path), b"x" * 100)
        self.assertEqual(self.read(path, 7), b"x" * 7)

    def test_onceTheReactorRunsItWaitsForNoWriter(self) -> None:
        self.patch(namedfiles, "_longest", namedfiles.PATIENCE)
        self.patch(namedfiles, "_RUNNING", 0.05)
        hurry()
        began = time.monotonic()
        for path in (self.fifo(), self.folder / "pipe"):
            with openNamed(path) as file:
                self.assertRaises(TimeoutError, readNamed, path, file, 1000)
        self.assertLess(time.monotonic() - began, 5)

    def test_aPipeIsReadUntilItsWriterHasFinished(self) -> None:
        path = self.fifo()
        self.write(path, b"a", b"b", b"c")
        self.assertEqual(self.read(path), b"abc")

    def test_aPipeThatWasReadHasWhatItHad(self) -> None:
        """A reload reads all files again; ``<(command)`` has written once."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.write(writer, b"secret")
        os.close(writer)
        path = Path(f"/dev/fd/{reader}")
        for _ in range(3):
            self.assertEqual(self.read(path), b"secret")

    def test_whatIsNewInAPipeCounts(self) -> None:
        path = self.fifo()
        for part in (b"old", b"new"):
            self.write(path, part)
            time.sleep(0.01)
            self.assertEqual(self.read(path), part)
        self.assertEqual(self.read(path), b"new")

    def test_aPipeWithoutAWriterIsRefusedInTime(self) -> None:
        path = self.fifo()
        with self.assertRaises(TimeoutError) as caught:
            self.read(path)
        self.assertEqual(caught.exception.strerror, "what writes to it has not finished within 0.2 s")

    def test_aWriterThatDoesNotFinishIsAsWell(self) -> None:
        path = self.fifo()
        self.write(path, b"part", end=False)
        self.assertRaises(TimeoutError, self.read, path)

    def test_aDeviceThatNeverEndsIsReadUpToTheLimit(self) -> None:
        self.assertEqual(self.read(Path("/dev/zero"), 5), bytes(5))
        self.assertEqual(self.read(Path("/dev/null")), b"")

    def test_aFolderIsRefused(self) -> None:
        self.assertRaises(IsADirectoryError, self.read, self.folder)
