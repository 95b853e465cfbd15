"""How the bytes of a half move to the other half, in the relay that keeps bytes in the kernel."""

from __future__ import annotations

import os
import select
from typing import Final

from bore.relay.halves import Half
from bore.timing.turns import MIN_COST

#: Small messages are read into one buffer that all streams share. A read that fills it is the beginning of bulk.
BUFFER_SIZE: Final = 1 << 16

#: Bulk of which one splice gives less than this many bytes is read like small messages again.
_TRICKLE: Final = 1 << 14

# Urgent data (EPOLLPRI) ends a read early, and a splice as if the stream had ended: no short read is trusted then.
STREAM_ENDED: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR | select.EPOLLPRI
READABLE: Final = select.EPOLLIN | STREAM_ENDED
WRITABLE: Final = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR

_NONBLOCK: Final = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE


class Flow(Half):
    """A half, and how its bytes move."""

    __slots__ = ()

    def serve(self, event: int) -> None:
        if event & STREAM_ENDED:
            unread = self.finished or self.unsent or self.pipe is not None
            self.hungUp = True
            if event & select.EPOLLERR and unread and (error := self.error()):
                self.refused(error)  # nothing is read from it just now that would report the error
                return
        if event & READABLE and not self.finished:
            self.readable = True
        other = self.other
        if event & WRITABLE and (other.unsent or other.pipe is not None or other.endPending):
            other.pump()
        if self.readable:
            self.pump()

    def pump(self) -> None:
        if (self.unsent or self.pipe is not None) and not self.deliver():
            return
        if self.endPending:
            self.passEnd()
            return
        loop = self.loop
        while self.readable and not (self.unsent or self.pipe is not None or self.finished or self.queued):
            if loop.left <= loop.reserved:
                self.later()
                return
            loop.left -= MIN_COST
            if self.framed:
                self.moveFramed()
            elif self.bulk:
                self.moveBulk()
            else:
                self.moveSmall()

    def moveSmall(self) -> None:
        """Read once, and write what was read."""
        loop = self.loop
        try:
            count = self.socket.recv_into(loop.buffer, BUFFER_SIZE)
        except BlockingIOError:
            self.drained()
            return
        except OSError:
            self.cut()
            return
        if count == 0:
            self.finish()
            return
        self.received += count
        loop.left -= count
        if count == BUFFER_SIZE:
            self.bulk = True
        elif not (self.hungUp or (self.encrypted is not None and self.hasMore())):
            self.readable = False  # all that was there: what comes now has an edge of its own
        # As in write: the call would cost a small message 3 % of its time.
        data = loop.view[:count]
        try:
            sent = self.other.socket.send(data)
        except OSError as e:
            self._notSent(data, e)
            return
        if sent < count:
            self._keep(data[sent:])

    def moveFramed(self) -> None:
        """Read once, and pass on what is in the frames, or put what was read into frames."""
        raise NotImplementedError

    def receive(self) -> bytes:
        """Read once, for a caller that needs the bytes; empty: nothing for now, or the end. They are not counted."""
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
        elif len(data) < BUFFER_SIZE and not (self.hungUp or (self.encrypted is not None and self.hasMore())):
            self.readable = False
        return data

    def write(self, data: bytes | memoryview, flags: int = 0) -> None:
        """Write to the other stream, and keep what it does not take."""
        try:
            sent = self.other.socket.send(data, flags)
        except OSError as e:
            self._notSent(data, e)
            return
        if sent < len(data):
            self._keep(data[sent:])

    def _notSent(self, data: bytes | memoryview, error: OSError) -> None:
        """The other stream has taken nothing."""
        if isinstance(error, BlockingIOError):
            self._keep(data)
        else:
            self.unsent = bytes(data)
            self.other.refused(error.errno)

    def _keep(self, data: bytes | memoryview) -> None:
        """Keep what the other stream does not take now."""
        self.unsent = bytes(data)
        self.loop.awaitRoom(self.other)

    def moveBulk(self) -> None:
        """Splice once into a pipe, and out of it."""
        pipes = self.loop.pipes
        other = self.other
        plain = self.encrypted is None and other.encrypted is None
        pipe = pipes.take() if plain and not other.refusesData else None
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
            # Nothing for now, or the end; or a mark of urgent data, at which splice stops: recv tells them apart.
            pipes.give(pipe)
            self.moveSmall()
            return
        self.received += count
        self.loop.left -= count
        self.bulk = count >= _TRICKLE
        pipe.fill = count
        self.pipe = pipe
        self.deliver()

    def deliver(self) -> bool:
        """
        Write what is unsent to the other stream.

        :returns: whether nothing is unsent any more.
        """
        sink = self.other
        try:
            if self.unsent:
                sent = sink.socket.send(self.unsent)
                self.unsent = memoryview(self.unsent)[sent:] if sent < len(self.unsent) else b""
                if self.unsent:
                    self.loop.awaitRoom(sink)
                    return False
            pipe = self.pipe
            if pipe is not None:
                while pipe.fill:
                    pipe.fill -= os.splice(pipe.reader, sink.fd, pipe.fill, flags=_NONBLOCK)
                self.pipe = None
                self.loop.pipes.give(pipe)
        except BlockingIOError:
            self.loop.awaitRoom(sink)
            return False
        except OSError as e:
            if self.pipe is not None and not self.unsent and self.loop.pipes.areRefused(e):
                self.unsent = self.pipe.takeBack()
                self._returnPipe()
                return self.deliver()
            # A splice that moves something before the reset comes does not return the kernel's error.
            sink.refused(e.errno if self.pipe is None else None)
            return False
        return True
