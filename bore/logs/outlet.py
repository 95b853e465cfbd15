"""Standard output and standard error for a program that must not wait for those who read them."""

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
from typing import IO, Any, Final, Protocol, TextIO, cast

from twisted.logger import Logger

#: Bytes that are kept for a reader that is slow, beside what the system keeps (64 KiB in a pipe).
_LIMIT: Final = 1 << 17

#: How often it is tried again, in seconds: at first, and in the end.
_SOON: Final = 0.05
_LATE: Final = 1.0

#: How long the process waits at its end for what is still to be written, in seconds.
_FAREWELL: Final = 1.0


#: Where Linux has the open files of this process: opened there, they get flags of their own.
_PLACE: Final = "/proc/self/fd/{}"


class Reactor(Protocol):
    """What this needs of a reactor."""

    def callFromThread(self, callable: Any) -> None:
        """Call something in the reactor's thread."""

    def callLater(self, delay: float, callable: Any) -> object:
        """Call something later."""


class Outlet(io.RawIOBase):
    """
    Writes to a pipe, a terminal or a socket, and never blocks.

    A reader that is slow finds all of it: what the system does not take is kept, up to _LIMIT bytes. Behind that, what
    is written is dropped and counted, until the reader has read the rest; then the log says how many lines are missing.
    Once the reader is gone everything is thrown away.

    :param file: where it goes in the end; its descriptor stays as it is, for those who share it.
    """

    _log = Logger()

    def __init__(self, file: TextIO, reactor: Reactor) -> None:
        self._fd = file.fileno()
        self._isTerminal = file.isatty()
        self._name = "standard error" if file is sys.stderr else "standard output"
        self._reactor = reactor
        self._send = _sender(self._fd)
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._gone = self._due = False
        self._delay = _SOON

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return self._isTerminal

    def write(self, data: Any, /) -> int:
        """Write a text, keep it for later, or drop it."""
        line = bytes(data)
        if self._gone:
            pass
        elif self._dropped or (self._waiting and self._size + len(line) > _LIMIT):
            self._dropped += line.count(b"\n")
        elif self._waiting:
            self._keep(line)
        elif rest := self._tryToSend(line):
            self._keep(rest)
            self._reactor.callFromThread(self._tryLater)
        return len(line)

    def finish(self) -> None:
        """Write what is kept within _FAREWELL seconds, or drop it, and what comes after it."""
        end = time.monotonic() + _FAREWELL
        while self._waiting and not self._gone:
            self._sendWaiting()
            if time.monotonic() > end:
                self._gone = True
            elif self._waiting:
                time.sleep(_SOON / 5)

    def _keep(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)

    def _tryToSend(self, data: bytes) -> bytes:
        """Write what the system takes, and give the rest."""
        try:
            while data:
                data = data[self._send(data) :]
        except BlockingIOError:
            return data
        except OSError:
            self._gone = True
            self._waiting.clear()
        return b""

    def _sendWaiting(self) -> None:
        while self._waiting:
            line = self._waiting.popleft()
            rest = self._tryToSend(line)
            self._size -= len(line) - len(rest)
            if rest:
                self._waiting.appendleft(rest)
                self._delay = _SOON if len(rest) < len(line) else min(self._delay * 2, _LATE)
                return
            self._delay = _SOON
        self._size = 0
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._log.warn("{count} lines for {name} were dropped: nobody read them", count=count, name=self._name)

    def _tryLater(self) -> None:
        if not self._due:
            self._due = True
            self._reactor.callLater(self._delay, self._tryAgain)

    def _tryAgain(self) -> None:
        self._due = False
        self._sendWaiting()
        if self._waiting and not self._gone:
            self._tryLater()


_outlets: list[Outlet] = []


def unblocked(file: TextIO, reactor: Reactor) -> TextIO:
    """
    What to write to instead of a file, so that nobody who reads it can block the program.

    :returns: the file itself, if it never blocks, or if the system has no such way.
    """
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # there is none, or it is closed
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
    """Write what is still to be written, as far as somebody reads it. The process ends."""
    for outlet in _outlets:
        outlet.finish()


def _sender(fd: int) -> Any:
    """
    What writes to a descriptor without blocking, and raises BlockingIOError.

    Its own flags stay as they are: they belong to all who have it, to the user's shell for instance.
    """
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        sock = socket.socket(fileno=os.dup(fd))
        return lambda data: sock.send(data, socket.MSG_DONTWAIT)
    with contextlib.suppress(OSError):  # not on Linux, or the terminal is another user's, or nobody reads the pipe
        again = os.open(_PLACE.format(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        return lambda data: os.write(again, data)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)

    def send(data: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(fd, data[: select.PIPE_BUF])

    return send
