"""A listening socket that is there all the time, and at which few ask: what answers is imported for the first one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.reactor import IReactor

#: How many connections there may be at once. Further ones wait in the kernel's queue, unless one address has many.
MAX_CONNECTIONS: Final = 32

#: How many connections are accepted in one turn of the reactor.
_BATCH: Final = 8

#: How long to wait after an error of accept(2), as without descriptors, or while there are too many connections, in
#: seconds.
_PAUSE: Final = 1.0


class Host(Protocol):
    """What serves the connections."""

    def serve(self, sock: socket.socket, done: Callable[[], None]) -> None:
        """
        Serve a connection.

        :param sock: does not block, and belongs to the host from now on.
        :param done: has to be called once, when the connection is closed.
        """

    def relieve(self) -> None:
        """Cut a connection without a complete request, of an address that has many connections, if there is one."""

    def close(self) -> None:
        """Close all connections."""


@implementer(IReadDescriptor)
class Door:
    """
    Accepts connections.

    :param sock: a listening socket; it belongs to the door.
    :param open: makes what serves them, when the first one comes.
    """

    _log: Final = Logger()

    def __init__(self, reactor: IReactor, sock: socket.socket, open: Callable[[], Host]) -> None:
        self._reactor = reactor
        self._socket = sock
        self._open = open
        self._host: Host | None = None
        self._count = 0
        self._waiting: IDelayedCall | None = None
        self._isFull = False
        sock.setblocking(False)
        reactor.addReader(self)

    @property
    def busy(self) -> bool:
        """Whether there is a connection."""
        return self._count > 0

    def close(self) -> None:
        """Accept no more, and close all connections. May be called twice."""
        if self._socket.fileno() < 0:
            return
        self._reactor.removeReader(self)
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._socket.close()
        if self._host is not None:
            self._host.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Door"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""
        self.close()

    def doRead(self) -> None:
        if self._count >= MAX_CONNECTIONS:
            if self._host is not None:
                self._host.relieve()
            self._isFull = True
            self._pause()  # until one has left
        for _ in range(min(_BATCH, MAX_CONNECTIONS - self._count)):
            try:
                sock, _ = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # it has left
            except OSError:
                self._pause()
                return
            self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._count += 1
        try:
            if self._host is None:
                self._host = self._open()
            self._host.serve(sock, self._left)
        except Exception:
            self._log.failure("a question could not be taken")
            sock.close()
            self._left()

    def _left(self) -> None:
        self._count -= 1
        if self._isFull and self._waiting is not None:
            self._waiting.cancel()
            self._again()

    def _pause(self) -> None:
        self._reactor.removeReader(self)
        self._waiting = self._reactor.callLater(_PAUSE, self._again)

    def _again(self) -> None:
        self._waiting = None
        self._isFull = False
        self._reactor.addReader(self)
