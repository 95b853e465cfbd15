"""
Files that only their user may use: who may read and write them, and who may replace them.

Every error has the file as its subject, as in "belongs to root", and ends with what would be right.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bore.system.namedfiles import openNamed, readNamed

#: The owner of files whose owner is not known in this user namespace (user_namespaces(7), overflowuid).
_UNKNOWN_OWNER: Final = 65534

#: A namespace with all users, in /proc/self/uid_map.
_ALL_USERS: Final = ["0", "0", "4294967295"]


class NotPrivate(Exception):
    """A file, or a directory above it, belongs to another user, or others may use it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """
    What is allowed beside the owner of a file, who has to be the user of this process or root.

    :ivar forbidden: the mode bits that it must not have.
    :ivar groupMayReplace: whether the groups of the directories above it may write these.
    :ivar mayBeLink: whether it may be a symbolic link.
    :ivar mayBePipe: whether it may be something else than a file, whose rights are not checked then.
    :ivar caution: what to do before its mode is corrected, for the error; ends with a blank.
    """

    forbidden: int
    groupMayReplace: bool = False
    mayBeLink: bool = True
    mayBePipe: bool = False
    caution: str = ""


#: A file that the user has made and named. Its group, and those of the directories above it, may have been given rights
#: on purpose: a daemon without root's rights may need them (ssl-cert, for instance). A pipe belongs to its process.
GIVEN: Final = Policy(forbidden=stat.S_IRWXO, groupMayReplace=True, mayBePipe=True)

#: A file that the user has made, and which names secrets, or whom to trust. Others may read it.
SETTINGS: Final = Policy(forbidden=stat.S_IWOTH, groupMayReplace=True, mayBePipe=True)

#: A file that decides who may connect, and has keys that are as good as secrets. Its group may read it, as a daemon
#: without root's rights may need that; only its owner may write it.
USERS: Final = Policy(forbidden=stat.S_IRWXO | stat.S_IWGRP)


def readPrivate(path: Path, policy: Policy, limit: int) -> bytes:
    """
    Read a file that passes :func:`openPrivate`.

    :param limit: the most bytes to read.
    :raises NotPrivate: when it does not pass.
    :raises OSError: when it cannot be read.
    """
    with openPrivate(path, policy) as file:
        return readNamed(path, file, limit)


def openPrivate(path: Path, policy: Policy) -> BinaryIO:
    """
    Open a file for reading, and check what was opened: who owns it, who may use it, and who may replace it.

    On Windows, where files have no modes, only its kind is checked.

    :raises NotPrivate: when the policy does not allow it.
    :raises OSError: when it cannot be opened.
    """
    try:
        file = openNamed(path, 0 if policy.mayBeLink else getattr(os, "O_NOFOLLOW", 0))
    except IsADirectoryError:
        raise NotPrivate("is a directory: move it away, or name a file") from None
    except OSError as e:
        if e.errno == errno.ELOOP and not policy.mayBeLink:
            raise NotPrivate("is a link: replace it with a file") from None
        raise
    try:
        checkPrivate(path, file, policy)
    except BaseException:
        file.close()
        raise
    return file


def checkFolders(folder: Path, groupMay: bool = False) -> None:
    """
    Check that no other user can replace or remove the files in a directory.

    Users who may write the directory, or one above it, can do that, unless the sticky bit keeps them from removing the
    files of others. A group whose only member is the owner, or the user of this process, counts as that user: the
    volumes of Kubernetes with ``fsGroup`` belong to root and such a group. Directories that do not exist are left out.

    :param groupMay: whether any group may write them.
    :raises NotPrivate: when another user can.
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
            owner = _nameOf(status.st_uid)
            raise NotPrivate(
                f"is in the directory {each}, which belongs to {owner}, and this program runs as "
                f"{_nameOf(os.geteuid())}: run it as {owner}, or use a directory of its own"
            )
        if status.st_mode & stat.S_ISVTX:
            continue
        quoted = shlex.quote(str(each))
        if status.st_mode & stat.S_IWOTH:
            raise NotPrivate(f"is in the directory {each}, which is writable by all users: chmod o-w {quoted}")
        if status.st_mode & stat.S_IWGRP and not groupMay and not _isOwnGroup(status):
            raise NotPrivate(f"is in the directory {each}, which is writable by its group: chmod g-w {quoted}")


def checkPrivate(path: Path, file: BinaryIO, policy: Policy) -> None:
    """
    Check a file that is open: who owns it, who may use it, and who may replace it.

    :raises NotPrivate: when the policy does not allow it.
    """
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        if policy.mayBePipe:
            return
        raise NotPrivate("is not a file: move it away")
    if os.name != "posix":
        return
    quoted = shlex.quote(str(path))
    if status.st_uid not in (0, os.geteuid()):
        owner, user = _nameOf(status.st_uid), _nameOf(os.geteuid())
        raise NotPrivate(
            f"belongs to {owner}, and this program runs as {user}: run it as {owner}, or chown {user} {quoted}"
        )
    bits = status.st_mode & policy.forbidden
    if bits:
        access = "readable" if bits & 0o444 else "writable" if bits & 0o222 else "executable"
        whom = "all users of this machine" if bits & stat.S_IRWXO else "its group"
        raise NotPrivate(f"is {access} by {whom}: {policy.caution}chmod {_withdrawn(policy.forbidden)} {quoted}")
    checkFolders(path.parent, policy.groupMayReplace)
    if path.is_symlink():
        checkFolders(Path(os.path.realpath(path)).parent, policy.groupMayReplace)


def _withdrawn(bits: int) -> str:
    """The mode for chmod(1) that takes these bits away."""
    group, others = bits >> 3 & 7, bits & 7
    if group == others:
        return "go" + _change(group)
    return ",".join(whom + _change(each) for whom, each in (("g", group), ("o", others)) if each)


def _change(bits: int) -> str:
    """What chmod(1) does with these bits of one kind of user."""
    return "=" if bits & 4 else "-w"


def _nameOf(uid: int) -> str:
    """The name of a user."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _isOwnGroup(status: os.stat_result) -> bool:
    """Whether the only member of a file's group is its owner, or the user of this process."""
    return any(_isGroupOf(uid, status.st_gid) for uid in (status.st_uid, os.geteuid()))


def _isGroupOf(uid: int, gid: int) -> bool:
    """Whether a user is the only member of a group: many systems give each user a group."""
    if gid == uid:
        return True
    import grp

    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    name = _nameOf(uid)
    return group.gr_name == name and set(group.gr_mem) <= {name}


def _isOutside(uid: int) -> bool:
    """Whether this is a user of the system, root for instance, who has no name in a container without root."""
    if uid != _UNKNOWN_OWNER:
        return False
    try:
        return Path("/proc/self/uid_map").read_text().split() != _ALL_USERS
    except OSError:
        return False
