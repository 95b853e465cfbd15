"""What this process uses, as far as the system shows it."""

from __future__ import annotations

import os
from typing import NamedTuple

from bore.system.descriptors import lengthOfList, sizeOfFolder


class Usage(NamedTuple):
    """
    What a process uses.

    :ivar cpu: CPU time of the process and of the system for it, since its start, in seconds.
    :ivar resident: resident memory, in bytes.
    :ivar virtual: virtual memory, in bytes.
    :ivar started: when it started, in seconds since the epoch.
    :ivar descriptors: how many descriptors are open.
    :ivar most: how many may be.
    """

    cpu: float
    resident: int
    virtual: int
    started: float
    descriptors: int
    most: int


def usage() -> Usage | None:
    """
    Read what this process uses; None: the system does not show it.

    Descriptors are only listed where they have to be, which takes a millisecond for each thousand.
    """
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        with open("/proc/stat", "rb") as file:
            booted = next(float(line.split()[1]) for line in file if line.startswith(b"btime "))
    except (OSError, StopIteration):
        return None
    import resource  # not on Windows

    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(
        sum(map(float, fields[11:13])) / ticks,
        int(fields[21]) * resource.getpagesize(),
        int(fields[20]),
        booted + float(fields[19]) / ticks,
        sizeOfFolder() or lengthOfList(),
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )
