"""Standard output and standard error whose reader does not read."""

from __future__ import annotations

import io
import os
import pty
import socket
import tempfile
import termios
from collections.abc import Callable
from typing import Any, TextIO, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from bore.logs import outlet
from bore.logs.outlet import unblocked
from tests.fakes import captureLog
from tests.support import eventually

#: More than a pipe holds, together with what is kept beside it.
_LINES = 20_000


class Reactor(Clock):
    """A reactor whose time only advances when the test says so."""

    def callFromThread(self, callable: Callable[[], Any]) -> None:
        callable()


class OutletCase(SynchronousTestCase):
    """Writes to a descriptor, and reads from its other end."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.log = captureLog(self)

    def make(self, fd: int) -> TextIO:
        file = os.fdopen(fd, "w")
        self.addCleanup(file.close)
        return unblocked(file, self.reactor)

    def fill(self, file: TextIO) -> None:
        for number in range(_LINES):
            file.write(f"line {number}\n")
            file.flush()

    def readAll(self, fd: int) -> list[str]:
        """Return all lines, while time advances."""
        os.set_blocking(fd, False)
        data = b""

        def end() -> bool:
            nonlocal data
            self.reactor.advance(1.0)
            try:
                while more := os.read(fd, 1 << 16):
                    data += more
            except BlockingIOError:
                pass
            return not self.reactor.getDelayedCalls()

        eventually(end, "nothing waits any more")
        return data.decode().splitlines()

    def assertSays(self, lines: list[str], name: str = "standard output") -> None:
        """The first lines were read, and the log has the number of the missing ones."""
        self.assertEqual(lines, [f"line {number}" for number in range(len(lines))])
        self.assertTrue(0 < len(lines) < _LINES)
        self.assertEqual(
            self.warnings(),
            [f"lines for {name} that were dropped, because they were not read in time: {_LINES - len(lines)}"],
        )

    def warnings(self) -> list[str]:
        def said(event: LogEvent) -> str:
            return str(event["log_format"].format(**event))

        return [said(event) for event in self.log if event["log_namespace"].startswith("bore.")]


class PipeTests(OutletCase):
    """A pipe."""

    def setUp(self) -> None:
        super().setUp()
        self.reader, writer = os.pipe()
        self.addCleanup(self.closeReader)
        self.file = self.make(writer)

    def closeReader(self) -> None:
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1

    def test_whatNobodyReadsIsDroppedAndCounted(self) -> None:
        self.fill(self.file)
        self.assertSays(self.readAll(self.reader))

    def test_whenItFlowsAgainNothingIsMissing(self) -> None:
        self.fill(self.file)
        self.readAll(self.reader)
        self.file.write("again\n")
        self.assertEqual(self.readAll(self.reader), ["again"])
        self.assertEqual(len(self.warnings()), 1)

    def test_aSlowReaderGetsAllThatIsKept(self) -> None:
        for number in range(10_000):
            self.file.write(f"line {number}\n")
        self.assertEqual(self.readAll(self.reader), [f"line {number}" for number in range(10_000)])
        self.assertEqual(self.warnings(), [])

    def test_whatIsSaidOfDroppedLinesIsNotTriedTwice(self) -> None:
        raw = self.file.buffer
        assert isinstance(raw, outlet.Outlet)
        room = 0

        def send(data: bytes) -> int:
            nonlocal room
            if not room:
                raise BlockingIOError
            taken = min(room, len(data))
            room -= taken
            return taken

        def say(event: LogEvent) -> None:  # the log goes where nobody reads it, too
            if event["log_namespace"].startswith("bore."):
                self.file.write("dropped\n")

        raw._send = send
        observer = cast(ILogObserver, say)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for _ in range(5):
            self.fill(self.file)
            room = raw._size  # all that is kept, and not a byte more
            self.reactor.advance(1.0)
            self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        room = 1 << 20
        self.reactor.advance(1.0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_aReaderThatIsGoneIsNoError(self) -> None:
        self.fill(self.file)
        self.closeReader()
        self.reactor.advance(10.0)
        self.fill(self.file)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_othersWhoHaveThePipeSeeNoDifference(self) -> None:
        self.fill(self.file)
        self.assertTrue(os.get_blocking(self.file.fileno()))

    def test_theEndWaitsForAReaderOnlyForAWhile(self) -> None:
        self.fill(self.file)
        outlet.finish()
        self.file.write("more\n")
        lines = self.readAll(self.reader)
        self.assertNotIn("more", lines)


class OtherTests(OutletCase):
    """Sockets, terminals, files, and what else standard output may be."""

    def test_aTerminalThatWasStopped(self) -> None:
        window, terminal = pty.openpty()
        self.addCleanup(os.close, window)
        file = self.make(terminal)
        self.assertTrue(file.isatty())
        attributes = termios.tcgetattr(terminal)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        termios.tcflow(terminal, termios.TCOOFF)  # Ctrl-S
        self.fill(file)
        termios.tcflow(terminal, termios.TCOON)
        self.assertSays(self.readAll(window))

    def test_aSocket(self) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        self.fill(self.make(ours.detach()))
        self.assertSays(self.readAll(theirs.fileno()))

    def test_aPipeThatCannotBeOpenedAgain(self) -> None:
        self.patch(outlet, "_REOPEN", "/nowhere/{}")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.fill(self.make(writer))
        self.assertSays(self.readAll(reader))

    def test_filesAndWhatHasNoDescriptorStayAsTheyAre(self) -> None:
        with tempfile.TemporaryFile("w+") as file:
            for each in (file, io.StringIO()):
                self.assertIs(unblocked(each, self.reactor), each)

    def test_inThePlaceOfAClosedOneIsOneThatDropsEverything(self) -> None:
        with unblocked(None, self.reactor) as file:
            self.assertEqual(file.write("x\n"), 2)
            file.flush()
            self.assertFalse(file.isatty())

    def test_whatCannotBeEncodedIsWrittenAllTheSame(self) -> None:
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        with open(writer, "w", encoding="ascii") as file:
            unblocked(file, self.reactor).write("Bücher\n")
            self.assertEqual(os.read(reader, 100), b"B\\xfccher\n")
