"""Stale pidfiles of twistd, left behind by a crash."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def checkPidfile(path: Path) -> None:
    """
    Check a pidfile before twistd does, which refuses to start while any process has the number in the file.

    After a crash the number may belong to an unrelated process. In a container it often is the number of this process,
    and then the file is removed.

    :raises SystemExit: if another process has the number. The text says what to do.
    """
    try:
        pid = int(path.read_text())
        if pid == os.getpid():
            path.unlink()
            return
        os.kill(pid, 0)
    except (OSError, ValueError):  # no file, or a stale one: twistd removes it, or reports the error
        return
    name = ""
    with contextlib.suppress(OSError):
        name = f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    sys.exit(
        f"twistd: {path} names process {pid}{name}, which is running. If that is not the same service, remove {path}; "
        f"with an empty --pidfile= twistd writes no such file"
    )
