"""What Linux reports about processes: CPU time, memory, listening ports."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")

_TICKS: Final = os.sysconf("SC_CLK_TCK")

#: A socket's state in /proc/net/tcp (include/net/tcp_states.h).
_LISTEN: Final = "0A"


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time, in seconds."""

    user: float = 0.0
    system: float = 0.0

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(self.user + other.user, self.system + other.system)

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.user - other.user, self.system - other.system)

    def __mul__(self, factor: float) -> Cpu:
        return Cpu(self.user * factor, self.system * factor)

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system


@dataclass(frozen=True, slots=True)
class Memory:
    """
    Memory, in MiB.

    :ivar rss: what is resident, pages shared with other processes included: what ``ps`` and ``top`` show.
    :ivar pss: the same, with each shared page divided by the number of processes that share it.
    """

    rss: float
    pss: float


@dataclass(frozen=True, slots=True)
class Stat:
    """
    A process, by ``/proc/PID/stat`` (proc(5)).

    :ivar cpu: of all of its threads, of those that have ended, too, and of none of its children.
    :ivar born: when it was started, in ticks since the system was: with the id it names a process for ever.
    """

    parent: int
    cpu: Cpu
    born: int


def parseStat(text: str, ticks: int = _TICKS) -> Stat:
    """
    Read a ``/proc/PID/stat``.

    :param ticks: clock ticks in a second.
    """
    # The second field is the name, in parentheses, and may have blanks and parentheses of its own.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(int(fields[1]), Cpu(int(fields[11]) / ticks, int(fields[12]) / ticks), int(fields[19]))


def parseSizes(text: str) -> dict[str, int]:
    """The lines of ``/proc/PID/status`` or ``smaps_rollup`` that give a size, in KiB."""
    found = {}
    for line in text.splitlines():
        match line.split():
            case [name, size, "kB"] if name.endswith(":") and size.isdigit():
                found[name[:-1]] = int(size)
    return found


def listeners(text: str) -> set[tuple[str, int]]:
    """The addresses with a listener, from a ``/proc/net/tcp``."""
    found = set()
    for line in text.splitlines()[1:]:
        fields = line.split(None, 4)
        if fields[3] == _LISTEN:
            host, port = fields[1].split(":")
            found.add((socket.inet_ntoa(struct.pack("=I", int(host, 16))), int(port, 16)))
    return found


def isListening(host: str, port: int) -> bool:
    """Whether an IPv4 address has a listener, found out without a connection."""
    found = listeners((_PROC / "net/tcp").read_text())
    return (host, port) in found or ("0.0.0.0", port) in found


def _stat(pid: int) -> Stat | None:
    try:
        return parseStat((_PROC / str(pid) / "stat").read_text(errors="replace"))
    except OSError:
        return None


def born(pid: int) -> int | None:
    """When a process was started, in ticks; None if there is no such process."""
    stat = _stat(pid)
    return stat.born if stat else None


def descendants(root: int, parents: Mapping[int, int]) -> list[int]:
    """A process and those below it, given the parent of each."""
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def family(root: int) -> dict[int, int]:
    """The ids of a process and of those below it, and when each was started."""
    stats = {int(name): stat for name in os.listdir(_PROC) if name.isdigit() and (stat := _stat(int(name)))}
    pids = descendants(root, {pid: stat.parent for pid, stat in stats.items()})
    return {pid: stats[pid].born for pid in pids if pid in stats}


def cpu(pids: Iterable[int]) -> Cpu:
    """The CPU time that some processes have used up to now."""
    total = Cpu()
    for pid in pids:
        stat = _stat(pid)
        if stat:
            total += stat.cpu
    return total


def runTime(pids: Iterable[int]) -> float:
    """
    The time that all threads of some processes have run up to now, in seconds.

    It is exact, where :func:`cpu` has ticks of 10 ms, but does not tell user from system, and forgets a thread that
    has ended.
    """
    total = 0
    for pid in pids:
        for path in (_PROC / str(pid) / "task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except (OSError, IndexError):
                continue
    return total / 1e9


def memory(pids: Iterable[int]) -> Memory:
    """
    The memory of some processes, added up.

    :raises OSError: if we may not know.
    """
    rss = pss = 0
    for pid in pids:
        rss += parseSizes((_PROC / str(pid) / "status").read_text()).get("VmRSS", 0)
        pss += parseSizes((_PROC / str(pid) / "smaps_rollup").read_text()).get("Pss", 0)
    return Memory(rss / 1024, pss / 1024)
