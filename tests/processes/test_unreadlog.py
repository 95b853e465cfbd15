"""Programs whose output is not read."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import termios

from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, PATIENCE, connect, eventually, isOpen, receiveAll

_TWISTD = ("-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=")

#: Visitors until the log lines about them have filled every buffer.
_VISITORS = 800


class UnreadTests(ProcessCase):
    """Servers that log much."""

    def serve(self, out: int, *words: str) -> tuple[subprocess.Popen[bytes], int]:
        """A server that writes to a descriptor, and a public port of a client of its own."""
        control = freePort(self.host)
        options = ["--bind-addr", self.host, "--control-port", str(control), "--log-level", "debug"]
        process = subprocess.Popen(
            [sys.executable, *words, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=CHECKOUT
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        eventually(lambda: isOpen(self.host, control), "it listens")
        _, public = self.client(control)
        return process, public

    def assertNotHeldUp(self, process: subprocess.Popen[bytes], public: int) -> None:
        """Everybody is served, and SIGTERM ends the server."""
        for _ in range(_VISITORS):
            with connect(self.host, public) as visitor:
                visitor.sendall(b"x")
                visitor.shutdown(1)
                self.assertEqual(receiveAll(visitor), b"x")
        process.send_signal(signal.SIGTERM)
        self.assertIn(process.wait(PATIENCE), (0, -signal.SIGTERM))

    def test_aPipe(self) -> None:
        for words in (("-m", "bore", "server"), (*_TWISTD, "bore-server")):
            reader, writer = os.pipe()
            self.addCleanup(os.close, reader)
            process, public = self.serve(writer, *words)
            os.close(writer)
            self.assertNotHeldUp(process, public)

    def test_aTerminalThatWasStopped(self) -> None:
        window, terminal = pty.openpty()
        self.addCleanup(os.close, window)
        self.addCleanup(os.close, terminal)
        process, public = self.serve(terminal, "-m", "bore", "server")
        termios.tcflow(terminal, termios.TCOOFF)
        self.assertNotHeldUp(process, public)

    def test_aProgramThatGivesUpEndsAlthoughItsLastWordsCannotBeWritten(self) -> None:
        for words in (("-m", "bore", "local"), (*_TWISTD, "bore-client")):
            reader, writer = os.pipe()
            self.addCleanup(os.close, reader)
            os.set_blocking(writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, b"x" * 4096)
            os.set_blocking(writer, True)
            process = subprocess.Popen(
                [sys.executable, *words, "80", "--to", f"{self.host}:1", "--no-reconnect", "--no-state"],
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                cwd=CHECKOUT,
            )
            self.addCleanup(process.kill)
            os.close(writer)
            self.assertEqual(process.wait(PATIENCE), 69)

    def test_theLogSaysHowMuchIsMissing(self) -> None:
        reader, writer = os.pipe()
        with os.fdopen(reader) as lines:
            process, public = self.serve(writer, "-m", "bore", "server", "--log-format", "json")
            os.close(writer)
            for _ in range(_VISITORS):
                self.assertServes(public)
            found = next(line for line in lines if "were dropped" in line)
            self.assertIn("lines for standard error that were dropped, because they were not read in time", found)
            process.kill()
