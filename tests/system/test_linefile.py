"""Lines that are appended to a file without a wait."""
# Longer than 300 lines: what can happen to a file is read together.

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
        self.assertTearsNone(b"aaa\nbbb\nhhh\n", 2)  # there is room for b only

    def test_norIfLinesCannotBeCutBack(self) -> None:
        self.forbidTruncation()
        self.assertTearsNone(b"aaa\nbbb\nfff\nhhh\n", 1)  # the rest of b, and a part of f

    def assertTearsNone(self, written: bytes, droppedInTheEnd: int) -> None:
        file = ShortAppender(self.path)
        self.addCleanup(file.close)
        for room, lines, dropped in (
            (5, [b"aaa\n", b"bbb\n", b"ccc\n"], 1),  # b does not fit
            (0, [b"ddd\n"], 1),
            (1, [b"eee\n"], 1),
            (4, [b"fff\n", b"ggg\n"], droppedInTheEnd),
            (99, [b"hhh\n"], 0),
        ):
            file.room = room
            self.assertEqual(file.write(lines), (dropped, "No space left on device" if dropped else ""))
        self.assertEqual(self.path.read_bytes(), written)

    def test_aLineThatDidNotFitIsCutBackAndWrittenWhole(self) -> None:
        file = self.torn()
        self.assertEqual(self.path.read_bytes(), b"aaa\n")
        os.truncate(self.path, 0)  # that is how a disk gets room again, mostly
        self.assertEqual(file.write([b"ccc\n"]), (0, ""))
        self.assertEqual(self.path.read_bytes(), b"bbb\nccc\n")

    def test_ofAFileThatMayOnlyBeAppendedToTheRestOfTheLineIsWritten(self) -> None:
        self.forbidTruncation()
        file = self.torn()
        self.assertEqual(self.path.read_bytes(), b"aaa\nbb")
        self.assertEqual(file.write([b"ccc\n"]), (0, ""))
        self.assertEqual(self.path.read_bytes(), b"aaa\nbbb\nccc\n")

    def test_thatIsNotWrittenWhenItsBeginWasTruncated(self) -> None:
        self.forbidTruncation()
        file = self.torn()
        os.truncate(self.path, 0)
        self.assertEqual(file.write([b"ccc\n"]), (1, ""))
        self.assertEqual(self.path.read_bytes(), b"ccc\n")

    def test_norWhenAnotherProcessHasWrittenBehindIt(self) -> None:
        self.forbidTruncation()
        file = self.torn()
        self.appender().write([b"other\n"])
        self.assertEqual(file.write([b"ccc\n"]), (1, ""))
        self.assertEqual(self.path.read_bytes(), b"aaa\nbbother\nccc\n")

    def test_whatAnotherProcessHasWrittenIsNotCutBack(self) -> None:
        self.appender().write([b"other\n"])
        file = ShortAppender(self.path)
        self.addCleanup(file.close)
        file.room = 2
        write = file._writeSome

        def andAnother(data: bytes) -> int:
            done = write(data)
            self.path.write_bytes(self.path.read_bytes() + b"another\n")
            return done

        file._writeSome = andAnother  # type: ignore[method-assign]
        self.assertEqual(file.write([b"aaa\n"])[0], 0)
        self.assertEqual(self.path.read_bytes(), b"other\naaanother\n")

    def torn(self) -> ShortAppender:
        """A file whose disk was full in the midst of a line, and has room again."""
        file = ShortAppender(self.path)
        self.addCleanup(file.close)
        file.room = 6
        self.assertEqual(file.write([b"aaa\n", b"bbb\n"])[0], 0)
        file.room = 99
        return file

    def forbidTruncation(self) -> None:
        """The file has the attribute for that (chattr(1), +a)."""

        def forbidden(fd: int, size: int) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        self.patch(os, "ftruncate", forbidden)

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

    def assertWhole(self, written: Callable[[], bytes]) -> None:
        """Several processes write, here threads with files of their own, and no line is torn."""

        def write(name: bytes) -> None:
            file = Appender(self.path)
            for number in range(30):
                lines = [b"%s %d %d %s\n" % (name, number, n, name * (7 * n)) for n in range(60)]
                self.assertEqual(file.write(lines), (0, ""))
            file.close()

        threads = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b", b"c")]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        lines = written().splitlines()
        self.assertEqual(len(lines), 3 * 30 * 60)
        for line in lines:
            name, _, place, rest = line.split(b" ")
            self.assertEqual(rest, name * (7 * int(place)))

    def test_severalProcessesWriteWholeLines(self) -> None:
        self.patch(linefile, "_PART", 50)
        file, other = self.appender(), self.appender()
        write = file._writeSome

        def andOther(data: bytes) -> int:
            other.write([b"other\n"])
            return write(data)

        file._writeSome = andOther  # type: ignore[method-assign]
        lines = [b"%d %s\n" % (n, b"x" * n) for n in range(40)]
        self.assertEqual(file.write(lines), (0, ""))
        found = self.path.read_bytes().splitlines(keepends=True)
        self.assertEqual([each for each in found if each != b"other\n"], lines)
        self.assertGreater(found.count(b"other\n"), 10)

    def test_severalProcessesWriteWholeLinesToAPipe(self) -> None:
        os.mkfifo(self.path)
        got = bytearray()

        def read() -> None:
            with open(self.path, "rb", buffering=0) as file:  # to the end: when the last one has closed it
                while part := file.read(1 << 16):
                    got.extend(part)

        reader = threading.Thread(target=read)
        reader.start()
        writer = os.open(self.path, os.O_WRONLY)

        def all() -> bytes:
            os.close(writer)
            reader.join(PATIENCE)
            return bytes(got)

        self.assertWhole(all)

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
