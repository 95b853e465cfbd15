"""twistd's pidfile, when the machine went down before twistd could remove it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def checkPidfile(path: Path) -> None:
    """
    Look at a pidfile before twistd does, which refuses to start while the process in it exists, whatever that is.

    After a crash the number may belong to any process, in a container often to this one: then the file is removed.

    :raises SystemExit: when the process exists; the text says what would be right.
    """
    try:
        pid = int(path.read_text())
        if pid == os.getpid():
            path.unlink()
            return
        os.kill(pid, 0)
    except (OSError, ValueError):  # there is none, or it is stale: twistd copes, or says what is wrong
        return
    name = ""
    with contextlib.suppress(OSError):
        name = f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    sys.exit(
        f"twistd: {path} names process {pid}{name}, which is running. If that is not the one that you want to start, "
        f"remove {path}; with --pidfile= (and nothing behind it) twistd does without the file"
    )
