"""The relay that also carries lanes."""

from __future__ import annotations

import socket
from collections.abc import Callable

from bore.relay.interface import Ending, GiveBack, LaneHandle, LaneUser, Stream
from bore.relay.lane import Lane
from bore.relay.lanedeadlines import LaneDeadlines
from bore.relay.lanepair import LanePair
from bore.relay.splice import SpliceRelay
from bore.streams.reactor import IReactor


class LaneRelay(SpliceRelay):
    """Joins plain sockets with each other, and with lanes."""

    def __init__(self, reactor: IReactor, halfOpenTimeout: float, descriptors: int = 0) -> None:
        super().__init__(reactor, halfOpenTimeout, descriptors)
        self.deadlines = LaneDeadlines(reactor, self.failed)

    @property
    def lanes(self) -> LaneRelay:
        """See Relay."""
        return self

    def adopt(self, sock: socket.socket, early: bytes, serves: bool, user: LaneUser) -> Lane:
        """See LaneCarrier."""
        lane = Lane(self.loop, self.deadlines, sock, early, serves, user)
        self.loop.watch(lane)
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
        last: bool = False,
    ) -> None:
        """See LaneCarrier."""
        assert isinstance(lane, Lane)
        pair = LanePair(self, self.deadlines, plain.socket, lane, giveBack)
        self._pairs[pair] = ended
        try:
            pair.open(opening, plain.early, header, last)
        except Exception:
            self.failed(pair)

    def close(self) -> None:
        """See SpliceRelay; idle lanes are closed."""
        self._cutAll()
        self.deadlines.close()
        for half in self.loop.halves:  # no others are left
            assert isinstance(half, Lane)
            half.end(reset=not half.session.concluded)
        super().close()
