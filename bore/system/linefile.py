"""A file of lines whose writer never waits: a disk that is slow or full costs lines, and nothing else."""

from __future__ import annotations

import errno
import os
import queue
import select
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall

#: Lines are collected for this time, in seconds, so that one write(2) takes many.
INTERVAL: Final = 0.25

#: Bytes that wait to be written, at most: tens of thousands of lines.
MAX_WAITING: Final = 1 << 22

#: Bytes of one write(2), at most; and so many of one to a pipe, which are not mixed with those of other processes
#: (pipe(7), PIPE_BUF).
_PART: Final = 1 << 20
_PART_OF_PIPE: Final = getattr(select, "PIPE_BUF", 512)

#: Seconds that the reader of a pipe has for each part, and the process for the rest at its end.
PATIENCE: Final = 1.0

#: The group may read the file; under systemd the umask of the unit forbids it.
_MODE: Final = 0o640

_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND  # without it, a file that was truncated (copytruncate of logrotate) would begin with a hole
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # for pipes; without effect on files
    | getattr(os, "O_NOCTTY", 0)
)

#: After these errors the descriptor is still good.
_PASSING: Final = frozenset((errno.ENOSPC, errno.EAGAIN, getattr(errno, "EDQUOT", errno.ENOSPC)))


class Reactor(Protocol):
    """The methods of a reactor that are used here."""

    def callFromThread(self, callable: Callable[[], object]) -> None:
        """Call a function in the reactor's thread."""

    def callLater(self, delay: float, callable: Callable[[], object]) -> IDelayedCall:
        """Call a function after a delay in seconds."""


class Appender:
    """
    Appends lines to a file, as whole lines also when the disk was full in the midst of one, or when other processes
    append lines to it as well. Its methods may block.

    :param path: the file, which is made if it does not exist. A pipe takes no lines as long as it has no reader.
    :raises OSError: when the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = b""  # the rest of a line whose begin was written, or a line that was cut back
        self._isWhole = False  # whether it is the whole line
        self._size = 0  # that of the file then
        self._stale = False
        self._fd = -1
        try:
            self._fd = _open(path)
        except OSError as e:
            if e.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
                raise

    def reopen(self) -> None:
        """Open the file again before the next lines: another one may have its name. May be called by any thread."""
        self._stale = True

    def write(self, lines: Sequence[bytes]) -> tuple[int, str]:
        """
        Append lines.

        :returns: the number of lines that were dropped, and what is wrong; empty: nothing is.
        """
        torn = bool(self._torn)
        why = self._reopenStale()
        if self._torn and not self._isWhole and self._sizeNow() != self._size:
            self._torn = b""  # what freed the disk was that the file was truncated; or others have written behind it
        lost = int(torn and not self._torn)
        data = self._torn + b"".join(lines)
        done = 0
        try:
            if self._fd < 0:
                self._fd = _open(self._path)
            most = _PART_OF_PIPE if stat.S_ISFIFO(os.fstat(self._fd).st_mode) else _PART
            while done < len(data):
                done += self._writeSome(data[done : _endOfPart(data, done, most)])
        except OSError as e:
            why = "nothing reads the pipe" if e.errno in (errno.ENXIO, errno.EPIPE) else e.strerror or str(e)
            return self._failed(e, data, done) + lost, why
        self._torn = b""
        return lost, why

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            with suppress(OSError):  # of a network file system, about what was written before
                os.close(self._fd)
            self._fd = -1

    def _failed(self, error: OSError, data: bytes, done: int) -> int:
        """Keep the rest of a line whose begin was written, and return how many lines are dropped."""
        end = done
        if done and data[done - 1 : done] != b"\n":
            end = data.index(b"\n", done) + 1
        elif not done:
            end = len(self._torn)
        if error.errno in _PASSING and self._fd >= 0:  # there may be no room for a new file, either
            begin = data.rfind(b"\n", 0, done) + 1
            isThere = bool(begin or self._isWhole or not self._torn)  # the begin of the line is in the data
            self._isWhole = isThere and self._cutBack(done - begin)
            self._torn = data[begin if self._isWhole else done : end]
            self._size = self._sizeNow()
        else:  # who reads another file, or another pipe, does not want the rest of a line
            self._torn = b""
            end = done
            self.close()
        return data.count(b"\n", end)

    def _reopenStale(self) -> str:
        """Open the file again, if that is to be done; if that fails, use the former file, and return the error."""
        if not self._stale:
            return ""
        self._stale = False
        try:
            fd = _open(self._path)
        except OSError as e:
            if e.errno == errno.ENXIO or self._fd < 0:
                self.close()
                return ""  # the next step reports it
            self._stale = True
            return f"it cannot be opened again, and lines go to the former file: {e.strerror}"
        self.close()
        self._fd = fd
        if not self._isWhole:
            self._torn = b""
        return ""

    def _cutBack(self, count: int) -> bool:
        """Remove the last bytes that were written, and return whether that was possible: no other process sees them."""
        try:
            if count and os.lseek(self._fd, 0, os.SEEK_CUR) == os.fstat(self._fd).st_size:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - count)
                return True
        except OSError:  # it is a pipe, or may only be appended to
            pass
        return not count

    def _sizeNow(self) -> int:
        """The size of the file; 0: none is open, or it cannot be found out."""
        with suppress(OSError):
            return os.fstat(self._fd).st_size if self._fd >= 0 else 0
        return 0

    def _writeSome(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            if poll.poll(PATIENCE * 1000):
                return 0
            raise OSError(errno.EAGAIN, "what reads it is too slow") from None


def _endOfPart(data: bytes, begin: int, most: int) -> int:
    """Where the next write(2) ends: behind a line, if one fits."""
    end = begin + most
    return end if end >= len(data) else data.rfind(b"\n", begin, end) + 1 or end


class LineFile:
    """
    Appends lines to a file, in a thread of its own that begins with the first line.

    Lines that do not fit into the queue, or that the system does not take, are dropped.

    :param path: see :class:`Appender`.
    :param wrote: called in the reactor's thread after each attempt to write, with the number of dropped lines,
        and what is wrong; empty: nothing is.
    :raises OSError: when the file cannot be opened.
    """

    def __init__(self, path: Path, reactor: Reactor, wrote: Callable[[int, str], object]) -> None:
        self._file = Appender(path)
        self._reactor = reactor
        self._wrote = wrote
        self._lines: list[bytes] = []
        self._size = 0
        self._timer: IDelayedCall | None = None
        self._busy = False  # whether the thread has lines
        self._thread: threading.Thread | None = None
        self._work: queue.SimpleQueue[Sequence[bytes] | None] = queue.SimpleQueue()
        self._droppedLast = 0

    def write(self, line: bytes) -> None:
        """Append a line, which ends with a newline."""
        size = self._size + len(line)
        if size > MAX_WAITING:
            self._wrote(1, "it is written too slowly")
            return
        self._lines.append(line)
        self._size = size
        if self._timer is None and not self._busy:
            self._timer = self._reactor.callLater(INTERVAL, self._hand)

    def reopen(self) -> None:
        """Open the file again before the next lines: another one may have its name."""
        self._file.reopen()

    def close(self) -> int:
        """
        Write what is left, as far as that can be done in PATIENCE seconds.

        :returns: the number of lines that were dropped.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wrote = lambda count, why: None
        rest, self._lines = self._lines, []
        if rest:
            try:
                self._give(rest)
            except RuntimeError:
                self._thread = None
                return len(rest)
        if self._thread is None:
            self._file.close()
            return 0
        self._work.put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            return len(rest)
        return self._droppedLast if rest else 0

    def _hand(self) -> None:
        """Hand the lines that wait to the thread."""
        self._timer = None
        self._busy = True
        lines, self._lines = self._lines, []
        self._size = 0
        try:
            self._give(lines)
        except RuntimeError as e:  # the system has no thread for us
            self._thread = None
            self._written(len(lines), str(e))

    def _give(self, lines: Sequence[bytes]) -> None:
        if self._thread is None:
            # A daemon: a disk that does not answer must not hold the process at its end.
            self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
            self._thread.start()
        self._work.put(lines)

    def _run(self) -> None:
        """What the thread does."""
        while (lines := self._work.get()) is not None:
            self._droppedLast, why = self._file.write(lines)
            self._reactor.callFromThread(partial(self._written, self._droppedLast, why))
        self._file.close()

    def _written(self, dropped: int, why: str) -> None:
        """The thread has written, or dropped, what it had."""
        self._busy = False
        self._wrote(dropped, why)
        if self._lines and self._timer is None:
            self._timer = self._reactor.callLater(INTERVAL, self._hand)


def _open(path: Path) -> int:
    """
    Open a file for lines.

    :raises OSError: when that cannot be; ENXIO: it is a pipe without a reader.
    """
    return os.open(path, _FLAGS, _MODE)
