"""Whether files have changed."""

from __future__ import annotations

import os
from pathlib import Path


def stampOf(file: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is written or replaced, or gets another mode; None if there is no file."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
