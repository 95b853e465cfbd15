"""Dialling Unix sockets."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from typing import Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from bore.streams.racing import DIAL_TIMEOUT
from bore.streams.reactor import IReactor

#: The longest path of a socket, in bytes (sun_path in struct sockaddr_un, without its NUL).
MAX_PATH: Final = 107 if sys.platform == "linux" else 103

#: Seconds until the next attempt at a socket whose queue is full: the kernel does not report when there is room.
_AGAIN: Final = 0.05

#: What would be right, by the error of connect(2).
_TEXTS: Final = {
    errno.ENOENT: "there is no such socket: start the service, or correct the path",
    errno.ENOTDIR: "there is no such socket: a part of its path is not a directory",
    errno.ECONNREFUSED: "no process listens on it: start the service",
    errno.EACCES: (
        "permission denied: this user needs write permission for the socket, and search permission for its directories"
    ),
    errno.EPROTOTYPE: "it is not a stream socket",
    errno.EAGAIN: "its queue is full: the service accepts no connections",
}


class UnixSocketError(OSError):
    """A Unix socket cannot be connected to. The text says what would be right."""

    def __init__(self, number: int, text: str) -> None:
        OSError.__init__(self, number, text)

    def __str__(self) -> str:
        return str(self.strerror)


def unixPath(text: str) -> str:
    """
    Check the path of a Unix socket.

    :raises ValueError: when it cannot be one; its text says what would be right.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ValueError("is a Unix socket, which this system does not have: give a port")
    if not os.path.isabs(text) or "\0" in text or text.endswith("/"):
        raise ValueError("must have the absolute path of a socket, such as unix:/run/app.sock")
    if len(os.fsencode(text)) > MAX_PATH:
        raise ValueError(f"must have a path of at most {MAX_PATH} bytes: the system allows no more for a socket")
    return text


class UnixDialer:
    """
    Connects to one Unix socket, again and again.

    :param path: its path.
    """

    patience = 0.0

    def __init__(self, reactor: IReactor, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        """
        Connect once.

        While the queue of the socket is full, it tries again, for DIAL_TIMEOUT seconds.

        :returns: a connected socket that does not block. If it cannot be connected at once, a Deferred of one, which
            fails with OSError. Cancelling it ends the attempt.
        """
        try:
            return self._connect()
        except BlockingIOError:
            return self._later(self._reactor.seconds() + DIAL_TIMEOUT)
        except OSError as e:
            return fail(Failure(e))

    def _later(self, until: float) -> Deferred[socket.socket]:
        waited: Deferred[None] = deferLater(self._reactor, _AGAIN)
        return waited.addCallback(lambda _: self._again(until))

    def _again(self, until: float) -> socket.socket | Deferred[socket.socket]:
        try:
            return self._connect()
        except BlockingIOError as e:
            if self._reactor.seconds() >= until:
                raise self._explained(e) from e
            return self._later(until)

    def _connect(self) -> socket.socket:
        """
        Make a connected socket.

        :raises OSError: when it cannot be connected; BlockingIOError: not now.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.connect(self._path)
        except OSError as e:
            sock.close()
            raise e if isinstance(e, BlockingIOError) else self._explained(e) from e
        return sock

    def _explained(self, error: OSError) -> OSError:
        """Return an error that says what would be right, as far as that is known."""
        number = error.errno or 0
        text = _TEXTS.get(number)
        if text is None:
            return error
        if number == errno.ECONNREFUSED and not _isSocket(self._path):
            text = "it is not a socket"
        return UnixSocketError(number, text)


def _isSocket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return True  # it has just been removed
