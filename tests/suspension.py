"""Processes that are stopped for a while."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import eventually


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """The process does nothing within the block: none of its threads, each of which stops when it is scheduled."""
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: _isStopped(pid), f"process {pid} is stopped")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _isStopped(pid: int) -> bool:
    """Whether all threads are in the state T (proc(5))."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all(each.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "T" for each in tasks)
