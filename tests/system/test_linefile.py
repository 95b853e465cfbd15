"""Lines that are appended to a file without a wait."""

from __future__ import annotations

import errno
import os
import queue
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.system import linefile
from bore.system.linefile import INTERVAL, MAX_WAITING, Appender, LineFile
from bore.system.linefile import PATIENCE as WAIT
from tests.support import PATIENCE, temporaryFolder

FULL = Path("/dev/full")


class ThreadedClock(Clock):
    """A clock, and the calls of another thread, which are made when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def callFromThread(self, callable: Callable[[], object]) -> None:
        self._calls.put(callable)

    def answer(self) -> None:
        """Wait for the other thread, and make its call."""
        self._calls.get(timeout=PATIENCE)()


class ShortAppender(Appender):
    """
    A file whose disk gets full.

    :ivar room: the bytes for which there is room.
    """

    room = 0

    def _writeSome(self, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = super()._writeSome(data[: self.room])
        self.room -= done
        return done


class AppenderTests(SynchronousTestCase):
    """What is in the file, whatever happens to it."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        self.path = self.folder / "visitors.log"

    def appender(self, path: Path | None = None) -> Appender:
        made = Appender(path or self.path)
        self.addCleanup(made.close)
        return made

    def test_linesAreBehindThoseOfAnEarlierStart(self) -> None:
        self.path.write_bytes(b"0\n")
        self.assertEqual(self.appender().write([b"1\n", b"2\n"]), (0, ""))
        self.assertEqual(self.path.read_bytes(), b"0\n1\n2\n")

    def test_aNewFileIsNotForEveryone(self) -> None:
        self.appender()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode) & ~0o640, 0)

    def test_afterATruncationItGoesOnAtTheBegin(self) -> None:
        """copytruncate of logrotate(8)."""
        file = self.appender()
        file.write([b"1\n"])
        os.truncate(self.path, 0)
        file.write([b"2\n"])
        self.assertEqual(self.path.read_bytes(), b"2\n")

    def test_anotherFileOfTheSameNameIsUsedAfterReopenOnly(self) -> None:
        file = self.appender()
        file.write([b"1\n"])
        self.path.rename(self.folder / "old")
        file.write([b"2\n"])
        file.reopen()
        file.write([b"3\n"])
        self.assertEqual((self.folder / "old").read_bytes(), b"1\n2\n")
        self.assertEqual(self.path.read_bytes(), b"3\n")

    def test_theFormerFileIsUsedWhenItCannotBeOpenedAgain(self) -> None:
        file = self.appender()
        self.path.rename(self.folder / "old")
        self.path.mkdir()
        file.reopen()
        dropped, why = file.write([b"1\n"])
        self.assertEqual(
            (dropped, why.partition(":")[0]), (0, "it cannot be opened again, and lines go to the former file")
        )
        self.assertEqual((self.folder / "old").read_bytes(), b"1\n")
        self.path.rmdir()
        self.assertEqual(file.write([b"2\n"]), (0, ""))
        self.assertEqual(self.path.read_bytes(), b"2\n")

    def test_aFullDiskDropsLinesAndTearsNone(self) -> None:
        file = ShortAppender(self.path)
        self.addCleanup(file.close)
        for room, lines, dropped in (
            (5, [b"aaa\n", b"bbb\n", b"ccc\n"], 1),  # b is torn
            (0, [b"ddd\n"], 1),
            (1, [b"eee\n"], 1),
            (4, [b"fff\n", b"ggg\n"], 1),  # the rest of b, and a part of f
            (99, [b"hhh\n"], 0),
        ):
            file.room = room
            self.assertEqual(file.write(lines), (dropped, "No space left on device" if dropped else ""))
        self.assertEqual(self.path.read_bytes(), b"aaa\nbbb\nfff\nhhh\n")

    def test_theRestOfALineIsNotWrittenWhenItsBeginWasTruncated(self) -> None:
        """That is how a disk gets room again, mostly."""
        file = ShortAppender(self.path)
        self.addCleanup(file.close)
        file.room = 6
        self.assertEqual(file.write([b"aaa\n", b"bbb\n"])[0], 0)
        os.truncate(self.path, 0)
        file.room = 99
        self.assertEqual(file.write([b"ccc\n"]), (1, ""))
        self.assertEqual(self.path.read_bytes(), b"ccc\n")

    def test_aDiskWithoutRoomForANewFileCostsLinesOnly(self) -> None:
        os.mkfifo(self.path)  # without a reader, it is not open
        file = self.appender()
        self.path.unlink()

        def full(_: Path) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(linefile, "_open", full)
        for _ in range(2):
            self.assertEqual(file.write([b"1\n", b"2\n"]), (2, "No space left on device"))
        self.patch(linefile, "_open", lambda path: os.open(path, os.O_WRONLY | os.O_CREAT))
        self.assertEqual(file.write([b"3\n"]), (0, ""))

    def test_aFileThatHasGoneWithItsDiskCostsLinesOnly(self) -> None:
        file = ShortAppender(self.path)
        self.addCleanup(file.close)
        file.room = 5
        self.assertEqual(file.write([b"aaa\n", b"bbb\n"])[0], 0)
        os.close(file._fd)
        file.room = 99
        self.assertEqual(file.write([b"ccc\n"]), (2, "Bad file descriptor"))
        self.assertEqual(file.write([b"ddd\n"]), (0, ""))

    def test_aFullDeviceIsWhatTheSystemCallsIt(self) -> None:
        self.assertEqual(self.appender(FULL).write([b"1\n", b"2\n"]), (2, "No space left on device"))

    def test_aPipeTakesLinesAsLongAsItHasAReader(self) -> None:
        os.mkfifo(self.path)
        file = self.appender()
        self.assertEqual(file.write([b"1\n"]), (1, "nothing reads the pipe"))
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.assertEqual(file.write([b"2\n"]), (0, ""))
        self.assertEqual(os.read(reader, 99), b"2\n")
        os.close(reader)
        self.assertEqual(file.write([b"3\n", b"4\n"]), (2, "nothing reads the pipe"))

    def test_aPipeWhoseReaderDoesNotReadGetsWholeLines(self) -> None:
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        file, line = self.appender(), b"x" * 999 + b"\n"
        dropped, why = file.write([line] * 100)
        self.assertEqual((dropped > 0, why), (True, "what reads it is too slow"))
        got = os.read(reader, 1 << 20)
        self.assertEqual(file.write([b"y\n"]), (0, ""))
        got += os.read(reader, 1 << 20)
        self.assertEqual(got, line * (100 - dropped) + b"y\n")

    def test_whatCannotBeWrittenIsAnError(self) -> None:
        for path in (self.folder, self.folder / "none" / "a.log"):
            with self.assertRaises(OSError):
                Appender(path)


class LineFileTests(SynchronousTestCase):
    """What the reactor has to do with it."""

    def setUp(self) -> None:
        self.clock = ThreadedClock()
        self.path = temporaryFolder(self) / "visitors.log"
        self.reports: list[tuple[int, str]] = []

    def file(self, path: Path | None = None) -> LineFile:
        return LineFile(path or self.path, self.clock, lambda dropped, why: self.reports.append((dropped, why)))

    def test_thereIsNoThreadBeforeTheFirstLine(self) -> None:
        before = threading.active_count()
        self.assertEqual(self.file().close(), 0)
        self.assertEqual(threading.active_count(), before)

    def test_linesOfAnIntervalAreWrittenTogether(self) -> None:
        file = self.file()
        for number in range(3):
            file.write(b"%d\n" % number)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(INTERVAL)
        self.clock.answer()
        self.assertEqual((self.path.read_bytes(), self.reports), (b"0\n1\n2\n", [(0, "")]))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        file.close()

    def test_whatComesWhileTheThreadWritesIsWrittenNext(self) -> None:
        file = self.file()
        file.write(b"1\n")
        self.clock.advance(INTERVAL)
        file.write(b"2\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.answer()
        self.clock.advance(INTERVAL)
        self.clock.answer()
        self.assertEqual(self.path.read_bytes(), b"1\n2\n")
        file.close()

    def test_aDiskThatDoesNotAnswerHoldsUpNothing(self) -> None:
        """The thread waits in a system call, and lines are dropped when there are too many."""
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        file, line = self.file(), b"x" * 9999 + b"\n"
        for _ in range(20):
            file.write(line)
        self.clock.advance(INTERVAL)  # the pipe is full, and nothing reads it for a second
        for _ in range(MAX_WAITING // len(line) + 3):
            file.write(line)
        self.assertEqual(self.reports, [(1, "it is written too slowly")] * 3)
        os.close(reader)
        self.clock.answer()
        self.assertEqual(file.close(), MAX_WAITING // len(line))

    def test_theLastLinesAreWrittenAtTheEnd(self) -> None:
        file = self.file()
        file.write(b"1\n")
        self.assertEqual(file.close(), 0)
        self.assertEqual(self.path.read_bytes(), b"1\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_theEndWaitsForASecondAtMost(self) -> None:
        self.assertLessEqual(WAIT, 1.0)
        file = self.file(FULL)
        file.write(b"1\n")
        file.write(b"2\n")
        self.assertEqual(file.close(), 2)

    def test_withoutAThreadLinesAreDropped(self) -> None:
        def fails(*_: object) -> None:
            raise RuntimeError("can't start new thread")

        file = self.file()
        self.patch(threading.Thread, "start", fails)
        file.write(b"1\n")
        self.clock.advance(INTERVAL)
        self.assertEqual(self.reports, [(1, "can't start new thread")])
        file.write(b"2\n")
        self.assertEqual(file.close(), 1)
