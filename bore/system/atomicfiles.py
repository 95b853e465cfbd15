"""Writing files as a whole or not at all, also while other processes write them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
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
def wholeFile(folder: Path, content: bytes, lasting: bool = True) -> Iterator[str]:
    """
    Make a temporary file, with mode 0600. The caller moves or links it to its place; it is removed otherwise.

    :param folder: the directory of its place.
    :param lasting: whether to wait until its content is on the disk. If not, it may be empty after a power failure.
    :returns: its name.
    :raises OSError: when it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if lasting:
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


def replaceWhole(path: Path, content: bytes, check: Callable[[Path], object] = lambda _: None) -> None:
    """
    Replace a file, or write a new one with mode 0600. One that exists keeps its owner, group and mode, and a symbolic
    link its target. It survives a power failure.

    :param path: its directory exists.
    :param check: called with a temporary file of the same content, owner and mode; what it raises leaves the file as
        it is.
    :raises OSError: when it cannot be written, or this user may not give the new file to the owner of the old one.
    """
    place = Path(os.path.realpath(path))
    with wholeFile(place.parent, content) as name:
        try:
            status = os.stat(place)
        except FileNotFoundError:
            pass
        else:
            new = os.stat(name)
            if os.name == "posix" and (new.st_uid, new.st_gid) != (status.st_uid, status.st_gid):
                os.chown(name, status.st_uid, status.st_gid)
            os.chmod(name, stat.S_IMODE(status.st_mode))
        check(Path(name))
        os.replace(name, place)
    syncFolder(place.parent)


@contextlib.contextmanager
def lockedFolder(folder: Path, timeout: float) -> Iterator[bool]:
    """
    Lock a directory against other processes that call this, where the system has such locks.

    :param timeout: how long to wait for a process that holds the lock, in seconds.
    :returns: whether this process has the lock.
    :raises OSError: when the directory cannot be read.
    """
    if os.name != "posix":  # directories cannot be opened
        yield True
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with locked(descriptor, timeout) as ours:
            yield ours
    finally:
        os.close(descriptor)


def _moveUnlessThere(name: str, path: Path) -> None:
    """Move a file where the file system has no hard links (FAT, some network file systems)."""
    if os.name != "posix":
        with contextlib.suppress(FileExistsError):  # there, a file that exists is not replaced
            os.rename(name, path)
        return
    with lockedFolder(path.parent, _NEW_FILE_TIMEOUT):
        if not path.exists():
            os.rename(name, path)


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
