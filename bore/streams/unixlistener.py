"""Listening Unix sockets, and the files by which they are found."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from bore.streams.socketoptions import BACKLOG

#: The permissions of a socket: who may connect is decided by its group, and by the permissions of its directory.
MODE: Final = 0o660


class NotASocket(OSError):
    """There is a file with the path of a socket, and it is not a socket."""

    def __init__(self) -> None:
        super().__init__(errno.EADDRINUSE, "there is a file that is not a socket")


class UnixListeningSocket:
    """
    A listening Unix socket, and its file.

    The file of a socket on which no process listens any more is replaced. Processes that open sockets in one directory
    take turns by a lock on the directory, so that none removes the new file of another one.

    :param path: its absolute path.
    :param mode: its permissions.
    :param group: the number of its group; None: that of the process, or of the directory.
    :param isOwn: whether no other process opens the same path, so that it need not take turns with others.
    :ivar socket: the socket; whoever listens on it closes it.
    :raises OSError: when the system refuses; with EADDRINUSE if another process listens on the path.
    """

    def __init__(self, path: str, mode: int = MODE, group: int | None = None, isOwn: bool = False) -> None:
        import fcntl

        self._path = path
        self._mode = mode
        self._group = group
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not isOwn:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._removeStale()
            self.socket = self._open()
        except BlockingIOError:
            raise _inUse() from None
        finally:
            os.close(folder)

    @property
    def path(self) -> str:
        """Its path."""
        return self._path

    def removeFile(self) -> None:
        """Remove the file, unless it is another one by now. Called before the socket is closed: it is not stale yet."""
        _remove(self._path, self._file)

    def _open(self) -> socket.socket:
        self._file: tuple[int, int] | None = None
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(self._path)
            self._file = _identity(os.lstat(self._path))
            if self._group is not None:
                os.chown(self._path, -1, self._group)
            os.chmod(self._path, self._mode)  # whatever the umask is; before listen() nobody can connect
            sock.listen(BACKLOG)
        except BaseException:
            if self._file:
                self.removeFile()
            sock.close()
            raise
        return sock

    def _removeStale(self) -> None:
        """
        Remove the file of a socket on which no process listens.

        :raises OSError: when there is a file that has to stay.
        """
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise NotASocket
        if isLive(self._path):
            raise _inUse()
        os.unlink(self._path)


def removerOf(path: str) -> Callable[[], None]:
    """Return what removes the file of a socket that is there now, as :meth:`UnixListeningSocket.removeFile` does."""
    return partial(_remove, path, _identity(os.lstat(path)))


def _remove(path: str, file: tuple[int, int] | None) -> None:
    with suppress(OSError):
        if _identity(os.lstat(path)) == file:
            os.unlink(path)


def _inUse() -> OSError:
    return OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def isLive(path: str) -> bool:
    """Whether a process listens on a Unix socket, as far as this user may know."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # its queue is full, or it is not a stream socket, or this user may not connect
    return True
