"""The relay that also carries lanes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, cast

from twisted.internet.interfaces import IDelayedCall

from bore.relay.interface import PROOF_TIMEOUT, Ending, GiveBack, LaneHandle, LaneUser, Pair, Reason, Stream
from bore.relay.lane import Lane
from bore.relay.laneinterface import CarriedPair, Unanswered
from bore.relay.lanepair import LanePair
from bore.relay.splice import SpliceRelay
from bore.streams.errortexts import errorText
from bore.streams.reactor import IReactor
from bore.timing.deadlines import Deadlines
from bore.wire.lane import RESET_TIMEOUT

#: A stream that has sent much, and waits for its lane to prove itself, is looked after at this interval, in seconds.
_LOOK: Final = 0.03


class LaneRelay(SpliceRelay):
    """Joins plain sockets with each other, and with lanes."""

    def __init__(self, reactor: IReactor, halfOpenTimeout: float, descriptors: int = 0) -> None:
        super().__init__(reactor, halfOpenTimeout, descriptors)
        self._unproven: Deadlines[CarriedPair, LanePair] = Deadlines(
            reactor, PROOF_TIMEOUT, lambda _, pair: self._safely(pair.check, pair)
        )
        self._unanswered: Deadlines[Unanswered, Unanswered] = Deadlines(
            reactor, RESET_TIMEOUT, lambda _, lane: lane.unanswered()
        )

    @property
    def lanes(self) -> LaneRelay:
        """See :attr:`Relay.lanes`."""
        return self

    def adopt(self, sock: socket.socket, early: bytes, serves: bool, user: LaneUser) -> Lane:
        """See LaneCarrier."""
        lane = Lane(self, sock, early, serves, user)
        self.watch(lane)
        if early:
            lane.later()
        return lane

    def joinWithLane(
        self,
        plain: Stream,
        lane: LaneHandle,
        ended: Callable[[Ending], None],
        opening: bytes = b"",
        header: bytes = b"",
        giveBack: GiveBack | None = None,
    ) -> None:
        """See LaneCarrier."""
        assert isinstance(lane, Lane)
        pair = LanePair(self, plain.socket, lane, giveBack)
        self._pairs[pair] = ended
        self._ends[pair.plain.fd] = pair.plain
        try:
            lane.join(pair, header)
            if giveBack is not None:
                self._unproven.add(pair, pair)
            self._beginLane(pair, opening, plain.early)
        except Exception:
            self._failed(pair)

    def _beginLane(self, pair: LanePair, opening: bytes, early: bytes) -> None:
        plain, lane = pair.plain, pair.lane
        if opening or early:
            plain.begin(opening, early)
        if self.has(plain):
            try:
                self.watch(plain)
            except (OSError, ValueError) as e:  # the system has no room for it
                self._log.warn("streams could not be joined: {error}", error=errorText(e))
                pair.stop(Reason.FAILED)
                return
        if lane.on is pair:
            lane.start()

    def _safely(self, do: Callable[[], None], pair: Pair) -> None:
        try:
            do()
        except Exception:
            self._failed(pair)

    def _failed(self, pair: Pair) -> None:
        """A fault of ours: it costs this pair, and no other."""
        self._log.failure("a pair failed")
        pair.stop(Reason.FAILED)

    def _stopAll(self) -> None:
        super()._stopAll()
        self._unproven.takeAll()
        self._unanswered.takeAll()
        for end in list(self._ends.values()):
            lane = cast(Lane, end)
            lane.end(reset=not lane.session.over)

    def resetSent(self, lane: Unanswered) -> None:
        """Said by a lane: it waits for the other side's last frame."""
        self._unanswered.add(lane, lane)

    def resetAnswered(self, lane: Unanswered) -> None:
        """Said by a lane: it waits no more."""
        self._unanswered.take(lane)

    def stalled(self, pair: CarriedPair) -> IDelayedCall:
        """Said by a pair: its stream waits for the lane to prove itself."""
        return self._reactor.callLater(_LOOK, self._safely, pair.look, pair)

    def goesOn(self, pair: CarriedPair, elsewhere: Callable[[Ending], None]) -> None:
        """Said by a pair that is about to end: its stream goes on elsewhere."""
        self._pairs[pair] = elsewhere

    def proved(self, pair: CarriedPair) -> None:
        """Said by a pair: its lane has shown that it is alive, or it does not matter any more."""
        self._unproven.take(pair)
