"""Users of lanes, for tests."""

from __future__ import annotations

from bore.relay.interface import LaneHandle
from bore.relay.lane import Lane


class LaneSide:
    """
    One side's lanes.

    :ivar ready: lanes that are idle, the freshest last.
    :ivar lost: how many are gone.
    """

    def __init__(self) -> None:
        self.ready: list[Lane] = []
        self.lost = 0

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        assert isinstance(lane, Lane)
        raise NotImplementedError

    def idle(self, lane: LaneHandle) -> None:
        assert isinstance(lane, Lane)
        self.ready.append(lane)

    def gone(self, lane: LaneHandle) -> None:
        assert isinstance(lane, Lane)
        self.lost += 1
        if lane in self.ready:
            self.ready.remove(lane)


class RecordingUser(LaneSide):
    """Keeps lanes, and what became of them."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.visitors: list[Lane] = []

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        assert isinstance(lane, Lane)
        self.log.append("opened")
        self.visitors.append(lane)

    def idle(self, lane: LaneHandle) -> None:
        assert isinstance(lane, Lane)
        assert lane.session.idle and lane.on is None and lane not in self.ready
        self.log.append("idle")
        if lane.session.serves:
            super().idle(lane)

    def gone(self, lane: LaneHandle) -> None:
        assert isinstance(lane, Lane)
        self.log.append("gone")
        super().gone(lane)
