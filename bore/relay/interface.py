"""What the rest of the program sees of the relay."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol, TypeAlias

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from bore.relay.lingering import MAX_LINGERING, LingeringReset
from bore.streams.errortexts import errorText
from bore.streams.reactor import IReactor

#: How long running pairs may go on when the program is told to stop, in seconds.
DRAIN_TIMEOUT: Final = 5.0

#: How long a half-open pair may be silent, in seconds, unless the user decides otherwise.
HALF_OPEN_TIMEOUT: Final = 600.0

#: Maximum number of simultaneous pairs per tunnel, unless the user decides otherwise.
MAX_VISITORS: Final = 10_000

#: When nothing has come on a lane for so long since it got its visitor, it is looked at whether the visitor has
#: arrived at the other side at all, in seconds: longer than a round trip, and short enough for a visitor to wait.
PROOF_TIMEOUT: Final = 2.5

#: The silence of half-open pairs is looked at so many times within its bound: no timer is needed for each pair.
_TICKS: Final = 8


class Stream(NamedTuple):
    """
    One end of a pair.

    :ivar socket: a connected stream socket that does not block and that nobody else watches; the relay closes it.
    :ivar early: bytes that were already read from it. They reach the other end first.
    """

    socket: socket.socket
    early: bytes = b""


class Reason(Enum):
    """Why a pair ended."""

    FINISHED = "both directions ended in order"
    LEFT_CUT = "the left stream was cut"
    RIGHT_CUT = "the right stream was cut"
    HALF_OPEN = "one direction had ended, and the other was silent for too long"
    STOPPED = "the relay was stopped"
    FAILED = "the system could not serve it"


class Ending(NamedTuple):
    """
    How a pair ended.

    :ivar toRight: bytes taken from the left stream for the right one, ``early`` included.
    :ivar toLeft: bytes taken from the right stream for the left one.
    """

    reason: Reason
    toRight: int
    toLeft: int


#: Takes a stream back whose lane was dead: the bytes that were read from it, and whether silence alone has shown it.
GiveBack: TypeAlias = Callable[[bytes, bool], None]


class LaneHandle(Protocol):
    """A lane, as its user sees it."""

    @property
    def socket(self) -> socket.socket:
        """The lane's socket. It belongs to the relay."""

    @property
    def closed(self) -> bool:
        """Whether the lane is closed, or is to be closed: no stream can be joined with it any more."""

    @property
    def looksAlive(self) -> bool:
        """Whether the kernel has nothing to read from an idle lane, neither its end nor an error."""

    def refuse(self) -> None:
        """Reset the stream of a visitor that has come on the lane, instead of joining it."""

    def dismiss(self) -> None:
        """Close an idle lane, unless there is something to read from it, which is a visitor: it is served first."""

    def end(self, reset: bool) -> None:
        """Close a lane with no stream on it."""


class LaneUser(Protocol):
    """
    Uses lanes, and is told what becomes of each.

    ``opened`` and ``idle`` are called between the steps of lanes, never inside one: they may join streams, and end
    lanes. ``gone`` can be called inside a step, and must not do either.
    """

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        """The server has put a visitor on the lane; it waits to be joined, or refused."""

    def idle(self, lane: LaneHandle) -> None:
        """The visitor has left, and the lane can have the next one."""

    def gone(self, lane: LaneHandle) -> None:
        """The lane is closed."""


class LaneCarrier(Protocol):
    """A relay that carries lanes."""

    def adopt(self, sock: socket.socket, early: bytes, serves: bool, user: LaneUser) -> LaneHandle:
        """
        Take a connection as an idle lane.

        :param early: what was read from it behind the Lane message.
        :param serves: whether this is the server's side.
        :param user: is told what becomes of the lane.
        :raises OSError: when the system has no room for it; a ValueError when the relay is closed already.
        """

    def joinWithLane(
        self,
        plain: Stream,
        lane: LaneHandle,
        ended: Callable[[Ending], None],
        opening: bytes = b"",
        header: bytes = b"",
        giveBack: GiveBack | None = None,
    ) -> None:
        """
        Join a stream with a lane of this relay. On the server's side the stream is the left one of the pair.

        :param ended: called once, when the stream is closed; that may be before this method returns.
        :param opening: what is sent on the lane first.
        :param header: what the stream is sent first.
        :param giveBack: called instead of ``ended``, when the lane turns out to have been dead. None: the stream is
            cut then.
        """


class Pair(ABC):
    """Two joined streams."""

    __slots__ = ()

    @property
    @abstractmethod
    def moved(self) -> int:
        """The bytes taken from both streams."""

    @abstractmethod
    def stop(self, reason: Reason) -> None:
        """Cut both streams."""


class Relay(ABC):
    """
    Joins streams.

    Bytes pass unaltered and in order. A slow reader on one side slows the writer on the other, and the relay holds
    a bounded number of bytes meanwhile. The end of one direction is passed on while the other goes on. A reset is
    passed on as a reset, behind all that was sent before it: an answer reaches the other side although whoever gave it
    has closed its stream without reading the question. When both directions have ended, both sockets are closed.

    :param halfOpenTimeout: a pair one direction of which has ended is cut when the other one is silent for so many
        seconds, or up to an eighth longer. Fully open pairs may be silent for ever.
    """

    _log = Logger()

    def __init__(self, reactor: IReactor, halfOpenTimeout: float) -> None:
        self._reactor = reactor
        self._tick = halfOpenTimeout / _TICKS
        self._pairs: dict[Pair, Callable[[Ending], None]] = {}
        self._halfOpen: dict[Pair, tuple[int, int]] = {}
        self._lingering: dict[Pair, LingeringReset] = {}
        self._ticking: IDelayedCall | None = None
        self._drained: Deferred[None] | None = None
        self._cutting: IDelayedCall | None = None

    @property
    def lanes(self) -> LaneCarrier | None:
        """This relay as one that carries lanes; None if it does not."""
        return None

    def __len__(self) -> int:
        """How many pairs are running."""
        return len(self._pairs)

    def join(self, left: Stream, right: Stream, ended: Callable[[Ending], None]) -> None:
        """
        Join two streams.

        :param ended: called once, when both are closed; that may be before this method returns.
        """
        try:
            pair = self._makePair(left, right)
        except (OSError, ValueError) as e:  # the system has no room for them, or the relay is closed already
            self._log.warn("streams could not be joined: {error}", error=errorText(e))
            left.socket.close()
            right.socket.close()
            ended(Ending(Reason.FAILED, 0, 0))
            return
        self._pairs[pair] = ended
        try:
            self._begin(pair)
        except Exception:
            # A fault of ours: it costs this pair, and is not to leave it behind.
            self._log.failure("a pair failed")
            if pair in self._pairs:
                pair.stop(Reason.FAILED)

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Let the running pairs end by themselves, cut those that have not after a while, and close.

        :param seconds: how long they have.
        :returns: fires when no pair is left.
        """
        assert self._drained is None, "draining already"
        if not self._pairs:
            self.close()
            return succeed(None)
        self._log.info("running visitors may go on for {seconds} s: {count}", seconds=seconds, count=len(self))
        self._drained = Deferred()
        self._cutting = self._reactor.callLater(seconds, self._cutAll)
        return self._drained

    def close(self) -> None:
        """Give back what is held for pairs to come. None may be running."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    @abstractmethod
    def _makePair(self, left: Stream, right: Stream) -> Pair:
        """Take two streams, and do nothing yet."""

    @abstractmethod
    def _begin(self, pair: Pair) -> None:
        """Start to move bytes."""

    def halfOpened(self, pair: Pair) -> None:
        """Said by a pair: one direction has ended."""
        self._halfOpen[pair] = (pair.moved, 0)
        if self._ticking is None:
            self._ticking = self._reactor.callLater(self._tick, self._findSilent)

    def _findSilent(self) -> None:
        self._ticking = None
        for pair, (moved, ticks) in list(self._halfOpen.items()):
            if pair.moved != moved:
                self._halfOpen[pair] = (pair.moved, 0)
            elif ticks < _TICKS:
                self._halfOpen[pair] = (moved, ticks + 1)
            else:
                pair.stop(Reason.HALF_OPEN)
        if self._halfOpen:
            self._ticking = self._reactor.callLater(self._tick, self._findSilent)

    def resetLater(self, pair: Pair, sock: socket.socket, ending: Ending) -> None:
        """
        Said by a pair: one stream is closed, and the other one is to be reset when its peer has acknowledged all.

        The pair is running until then.
        """
        self._halfOpen.pop(pair, None)
        if len(self._lingering) >= MAX_LINGERING:
            next(iter(self._lingering.values())).finish()
        lingering = self._lingering[pair] = LingeringReset(self._reactor, sock, lambda: self.pairEnded(pair, ending))
        lingering.start()

    def relieve(self) -> bool:
        """
        Reset half of the streams that are only waited for until their peers have acknowledged all, the oldest ones.

        :returns: whether there was one, so that a descriptor is free.
        """
        count = (len(self._lingering) + 1) // 2
        for lingering in list(self._lingering.values())[:count]:
            lingering.finish()
        return count > 0

    def pairEnded(self, pair: Pair, ending: Ending) -> None:
        """Said by a pair: both streams are closed."""
        ended = self._pairs.pop(pair)
        self._halfOpen.pop(pair, None)
        self._lingering.pop(pair, None)
        ended(ending)
        if self._drained is not None and not self._pairs:
            drained, self._drained = self._drained, None
            if self._cutting is not None and self._cutting.active():
                self._cutting.cancel()
            self.close()
            drained.callback(None)

    def _cutAll(self) -> None:
        """Have nothing run any more."""
        for pair in list(self._pairs):
            lingering = self._lingering.get(pair)
            if lingering is not None:
                lingering.finish()
            else:
                pair.stop(Reason.STOPPED)
