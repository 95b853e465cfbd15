"""Listening Unix sockets, and their files."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.streams.unixlistener import NotASocket, UnixListeningSocket
from tests.support import temporaryFolder


class UnixListeningSocketTests(SynchronousTestCase):
    """A socket, and what may be in its place."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        self.path = self.folder / "web.sock"

    def open(self) -> UnixListeningSocket:
        opened = UnixListeningSocket(str(self.path))
        self.addCleanup(opened.socket.close)
        return opened

    def connects(self) -> bool:
        with socket.socket(socket.AF_UNIX) as visitor:
            try:
                visitor.connect(str(self.path))
            except OSError:
                return False
            return True

    def assertInUse(self) -> None:
        error = self.assertRaises(OSError, self.open)
        self.assertEqual(error.errno, errno.EADDRINUSE)

    def stale(self, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        """Leave a file behind as a process does that was killed."""
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.bind(str(self.path))

    def test_itsGroupMayConnectWhateverTheUmaskIs(self) -> None:
        for umask in (0o000, 0o022, 0o077, 0o777):
            before = os.umask(umask)
            try:
                opened = self.open()
            finally:
                os.umask(before)
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660, oct(umask))
            self.assertTrue(self.connects())
            opened.removeFile()
            opened.socket.close()

    def test_itsFileIsRemoved(self) -> None:
        opened = self.open()
        opened.removeFile()
        self.assertEqual(list(self.folder.iterdir()), [])
        opened.removeFile()

    def test_aFileOfAnotherOneStays(self) -> None:
        opened = self.open()
        self.path.unlink()
        other = self.open()
        opened.removeFile()
        self.assertTrue(self.connects())
        other.removeFile()

    def test_aFileThatADeadProcessHasLeftIsReplaced(self) -> None:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            self.stale(kind)
            opened = self.open()
            self.assertTrue(self.connects())
            opened.removeFile()
            opened.socket.close()

    def test_oneOnWhichAProcessListensIsInUse(self) -> None:
        self.open()
        self.assertInUse()
        self.assertTrue(self.connects())

    def test_oneWithAFullQueueIsInUse(self) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path))
            listener.listen(0)
            waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(str(self.path))
                self.addCleanup(each.close)
            self.assertInUse()

    def test_aSocketOfAnotherKindIsInUse(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(self.path))
            self.assertInUse()

    def test_whatIsNotASocketStays(self) -> None:
        (self.folder / "target").write_text("precious")
        for make in (
            lambda: self.path.write_text("precious"),
            lambda: self.path.mkdir(),
            lambda: self.path.symlink_to(self.folder / "target"),
            lambda: self.path.symlink_to(self.folder / "missing"),
        ):
            make()
            self.assertRaises(NotASocket, self.open)
            self.assertInUse()
            self.path.rmdir() if self.path.is_dir() else self.path.unlink()
        self.assertEqual((self.folder / "target").read_text(), "precious")

    def test_aLinkToAStaleSocketStays(self) -> None:
        self.stale()
        real = self.path.rename(self.folder / "real.sock")
        self.path.symlink_to(real)
        self.assertRaises(NotASocket, self.open)
        self.assertTrue(real.exists())

    def test_oneProcessAtATimeOpensSocketsInAFolder(self) -> None:
        self.stale()
        other = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        self.assertInUse()
        os.close(other)
        self.assertTrue(self.open().socket.fileno() >= 0)

    def test_aFolderThatDoesNotExistIsAnError(self) -> None:
        self.path = self.folder / "missing" / "web.sock"
        self.assertEqual(self.assertRaises(OSError, self.open).errno, errno.ENOENT)
        Path(self.path.parent).write_text("")
        self.assertEqual(self.assertRaises(OSError, self.open).errno, errno.ENOTDIR)

    def test_noDescriptorIsLeftOpen(self) -> None:
        self.path.write_text("")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            self.assertRaises(OSError, self.open)
        self.path.unlink()
        opened = self.open()
        opened.removeFile()
        opened.socket.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
