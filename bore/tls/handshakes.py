"""TLS handshakes in the reactor."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.encryption import RECORD, TlsError
from bore.streams.reactor import IReactor
from bore.tls.tlssocket import TlsSocket

#: The time for a whole handshake, in seconds.
HANDSHAKE_TIMEOUT: Final = 10.0


@implementer(IReadWriteDescriptor)
class Handshake:
    """
    One handshake.

    :param sock: closed when the handshake fails, or is abandoned.
    :param timeout: in seconds.
    :ivar done: fires with the socket; fails with an OSError. Cancelling it ends the handshake.
    """

    def __init__(self, reactor: IReactor, sock: TlsSocket, timeout: float = HANDSHAKE_TIMEOUT) -> None:
        self._reactor = reactor
        self._socket = sock
        self._writing = False
        self.done: Deferred[TlsSocket] = Deferred(lambda _: self.abandon())
        self._timeout = reactor.callLater(timeout, self._timedOut)
        reactor.addReader(self)
        self._goOn()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Handshake"

    def doRead(self) -> None:
        self._goOn()

    def doWrite(self) -> None:
        self._goOn()

    def connectionLost(self, reason: Failure) -> None:
        """The poll has reported an error of the socket, or the reactor stops."""
        if self._timeout.active():
            try:
                self._socket.handshake()
            except OSError:  # which says more
                reason = Failure()
            self._fail(reason)

    def abandon(self) -> None:
        """End the handshake, and close the socket. :attr:`done` does not fire."""
        self._stop()
        self._socket.close()

    def _goOn(self) -> None:
        if not self._timeout.active():
            return  # it is over: one poll has reported both directions
        try:
            complete = self._socket.handshake()
        except OSError:
            self._fail(Failure())
            return
        if complete:
            self._stop()
            self.done.callback(self._socket)
        elif self._socket.wantsToWrite != self._writing:
            self._writing = not self._writing
            # Only one of the two: while OpenSSL has to write, it does not read, and the poll would report waiting bytes
            # again and again.
            if self._writing:
                self._reactor.removeReader(self)
                self._reactor.addWriter(self)
            else:
                self._reactor.removeWriter(self)
                self._reactor.addReader(self)

    def _timedOut(self) -> None:
        self._fail(Failure(TlsError(errno.ETIMEDOUT, "it does not answer in the TLS handshake")))

    def _fail(self, reason: Failure) -> None:
        with contextlib.suppress(OSError):
            # OpenSSL has sent an alert. Closing with unread bytes would destroy it.
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            socket.socket.recv(self._socket, RECORD)
        self.abandon()
        self.done.errback(reason)

    def _stop(self) -> None:
        if self._timeout.active():
            self._timeout.cancel()
        self._reactor.removeReader(self)
        if self._writing:
            self._reactor.removeWriter(self)
