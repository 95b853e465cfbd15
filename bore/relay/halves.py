"""
A half of a joined pair, in the relay that keeps bytes in the kernel: what is known of its stream, and how it ends.

How its bytes move is in :mod:`bore.relay.flow`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct
import termios
from typing import Final, Protocol, cast

from bore.relay.interface import Reason
from bore.relay.pairs import Pair
from bore.relay.pipes import Pipe, PipePool
from bore.streams.encryption import EncryptedSocket, isAtEnd, isEncrypted
from bore.streams.socketoptions import closeWithReset
from bore.streams.tcpinfo import unacknowledged
from bore.timing.turns import MIN_COST

#: What FIONREAD returns for a socket with nothing to read.
_NO_BYTES: Final = struct.pack("i", 0)


class Loop(Protocol):
    """
    What a half needs of the loop that serves it.

    :ivar buffer: what small messages are read into.
    :ivar view: the same memory.
    :ivar left: how much of this turn is left for all streams, in bytes. A read, and a frame of a lane, uses MIN_COST
        beside its bytes.
    :ivar reserved: how much of it the half that is being served leaves to the others.
    """

    buffer: bytearray
    view: memoryview
    pipes: PipePool
    left: int
    reserved: int

    def awaitRoom(self, half: Half) -> None:
        """A half's stream takes no more for now: there is an event when it does, from now on for good."""

    def later(self, half: Half) -> None:
        """Have a half go on in the next turn."""

    def stuck(self, half: Half) -> None:
        """A half, inside TLS, has to write before it can read: bound the time that this may last."""

    def refused(self, half: Half) -> None:
        """The peer of this half receives nothing more: bound the time that the bytes it sent before may take."""


class JoinedPair(Pair):
    """Two halves, each of which passes what it reads to the other."""

    __slots__ = ()

    def cutAt(self, half: Half) -> None:
        """The peer of this half has cut its stream, and all that it had sent before was passed on."""
        raise NotImplementedError

    def finished(self, half: Half) -> None:
        """The end of this direction was passed on, or is pending from here on."""
        raise NotImplementedError


class Half:
    """
    One stream of a pair, and the direction from it to the other stream.

    :ivar readable: reading may give something.
    :ivar encrypted: the socket, if it is inside TLS.
    :ivar hungUp: the peer has ended or cut the stream, or has sent urgent data: behind a short read there may be more,
        without a further event.
    :ivar refusesData: the peer receives nothing more: what is written to it is thrown away.
    :ivar wasReset: the peer has cut the stream: where nothing more is to be read it has not ended in order. The kernel
        reports that once, and may have reported it to a write.
    :ivar framed: the bytes are put into frames, or taken out of them: only those of lanes, and of streams on them.
    :ivar unsent: bytes that were read and that the other stream has not taken yet. While there are some, or a pipe, no
        more are read.
    :ivar pipe: holds spliced bytes that the other stream has not taken yet.
    :ivar bulk: the last read filled the buffer: splice the next bytes.
    :ivar endPending: the end of this direction is to be passed on, and the other stream has not taken it yet.
    :ivar received: how many bytes were read from this stream.
    :ivar finished: the end of this direction was passed on, or is pending.
    :ivar queued: this half goes on in the next turn.
    :ivar awaitsRoom: there is an event when the stream can be written to again.
    """

    __slots__ = (
        "awaitsRoom",
        "bulk",
        "encrypted",
        "endPending",
        "fd",
        "finished",
        "framed",
        "hungUp",
        "loop",
        "other",
        "pair",
        "pipe",
        "queued",
        "readable",
        "received",
        "refusesData",
        "socket",
        "unsent",
        "wasReset",
    )

    other: Half
    pair: JoinedPair

    def __init__(self, loop: Loop, sock: socket.socket, early: bytes = b"") -> None:
        self.loop = loop
        self.socket = sock
        self.fd = sock.fileno()
        self.unsent: bytes | memoryview = early
        self.received = len(early)
        self.pipe: Pipe | None = None
        self.readable = self.bulk = self.finished = self.queued = self.endPending = self.framed = False
        self.hungUp = self.refusesData = self.wasReset = self.awaitsRoom = False
        self.encrypted: EncryptedSocket | None = cast(EncryptedSocket, sock) if isEncrypted(sock) else None

    def serve(self, event: int) -> None:
        """Handle an event of the stream."""
        raise NotImplementedError

    def pump(self) -> None:
        """Move what can be moved from this half to the other one, within this stream's share of the turn."""
        raise NotImplementedError

    def later(self) -> None:
        """Go on in the next turn."""
        if not self.queued:
            self.queued = True
            self.loop.later(self)

    def drained(self) -> None:
        """
        A read would have blocked, and an event will report when there is more to read. Inside TLS there may be some
        already, behind a record without bytes for us.
        """
        self.readable = False
        tls = self.encrypted
        if tls is not None and tls.stuck:
            self.loop.awaitRoom(self)
            self.loop.stuck(self)  # an event will report when it can write: what waits to be read comes along with it
        elif tls is not None and self.hasMore():
            self.readable = True
            self.later()
        elif self.refusesData:
            self.cut()  # nothing more will come, or no event would report it

    def hasMore(self) -> bool:
        """
        Whether a read has left something, inside TLS: it reads one record, or stops behind the last whole one. What is
        left may be the end.
        """
        tls = self.encrypted
        if tls is None:
            return False
        if tls.hasPendingError or fcntl.ioctl(self.fd, termios.FIONREAD, _NO_BYTES) != _NO_BYTES:
            return True
        return self.hungUp and isAtEnd(self.socket)

    def finish(self) -> None:
        """Nothing more comes from this stream, and all that came was passed on: pass the end on."""
        if self.wasReset and self.encrypted is None:  # inside TLS the peer itself declares whether it has ended
            self.cut()
            return
        self.finished = True
        self.readable = False
        self.passEnd()

    def passEnd(self) -> None:
        """Pass the end of this direction on."""
        other = self.other
        if not other.finished or other.encrypted is not None:  # else to close is to end, as nothing is left to read
            try:
                other.socket.shutdown(socket.SHUT_WR)
            except BlockingIOError:
                self.loop.awaitRoom(other)
                if not self.endPending:
                    self.endPending = True
                    self.pair.finished(self)
                return
            except OSError as e:
                other.refused(e.errno)
                return
        self.endPending = False
        self.pair.finished(self)

    def error(self) -> int:
        """The kernel's error of a stream that no read or write has reported; it reports each once. 0: none."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def refused(self, error: int | None) -> None:
        """
        The peer receives nothing more: pass on what it has sent before, which can still be read, and then the cut.

        :param error: what the kernel has reported; None if it may have reported something else before. EPIPE, if no
            other error follows: the peer had ended its stream in order. A Unix socket that was cut reports that to a
            write first.
        """
        first = not self.refusesData
        if first:
            self.refusesData = True
            self.wasReset = error != errno.EPIPE
            self.loop.refused(self)
        elif error not in (None, errno.EPIPE):
            self.wasReset = True
        self.other.discard()
        if self.finished and not self.endPending:
            self.cut()
        elif first:
            self.hungUp = True
            self.readable = not self.finished
            self.later()

    @property
    def acknowledged(self) -> int:
        """About how many bytes from here the other stream's peer has acknowledged; a higher number is progress."""
        left = len(self.unsent) + (0 if self.pipe is None else self.pipe.fill) + unacknowledged(self.other.fd)
        return self.received - left

    def discard(self) -> None:
        """Throw away what is unsent, as the other stream takes nothing more, and go on reading to the end."""
        self._returnPipe()
        self.unsent = b""
        self.endPending = False
        if self.readable:
            self.later()

    def cut(self) -> None:
        """The peer of this half has cut its stream, and all that it had sent before was passed on."""
        self.refusesData = self.wasReset = True
        self.pair.cutAt(self)

    def fail(self) -> None:
        """End the stream after a fault of ours: its state may be inconsistent."""
        self.pair.stop(Reason.FAILED)

    def close(self, reset: bool) -> None:
        """Close the stream."""
        self.loop.left -= MIN_COST
        self.drop()
        if reset:
            closeWithReset(self.socket)
            return
        if self.encrypted is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)  # else it would be a cut
        self.socket.close()

    def drop(self) -> None:
        """Forget what is unsent, and read no more."""
        self._returnPipe()
        self.finished = self.refusesData = True
        self.readable = self.endPending = False
        self.unsent = b""

    def _returnPipe(self) -> None:
        """Return the pipe to the pool, with its content."""
        if self.pipe is not None:
            self.loop.pipes.give(self.pipe)
            self.pipe = None
