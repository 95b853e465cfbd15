"""The pairs of a relay: which are running, which are half-open, and which only wait for an acknowledgement."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from bore.relay.interface import Ending, LaneHandle, Reason, Relay, Running, Stream
from bore.relay.lingering import MAX_LINGERING, LingeringReset
from bore.streams.errortexts import errorText
from bore.streams.reactor import IReactor

#: How often half-open pairs are checked for silence within its bound: no pair needs a timer of its own.
_TICKS: Final = 8


class Pair(ABC):
    """Two joined streams."""

    __slots__ = ()

    @property
    @abstractmethod
    def moved(self) -> int:
        """The bytes read from both streams."""

    @property
    @abstractmethod
    def progress(self) -> tuple[int, int, LaneHandle | None]:
        """The bytes read from the left and from the right stream so far, and the lane that one of them is on."""

    @abstractmethod
    def isOn(self, sockets: AbstractSet[socket.socket]) -> bool:
        """Whether the left stream, or the only plain one, is on one of these sockets."""

    @abstractmethod
    def stop(self, reason: Reason) -> None:
        """Cut both streams, unless they are closed already."""


class PairRelay(Relay):
    """
    A relay that keeps account of its pairs. How they move bytes is up to its subclasses.

    :param halfOpenTimeout: a pair one direction of which has ended is cut when the other one is silent for this many
        seconds, or up to an eighth longer. Fully open pairs may be silent for ever.
    """

    _log = Logger()

    def __init__(self, reactor: IReactor, halfOpenTimeout: float) -> None:
        self._reactor = reactor
        self.halfOpenTimeout = halfOpenTimeout
        self._pairs: dict[Pair, Callable[[Ending], None]] = {}
        self._halfOpen: dict[Pair, tuple[int, int]] = {}
        self._lingering: dict[Pair, tuple[LingeringReset, Ending]] = {}
        self._ticking: IDelayedCall | None = None
        self._drained: Deferred[None] | None = None
        self._cutting: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._pairs)

    def running(self) -> Iterator[Running]:
        """See Relay."""
        for pair in list(self._pairs):
            ended = self._pairs.get(pair)
            if ended is None:
                continue
            last = self._lingering.get(pair)
            if last is None:
                toRight, toLeft, lane = pair.progress
            else:  # its streams may be at something else by now
                (_, toRight, toLeft), lane = last[1], None
            yield Running(pair, ended, toRight, toLeft, lane)

    def isRunning(self, pair: Running) -> bool:
        """See Relay."""
        return pair.pair in self._pairs

    def join(self, left: Stream, right: Stream, ended: Callable[[Ending], None]) -> None:
        """See Relay."""
        try:
            pair, begin = self._makePair(left, right)
        except (OSError, ValueError) as e:
            self.couldNotJoin(e)
            left.socket.close()
            right.socket.close()
            ended(Ending(Reason.FAILED, 0, 0))
            return
        self._pairs[pair] = ended
        try:
            begin()
        except Exception:
            self.failed(pair)

    @abstractmethod
    def _makePair(self, left: Stream, right: Stream) -> tuple[Pair, Callable[[], None]]:
        """
        Make a pair of two streams, and move nothing yet.

        :returns: the pair, and what starts to move bytes.
        :raises OSError: when the system has no room for them; a ValueError when the relay is closed already.
        """

    def couldNotJoin(self, error: OSError | ValueError) -> None:
        """The system has no room for a pair, or the relay is closed already."""
        self._log.warn("streams could not be joined: {error}", error=errorText(error))

    def failed(self, pair: Pair) -> None:
        """Handle an exception that is being raised by a fault of ours: it ends this pair, and no other."""
        self._log.failure("a pair failed")
        if pair in self._pairs:
            pair.stop(Reason.FAILED)

    def drain(self, seconds: float) -> Deferred[None]:
        """See Relay."""
        assert self._drained is None, "draining already"
        if not self._pairs:
            self.close()
            return succeed(None)
        self._log.info("running visitors may go on for {seconds} s: {count}", seconds=seconds, count=len(self))
        self._drained = Deferred()
        self._cutting = self._reactor.callLater(seconds, self._cutAll)
        return self._drained

    def close(self) -> None:
        """Release what is held for pairs to come. None may be running."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def halfOpened(self, pair: Pair) -> None:
        """One direction of a pair has ended. Called by the pair."""
        self._halfOpen[pair] = (pair.moved, 0)
        if self._ticking is None:
            self._ticking = self._reactor.callLater(self.halfOpenTimeout / _TICKS, self._findSilent)

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
            self._ticking = self._reactor.callLater(self.halfOpenTimeout / _TICKS, self._findSilent)

    def resetLater(self, pair: Pair, sock: socket.socket, ending: Ending) -> None:
        """
        Reset the last open stream of a pair when its peer has acknowledged all. Called by the pair.

        The pair is running until then.
        """
        self._halfOpen.pop(pair, None)
        if len(self._lingering) >= MAX_LINGERING:
            next(iter(self._lingering.values()))[0].finish()
        lingering = LingeringReset(self._reactor, sock, lambda: self.pairEnded(pair, ending))
        self._lingering[pair] = lingering, ending
        lingering.start()

    def relieve(self) -> bool:
        """See Relay."""
        count = (len(self._lingering) + 1) // 2
        for lingering, _ in list(self._lingering.values())[:count]:
            lingering.finish()
        return count > 0

    def endsElsewhere(self, pair: Pair, ended: Callable[[Ending], None]) -> None:
        """Call ``ended`` instead of what the pair was joined with, when it ends. Called by the pair."""
        self._pairs[pair] = ended

    def pairEnded(self, pair: Pair, ending: Ending) -> None:
        """Both streams of a pair are closed. Called by the pair."""
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

    def cut(self, sockets: AbstractSet[socket.socket]) -> None:
        """See Relay."""
        self._cut([pair for pair in self._pairs if pair.isOn(sockets)], Reason.CUT)

    def _cutAll(self) -> None:
        """Cut all running pairs."""
        self._cut(list(self._pairs), Reason.STOPPED)

    def _cut(self, pairs: list[Pair], reason: Reason) -> None:
        for pair in pairs:
            lingering = self._lingering.get(pair)
            if lingering is not None:
                lingering[0].finish()
            else:
                pair.stop(reason)
