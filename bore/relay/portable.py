"""The relay on Twisted's own transports: for each system, and each reactor that watches descriptors."""

from __future__ import annotations

import socket
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.relay.interface import Ending, LaneHandle, Reason, Stream
from bore.relay.lingering import TAKE_TIMEOUT
from bore.relay.pairs import Pair, PairRelay
from bore.relay.readout import ReadOutTransport
from bore.streams.reactor import IReactor
from bore.streams.tcpinfo import unacknowledged
from bore.streams.transport import IStreamTransport


class PortableRelay(PairRelay):
    """Joins streams by reading and writing in user space."""

    def _makePair(self, left: Stream, right: Stream) -> tuple[Pair, Callable[[], None]]:
        pair = _PortablePair(self, self._reactor, left, right)
        return pair, pair.begin


class _PortablePair(Pair):
    """Two halves, and how they end together."""

    def __init__(self, relay: PortableRelay, reactor: IReactor, left: Stream, right: Stream) -> None:
        self._relay = relay
        self._reactor = reactor
        self._socket = left.socket
        self._looking: IDelayedCall | None = None
        self._acknowledged = 0
        self._reason: Reason | None = None
        self._left = _Half(self, left, reactor)
        self._right = _Half(self, right, reactor)
        self._left.join(self._right)
        self._right.join(self._left)

    def begin(self) -> None:
        """Start to move bytes."""
        self._left.begin()
        self._right.begin()

    @property
    def moved(self) -> int:
        return self._left.received + self._right.received

    @property
    def progress(self) -> tuple[int, int, LaneHandle | None]:
        return self._left.received, self._right.received, None

    def isOn(self, sockets: AbstractSet[socket.socket]) -> bool:
        return self._socket in sockets

    def stop(self, reason: Reason) -> None:
        self._cut(self._reason or reason)

    def halfEnded(self) -> None:
        """One direction has ended."""
        if self._left.finished and self._right.finished:
            self._reason = self._reason or Reason.FINISHED
            self._left.close()
            self._right.close()
        else:
            self._relay.halfOpened(self)

    def halfLost(self, half: _Half) -> None:
        """One stream is gone."""
        if self._reason is None:
            self._reason = Reason.LEFT_CUT if half is self._left else Reason.RIGHT_CUT
            half.other.leave()
        elif self._left.lost and self._right.lost:
            self._stopLooking()
            self._relay.pairEnded(self, self._ending())

    def left(self, sock: socket.socket) -> None:
        """The other stream is lost, and all bytes received from it have been written to this one."""
        self._stopLooking()
        self._relay.resetLater(self, sock, self._ending())

    def refused(self, half: _Half) -> None:
        """The peer of one stream receives nothing more: bound the time that the bytes it sent before may take."""
        if self._looking is None:
            self._acknowledged = half.acknowledged
            self._looking = self._reactor.callLater(TAKE_TIMEOUT, self._look, half)

    def _look(self, half: _Half) -> None:
        self._looking = None
        if half.acknowledged > self._acknowledged:
            self.refused(half)
        else:
            self._cut(self._reason or (Reason.LEFT_CUT if half is self._left else Reason.RIGHT_CUT))

    def _stopLooking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _ending(self) -> Ending:
        assert self._reason is not None
        return Ending(self._reason, toRight=self._left.received, toLeft=self._right.received)

    def _cut(self, reason: Reason) -> None:
        self._reason = reason
        self._left.abort()
        self._right.abort()


@implementer(IHalfCloseableProtocol, IPushProducer)
class _Half(Protocol):
    """
    One stream of a pair, and the direction from it to the other one. It is the producer of what the other one writes.

    :ivar received: how many bytes were read from this stream.
    :ivar other: the other one.
    :ivar finished: this stream has ended, and its last byte and its end were passed on to the other one.
    :ivar lost: this stream's socket is closed.
    """

    def __init__(self, pair: _PortablePair, stream: Stream, reactor: IReactor) -> None:
        self._pair = pair
        self._early = stream.early
        self._transport = ReadOutTransport(stream.socket, self, reactor)
        self._stream: IStreamTransport = self._transport
        self.other: _Half
        self.received = 0
        self.finished = False
        self.lost = False
        self._ended = False

    def join(self, other: _Half) -> None:
        """Register this half as the producer of what the other one writes."""
        self.other = other
        other._stream.registerProducer(self, True)

    def begin(self) -> None:
        """Read, and pass on what was read before the streams were joined: it is first, as nothing was read since."""
        self._transport.start()
        if self._early:
            self.dataReceived(self._early)
            self._early = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        self.other._stream.write(data)

    def readConnectionLost(self) -> None:
        """This stream has ended: end the other one behind its last byte. Bytes from the other one may still come."""
        self._ended = True
        self.other._stream.unregisterProducer()
        self.other._stream.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """The kernel has taken all that this stream was to write, and its end."""
        self.other.finished = True
        self._pair.halfEnded()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        self._pair.halfLost(self)

    def refused(self) -> None:
        """The peer receives nothing more; what it has sent before is still to be read."""
        self._pair.refused(self)

    @property
    def acknowledged(self) -> int:
        """About how many bytes from here the other stream's peer has acknowledged; a higher number is progress."""
        stream = self.other._transport
        return self.received - stream.unsent - unacknowledged(stream.fileno())

    def leave(self) -> None:
        """Reset the stream when the peer has acknowledged all that came from the other one, which is lost."""
        if self.lost:
            return
        if self._transport.isRefused:
            self.abort()
            return
        self._pair.refused(self.other)
        self._stream.unregisterProducer()
        if not self._ended:
            self._stream.resumeProducing()  # what it reads is thrown away
        self._transport.whenWritten(self._leaveNow)

    def _leaveNow(self) -> None:
        self.lost = True
        self._pair.left(self._transport.detach())

    def close(self) -> None:
        """Close a stream whose two directions have ended."""
        self._stream.loseConnection()

    def abort(self) -> None:
        """Reset the stream."""
        if not self.lost:
            self._stream.abortConnection()

    def pauseProducing(self) -> None:
        if not self.lost:
            self._stream.pauseProducing()

    def resumeProducing(self) -> None:
        if not self.lost:
            self._stream.resumeProducing()

    def stopProducing(self) -> None:
        """The other stream is gone: the pair handles it."""
