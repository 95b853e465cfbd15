"""A pseudo-terminal that is written to."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from typing import IO, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.logs.outlet import Outlet
from bore.screen.terminal import Terminal


class Reactor(Clock):
    """A clock that calls at once what is called from a thread."""

    def callFromThread(self, callable: object) -> None:
        assert callable is not None


class TerminalTests(SynchronousTestCase):
    """Terminal."""

    def setUp(self) -> None:
        self.master, slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.slave = open(slave, "w")  # noqa: SIM115
        self.addCleanup(self.slave.close)
        os.set_blocking(self.master, False)
        outlet = Outlet(self.slave, Reactor())
        file = io.TextIOWrapper(cast(IO[bytes], outlet), encoding="utf-8", write_through=True)
        self.addCleanup(file.detach)
        self.terminal = Terminal(file, outlet)

    def written(self) -> str:
        try:
            return os.read(self.master, 1 << 16).decode().replace("\r\n", "\n")
        except BlockingIOError:
            return ""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def test_itsSizeLeavesTheLastColumnEmpty(self) -> None:
        self.assertEqual(self.terminal.size(), (79, 24))
        self.resize(40, 10)
        self.assertEqual(self.terminal.size(), (39, 10))
        self.resize(1, 1)
        self.assertEqual(self.terminal.size(), (1, 1))

    def test_linesAreAboveTheLastOne(self) -> None:
        self.terminal.write(["one"])
        self.assertEqual(self.written(), "one\n")
        self.terminal.replace("last")
        self.assertEqual(self.written(), "\r\x1b[Jlast\r")
        self.terminal.write(["two", "three"])
        self.assertEqual(self.written(), "\r\x1b[Jtwo\nthree\nlast\r")
        self.terminal.replace("")
        self.assertEqual(self.written(), "\r\x1b[J")
        self.terminal.write(["four"])
        self.assertEqual(self.written(), "four\n")

    def test_theSameLastLineIsNotWrittenAgainUnlessItIsLost(self) -> None:
        self.terminal.replace("last")
        self.written()
        self.terminal.replace("last")
        self.assertEqual(self.written(), "")
        self.terminal.replace("last", anew=True)
        self.assertEqual(self.written(), "\r\x1b[Jlast\r")

    def test_aStoppedTerminalIsNotWaitedForAndGetsNoLastLines(self) -> None:
        termios.tcflow(self.slave, termios.TCOOFF)
        self.terminal.write(["line"])
        self.assertTrue(self.terminal.isStopped)
        for number in range(1000):
            self.terminal.replace(f"last {number}")
        for _ in range(3000):
            self.terminal.write(["x" * 100])
        termios.tcflow(self.slave, termios.TCOON)
        self.assertLess(self.terminal._outlet._size, 1 << 18)
