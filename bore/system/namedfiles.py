"""
Reading what a user has named as a file. It may be a pipe or a device: no wait and no size is without a bound.

``<(command)`` of a shell, ``/dev/stdin`` and named pipes are in use for secrets.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path
from typing import BinaryIO, Final

#: Seconds in which the writer of a pipe has to finish. It may have to ask a person for a passphrase.
PATIENCE: Final = 60.0

#: The same for a pipe that was read before, whose reader is the reactor. Most have no writer any more.
_AGAIN: Final = 0.1

#: The same for any pipe, once the reactor runs: everything else waits meanwhile, heartbeats included.
_RUNNING: Final = 1.0

#: The longest time for a writer.
_longest = PATIENCE

#: What pipes and devices have had, by their names: at a reload there may be nothing new in them.
_contents: Final[dict[str, bytes]] = {}


def hurry() -> None:
    """Wait for writers for a short time only, from now on: the reactor runs."""
    global _longest
    _longest = _RUNNING


def openNamed(path: Path, flags: int = 0) -> BinaryIO:
    """
    Open a file for reading, without waiting for the writer of a pipe.

    :param flags: of open(2), beside those for reading.
    :raises OSError: when it cannot be opened, or is a directory.
    """
    flags |= getattr(os, "O_NONBLOCK", 0)
    return open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags))


def readNamed(path: Path, file: BinaryIO, limit: int, patience: float = PATIENCE) -> bytes:
    """
    Read a file that is open.

    A pipe or a device in which there is nothing new has what it had when it was read last.

    :param path: its name.
    :param limit: the most bytes to read.
    :param patience: the seconds in which the writer of a pipe has to finish, unless the reactor runs.
    :raises OSError: when it cannot be read; a pipe also when its writer has not finished in time.
    """
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode) or not hasattr(select, "poll"):
        return file.read(limit)
    name = str(path)
    had = _contents.get(name)
    patience = min(patience, _longest) if had is None else _AGAIN
    data = _readUntilEnd(file.fileno(), limit, patience, mayBeSilent=had is not None)
    if data or had is None:
        _contents[name] = data
        return data
    return had


def _readUntilEnd(descriptor: int, limit: int, patience: float, mayBeSilent: bool) -> bytes:
    """Read until the end; with nothing, if there is nothing in time, and that may be."""
    end = time.monotonic() + patience
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    data = b""
    while len(data) < limit:
        if not ready.poll(max(0.0, end - time.monotonic()) * 1000):
            if mayBeSilent and not data:
                break
            raise TimeoutError(errno.ETIMEDOUT, f"what writes to it has not finished within {patience:g} s")
        try:
            part = os.read(descriptor, limit - len(data))
        except BlockingIOError:
            continue
        if not part:
            break
        data += part
    return data
