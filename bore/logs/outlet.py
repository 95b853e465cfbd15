"""Standard output and standard error that never block the reactor, even if their reader stops reading."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import select
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final, Protocol, TextIO, cast

from twisted.logger import Logger

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Bytes buffered for a slow reader, in addition to the system's buffer (64 KiB for a pipe).
_MAX_BUFFERED: Final = 1 << 17

#: Delay before the next attempt to write, in seconds. It doubles while nothing is read.
_MIN_DELAY: Final = 0.05
_MAX_DELAY: Final = 1.0

#: Seconds that the process waits at its exit for buffered output to be written.
_EXIT_TIMEOUT: Final = 1.0

#: Opening this path on Linux yields a new file description, with flags of its own.
_REOPEN: Final = "/proc/self/fd/{}"


class Reactor(Protocol):
    """The methods of a reactor that are used here."""

    def callFromThread(self, callable: Callable[[], object]) -> None:
        """Call a function in the reactor's thread."""

    def callLater(self, delay: float, callable: Callable[[], object]) -> object:
        """Call a function after a delay in seconds."""


class Outlet(io.RawIOBase):
    """
    Writes to a pipe, a terminal or a socket, and never blocks.

    Data that the system does not accept is buffered, up to _MAX_BUFFERED bytes. When the buffer is full, lines are
    dropped and counted until the reader has read the buffer; then the number of missing lines is logged. When the
    reader is gone, everything is dropped.

    :param file: the file to write to. The flags of its descriptor are not changed, since other processes share them.
    """

    _log = Logger()

    def __init__(self, file: TextIO, reactor: Reactor) -> None:
        self._fd = file.fileno()
        self._isTerminal = file.isatty()
        self._name = "standard error" if file is sys.stderr else "standard output"
        self._reactor = reactor
        self._send = _sender(self._fd)
        self._buffer: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._readerGone = self._scheduled = False
        self._delay = _MIN_DELAY

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return self._isTerminal

    def write(self, data: ReadableBuffer, /) -> int:
        """Write data, buffer it, or drop it."""
        line = bytes(data)
        if self._readerGone:
            pass
        elif self._dropped or (self._buffer and self._size + len(line) > _MAX_BUFFERED):
            self._dropped += line.count(b"\n")
        elif self._buffer:
            self._append(line)
        elif rest := self._write(line):
            self._append(rest)
            self._reactor.callFromThread(self._schedule)
        return len(line)

    def finish(self) -> None:
        """Write the buffer within _EXIT_TIMEOUT seconds. What is left, or written later, is dropped."""
        end = time.monotonic() + _EXIT_TIMEOUT
        while self._buffer and not self._readerGone:
            self._flush()
            if time.monotonic() > end:
                self._readerGone = True
            elif self._buffer:
                time.sleep(_MIN_DELAY / 5)

    @property
    def isWaiting(self) -> bool:
        """Whether there is data that the system has not accepted."""
        return bool(self._buffer)

    def _append(self, data: bytes) -> None:
        self._buffer.append(data)
        self._size += len(data)

    def _write(self, data: bytes) -> bytes:
        """Write as much as the system accepts, and return the rest."""
        try:
            while data:
                data = data[self._send(data) :]
        except BlockingIOError:
            return data
        except OSError:
            self._readerGone = True
            self._buffer.clear()
        return b""

    def _flush(self) -> None:
        while self._buffer:
            line = self._buffer.popleft()
            rest = self._write(line)
            self._size -= len(line) - len(rest)
            if rest:
                self._buffer.appendleft(rest)
                self._delay = _MIN_DELAY if len(rest) < len(line) else min(self._delay * 2, _MAX_DELAY)
                return
            self._delay = _MIN_DELAY
        self._size = 0
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._log.warn(
                "lines for {name} that were dropped, because they were not read in time: {count}",
                count=count,
                name=self._name,
            )

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._reactor.callLater(self._delay, self._retry)

    def _retry(self) -> None:
        self._scheduled = False
        self._flush()
        if self._buffer and not self._readerGone:
            self._schedule()


_outlets: list[Outlet] = []


def unblocked(file: TextIO | None, reactor: Reactor) -> TextIO:
    """
    Return a file to use instead of another one, whose reader cannot block the program.

    :param file: None: the program was started without it, as by ``2>&-``.
    :returns: the same file if it never blocks, or if the system cannot do it; for None one that drops everything.
    """
    if file is None:
        return open(os.devnull, "w", encoding="utf-8")
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # not a file of the system, or closed
        return file
    if os.name != "posix" or not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)):
        return file
    file.flush()
    outlet = Outlet(file, reactor)
    if not _outlets:
        atexit.register(finish)
    _outlets.append(outlet)
    return io.TextIOWrapper(
        cast(IO[bytes], outlet), encoding=file.encoding, errors="backslashreplace", write_through=True
    )


def finish() -> None:
    """Write all buffers before the process exits, if they are read in time."""
    for outlet in _outlets:
        outlet.finish()


def _sender(fd: int) -> Callable[[bytes], int]:
    """
    Return a function that writes to a descriptor, and raises BlockingIOError instead of blocking.

    O_NONBLOCK is not set on the descriptor: it would apply to all processes that share it, such as the user's shell.
    """
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        sock = socket.socket(fileno=os.dup(fd))
        return lambda data: sock.send(data, socket.MSG_DONTWAIT)
    with contextlib.suppress(OSError):  # not Linux, a terminal of another user, or a pipe without a reader
        reopened = os.open(_REOPEN.format(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        return lambda data: os.write(reopened, data)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)

    def send(data: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(fd, data[: select.PIPE_BUF])

    return send
