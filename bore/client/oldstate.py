"""Removes the files of tunnels that nobody has used for a long time, which would pile up otherwise."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

#: In seconds: 90 days. Who comes back to a tunnel later than that gets another port.
OLD: Final = 90 * 86400.0

#: In seconds: a week. The files of a tunnel that seems to be unused are left for this time. A client that has run for
#: months marks them when it ends, but not if the machine crashes; and the clock may be wrong for once.
GRACE: Final = 7 * 86400.0

#: The content of a lock file whose tunnel was found unused. It is empty otherwise.
_SUSPECTED: Final = b"unused"

#: Of a tunnel's files.
STATE: Final = ".json"
LOCK: Final = ".lock"


def removeOldState(folder: Path) -> None:
    """
    Remove the state of all tunnels that were last used :data:`OLD` seconds ago, and were found unused :data:`GRACE`
    seconds ago, with their lock files.

    A tunnel that a client has open has a lock, and stays. Files that cannot be removed are left.

    :param folder: the directory with the files.
    """
    try:
        import fcntl
    except ImportError:
        return  # Windows has no lock files
    with contextlib.suppress(OSError):
        for lock in [Path(each.path) for each in os.scandir(folder) if each.name.endswith(LOCK)]:
            with contextlib.suppress(OSError):
                _removeOne(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def markUsed(lock: int) -> None:
    """Note that the tunnel of a lock, which is open, is in use now."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.utime(lock)


def _removeOne(lock: Path, flags: int) -> None:
    """
    Remove one tunnel's files, if they are old and were found so before.

    :raises OSError: if a client has it, or the system refuses.
    """
    import fcntl

    state = lock.with_suffix(STATE)
    if not _isOld(lock) or (state.exists() and not _isOld(state)):
        return
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, flags)
        if os.read(descriptor, len(_SUSPECTED)) != _SUSPECTED:
            os.write(descriptor, _SUSPECTED)
            os.utime(descriptor, (time.time() - OLD + GRACE,) * 2)
            return
        state.unlink(missing_ok=True)
        lock.unlink()
    finally:
        os.close(descriptor)


def _isOld(file: Path) -> bool:
    """Return whether a file was last written, or marked as used, long ago."""
    return time.time() - file.lstat().st_mtime > OLD
