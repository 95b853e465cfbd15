"""Two relays with lanes between them, which together do what one relay does."""

from __future__ import annotations

import socket
from collections.abc import Callable
from uuid import UUID, uuid4

from bore.relay.interface import Ending, LaneHandle, Reason, Stream
from bore.relay.lane import Lane
from bore.relay.lanes import LaneRelay
from bore.streams.reactor import IReactor
from bore.wire.extension import Visitor
from bore.wire.laneopen import openFrame, readOpen
from tests.relay.laneusers import LaneSide
from tests.relay.plugs import reset, tcpPair
from tests.relay.relaycase import HalvedRelay


class ClientSide(LaneSide):
    """Joins each visitor with the stream that belongs to it."""

    def __init__(self, relay: LaneRelay) -> None:
        super().__init__()
        self._relay = relay
        self.expected: dict[object, tuple[Stream, Callable[[Ending], None]]] = {}
        self.visitors = 0

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        assert isinstance(lane, Lane)
        self.visitors += 1
        stream, ended = self.expected.pop(UUID(readOpen(visitor).id))
        self._relay.joinWithLane(stream, lane, ended)


class LanedRelay(HalvedRelay):
    """
    A relay in two halves, with lanes between them.

    :param pair: makes the two ends of a lane, the server's first.
    :ivar made: how many lanes were made.
    """

    near: LaneRelay
    far: LaneRelay

    def __init__(
        self,
        reactor: IReactor,
        halfOpenTimeout: float,
        pair: Callable[[bool], tuple[socket.socket, socket.socket]] = tcpPair,
    ) -> None:
        self.near = LaneRelay(reactor, halfOpenTimeout)
        self.far = LaneRelay(reactor, halfOpenTimeout)
        self.server = LaneSide()
        self.client = ClientSide(self.far)
        self.made = 0
        self._pair = pair

    def lane(self) -> Lane:
        """An idle lane: one that has been used already, if there is one."""
        while self.server.ready:
            lane = self.server.ready.pop()
            if not lane.closed:
                return lane
        self.made += 1
        near, far = self._pair(True)
        near.setblocking(False)
        self.far.adopt(far, b"", False, self.client)
        return self.near.adopt(near, b"", True, self.server)

    def join(self, left: Stream, right: Stream, ended: Callable[[Ending], None]) -> None:
        """Join two streams by way of a lane; the ending is that of the visitor's side, when both sides are done."""
        endings: dict[str, Ending] = {}
        done = self.collect(ended, endings)
        visitor = Visitor(1, uuid4(), None)
        self.client.expected[visitor.id] = right, lambda ending: done("far", ending)
        lane = self.lane()
        self.near.joinWithLane(
            left, lane, lambda ending: done("near", ending), openFrame(1, visitor.id, visitor.source)
        )
        if "near" in endings and lane.session.idle and visitor.id in self.client.expected:
            # It was cut before OPEN was sent: the other side does not know of it, and would not have dialled.
            del self.client.expected[visitor.id]
            reset(right.socket)
            done("far", Ending(Reason.LEFT_CUT, 0, 0))


def sockets(relay: LanedRelay) -> list[socket.socket]:
    """The sockets of all idle lanes on the server's side."""
    return [lane.socket for lane in relay.server.ready]
