"""The pipes of the splice backend."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there is no splice on this system")

import errno
import fcntl
import os
import sys
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from bore.relay import pipes
from bore.relay.pipes import Pipe, PipePool


class PipePoolTests(SynchronousTestCase):
    """Pipes, as long as there are some."""

    def setUp(self) -> None:
        self.pool = PipePool()
        self.addCleanup(self.pool.close)

    def test_aPipeHoldsAMegabyte(self) -> None:
        pipe = self.pool.take()
        assert pipe is not None
        self.assertEqual(pipe.size, fcntl.fcntl(pipe.writer, fcntl.F_GETPIPE_SZ))
        self.assertEqual(pipe.size, 1 << 20)
        self.pool.give(pipe)

    def test_anEmptyPipeIsUsedAgainAndAFullOneIsNot(self) -> None:
        pipe = self.pool.take()
        assert pipe is not None
        self.pool.give(pipe)
        self.assertIs(self.pool.take(), pipe)
        pipe.fill = os.write(pipe.writer, b"left over")
        self.pool.give(pipe)
        self.assertIsNot(self.pool.take(), pipe)

    def test_thereAreOnlySoMany(self) -> None:
        taken = [self.pool.take() for _ in range(pipes.MAX_PIPES)]
        self.assertIsNone(self.pool.take())
        for pipe in taken:
            self.pool.give(cast(Pipe, pipe))
        self.assertIsNotNone(self.pool.take())

    def test_fewAreKept(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for pipe in [self.pool.take() for _ in range(30)]:
            self.pool.give(cast(Pipe, pipe))
        self.assertLessEqual(len(os.listdir("/proc/self/fd")) - before, 16)

    def test_withoutDescriptorsThereIsNone(self) -> None:
        def noDescriptors(flags: int) -> tuple[int, int]:
            raise OSError(errno.EMFILE, "Too many open files")

        self.patch(os, "pipe2", noDescriptors)
        self.assertIsNone(self.pool.take())

    def test_theLastDescriptorsForVisitorsAreNotForPipes(self) -> None:
        """What a pipe takes there would be missing where a client comes for a visitor, who was accepted already."""
        last = max(map(int, os.listdir("/proc/self/fd"))) + 1
        held = [os.dup(0)]
        try:
            while held[-1] < last:
                held.append(os.dup(0))
            for spare, given in ((1, False), (2, True)):  # those behind the last one that is not for the last eighth
                limit = next(n for n in range(1, 2 * last) if n - n // 8 == last + 1 + spare)
                pool = PipePool(limit)
                self.addCleanup(pool.close)
                pipe = pool.take()
                self.assertEqual(pipe is not None, given)
                if pipe is not None:
                    pool.give(pipe)
        finally:
            for number in held:
                os.close(number)

    def test_aUserWhoHasUsedUpHisPagesGetsSmallerOnesThenNone(self) -> None:
        real = fcntl.fcntl

        def limited(most: int) -> Any:
            def call(fd: int, command: int, size: int = 0) -> int:
                if command == fcntl.F_SETPIPE_SZ and size > most:
                    raise PermissionError(errno.EPERM, "Operation not permitted")
                return min(most, real(fd, command, size)) if command == fcntl.F_GETPIPE_SZ else real(fd, command, size)

            return call

        self.patch(fcntl, "fcntl", limited(1 << 18))
        pipe = self.pool.take()
        assert pipe is not None
        self.assertEqual(pipe.size, 1 << 18)
        self.patch(fcntl, "fcntl", limited(8192))
        before = len(os.listdir("/proc/self/fd"))
        self.assertIsNone(self.pool.take())
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before)
        pipe.close()
