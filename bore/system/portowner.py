"""Which program listens on a TCP port, where Linux tells."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")

#: The state of a listening socket in these tables (TCP_LISTEN).
_LISTENING: Final = "0A"

#: The search ends after this time, in seconds, on a machine with very many processes.
_PATIENCE: Final = 1.0


def ownerOf(port: int) -> str:
    """
    Return the program that listens on a port, for people: ``nginx (process 812)``. Empty: it is not known.

    Without root's rights only processes of the same user can be looked into; of others the user is known.
    """
    owners = _listeners(port)
    if not owners:
        return ""
    wanted = {f"socket:[{inode}]" for inode in owners}
    until = time.monotonic() + _PATIENCE
    with suppress(OSError):
        for process in os.listdir("/proc"):
            if process.isdigit() and _has(process, wanted):
                return f"{_name(process)} (process {process})"
            if time.monotonic() > until:
                break
    return f"a program of the user {_user(next(iter(owners.values())))}"


def _listeners(port: int) -> dict[str, int]:
    """The inodes of the sockets that listen on a port, and their users."""
    found = {}
    for table in _TABLES:
        with suppress(OSError), open(table) as lines:
            next(lines, None)
            for line in lines:
                words = line.split()
                if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                    found[words[9]] = int(words[7])
    return found


def _has(process: str, wanted: set[str]) -> bool:
    """Whether a process has one of these sockets."""
    folder = f"/proc/{process}/fd"
    with suppress(OSError):
        for each in os.listdir(folder):
            with suppress(OSError):
                if os.readlink(f"{folder}/{each}") in wanted:
                    return True
    return False


def _name(process: str) -> str:
    """The name of a process, without what would control a terminal."""
    try:
        name = Path(f"/proc/{process}/comm").read_text(errors="replace").strip()
    except OSError:
        return "a program"
    return "".join(c if c.isprintable() else "?" for c in name)


def _user(number: int) -> str:
    """The name of a user."""
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
