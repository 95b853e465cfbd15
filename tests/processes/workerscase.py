"""What the tests of servers with worker processes share."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from tests.processes.case import ProcessCase
from tests.support import Program, eventually, temporaryFolder

_STARTED = re.compile(r"worker (\d+) of generation (\d+) has started, process (\d+)")


def workersOf(program: Program) -> dict[int, tuple[int, int]]:
    """The workers that a program has started so far: generation and process of each number."""
    found = map(_STARTED.search, list(program.err))
    return {int(each[1]): (int(each[2]), int(each[3])) for each in found if each is not None}


def isAlive(pid: int) -> bool:
    """Whether a process runs, or is stopped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def residentOf(pid: int) -> int:
    """The resident memory of a process, in KiB."""
    found = re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


class WorkersCase(ProcessCase):
    """A server with workers."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = temporaryFolder(self)

    def crew(self, *words: str, workers: int = 2, port: int = 0) -> tuple[Program, int]:
        """A server whose workers are all ready, and its control port."""
        server, control = self.server(
            "--workers", str(workers), "--admin-socket", str(self.folder / "admin.sock"), *words, port=port
        )
        self.untilReady(server, workers)
        self.addCleanup(self.endAll, server)
        return server, control

    def untilReady(self, server: Program, count: int, generation: int = 1) -> list[int]:
        """Wait until so many workers of a generation have started; return their processes."""

        def found() -> list[int]:
            return [pid for number, pid in workersOf(server).values() if number == generation and isAlive(pid)]

        eventually(lambda: len(found()) >= count, f"{count} workers of generation {generation}\n{server.transcript()}")
        return found()

    def endAll(self, server: Program) -> None:
        """The server ends, and none of its workers is left."""
        server.kill()
        for _, pid in workersOf(server).values():
            eventually(lambda pid=pid: not isAlive(pid), f"worker process {pid} has ended")  # type: ignore[misc]

    def held(self, port: int) -> socket.socket:
        """A visitor that is being served."""
        visitor = self.visitor(port)
        self.assertEchoes(visitor, b"first")
        return visitor

    def workerOf(self, server: Program, port: int) -> int:
        """The process of the worker that has opened a tunnel last."""
        pattern = re.compile(rf"port {port}: .* \[worker (\d+), generation \d+\]")
        found: list[int] = []

        def isThere() -> bool:
            found[:] = [int(each[1]) for each in map(pattern.match, map(_withoutTime, list(server.err))) if each]
            return bool(found)

        eventually(isThere, f"the log has port {port}")
        return workersOf(server)[found[-1]][1]


def _withoutTime(line: str) -> str:
    return re.sub(r"^\S+ \S+ \S+\s+", "", line)
