"""Files that are there as a whole or not at all, that two programs write, or that somebody else may change."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: How long a lock that another process holds is waited for, in seconds. Each holds it for the time of a few system
#: calls, and nobody may block the reactor for longer.
LOCK_TIMEOUT: Final = 0.05

_LOCK_STEP: Final = 0.005

#: The owner of files whose owner is not known in this user namespace (user_namespaces(7), overflowuid).
_UNKNOWN_OWNER: Final = 65534

#: A namespace with all users, in /proc/self/uid_map.
_ALL_USERS: Final = ["0", "0", "4294967295"]


class Exposed(Exception):
    """A file, or a folder above it, is somebody else's, or others may change it. The text says what would be right."""


@contextlib.contextmanager
def wholeFile(folder: Path, content: bytes) -> Iterator[str]:
    """
    A new file, for the user's eyes only, whose content is on the disk: to be given its place, or else gone.

    :param folder: where its place is.
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


def makeFolder(folder: Path) -> None:
    """
    Make a folder for the user alone, and those above it that do not exist, unless it is there.

    :raises OSError: when it cannot be made.
    """
    for each in reversed((folder, *folder.parents)):  # mkdir's own parents would have the rights of the umask
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # says so if it is a file


def syncFolder(folder: Path) -> None:
    """Have the names in a folder survive a power cut, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def locked(descriptor: int, timeout: float = LOCK_TIMEOUT) -> Iterator[bool]:
    """
    Lock an open file or folder against other processes that do the same.

    :param timeout: how long to wait for one that has the lock, in seconds.
    :returns: whether nobody else has the lock. Where there are no such locks (Windows, some network file systems) that
        is assumed.
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


def checkOwner(path: Path, status: os.stat_result) -> None:
    """
    Check that a file belongs to the user of this process, or to root.

    :raises Exposed: when it belongs to another user, who can change it at any time.
    """
    if os.name == "posix" and status.st_uid not in (0, os.geteuid()):
        owner, user = nameOf(status.st_uid), nameOf(os.geteuid())
        raise Exposed(
            f"{path} belongs to {owner}, and this program runs as {user}: run it as {owner}, or chown {user} it"
        )


def checkFolders(folder: Path, groupMay: bool = False) -> None:
    """
    Check that nobody else can replace or remove what is in a folder.

    That is whoever may write the folder, or one above it, unless its sticky bit keeps them from removing what is not
    theirs. A group that is the owner's own alone counts as the owner. Folders that do not exist yet are left out.

    :param groupMay: whether any group may write them: their owner has decided so.
    :raises Exposed: when somebody can.
    """
    if os.name != "posix":
        return
    real = Path(os.path.realpath(folder))
    for each in (real, *real.parents):
        try:
            status = os.stat(each)
        except OSError:
            continue
        if status.st_uid not in (0, os.geteuid()) and not _isOutside(status.st_uid):
            owner = nameOf(status.st_uid)
            raise Exposed(
                f"the directory {each} belongs to {owner}, who can replace what is in it, and this program runs as "
                f"{nameOf(os.geteuid())}: run it as {owner}, or use a directory of its own"
            )
        if status.st_mode & stat.S_ISVTX:
            continue
        if status.st_mode & stat.S_IWOTH:
            raise Exposed(f"the directory {each} may be written by everybody: chmod o-w {each}")
        if status.st_mode & stat.S_IWGRP and not groupMay and not _isOwnGroup(status):
            raise Exposed(f"the directory {each} may be written by its group: chmod g-w {each}")


def nameOf(uid: int) -> str:
    """What people call a user."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _isOwnGroup(status: os.stat_result) -> bool:
    """Whether the group of a file has its owner as the only member, as many systems give every user one."""
    if status.st_gid == status.st_uid:
        return True
    import grp

    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    owner = nameOf(status.st_uid)
    return group.gr_name == owner and set(group.gr_mem) <= {owner}


def _isOutside(uid: int) -> bool:
    """Whether this is the system's own user, of whom a container without root does not know the name."""
    if uid != _UNKNOWN_OWNER:
        return False
    try:
        return Path("/proc/self/uid_map").read_text().split() != _ALL_USERS
    except OSError:
        return False
