"""The relay that keeps bytes in the kernel: for stream sockets on Linux."""

from __future__ import annotations

import socket
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from bore.relay.flow import Flow
from bore.relay.halves import Half, JoinedPair
from bore.relay.interface import Ending, LaneHandle, Reason, Stream
from bore.relay.lingering import mayResetNow
from bore.relay.loop import SpliceLoop
from bore.relay.pairs import Pair, PairRelay
from bore.streams.reactor import IReactor


class _SplicePair(JoinedPair):
    """Two plain streams."""

    __slots__ = ("left", "relay", "right")

    def __init__(self, relay: SpliceRelay, left: Stream, right: Stream) -> None:
        self.relay = relay
        self.left = Flow(relay.loop, left.socket, left.early)
        self.right = Flow(relay.loop, right.socket, right.early)
        self.left.other = self.right
        self.right.other = self.left
        self.left.pair = self.right.pair = self

    @property
    def moved(self) -> int:
        return self.left.received + self.right.received

    @property
    def progress(self) -> tuple[int, int, LaneHandle | None]:
        return self.left.received, self.right.received, None

    def begin(self) -> None:
        """Pass on what was read before the streams were joined; all else follows from events."""
        for half in (self.left, self.right):
            if half.unsent and not half.finished:
                half.deliver()

    def isOn(self, sockets: AbstractSet[socket.socket]) -> bool:
        return self.left.socket in sockets

    def stop(self, reason: Reason) -> None:
        loop = self.relay.loop
        if not loop.has(self.left):
            return  # it has ended already
        for half in (self.left, self.right):
            loop.forget(half)
            half.close(reset=reason is not Reason.FINISHED)
        self.relay.pairEnded(self, self._ending(reason))
        self._separate()

    def cutAt(self, half: Half) -> None:
        reason = Reason.LEFT_CUT if half is self.left else Reason.RIGHT_CUT
        other = half.other
        if other.refusesData:
            self.stop(reason)
            return
        self.relay.loop.forget(half)
        half.close(reset=True)
        self.relay.linger(self, other, self._ending(reason))
        self._separate()

    def finished(self, half: Half) -> None:
        other = half.other
        if other.finished and not (half.endPending or other.endPending):
            self.stop(Reason.FINISHED)
        elif half.refusesData and not half.endPending:
            self.cutAt(half)
        else:
            self.relay.halfOpened(self)

    def _ending(self, reason: Reason) -> Ending:
        return Ending(reason, toRight=self.left.received, toLeft=self.right.received)

    def _separate(self) -> None:
        # Without these cycles they are freed at once, and the garbage collector has nothing to look for.
        del self.left.other, self.left.pair, self.right.other, self.right.pair


class SpliceRelay(PairRelay):
    """
    Joins plain sockets, and moves bulk by os.splice.

    :param descriptors: see :class:`bore.relay.pipes.PipePool`.
    :ivar loop: serves the halves of all pairs.
    """

    def __init__(self, reactor: IReactor, halfOpenTimeout: float, descriptors: int = 0) -> None:
        super().__init__(reactor, halfOpenTimeout)
        self.loop = SpliceLoop(reactor, descriptors, self.close)

    def close(self) -> None:
        """See PairRelay; pairs that are running are cut, as the reactor may end without a warning."""
        self._cutAll()
        self.loop.close()
        super().close()

    def linger(self, pair: Pair, half: Half, ending: Ending) -> None:
        """Reset the last open stream of a pair when its peer has acknowledged all. Called by the pair."""
        half.drop()
        if mayResetNow(half.socket):
            self.loop.forget(half)
            half.close(reset=True)
            self.pairEnded(pair, ending)
        else:
            self.loop.release(half)
            self.resetLater(pair, half.socket, ending)

    def _makePair(self, left: Stream, right: Stream) -> tuple[Pair, Callable[[], None]]:
        pair = _SplicePair(self, left, right)
        self.loop.watch(pair.left)
        try:
            self.loop.watch(pair.right)
        except (OSError, ValueError):
            self.loop.forget(pair.left)
            raise
        return pair, pair.begin
