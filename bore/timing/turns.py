"""How much of what peers say is followed in one turn of the reactor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger

E = TypeVar("E")

#: The least that a read, or what follows from a frame, counts, in bytes: a short frame costs as much time as moving so
#: many bytes does.
LEAST: Final = 1 << 15

#: What a TLS handshake counts: so long does the server's part of one take.
HANDSHAKE: Final = 1 << 20

#: The bytes that are followed in one turn, on one connection and on all together: it takes a few milliseconds at most.
_SHARE: Final = 1 << 20
_TURN: Final = 1 << 22

#: As long as nobody waits nothing tells one turn from the next: what was counted is forgotten after so many seconds.
_MOMENT: Final = 0.005


class Turns:
    """
    Shares each turn of the reactor among connections.

    What is over a connection's share, or over that of all together, waits for the next turn. Half of each turn is for
    those that wait, in the order in which they came to wait; the other half is for those that do not: a peer that says
    little is not held up by those that say much.

    :ivar number: another one in each turn.
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
        """Something has come from a peer."""
        now = self._clock.seconds()
        if self._next is None and now - self._since >= _MOMENT:
            self._renew()

    @property
    def over(self) -> bool:
        """Whether nothing more is to be followed in this turn."""
        return self._left <= 0

    def spend(self, size: int) -> None:
        """Count what is followed, in bytes."""
        self._left -= size

    def wait(self, goOn: Callable[[], None]) -> None:
        """Have somebody called in the next turn, or in the first one after it in which there is something left."""
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
                self._log.failure("what was left for this turn has failed")
        self._left += _TURN // 2
        self._next = self._clock.callLater(0, self._turn) if self._waiting else None


def _nothing() -> None:
    """Stands where somebody was to be called who is not there any more."""


class Inflow(Generic[E]):
    """
    What one peer says: as an iterator it gives what follows from it, up to the connection's share of this turn.

    While there is more, the transport is paused: what is kept is what one read has given.

    :param turns: what is shared with other connections.
    :param transport: where the bytes come from.
    :param goOn: called in a later turn, to iterate once more.
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
        Bytes have come.

        :param events: what follows from them.
        :param size: how many there are.
        """
        self._turns.begin()
        self._events = events
        self._spend(size)

    def stop(self) -> None:
        """Give nothing any more, and leave the transport alone."""
        self._stopped = True
        self._events = iter(())
        self._goOn = _nothing  # without this cycle its owner is gone at once

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
            self._spend(LEAST)
            yield event

    def _over(self) -> bool:
        if self._number != self._turns.number:
            self._number = self._turns.number
            self._left = _SHARE
        return self._left <= 0 or self._turns.over

    def _spend(self, size: int) -> None:
        size = max(size, LEAST)
        self._over()
        self._left -= size
        self._turns.spend(size)

    def _woken(self) -> None:
        if self._stopped:
            return
        try:
            self._goOn()
        except Exception:
            # A fault of ours: it costs this connection, as it does when it comes with the bytes, and no other.
            self._log.failure("what a peer said could not be followed")
            self.stop()
            self._transport.stopProducing()
