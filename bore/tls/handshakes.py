"""TLS handshakes in the reactor."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.encryption import RECORD, TlsError
from bore.streams.reactor import IReactor
from bore.tls.tlssocket import TlsSocket

#: The time for a whole handshake, in seconds.
HANDSHAKE_TIMEOUT: Final = 10.0

#: Handshakes that go on in one turn of the reactor. Each takes half a millisecond, and in a turn the relay serves about
#: twelve visitors from their first byte to their last.
_AT_ONCE: Final = 8


class HandshakeQueue:
    """
    The handshakes of a client whose server has answered: a few go on in each turn, in the order of the answers.

    Without it, the handshakes of a burst take all the time, and the visitors that are connected already are not served
    before the last handshake is over.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._next: IDelayedCall | None = None

    def add(self, goOn: Callable[[], None]) -> None:
        """Call ``goOn`` in the next turn, or in a later one."""
        self._waiting.append(goOn)
        if self._next is None:
            self._next = self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        waiting = self._waiting
        batch = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
        self._next = self._clock.callLater(0, self._turn) if waiting else None
        for goOn in batch:
            goOn()


@implementer(IReadWriteDescriptor)
class Handshake:
    """
    One handshake.

    :param sock: closed when the handshake fails, or is abandoned.
    :param timeout: in seconds.
    :param queue: limits how many go on in one turn; None: this one goes on at once.
    :ivar done: fires with the socket; fails with an OSError. Cancelling it ends the handshake.
    """

    def __init__(
        self,
        reactor: IReactor,
        sock: TlsSocket,
        timeout: float = HANDSHAKE_TIMEOUT,
        queue: HandshakeQueue | None = None,
    ) -> None:
        self._reactor = reactor
        self._queue = queue
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
        if self._queue is None:
            self._goOn()
        else:
            self._reactor.removeReader(self)
            self._queue.add(self._itsTurn)

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

    def _itsTurn(self) -> None:
        if self._timeout.active():
            self._reactor.addReader(self)
            self._goOn()

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
