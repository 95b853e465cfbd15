"""Writing files as a whole or not at all, also while other processes write them."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: How long to wait for a lock that another process holds, in seconds. Each holds it for a few system calls, and the
#: reactor must not be blocked for longer.
LOCK_TIMEOUT: Final = 0.05

_LOCK_STEP: Final = 0.005

#: How long to wait for another process that writes the same file for the first time, in seconds. That happens at the
#: start of a program.
_NEW_FILE_TIMEOUT: Final = 2.0

#: The errors of a file system that has no hard links, or does not allow this one.
_NO_LINKS: Final = frozenset((errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))


@contextlib.contextmanager
def wholeFile(folder: Path, content: bytes) -> Iterator[str]:
    """
    Make a temporary file, with mode 0600, whose content is on the disk. The caller moves or links it to its place; it
    is removed otherwise.

    :param folder: the directory of its place.
    :returns: its name.
    :raises OSError: when it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield name
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def writeUnlessThere(path: Path, content: bytes) -> None:
    """
    Write a new file, with mode 0600; one that exists stays as it is. It survives a power failure.

    :param path: its directory is made if it does not exist.
    :raises OSError: when it cannot be written.
    """
    folder = path.parent
    makeFolder(folder)
    with wholeFile(folder, content) as name:
        try:
            os.link(name, path)
        except FileExistsError:
            return
        except OSError as e:
            if e.errno not in _NO_LINKS:
                raise
            _moveUnlessThere(name, path)
    for each in (folder, folder.parent):
        syncFolder(each)


def _moveUnlessThere(name: str, path: Path) -> None:
    """Move a file where the file system has no hard links (FAT, some network file systems)."""
    if os.name != "posix":
        with contextlib.suppress(FileExistsError):  # there, a file that exists is not replaced
            os.rename(name, path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with locked(descriptor, _NEW_FILE_TIMEOUT):
            if not path.exists():
                os.rename(name, path)
    finally:
        os.close(descriptor)


def makeFolder(folder: Path) -> None:
    """
    Make a directory, and those above it that do not exist, all with mode 0700. One that exists stays as it is.

    :raises OSError: when it cannot be made.
    """
    for each in reversed((folder, *folder.parents)):  # mkdir's own parents would have the mode of the umask
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # raises if it is a file


def syncFolder(folder: Path) -> None:
    """Have the names in a directory survive a power failure, where the system supports that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def locked(descriptor: int, timeout: float = LOCK_TIMEOUT) -> Iterator[bool]:
    """
    Lock an open file or directory against other processes that call this.

    :param timeout: how long to wait for a process that holds the lock, in seconds.
    :returns: whether this process has the lock. Where there are no such locks (Windows, some network file systems), it
        is assumed to have it.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    end = time.monotonic() + timeout
    ours = True
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if ours := time.monotonic() < end:
                time.sleep(_LOCK_STEP)
                continue
        except OSError:
            pass
        break
    try:
        yield ours
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
