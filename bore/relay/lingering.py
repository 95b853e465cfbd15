"""A stream that is reset when its peer has acknowledged all that was written to it."""

from __future__ import annotations

import contextlib
import math
import socket
import sys
from collections.abc import Callable
from enum import Enum
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.encryption import hasSentEnd, isEncrypted
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import closeWithReset
from bore.streams.tcpinfo import hasClosed, sinceSent, unacknowledged

#: Seconds without a byte acknowledged after which the stream is reset all the same. TCP repeats what was lost after
#: about 1, 2, 4, 8 and 16 s: a path on which none of these arrives is dead, and so is a peer that does not read.
TAKE_TIMEOUT: Final = 30.0

#: Streams of one relay that may linger at the same time; beyond that the oldest are reset. Each costs a descriptor and
#: at most what a socket's send buffer holds (4 MiB by default).
MAX_LINGERING: Final = 256

#: The least seconds that a stream lingers where the system does not report acknowledgements, or where they are not
#: enough: a few round trips.
_LEAST: Final = 1.0

#: Seconds from the last acknowledgement to the reset if the peer goes on sending: a program that is writing when the
#: reset comes may not read any more. They are granted only if data was sent to it within the last second: else there is
#: no answer to read, as when a user has stopped a download.
_GRACE: Final = 1.0
_RECENT: Final = 1.0

#: No event reports that all was acknowledged. Seconds to the first check and, as the pauses double, the longest pause.
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.25

#: The most reads in one turn, and bytes in each: a peer that goes on sending does not stop the others.
_READS: Final = 16
_SIZE: Final = 1 << 16


class _End(Enum):
    """What follows the last byte that could be read."""

    NONE = "more may come"
    ENDED = "the peer has ended its stream"
    CUT = "the connection is gone"


def mayResetNow(sock: socket.socket) -> bool:
    """Whether a stream can be reset at once: its peer has acknowledged all, and does not send."""
    if isEncrypted(sock) or sys.platform != "linux" or unacknowledged(sock.fileno()):
        return False
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except OSError:  # nothing for now, or the end
        return True


@implementer(IReadDescriptor)
class LingeringReset:
    """
    Resets a stream when its peer has acknowledged all, or makes no progress.

    A reset overtakes what the kernel still has to send, and destroys it. Until then, what the peer sends is read and
    thrown away: unread input would make the kernel reset the stream at once, and a peer that cannot write may never
    read.

    Inside TLS an end without ``close_notify`` is a cut, and destroys nothing: it is sent at once, and the peer closes
    the connection. OpenSSL reads no more from a connection once a write to it has failed, so a reset would cost the
    peer what it has not read yet.

    :param sock: belongs to this object from now on. All that is to be written to it was written.
    :param done: called once, when the socket is closed; that may be before :meth:`start` returns.
    """

    def __init__(self, reactor: IReactor, sock: socket.socket, done: Callable[[], None]) -> None:
        self._reactor = reactor
        self._socket = sock
        self._done = done
        self._pause = _FIRST_PAUSE
        self._looking: IDelayedCall | None = None
        self._encrypted = isEncrypted(sock)
        self._left = 0
        self._sends = self._answered = False
        self._soonest = 0.0
        self._until = 0.0

    def start(self) -> None:
        """Wait for the acknowledgement, if it has not come yet."""
        now = self._reactor.seconds()
        self._left = unacknowledged(self._socket.fileno())
        if self._encrypted:
            with contextlib.suppress(OSError):  # it is gone, as reading will show
                socket.socket.shutdown(self._socket, socket.SHUT_WR)
            # The end of the connection behind close_notify is no longer a cut for the peer.
            self._soonest = now + _LEAST if hasSentEnd(self._socket) else math.inf
        elif sys.platform != "linux":
            self._soonest = now + _LEAST
        self._answered = sinceSent(self._socket) < _RECENT
        self._throwAway(1)
        if self._isOver(now) or hasClosed(self._socket):
            self.finish()
            return
        self._until = now + TAKE_TIMEOUT
        self._looking = self._reactor.callLater(self._pause, self._look)
        self._reactor.addReader(self)

    def finish(self) -> None:
        """Reset the stream now."""
        if self._looking is not None:
            if self._looking.active():
                self._looking.cancel()
            self._looking = None
            self._reactor.removeReader(self)
        if self._socket.fileno() >= 0:
            closeWithReset(self._socket)
            self._done()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "LingeringReset"

    def doRead(self) -> None:
        """Throw away what the peer sends."""
        end = self._throwAway(_READS)
        if end is _End.CUT:
            self.finish()
        elif end is _End.ENDED:
            self._reactor.removeReader(self)  # it may go on reading for long after that
            if self._encrypted:  # it does not acknowledge any more that it has seen the end
                self._soonest = min(self._soonest, self._reactor.seconds() + _LEAST)

    def _throwAway(self, reads: int) -> _End:
        """
        Read and forget.

        :param reads: how many times.
        :returns: what follows what was read.
        """
        try:
            for _ in range(reads):
                # TLS is not needed any more: the bytes are read from the socket below it.
                if not socket.socket.recv(self._socket, _SIZE):
                    return _End.ENDED
                self._sends = True
        except BlockingIOError:
            pass
        except OSError:
            return _End.CUT
        return _End.NONE

    def connectionLost(self, reason: Failure) -> None:
        """The peer has reset the stream itself, or the reactor ends."""
        self.finish()

    def _isOver(self, now: float) -> bool:
        if self._left:
            return False
        if self._sends and self._answered:
            self._answered = False
            self._soonest = max(self._soonest, now + _GRACE)
        return now >= self._soonest

    def _look(self) -> None:
        now = self._reactor.seconds()
        left = unacknowledged(self._socket.fileno())
        if left < self._left:
            self._left = left
            self._until = now + TAKE_TIMEOUT
        if self._isOver(now) or now >= self._until or hasClosed(self._socket):
            self.finish()
            return
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._looking = self._reactor.callLater(self._pause, self._look)
