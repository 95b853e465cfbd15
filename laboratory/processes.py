"""What Linux reports about processes on the hosts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Protocol


class HasPid(Protocol):
    """A process, or the program in it."""

    @property
    def pid(self) -> int: ...


class Process(NamedTuple):
    """A process that a program has started."""

    pid: int

    @property
    def isRunning(self) -> bool:
        """Whether it has not ended."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"


def children(program: HasPid) -> list[Process]:
    """The processes that a process has started, in that order."""
    found = []
    for path in Path("/proc", str(program.pid), "task").glob("*/children"):
        found += [int(child) for child in path.read_text().split()]
    return [Process(pid) for pid in sorted(found)]


def memory(program: HasPid) -> int:
    """What a program has in memory, in KiB."""
    with open(f"/proc/{program.pid}/status") as status:
        [found] = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
    return found


def descriptors(program: HasPid) -> int:
    """How many descriptors a program has."""
    return len(os.listdir(f"/proc/{program.pid}/fd"))
