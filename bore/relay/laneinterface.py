"""What a lane, and the stream on it, need of the pair that they are, and of the relay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from bore.relay.ends import End, JoinedPair, Loop
from bore.relay.interface import Ending


class CarriedPair(JoinedPair):
    """
    A plain stream on a lane.

    :ivar unproven: what the stream has sent on a lane that may be dead; None: it is alive.
    """

    __slots__ = ()

    unproven: bytes | None

    def remember(self, data: bytes) -> None:
        """Keep what the stream has sent, until the lane has shown that it is alive."""
        raise NotImplementedError

    def said(self, size: int) -> None:
        """So many bytes were said on the lane, or are held for it."""
        raise NotImplementedError

    def mustWait(self) -> bool:
        """Whether no more may be read, as another lane could not be given it, should this one turn out to be dead."""
        raise NotImplementedError

    def look(self) -> None:
        """The stream waits for its lane to prove itself: see whether it has."""
        raise NotImplementedError

    def proved(self) -> None:
        """The lane has shown that it is alive."""
        raise NotImplementedError

    def laneLost(self) -> None:
        """The lane is dead, or has ended in the middle of a stream."""
        raise NotImplementedError

    def cutBefore(self) -> None:
        """The plain stream was cut before anything was said about it: the lane is as idle as it was."""
        raise NotImplementedError

    def cutByPeer(self) -> None:
        """The other side says that the stream was cut there, and all that it had sent before was passed on."""
        raise NotImplementedError


class Unanswered(Protocol):
    """Waits for the other side's last frame."""

    def unanswered(self) -> None:
        """It has not come in time."""


class LaneLoop(Loop, Protocol):
    """What a lane needs of the relay."""

    def watch(self, end: End) -> None:
        """Serve a stream."""

    def has(self, end: End) -> bool:
        """Whether a stream is served."""

    def forget(self, end: End) -> None:
        """Serve a stream no more, as it is about to be closed."""

    def release(self, end: End) -> None:
        """Serve a stream no more; it stays open."""

    def parted(self, end: End) -> None:
        """The stream is not on a lane any more of which the other side takes nothing more."""

    def linger(self, pair: CarriedPair, end: End, ending: Ending) -> None:
        """A pair is at its end: reset this stream when its peer has acknowledged all, and end the pair then."""

    def resetSent(self, lane: Unanswered) -> None:
        """The lane waits for the other side's last frame."""

    def resetAnswered(self, lane: Unanswered) -> None:
        """It waits no more."""

    def proved(self, pair: CarriedPair) -> None:
        """The lane of a pair has shown that it is alive."""

    def afterwards(self, end: End, do: Callable[[], object]) -> None:
        """Call something when the current step is over, so that no step of a lane runs inside another."""

    def stalled(self, pair: CarriedPair) -> IDelayedCall:
        """A stream waits for its lane to prove itself: look again soon."""

    def goesOn(self, pair: CarriedPair, elsewhere: Callable[[Ending], None]) -> None:
        """The stream of a pair that is about to end goes on elsewhere."""

    def pairEnded(self, pair: CarriedPair, ending: Ending) -> None:
        """A pair has come to its end."""

    def halfOpened(self, pair: CarriedPair) -> None:
        """One direction of a pair has ended."""
