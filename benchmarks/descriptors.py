"""How many descriptors a process may have."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path


def extendLimit(wanted: int) -> int:
    """Allow more descriptors than the limit, as root may; return how many a process may have then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(wanted, int(Path("/proc/sys/fs/nr_open").read_text()))
    if hard < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
    return raiseLimit()


def raiseLimit() -> int:
    """Allow as many descriptors as we may, to us and to the programs that we start; return how many these are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
