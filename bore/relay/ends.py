"""One end of a joined pair, in the relay that keeps bytes in the kernel."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import termios
from typing import TYPE_CHECKING, Final, Protocol, cast

from bore.relay.interface import Pair, Reason
from bore.relay.pipes import Pipe, PipePool
from bore.streams.encryption import isEncrypted, stuckAt
from bore.streams.socketoptions import closeWithReset
from bore.streams.tcpinfo import unacknowledged
from bore.timing.turns import LEAST

if TYPE_CHECKING:
    from bore.tls.tlssocket import TlsSocket

#: Small messages are read into one buffer that all streams share. A read that fills it is the begin of bulk.
BUFFER_SIZE: Final = 1 << 16

#: Bulk that has become a trickle is read like small messages again: so many bytes in one go.
_TRICKLE: Final = 1 << 14

# Urgent data (EPOLLPRI) ends a read early, and a splice as if the stream had ended: no short read is trusted then.
STREAM_ENDED: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR | select.EPOLLPRI
READABLE: Final = select.EPOLLIN | STREAM_ENDED
WRITABLE: Final = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR

_NONBLOCK: Final = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE

#: What FIONREAD says of a socket on which nothing waits to be read.
_NO_BYTES: Final = struct.pack("i", 0)


class Loop(Protocol):
    """
    What an end needs of the relay.

    :ivar buffer: what small messages are read into.
    :ivar view: the same memory.
    :ivar share: how much one stream may use of a turn, in bytes. A read, and a frame of a lane, uses LEAST beside its
        bytes.
    :ivar left: how much of this turn is left, for all streams.
    """

    buffer: bytearray
    view: memoryview
    pipes: PipePool
    share: int
    left: int

    def later(self, end: End) -> None:
        """Have an end go on in the next turn."""

    def stuck(self, end: End) -> None:
        """An end, inside TLS, has to write before it can read: bound the time that this may last."""

    def refused(self, end: End) -> None:
        """The peer of this end takes nothing more: have the end cut if what it has sent before is not taken."""


class JoinedPair(Pair):
    """Two ends of which each passes to the other what it reads."""

    __slots__ = ()

    def cutAt(self, end: End) -> None:
        """The peer of this end has cut its stream, and all that it had sent before was passed on."""
        raise NotImplementedError

    def finished(self, end: End) -> None:
        """The end of this direction was passed on, or is owing from here on."""
        raise NotImplementedError


class End:
    """
    One stream of a pair, and the direction from it to the other one.

    :ivar readable: reading may give something.
    :ivar encrypted: the stream is inside TLS.
    :ivar ending: the peer has ended or cut the stream, or has sent urgent data: behind what a read gives there may be
        more, without a further event.
    :ivar deaf: its peer takes nothing more: what is written to it is thrown away.
    :ivar broken: its peer has cut the stream: where nothing more is to be read it has not ended in order. The kernel
        says so once, and may have said it to a write.
    :ivar framed: its bytes are put into frames, or taken out of them: only those of lanes, and of streams on them.
    :ivar held: bytes that were read and that the other stream has not taken yet. While there are some, or a pipe, no
        more are read.
    :ivar pipe: holds spliced bytes that the other stream has not taken yet.
    :ivar bulk: the last read filled the buffer: splice the next bytes.
    :ivar owing: the end of this direction is to be passed on, and the other stream has not taken it yet.
    :ivar taken: bytes read from this stream.
    :ivar finished: the end of this direction was passed on, or is owing.
    :ivar queued: it is among those that go on in the next turn.
    """

    __slots__ = (
        "broken",
        "bulk",
        "deaf",
        "encrypted",
        "ending",
        "fd",
        "finished",
        "framed",
        "held",
        "loop",
        "other",
        "owing",
        "pair",
        "pipe",
        "queued",
        "readable",
        "socket",
        "taken",
    )

    other: End
    pair: JoinedPair

    def __init__(self, loop: Loop, sock: socket.socket, early: bytes = b"") -> None:
        self.loop = loop
        self.socket = sock
        self.fd = sock.fileno()
        self.held: bytes | memoryview = early
        self.taken = len(early)
        self.pipe: Pipe | None = None
        self.readable = self.bulk = self.finished = self.queued = self.owing = self.framed = False
        self.ending = self.deaf = self.broken = False
        self.encrypted = isEncrypted(sock)

    def serve(self, event: int) -> None:
        """Something has happened to the stream."""
        if event & STREAM_ENDED:
            unread = self.finished or self.held or self.pipe is not None
            self.ending = True
            if event & select.EPOLLERR and unread and (error := self.error()):
                self.refused(error)  # nobody reads from it just now, and so nobody else would find out
                return
        if event & READABLE and not self.finished:
            self.readable = True
        other = self.other
        if event & WRITABLE and (other.held or other.pipe is not None or other.owing):
            other.pump()
        if self.readable:
            self.pump()

    def pump(self) -> None:
        """Move what can be moved from this end to the other one, within this stream's share of the turn."""
        loop = self.loop
        others = loop.left - loop.share if loop.left > loop.share else 0  # max() takes three times as long
        if (self.held or self.pipe is not None) and not self.deliver():
            return
        if self.owing:
            self.passEnd()
            return
        while self.readable and not (self.held or self.pipe is not None or self.finished or self.queued):
            if loop.left <= others:
                self.later()
                return
            loop.left -= LEAST
            if self.framed:
                self.moveFramed()
            elif self.bulk:
                self.moveBulk()
            else:
                self.moveSmall()

    def drained(self) -> None:
        """
        A read had to wait, and an event will tell when there is more to read. Inside TLS there may be some already,
        behind a record that has no bytes for us.
        """
        self.readable = False
        if self.encrypted and stuckAt(self.socket):
            self.loop.stuck(self)  # an event will tell when it can write: what waits to be read comes along with it
        elif self.encrypted and self.hasMore():
            self.readable = True
            self.later()
        elif self.deaf:
            self.cut()  # nothing more will come, or no event would tell of it

    def hasMore(self) -> bool:
        """Whether a read has left something, inside TLS: it looks at one record, or stops behind the last whole one."""
        sock = cast("TlsSocket", self.socket)
        return sock.hasPendingError or fcntl.ioctl(self.fd, termios.FIONREAD, _NO_BYTES) != _NO_BYTES

    def later(self) -> None:
        """Go on in the next turn."""
        if not self.queued:
            self.queued = True
            self.loop.later(self)

    def moveSmall(self) -> None:
        """Read once, and write what was read."""
        try:
            count = self.socket.recv_into(self.loop.buffer, BUFFER_SIZE)
        except BlockingIOError:
            self.drained()
            return
        except OSError:
            self.cut()
            return
        if count == 0:
            self.finish()
            return
        self.taken += count
        self.loop.left -= count
        if count == BUFFER_SIZE:
            self.bulk = True
        elif not (self.ending or (self.encrypted and self.hasMore())):
            self.readable = False  # all that was there: what comes now has an edge of its own
        self.write(self.loop.view[:count])

    def moveFramed(self) -> None:
        """Read once, and pass on what the frames say."""
        raise NotImplementedError

    def receive(self) -> bytes:
        """Read once, for who has use for the bytes; none: nothing, for now or for ever. They are not counted yet."""
        try:
            data = self.socket.recv(BUFFER_SIZE)
        except BlockingIOError:
            self.drained()
            return b""
        except OSError:
            self.cut()
            return b""
        self.loop.left -= len(data)
        if not data:
            self.finish()
        elif len(data) < BUFFER_SIZE and not (self.ending or (self.encrypted and self.hasMore())):
            self.readable = False
        return data

    def write(self, data: bytes | memoryview, flags: int = 0) -> None:
        """Write to the other end, and hold what it does not take."""
        try:
            sent = self.other.socket.send(data, flags)
        except BlockingIOError:
            sent = 0
        except OSError as e:
            self.held = bytes(data)
            self.other.refused(e.errno)
            return
        if sent < len(data):
            self.held = bytes(data[sent:])

    def moveBulk(self) -> None:
        """Splice once into a pipe, and out of it."""
        pipes = self.loop.pipes
        other = self.other
        pipe = None if self.encrypted or other.encrypted or other.deaf else pipes.take()
        if pipe is None:
            self.bulk = False
            self.moveSmall()
            return
        try:
            count = os.splice(self.fd, pipe.writer, pipe.size, flags=_NONBLOCK)
        except BlockingIOError:
            count = 0
        except OSError as e:
            pipes.give(pipe)
            if pipes.areRefused(e):
                self.bulk = False
                self.moveSmall()
            else:
                self.cut()
            return
        if count == 0:
            # Nothing more, for now or for ever; or a mark of urgent data, at which splice stops: recv tells.
            pipes.give(pipe)
            self.moveSmall()
            return
        self.taken += count
        self.loop.left -= count
        self.bulk = count >= _TRICKLE
        pipe.fill = count
        self.pipe = pipe
        self.deliver()

    def deliver(self) -> bool:
        """Write what is held for the other end, and say whether nothing is held any more."""
        sink = self.other
        try:
            if self.held:
                sent = sink.socket.send(self.held)
                self.held = memoryview(self.held)[sent:] if sent < len(self.held) else b""
                if self.held:
                    return False
            pipe = self.pipe
            if pipe is not None:
                while pipe.fill:
                    pipe.fill -= os.splice(pipe.reader, sink.fd, pipe.fill, flags=_NONBLOCK)
                self.pipe = None
                self.loop.pipes.give(pipe)
        except BlockingIOError:
            return False
        except OSError as e:
            if self.pipe is not None and not self.held and self.loop.pipes.areRefused(e):
                self.held = self.pipe.takeBack()
                self._giveBack()
                return self.deliver()
            # A splice that has moved something before the reset came has kept the kernel's word on it to itself.
            sink.refused(e.errno if self.pipe is None else None)
            return False
        return True

    def finish(self) -> None:
        """Nothing more comes from this end, and all that came was passed on: pass the end on."""
        if self.broken and not self.encrypted:  # inside TLS the peer says itself whether it has ended
            self.cut()
            return
        self.finished = True
        self.readable = False
        self.passEnd()

    def passEnd(self) -> None:
        """Pass the end of this direction on."""
        other = self.other
        if not other.finished or other.encrypted:  # else to close is to end, as nothing is left to read
            try:
                other.socket.shutdown(socket.SHUT_WR)
            except BlockingIOError:
                if not self.owing:
                    self.owing = True
                    self.pair.finished(self)
                return
            except OSError as e:
                other.refused(e.errno)
                return
        self.owing = False
        self.pair.finished(self)

    def error(self) -> int:
        """What the kernel knows of a cut that no read or write has told of; it says so once. 0: of none."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def refused(self, error: int | None) -> None:
        """
        The peer takes nothing more: pass on what it has sent before, which can still be read, and then the cut.

        :param error: what the kernel has said; None if that may not be the first time that it was asked. EPIPE, where
            it is said first: the peer had ended its stream in order.
        """
        first = not self.deaf
        if first:
            self.deaf = True
            self.broken = error != errno.EPIPE
            self.loop.refused(self)
        self.other.discard()
        if self.finished and not self.owing:
            self.cut()
        elif first:
            self.ending = True
            self.readable = not self.finished
            self.later()

    @property
    def acknowledged(self) -> int:
        """How many bytes from here the other stream's peer has acknowledged, by and large; more is progress."""
        left = len(self.held) + (0 if self.pipe is None else self.pipe.fill) + unacknowledged(self.other.fd)
        return self.taken - left

    def discard(self) -> None:
        """Throw away what is held for the other stream, which takes nothing more, and go on reading for the same."""
        self._giveBack()
        self.held = b""
        self.owing = False
        if self.readable:
            self.later()

    def cut(self) -> None:
        """The peer of this end has cut its stream, and all that it had sent before was passed on."""
        self.deaf = self.broken = True
        self.pair.cutAt(self)

    def fail(self) -> None:
        """The program is at fault: nothing is sure about this stream any more."""
        self.pair.stop(Reason.FAILED)

    def close(self, reset: bool) -> None:
        """Close the stream, and have nothing to do with it any more."""
        self.loop.left -= LEAST
        self.drop()
        if reset:
            closeWithReset(self.socket)
            return
        if self.encrypted:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)  # else it would be a cut
        self.socket.close()

    def drop(self) -> None:
        """Forget what is held, and read no more."""
        self._giveBack()
        self.finished = self.deaf = True
        self.readable = self.owing = False
        self.held = b""

    def _giveBack(self) -> None:
        """Give a pipe back, with what is in it."""
        if self.pipe is not None:
            self.loop.pipes.give(self.pipe)
            self.pipe = None
