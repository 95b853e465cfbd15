"""Shares of a turn: how much input of peers is processed in one turn of the reactor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger

E = TypeVar("E")

#: What a read, or the event of a frame, costs at least, in bytes: a short frame takes as much time as moving that many
#: bytes.
MIN_COST: Final = 1 << 15

#: What the server's part of a TLS handshake costs, in bytes.
HANDSHAKE_COST: Final = 1 << 20

#: How many bytes are processed in one turn, of one connection and of all together: this takes a few milliseconds.
_SHARE: Final = 1 << 20
_TURN: Final = 1 << 22

#: While no connection waits, turns cannot be told apart: then a new one begins after this time, in seconds.
_MOMENT: Final = 0.005


class Turns:
    """
    Shares each turn of the reactor among connections.

    Input beyond a connection's share, or beyond that of all together, waits for the next turn. Half of each turn is for
    connections that wait, first come, first served; the other half is for those that do not, so that a peer that sends
    little is not delayed by peers that send much.

    :ivar number: the number of the turn.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._left = _TURN
        self._since = clock.seconds()
        self._waiting: deque[Callable[[], None]] = deque()
        self._next: IDelayedCall | None = None
        self.number = 0

    def begin(self) -> None:
        """Input has come from a peer."""
        now = self._clock.seconds()
        if self._next is None and now - self._since >= _MOMENT:
            self._renew()

    @property
    def over(self) -> bool:
        """Whether this turn is used up."""
        return self._left <= 0

    def spend(self, size: int) -> None:
        """Use up a part of this turn, in bytes."""
        self._left -= size

    def wait(self, goOn: Callable[[], None]) -> None:
        """Call ``goOn`` in the next turn, or in the first one after it that is not used up."""
        self._waiting.append(goOn)
        if self._next is None:
            self._next = self._clock.callLater(0, self._turn)

    def _renew(self) -> None:
        self._left = _TURN
        self._since = self._clock.seconds()
        self.number += 1

    def _turn(self) -> None:
        self._renew()
        self._left -= _TURN // 2
        for _ in range(len(self._waiting)):
            if self._left <= 0:
                break
            try:
                self._waiting.popleft()()
            except Exception:
                self._log.failure("input that had waited for this turn could not be processed")
        self._left += _TURN // 2
        self._next = self._clock.callLater(0, self._turn) if self._waiting else None


def _nothing() -> None:
    """Replace a callback whose owner is gone."""


class Inflow(Generic[E]):
    """
    The input of one peer: an iterator over its events, up to the connection's share of this turn.

    While there are more, the transport is paused; so no more than one read is kept.

    :param turns: the turns that are shared with other connections.
    :param transport: the source of the bytes.
    :param goOn: called in a later turn, to iterate again.
    """

    __slots__ = ("_events", "_goOn", "_left", "_number", "_stopped", "_transport", "_turns", "_waiting")

    _log = Logger()

    def __init__(self, turns: Turns, transport: IPushProducer, goOn: Callable[[], None]) -> None:
        self._turns = turns
        self._transport = transport
        self._goOn = goOn
        self._events: Iterator[E] = iter(())
        self._number = -1
        self._left = 0
        self._waiting = self._stopped = False

    def received(self, events: Iterator[E], size: int) -> None:
        """
        Bytes were read.

        :param events: the events in them.
        :param size: their number.
        """
        self._turns.begin()
        self._events = events
        self._spend(size)

    def stop(self) -> None:
        """Yield nothing from now on, and leave the transport alone."""
        self._stopped = True
        self._events = iter(())
        self._goOn = _nothing  # without this cycle of references, its owner is freed at once

    def __iter__(self) -> Iterator[E]:
        while not self._stopped:
            if self._over():
                if not self._waiting:
                    self._waiting = True
                    self._transport.pauseProducing()
                self._turns.wait(self._woken)
                return
            try:
                event = next(self._events)
            except StopIteration:
                if self._waiting:
                    self._waiting = False
                    self._transport.resumeProducing()
                return
            self._spend(MIN_COST)
            yield event

    def _over(self) -> bool:
        if self._number != self._turns.number:
            self._number = self._turns.number
            self._left = _SHARE
        return self._left <= 0 or self._turns.over

    def _spend(self, size: int) -> None:
        size = max(size, MIN_COST)
        self._over()
        self._left -= size
        self._turns.spend(size)

    def _woken(self) -> None:
        if self._stopped:
            return
        try:
            self._goOn()
        except Exception:
            # An error of ours ends this connection, as it does when the bytes are read, and no other one.
            self._log.failure("the input of a peer could not be processed")
            self.stop()
            self._transport.stopProducing()
