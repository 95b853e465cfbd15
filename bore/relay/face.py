"""What the rest of the program sees of the relay."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: How long running pairs may go on when the program is told to stop, in seconds.
DRAIN_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Stream:
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
    STOPPED = "the relay was stopped"


@dataclass(frozen=True, slots=True)
class Ending:
    """
    How a pair ended.

    :ivar toRight: bytes taken from the left stream for the right one, ``early`` included.
    :ivar toLeft: bytes taken from the right stream for the left one.
    """

    reason: Reason
    toRight: int
    toLeft: int


class Pair(ABC):
    """Two joined streams."""

    def __init__(self) -> None:
        self.ended: Deferred[Ending] = Deferred()

    @abstractmethod
    def stop(self) -> None:
        """Cut both streams."""


class Relay(ABC):
    """
    Joins streams.

    Bytes pass unaltered and in order. A slow reader on one side slows the writer on the other, and the relay holds
    a bounded number of bytes meanwhile. The end of one direction is passed on while the other goes on. A reset is
    passed on as a reset. When both directions have ended, both sockets are closed.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._pairs: set[Pair] = set()
        self._drained: Deferred[None] | None = None
        self._cutting: IDelayedCall | None = None

    def __len__(self) -> int:
        """How many pairs are running."""
        return len(self._pairs)

    def join(self, left: Stream, right: Stream) -> Deferred[Ending]:
        """
        Join two streams.

        :returns: fires once, when both are closed; it never fails.
        """
        pair = self._makePair(left, right)
        self._pairs.add(pair)
        return pair.ended.addCallback(self._forget, pair)

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Let the running pairs end by themselves, and cut those that have not after a while.

        :param seconds: how long they have.
        :returns: fires when no pair is left.
        """
        assert self._drained is None, "draining already"
        if not self._pairs:
            return succeed(None)
        self._log.info("running visitors may go on for {seconds} s: {count}", seconds=seconds, count=len(self))
        self._drained = Deferred()
        self._cutting = self._clock.callLater(seconds, self._cut)
        return self._drained

    @abstractmethod
    def _makePair(self, left: Stream, right: Stream) -> Pair:
        """Start to move bytes."""

    def _forget(self, ending: Ending, pair: Pair) -> Ending:
        self._pairs.discard(pair)
        if self._drained is not None and not self._pairs:
            drained, self._drained = self._drained, None
            if self._cutting is not None and self._cutting.active():
                self._cutting.cancel()
            drained.callback(None)
        return ending

    def _cut(self) -> None:
        for pair in list(self._pairs):
            pair.stop()
