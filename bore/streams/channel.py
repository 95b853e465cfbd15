"""A channel between two processes of ours: :mod:`bore.streams.descriptorframes` over a Unix stream socket."""
# Longer than 300 lines: what is written, how it is read, and what is left for a successor are read together.

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.descriptorframes import (
    AT_ONCE,
    DESCRIPTORS_AT_ONCE,
    DescriptorFrames,
    Frame,
    closeDescriptors,
    joined,
)
from bore.streams.reactor import IReactor
from bore.timing.turns import Inflow, Turns
from bore.wire.errors import ProtocolViolation

#: What may wait to be sent before the channel is full, in bytes and descriptors.
MAX_BYTES: Final = 8 << 20
MAX_DESCRIPTORS: Final = 512

#: What may wait to be sent before the channel is given up. What cannot be held back, such as the visitors that wait for
#: tunnels that are handed over, is more than the limits above at times.
MOST_BYTES: Final = 32 << 20
MOST_DESCRIPTORS: Final = 1 << 14

#: How many times a channel is read in one turn of the reactor.
_READS: Final = 16

#: How long to wait, in seconds, when too many descriptors are on their way in the kernel (ETOOMANYREFS).
_PAUSE: Final = 0.05


class Remains(NamedTuple):
    """
    What is left of a channel for its successor in another process.

    :ivar received: bytes that were received, and are no complete frame or were not processed.
    :ivar batches: descriptors that came with them: how many of the bytes were there when they came, the descriptors,
        and whether some were lost.
    :ivar descriptors: those of the batch whose first frames were processed.
    :ivar begun: the rest of a frame that was sent in part.
    :ivar unsent: frames that were not sent, without their NUL, and their descriptors.
    """

    received: bytes = b""
    batches: tuple[tuple[int, tuple[int, ...], bool], ...] = ()
    descriptors: tuple[int, ...] = ()
    begun: bytes = b""
    unsent: tuple[tuple[bytes, tuple[int, ...]], ...] = ()


@implementer(IReadWriteDescriptor, IPushProducer)
class Channel:
    """
    One end of a channel.

    Frames arrive in the order in which they were sent, each with its descriptors. What is sent in one turn of the
    reactor goes into few system calls.

    :param sock: a connected Unix stream socket; it belongs to the channel from now on.
    :param received: called with each frame, without its NUL, and its descriptors, which belong to the callee. LOST
        stands for one that this process had no room for.
    :param lost: called once, when the channel is over without :meth:`close`: with the reason, or None when the other
        end has closed it behind a complete frame.
    :param maxLength: the longest frame, in bytes.
    :param drained: called when the channel is no longer full.
    :param turns: the turns that are shared with other connections.
    :param remains: what a predecessor has left.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        received: Callable[[bytes, Sequence[int]], None],
        lost: Callable[[str | None], None],
        maxLength: int,
        drained: Callable[[], None] = lambda: None,
        turns: Turns | None = None,
        remains: Remains | None = None,
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._received = received
        self._lost = lost
        self._drained = drained
        self._turns = Turns(reactor) if turns is None else turns
        self._arriving = DescriptorFrames(maxLength)
        self._inflow: Inflow[Frame] = Inflow(self._turns, self, self._goOn)
        self._queue: deque[Frame] = deque()
        self._begun = b""
        self._queuedBytes = self._queuedDescriptors = 0
        self._full = False
        self._paused = self._writes = self._mute = self._over = False
        self._pause: IDelayedCall | None = None
        self._flushed: list[Deferred[None]] = []
        sock.setblocking(False)
        reactor.addReader(self)
        if remains is not None:
            self._goOnFrom(remains)

    @property
    def full(self) -> bool:
        """Whether so much waits to be sent that the sender has to hold back, until ``drained`` is called."""
        return self._full

    def send(self, frame: bytes, descriptors: Sequence[int] = ()) -> None:
        """
        Send a frame.

        :param frame: a JSON text without a NUL.
        :param descriptors: at most 253; they belong to the channel from now on, which closes them when they are sent.
        """
        if self._over or self._mute:
            closeDescriptors(descriptors)
            return
        self._queue.append((frame, tuple(descriptors)))
        self._queuedBytes += len(frame)
        self._queuedDescriptors += len(descriptors)
        if self._queuedBytes >= MAX_BYTES or self._queuedDescriptors >= MAX_DESCRIPTORS:
            self._full = True
            if self._queuedBytes >= MOST_BYTES or self._queuedDescriptors >= MOST_DESCRIPTORS:
                self._end("the other end does not read")
                return
        self._startWriting()

    def flush(self, seconds: float) -> Deferred[None]:
        """
        Wait until all is sent.

        :returns: fires then, or when the channel is over, or after so many seconds.
        """
        if self._over or self._mute or not (self._queue or self._begun):
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        timer = self._reactor.callLater(seconds, self._hasFlushed)
        waiting: Deferred[None] = Deferred()

        def cancel(result: None) -> None:
            if timer.active():
                timer.cancel()

        waiting.addCallback(cancel)
        self._flushed.append(waiting)
        return waiting

    def quiesce(self, seconds: float) -> Deferred[None]:
        """
        Take no more frames, and send what waits. :meth:`leave` has to follow.

        :returns: fires when that is done, or after so many seconds. More can be sent all the while.
        """
        self._inflow.stop()
        self.pauseProducing()
        return self.flush(seconds)

    def leave(self) -> Remains:
        """
        Have nothing to do with the socket any more, which stays open. What is sent from now on is not kept.

        :returns: what is left.
        """
        if self._over:
            return Remains()
        self._over = True
        self._release()
        return Remains(*self._arriving.leave(), self._begun, tuple(self._queue))

    def close(self) -> None:
        """Close the channel, and all descriptors that were not sent or not taken. May be called twice."""
        if not self._over:
            self._over = True
            self._release()
            self._arriving.close()
            self._forgetQueue()
            self._socket.close()

    # The methods of IReadWriteDescriptor and IPushProducer, for the reactor and the inflow.

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Channel"

    def connectionLost(self, reason: Failure) -> None:
        """The other end is closed, and was not read: what it has sent before comes first."""
        if not self._over:
            self._writes = False
            self._mute = True
            self._forgetQueue()
            if not self._paused:
                self._reactor.addReader(self)

    def pauseProducing(self) -> None:
        self._paused = True
        self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        if not self._over:
            self._paused = False
            self._reactor.addReader(self)

    def stopProducing(self) -> None:
        self._end("what it has sent could not be processed")

    def doRead(self) -> None:
        for _ in range(_READS):
            try:
                size = self._arriving.receiveFrom(self._socket)
            except BlockingIOError:
                return
            except OSError as e:
                self._end(e.strerror or str(e))
                return
            if not size:
                self._end("it has ended within a frame" if self._arriving.hasPart else None)
                return
            self._inflow.received(self._arriving.frames(), size)
            self._goOn()
            if self._over or self._paused:
                return

    def doWrite(self) -> None:
        try:
            while self._begun or self._queue:
                if not self._sendSome():
                    return
        except BlockingIOError:
            return
        except OSError as e:
            if e.errno == errno.ETOOMANYREFS:
                self._stopWriting()
                self._pause = self._reactor.callLater(_PAUSE, self._goOnWriting)
            else:  # the other end is closed, and what it has sent before will be read
                self._stopWriting()
                self._mute = True
                self._forgetQueue()
            return
        self._stopWriting()
        self._hasFlushed()

    def _sendSome(self) -> bool:
        """Send a part of what waits; return whether the system has taken it as a whole."""
        if self._begun:
            sent = self._socket.send(self._begun)
            self._begun = self._begun[sent:]
            return not self._begun
        data, descriptors, count = self._nextBatch()
        sent = socket.send_fds(self._socket, [data], descriptors) if descriptors else self._socket.send(data)
        for _ in range(count):
            frame, _ = self._queue.popleft()
            self._queuedBytes -= len(frame)
        self._queuedDescriptors -= len(descriptors)
        closeDescriptors(descriptors)
        self._begun = data[sent:]
        if self._full and self._queuedBytes < MAX_BYTES // 2 and self._queuedDescriptors < MAX_DESCRIPTORS // 2:
            self._full = False
            self._drained()
        return not self._begun

    def _nextBatch(self) -> tuple[bytes, list[int], int]:
        """The bytes and descriptors to send at once, and the number of their frames."""
        size = count = 0
        chosen: list[Frame] = []
        for frame, mine in self._queue:
            size += len(frame)
            count += len(mine)
            if chosen and (size > AT_ONCE or count > DESCRIPTORS_AT_ONCE):
                break
            chosen.append((frame, mine))
        return *joined(chosen), len(chosen)

    def _goOn(self) -> None:
        """Hand over the frames that are complete, as far as this turn allows."""
        try:
            for frame, descriptors in self._inflow:
                try:
                    self._received(frame, descriptors)
                except Exception:
                    self._log.failure("a message from another process could not be processed")
            if not self._paused:
                self._arriving.check()
        except ProtocolViolation as e:
            self._end(str(e))

    def _goOnFrom(self, remains: Remains) -> None:
        self._arriving.goOnFrom(remains.received, remains.batches, remains.descriptors)
        self._begun = remains.begun
        if self._begun:
            self._startWriting()
        for frame, descriptors in remains.unsent:
            self.send(frame, descriptors)
        self._inflow.received(self._arriving.frames(), 0)
        self._turns.wait(self._goOn)

    def _startWriting(self) -> None:
        if not (self._writes or self._pause):
            self._writes = True
            self._reactor.addWriter(self)

    def _stopWriting(self) -> None:
        if self._writes:
            self._writes = False
            self._reactor.removeWriter(self)

    def _goOnWriting(self) -> None:
        self._pause = None
        self._startWriting()

    def _forgetQueue(self) -> None:
        """Send nothing of what waits."""
        closeDescriptors(fd for _, descriptors in self._queue for fd in descriptors)
        self._queue.clear()
        self._begun = b""
        self._queuedBytes = self._queuedDescriptors = 0
        self._full = False
        self._hasFlushed()

    def _hasFlushed(self) -> None:
        flushed, self._flushed = self._flushed, []
        for each in flushed:
            each.callback(None)

    def _end(self, reason: str | None) -> None:
        if not self._over:
            self.close()
            self._lost(reason)

    def _release(self) -> None:
        """Have the reactor forget the channel."""
        self._inflow.stop()
        self._reactor.removeReader(self)
        self._stopWriting()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
