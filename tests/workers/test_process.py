"""The process of a worker, as the supervisor watches it."""

from __future__ import annotations

import os
import subprocess
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bore.streams.reactor import IReactor
from bore.workers.process import WorkerProcess

REACTOR = cast(IReactor, reactor)


class Output(TestCase):
    def process(self, script: str) -> tuple[WorkerProcess, subprocess.Popen[bytes], list[str], Deferred[int]]:
        """A shell that runs a script; it is watched."""
        reading, writing = os.pipe()
        shell = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=writing, stderr=writing)
        os.close(writing)
        lines: list[str] = []
        exited: Deferred[int] = Deferred()
        process = WorkerProcess(REACTOR, shell.pid, reading, lines.append, exited.callback)
        shell.returncode = 0  # the object must not wait for it
        return process, shell, lines, exited

    async def test_linesUntilTheEnd(self) -> None:
        process, shell, lines, exited = self.process("echo one; echo two >&2; printf three; exit 3")
        self.assertEqual(os.waitstatus_to_exitcode(await exited), 3)
        self.assertEqual(lines, ["one", "two", "three"])
        self.assertEqual((process.output, process.alive), (-1, False))
        assert shell.stdin is not None
        shell.stdin.close()

    async def test_whoHasItsDescriptorLaterIsNotRead(self) -> None:
        """A process that has closed its output lives on: the number of the pipe may be that of another file then."""
        process, shell, lines, exited = self.process("exec >&- 2>&-; read line")
        assert shell.stdin is not None
        number = process.output
        await whenClosed(process)
        reading, writing = os.pipe()
        os.dup2(reading, number)
        os.write(writing, b"of somebody else\n")
        shell.stdin.close()
        await exited
        self.assertEqual(lines, [])
        os.set_blocking(number, False)
        self.assertEqual(os.read(number, 100), b"of somebody else\n")
        for each in {number, reading, writing}:
            os.close(each)

    async def test_withoutOutput(self) -> None:
        """Another supervisor goes on with a process whose output is over."""
        shell = subprocess.Popen(["/bin/sh", "-c", "read line; exit 4"], stdin=subprocess.PIPE)
        exited: Deferred[int] = Deferred()
        process = WorkerProcess(REACTOR, shell.pid, -1, self.fail, exited.callback)
        shell.returncode = 0
        assert shell.stdin is not None
        shell.stdin.close()
        self.assertEqual(os.waitstatus_to_exitcode(await exited), 4)
        self.assertEqual(process.output, -1)


async def whenClosed(process: WorkerProcess) -> None:
    """Wait until a process has closed its output."""
    while process.output >= 0:
        await deferLater(REACTOR, 0.01)
