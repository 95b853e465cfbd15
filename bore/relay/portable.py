"""The relay on Twisted's own transports: for every system and every reactor that watches descriptors."""

from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.relay.face import Ending, Pair, Reason, Relay, Stream
from bore.streams.reactor import IReactor
from bore.streams.transport import IStreamTransport, SocketTransport


class PortableRelay(Relay):
    """Joins streams by reading and writing in user space."""

    def __init__(self, reactor: IReactor, halfOpenTimeout: float) -> None:
        super().__init__(reactor, halfOpenTimeout)
        self._reactor = reactor

    def _makePair(self, left: Stream, right: Stream) -> Pair:
        return _PortablePair(self, self._reactor, left, right)

    def _begin(self, pair: Pair) -> None:
        assert isinstance(pair, _PortablePair)
        pair.begin()


class _PortablePair(Pair):
    """Two halves, and how they end together."""

    def __init__(self, relay: PortableRelay, reactor: IReactor, left: Stream, right: Stream) -> None:
        self._relay = relay
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
        return self._left.taken + self._right.taken

    def stop(self, reason: Reason) -> None:
        self._cut(reason)

    def halfEnded(self) -> None:
        """One direction has ended."""
        if self._left.finished and self._right.finished:
            self._reason = self._reason or Reason.FINISHED
            self._left.close()
            self._right.close()
        else:
            self._relay.halfOpened(self)

    def halfLost(self, half: _Half) -> None:
        """One stream is gone, for whatever reason."""
        if self._reason is None:
            self._cut(Reason.LEFT_CUT if half is self._left else Reason.RIGHT_CUT)
        if self._left.lost and self._right.lost:
            assert self._reason is not None
            ending = Ending(self._reason, toRight=self._left.taken, toLeft=self._right.taken)
            self._relay.pairEnded(self, ending)

    def _cut(self, reason: Reason) -> None:
        self._reason = reason
        self._left.abort()
        self._right.abort()


@implementer(IHalfCloseableProtocol, IPushProducer)
class _Half(Protocol):
    """
    One stream of a pair. It is the producer of what the other one writes.

    :ivar taken: bytes taken from this stream.
    :ivar finished: this stream has ended, and its last byte and its end were passed on to the other one.
    :ivar lost: this stream's socket is closed.
    """

    def __init__(self, pair: _PortablePair, stream: Stream, reactor: IReactor) -> None:
        self._pair = pair
        self._early = stream.early
        transport = SocketTransport(stream.socket, self, reactor)
        self._start = transport.start
        self._stream: IStreamTransport = transport
        self._other: _Half
        self.taken = 0
        self.finished = False
        self.lost = False

    def join(self, other: _Half) -> None:
        """Make this half known as the producer of what the other one writes."""
        self._other = other
        other._stream.registerProducer(self, True)

    def begin(self) -> None:
        """Read, and pass on what was read before the streams were joined: it is first, as nothing was read yet."""
        self._start()
        if self._early:
            self.dataReceived(self._early)
            self._early = b""

    def dataReceived(self, data: bytes) -> None:
        self.taken += len(data)
        self._other._stream.write(data)

    def readConnectionLost(self) -> None:
        """No more comes from this stream: end the other one behind its last byte, while its own may still come."""
        self._other._stream.unregisterProducer()
        self._other._stream.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """Everything that this stream was to write is with the kernel, and so is its end."""
        self._other.finished = True
        self._pair.halfEnded()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        self._pair.halfLost(self)

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
        """The other stream is gone: what follows from it is the pair's business."""
