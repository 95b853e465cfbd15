"""
A channel between two processes of ours: frames, and descriptors with them, over a Unix stream socket.

The kernel delivers descriptors no later than the first byte of the sendmsg(2) that they were sent with, and says of
none which frame it belongs to. So each frame begins with the number of its descriptors, if it has any, and the first
frame of each sendmsg with the number of all that are sent with it: ``3:1{...}``, ``2{...}``. Thus it is known which
frames have lost theirs when the receiver has no room for all of them (MSG_CTRUNC).
"""
# Longer than 300 lines: what is written, how it is read, and what is left for a successor are read together.

from __future__ import annotations

import errno
import os
import re
import socket
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.reactor import IReactor
from bore.timing.turns import Inflow, Turns
from bore.wire.errors import ProtocolViolation
from bore.wire.framing import FrameDecoder

#: A descriptor that the kernel could not deliver.
LOST: Final = -1

#: What may wait to be sent before the channel is full, in bytes and descriptors.
MAX_BYTES: Final = 8 << 20
MAX_DESCRIPTORS: Final = 512

#: What may wait to be sent before the channel is given up. What cannot be held back, such as the visitors that wait for
#: tunnels that are handed over, is more than the limits above at times.
MOST_BYTES: Final = 32 << 20
MOST_DESCRIPTORS: Final = 1 << 14

#: How much is sent and read by one system call, in bytes; a longer frame is sent alone.
_AT_ONCE: Final = 1 << 16

#: The most descriptors that sendmsg(2) takes (SCM_MAX_FD in Linux).
_DESCRIPTORS_AT_ONCE: Final = 253

#: The room for those that are received.
_ROOM: Final = socket.CMSG_SPACE(_DESCRIPTORS_AT_ONCE * array("i").itemsize)

#: With this, received descriptors do not reach programs that are started. macOS does not have it.
_CLOEXEC: Final[int] = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

#: How many times a channel is read in one turn of the reactor.
_READS: Final = 16

#: How long to wait, in seconds, when too many descriptors are on their way in the kernel (ETOOMANYREFS).
_PAUSE: Final = 0.05

#: What a frame begins with, in front of the first character of a JSON text.
_PREFIX: Final = re.compile(rb'(?:(\d{1,3}):)?(\d{0,3})(?=[{"\[])')

#: The longest of those.
_LONGEST_PREFIX: Final = 7


class _Batch(NamedTuple):
    """
    The descriptors of one sendmsg.

    :ivar end: up to where the channel had been read when they came, in bytes: the first frame with which they were sent
        begins before.
    :ivar lost: whether there were more.
    """

    end: int
    descriptors: tuple[int, ...]
    lost: bool


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
        self._decoder = FrameDecoder(maxLength + _LONGEST_PREFIX)
        self._inflow: Inflow[tuple[bytes, tuple[int, ...]]] = Inflow(self._turns, self, self._goOn)
        self._batches: deque[_Batch] = deque()
        self._descriptors: deque[int] = deque()  # of the batch whose frames arrive
        self._read = 0  # bytes since the beginning, and those of them that were frames
        self._taken = 0
        self._queue: deque[tuple[bytes, tuple[int, ...]]] = deque()
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
            _closeAll(descriptors)
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
        received = self._decoder.takeRest()
        batches = [(each.end - self._taken, each.descriptors, each.lost) for each in self._batches]
        self._over = True
        self._release()
        return Remains(received, tuple(batches), tuple(self._descriptors), self._begun, tuple(self._queue))

    def close(self) -> None:
        """Close the channel, and all descriptors that were not sent or not taken. May be called twice."""
        if not self._over:
            self._over = True
            self._release()
            _closeAll(fd for batch in self._batches for fd in batch.descriptors)
            _closeAll(self._descriptors)
            self._forgetQueue()
            self._batches.clear()
            self._descriptors.clear()
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
                data, ancillary, flags, _ = self._socket.recvmsg(_AT_ONCE, _ROOM, _CLOEXEC)
            except BlockingIOError:
                return
            except OSError as e:
                self._end(e.strerror or str(e))
                return
            self._read += len(data)
            self._keep(ancillary, bool(flags & socket.MSG_CTRUNC))
            if not data:
                self._end("it has ended within a frame" if self._decoder.hasPart or self._batches else None)
                return
            self._decoder.feed(data)
            self._inflow.received(self._frames(), len(data))
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
        _closeAll(descriptors)
        self._begun = data[sent:]
        if self._full and self._queuedBytes < MAX_BYTES // 2 and self._queuedDescriptors < MAX_DESCRIPTORS // 2:
            self._full = False
            self._drained()
        return not self._begun

    def _nextBatch(self) -> tuple[bytes, list[int], int]:
        """The bytes and descriptors to send at once, and the number of their frames."""
        size = 0
        chosen: list[tuple[bytes, tuple[int, ...]]] = []
        descriptors: list[int] = []
        for frame, mine in self._queue:
            size += len(frame)
            if chosen and (size > _AT_ONCE or len(descriptors) + len(mine) > _DESCRIPTORS_AT_ONCE):
                break
            chosen.append((frame, mine))
            descriptors += mine
        parts = [b"%d:" % len(descriptors)] if descriptors else []
        for frame, mine in chosen:
            parts += (b"%d" % len(mine), frame, b"\0") if mine else (frame, b"\0")
        return b"".join(parts), descriptors, len(chosen)

    def _keep(self, ancillary: Iterable[tuple[int, int, bytes]], lost: bool) -> None:
        """Keep descriptors that were received."""
        found = array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
        if found or lost:
            if not _CLOEXEC:
                for each in found:
                    os.set_inheritable(each, False)
            self._batches.append(_Batch(self._read, tuple(found), lost))

    def _frames(self) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        """
        The frames that are complete, and their descriptors.

        :raises ProtocolViolation: when the other end has broken the rules.
        """
        while (frame := self._decoder.nextFrame()) is not None:
            self._taken += len(frame) + 1
            prefix = _PREFIX.match(frame)
            if prefix is None:
                raise ProtocolViolation("a frame that is not a JSON text")
            if prefix[1] is not None:
                self._beginBatch(int(prefix[1]))
            count = int(prefix[2] or 0)
            if count > len(self._descriptors):
                raise ProtocolViolation("descriptors are missing")
            mine = tuple(self._descriptors.popleft() for _ in range(count))
            if self._batches and self._batches[0].end <= self._taken:
                _closeAll(mine)
                raise ProtocolViolation("descriptors that no frame has announced")
            yield frame[prefix.end() :], mine

    def _beginBatch(self, count: int) -> None:
        if self._descriptors:
            raise ProtocolViolation("descriptors that no frame has taken")
        if not self._batches:
            raise ProtocolViolation("descriptors are missing")
        batch = self._batches.popleft()
        self._descriptors.extend(batch.descriptors)
        missing = count - len(batch.descriptors)
        if missing < 0 or (missing and not batch.lost):
            raise ProtocolViolation(f"{len(batch.descriptors)} descriptors in the place of {count}")
        self._descriptors.extend([LOST] * missing)

    def _goOn(self) -> None:
        """Hand over the frames that are complete, as far as this turn allows."""
        try:
            for frame, descriptors in self._inflow:
                try:
                    self._received(frame, descriptors)
                except Exception:
                    self._log.failure("a message from another process could not be processed")
            if len(self._batches) > 1 and not self._paused:
                raise ProtocolViolation("descriptors within a frame")
        except ProtocolViolation as e:
            self._end(str(e))

    def _goOnFrom(self, remains: Remains) -> None:
        self._decoder.feed(remains.received)
        self._read = len(remains.received)
        self._batches.extend(_Batch(*each) for each in remains.batches)
        self._descriptors.extend(remains.descriptors)
        self._begun = remains.begun
        if self._begun:
            self._startWriting()
        for frame, descriptors in remains.unsent:
            self.send(frame, descriptors)
        self._inflow.received(self._frames(), 0)
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
        _closeAll(fd for _, descriptors in self._queue for fd in descriptors)
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


def _closeAll(descriptors: Iterable[int]) -> None:
    for each in descriptors:
        if each != LOST:
            with suppress(OSError):
                os.close(each)
