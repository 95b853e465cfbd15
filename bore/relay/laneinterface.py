"""What a lane asks of whoever keeps it, and of the relay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from twisted.internet.interfaces import IDelayedCall

from bore.relay.ends import End, Loop
from bore.relay.interface import Ending

if TYPE_CHECKING:
    from bore.relay.lane import Lane
    from bore.relay.lanepair import LanePair

#: Takes a stream back whose lane was dead: the bytes that were read from it, and whether silence alone has shown it.
GiveBack: TypeAlias = Callable[[bytes, bool], None]


class LaneUser(Protocol):
    """
    Keeps lanes, and is told what becomes of each.

    ``opened`` and ``idle`` are called between the steps of lanes, never inside one: they may join streams, and end
    lanes. ``gone`` can be called inside a step, and must not do either.
    """

    def opened(self, lane: Lane, visitor: bytes) -> None:
        """The server has put a visitor on the lane; it waits to be joined, or refused."""

    def idle(self, lane: Lane) -> None:
        """The visitor has left, and the lane can have the next one."""

    def gone(self, lane: Lane) -> None:
        """The lane is closed."""


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

    def linger(self, pair: LanePair, end: End, ending: Ending) -> None:
        """A pair is at its end: reset this stream when its peer has acknowledged all, and end the pair then."""

    def resetSent(self, lane: Lane) -> None:
        """The lane waits for the other side's last frame."""

    def resetAnswered(self, lane: Lane) -> None:
        """It waits no more."""

    def proved(self, pair: LanePair) -> None:
        """The lane of a pair has shown that it is alive."""

    def afterwards(self, end: End, do: Callable[[], object]) -> None:
        """Call something when the current step is over, so that no step of a lane runs inside another."""

    def stalled(self, pair: LanePair) -> IDelayedCall:
        """A stream waits for its lane to prove itself: look again soon."""

    def goesOn(self, pair: LanePair, elsewhere: Callable[[Ending], None]) -> None:
        """The stream of a pair that is about to end goes on elsewhere."""

    def pairEnded(self, pair: LanePair, ending: Ending) -> None:
        """A pair has come to its end."""

    def halfOpened(self, pair: LanePair) -> None:
        """One direction of a pair has ended."""
