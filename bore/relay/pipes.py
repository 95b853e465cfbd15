"""Pipes for os.splice, through which bytes pass without leaving the kernel."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from typing import Final

from twisted.logger import Logger

_log = Logger()

#: The capacity that a pipe should have, in bytes: more saves system calls, and this is the most that Linux gives to a
#: user without privileges (fs.pipe-max-size).
PIPE_SIZE: Final = 1 << 20

#: A pipe with a smaller capacity is not worth its system calls. A user beyond fs.pipe-user-pages-soft gets such pipes.
_LEAST_SIZE: Final = 1 << 16

#: The most pipes in use at the same time. Each may hold PIPE_SIZE bytes for a stream whose reader has stalled: this
#: bounds the memory, and is what fs.pipe-user-pages-soft allows by default. Streams without one use read and write.
MAX_PIPES: Final = 64

#: The errors of splice where it is not available: in a sandbox that does not implement it (gVisor, WSL) or forbids it
#: (seccomp), or for a kind of socket without it. The other errors are those of the sockets.
_REFUSALS: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP))

#: Pipes leave this part (one eighth) of the descriptors for visitors to visitors.
_LAST_PART: Final = 8

#: The most empty pipes that are kept for the next streams.
_SPARE_PIPES: Final = 8


class Pipe:
    """
    A pipe that does not block.

    :param end: its descriptors must be lower than this.
    :raises OSError: when the system has none for it.
    :ivar size: its capacity in bytes.
    :ivar fill: the number of bytes in it.
    """

    __slots__ = ("fill", "reader", "size", "writer")

    def __init__(self, end: int = sys.maxsize) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        if max(self.reader, self.writer) >= end:
            self.close()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.fill = 0
        self.size = fcntl.fcntl(self.writer, fcntl.F_GETPIPE_SZ)
        size = PIPE_SIZE
        while size > self.size:
            try:
                self.size = fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, size)
            except OSError:  # beyond the user's limit, or the system's memory
                size >>= 1

    def takeBack(self) -> bytes:
        """Read all that is in it."""
        parts = []
        while self.fill:
            parts.append(os.read(self.reader, self.fill))
            self.fill -= len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        """Close both descriptors; what is in it is lost."""
        os.close(self.reader)
        os.close(self.writer)


class PipePool:
    """
    The pipes of a relay. A stream has one only while spliced bytes are in it.

    :param descriptors: the limit of descriptors for visitors; 0: none. Pipes use none of the last eighth of them,
        which are reserved for visitors that wait.
    """

    def __init__(self, descriptors: int = 0) -> None:
        # The system gives the lowest free descriptor: its number tells how many are in use.
        self._end = descriptors - descriptors // _LAST_PART or sys.maxsize
        self._spare: list[Pipe] = []
        self._used = 0
        self._refused = False

    def areRefused(self, error: OSError) -> bool:
        """
        Whether the error of a failed call means that the system refuses splice. If so, no pipes are given any more.

        All sockets of a relay are of one kind, so what holds for one holds for all.
        """
        if error.errno not in _REFUSALS:
            return False
        if not self._refused:
            self._refused = True
            self.close()
            _log.warn(
                "the system refuses splice ({error}): bytes are moved by read and write, which takes more CPU",
                error=os.strerror(error.errno or 0),
            )
        return True

    def take(self) -> Pipe | None:
        """An empty pipe; None if MAX_PIPES are in use, or the system has none of a useful capacity."""
        if self._spare:
            self._used += 1
            return self._spare.pop()
        if self._used >= MAX_PIPES or self._refused:
            return None
        try:
            pipe = Pipe(self._end)
        except OSError:
            return None
        if pipe.size < _LEAST_SIZE:
            pipe.close()
            return None
        self._used += 1
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Return a pipe to the pool; what is still in it is lost."""
        self._used -= 1
        if pipe.fill or self._refused or len(self._spare) >= _SPARE_PIPES:
            pipe.close()
        else:
            self._spare.append(pipe)

    def close(self) -> None:
        """Close the spare pipes."""
        while self._spare:
            self._spare.pop().close()
