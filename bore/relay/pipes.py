"""Pipes for os.splice: bytes pass through them without leaving the kernel."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from typing import Final

from twisted.logger import Logger

_log = Logger()

#: What a pipe should hold, in bytes: more saves system calls, and this is what Linux gives to everybody
#: (fs.pipe-max-size).
PIPE_SIZE: Final = 1 << 20

#: A pipe that holds less is not worth its system calls. A user who has used up fs.pipe-user-pages-soft gets such.
_LEAST_SIZE: Final = 1 << 16

#: Pipes in use at the same time. Each may hold PIPE_SIZE bytes for a stream whose reader has stalled: this bounds the
#: memory, and is what fs.pipe-user-pages-soft allows by default. Streams that get none are moved by read and write.
MAX_PIPES: Final = 64

#: What splice says where it is not to be had: in a sandbox that does not know it (gVisor, WSL) or forbids it (seccomp),
#: or for a kind of socket without it. The other errors are those of the sockets.
_REFUSALS: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP))

#: The part of the descriptors for visitors of which pipes take none.
_LAST_PART: Final = 8

#: Empty pipes that are kept for the next stream.
_SPARE_PIPES: Final = 8


class Pipe:
    """
    A pipe that does not block.

    :param end: its descriptors are below that.
    :raises OSError: when there are none for it.
    :ivar size: how many bytes it takes at most.
    :ivar fill: how many bytes are in it.
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
            except OSError:  # beyond what this user may have, or what there is
                size >>= 1

    def takeBack(self) -> bytes:
        """Take out what is in it."""
        parts = []
        while self.fill:
            parts.append(os.read(self.reader, self.fill))
            self.fill -= len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        """Give the descriptors back, and lose what is in it."""
        os.close(self.reader)
        os.close(self.writer)


class PipePool:
    """
    Pipes are only held by streams that are moving; the rest of them share these.

    :param descriptors: how many descriptors visitors may leave in use; 0: any number. A pipe has none of the last
        eighth of them, which are promised to visitors that wait.
    """

    def __init__(self, descriptors: int = 0) -> None:
        # The system gives the lowest one that is free: the number says how many are in use.
        self._end = descriptors - descriptors // _LAST_PART or sys.maxsize
        self._spare: list[Pipe] = []
        self._used = 0
        self._refused = False

    def areRefused(self, error: OSError) -> bool:
        """
        Whether the system refuses splice, by the error of a call that has failed: then no more pipes are given.

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
        """An empty pipe; None if there are too many already, or the system has none of a useful size to spare."""
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
        """Give a pipe back; what is still in it is lost."""
        self._used -= 1
        if pipe.fill or self._refused or len(self._spare) >= _SPARE_PIPES:
            pipe.close()
        else:
            self._spare.append(pipe)

    def close(self) -> None:
        """Close the spare pipes."""
        while self._spare:
            self._spare.pop().close()
