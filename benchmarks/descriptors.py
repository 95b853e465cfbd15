"""How many descriptors a process may have."""

from __future__ import annotations

import resource


def raiseLimit() -> int:
    """Allow as many descriptors as we may, to us and to the programs that we start; return how many these are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
