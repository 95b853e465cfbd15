"""One relay with lanes whose other sides are driven by hand, and time that stands still."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from typing import cast
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from bore.relay.interface import Ending, LaneHandle, Stream
from bore.relay.lane import Lane
from bore.relay.lanepair import LanePair
from bore.relay.lanes import LaneRelay
from bore.relay.lingering import TAKE_TIMEOUT
from bore.streams.reactor import IReactor
from bore.streams.tcpinfo import SIOCOUTQ
from bore.wire.lane import DATA, HEADER, OPEN, LaneDecoder
from bore.wire.laneopen import openFrame
from tests.fakes import FakeReactor
from tests.relay.laneusers import RecordingUser
from tests.relay.plugs import Plugs, fill, reset, take

#: Turns after which nothing more happens by itself.
TURNS = 40

OPENING = openFrame(1, UUID(int=1), None)


def data(payload: bytes) -> bytes:
    """A frame with bytes of a stream."""
    return HEADER.pack(DATA, len(payload)) + payload


def pairOn(lane: Lane) -> LanePair:
    """The pair that is on a lane."""
    assert isinstance(lane.on, LanePair)
    return lane.on


class Hand:
    """The other side of a lane, which may send anything."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._decoder = LaneDecoder()

    def send(self, *frames: bytes) -> None:
        """Send frames; there has to be room for them."""
        data = b"".join(frames)
        assert self.socket.send(data) == len(data)

    def receive(self) -> list[tuple[int, bytes]]:
        """The frames that have come since the last call; neighbouring pieces of DATA, and of bare bytes, are one."""
        self._decoder.feed(take(self.socket))
        frames: list[tuple[int, bytes]] = []
        while (frame := self._decoder.next()) is not None:
            kind, payload = frame
            if frames and frames[-1][0] == kind and payload:
                frames[-1] = (kind, frames[-1][1] + payload)
            else:
                frames.append(frame)
        return frames

    def receiveKinds(self) -> list[int]:
        """The kinds of the frames that have come."""
        return [kind for kind, _ in self.receive()]


class LaneCase(SynchronousTestCase):
    """
    A relay and its lanes. At the end nothing may be left of them.

    :ivar endings: how pairs ended.
    :ivar given: what was given back: the bytes, and whether silence has shown it.
    """

    def setUp(self) -> None:
        self._descriptors = len(os.listdir("/proc/self/fd"))
        self.plugs = Plugs()
        self.reactor = FakeReactor()
        self.relay = LaneRelay(cast(IReactor, self.reactor), 600)
        self.user = RecordingUser()
        self.endings: list[Ending] = []
        self.given: list[tuple[bytes, bool]] = []
        self.sockets: list[socket.socket] = []
        self._joined: set[socket.socket] = set()
        self.addCleanup(self._nothingIsLeft)

    def _nothingIsLeft(self) -> None:
        if not self.relay.loop.closed and self.relay._drained is None:
            self.relay.drain(0)
        self.reactor.advance(0)
        for sock in self.sockets:
            sock.close()
        self.plugs.close()
        self.assertEqual([sock for sock in self._joined if sock.fileno() >= 0], [], "sockets were left")
        relay = self.relay
        left = (
            len(relay),
            len(relay.loop._halves),
            len(relay.deadlines.unproven),
            len(relay.deadlines.unanswered),
            relay.loop.pipes._used,
        )
        self.assertEqual(left, (0, 0, 0, 0, 0), "pairs, ends, unproven and unanswered lanes, pipes were left")
        self.assertEqual(self.reactor.getDelayedCalls(), [], "timers were left")
        # What other tests have left may be closed at any time: fewer than before are nothing that this one has left.
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), self._descriptors, "descriptors were left")

    def unacknowledged(self) -> None:
        """Have nothing that is sent on lanes acknowledged from now on; a loopback acknowledges everything at once."""
        real = fcntl.ioctl

        def ioctl(fd: int, what: int, argument: bytes) -> bytes | int:
            return struct.pack("i", 1 << 30) if what == SIOCOUTQ else real(fd, what, argument)

        self.patch(fcntl, "ioctl", ioctl)

    def turn(self, turns: int = TURNS) -> None:
        """Let the relay do its work."""
        for _ in range(turns):
            if not self.relay.loop.closed:
                self.relay.loop.doRead()
            self.reactor.advance(0)

    def linger(self) -> None:
        """Wait until every stream that is to be reset has been: the kernel acknowledges some things after 40 ms."""
        for _ in range(1000):
            if not self.relay._lingering:
                return
            time.sleep(0.002)
            self.reactor.advance(0.01)

    def keep(self, *socks: socket.socket) -> None:
        """Close these in the end."""
        self.sockets += socks

    def lane(self, serves: bool = True, size: int = 0) -> tuple[Lane, Hand]:
        """A lane of ours, and its other side."""
        far, near = self.plugs.pair(size)
        self.keep(far)
        return self.relay.adopt(near, b"", serves, self.user), Hand(far)

    def stream(self, size: int = 0) -> tuple[socket.socket, socket.socket]:
        """A peer's socket, and our end of it."""
        outer, inner = self.plugs.pair(size)
        self.keep(outer)
        return outer, inner

    def join(self, inner: socket.socket, lane: LaneHandle, early: bytes = b"", proved: bool = False) -> None:
        """Put a visitor on a lane, as a server does."""

        def giveBack(data: bytes, silent: bool) -> None:
            self._joined.discard(inner)
            self.keep(inner)
            self.given.append((data, silent))

        self._joined.add(inner)
        given = None if proved else giveBack
        self.relay.joinWithLane(Stream(inner, early), lane, self.endings.append, OPENING, giveBack=given)

    def serve(self, inner: socket.socket, lane: LaneHandle, header: bytes = b"", last: bool = False) -> None:
        """Bring a visitor to a service, as a client does."""
        self._joined.add(inner)
        self.relay.joinWithLane(Stream(inner), lane, self.endings.append, header=header, last=last)

    def visit(self, proved: bool = False, size: int = 0) -> tuple[socket.socket, Lane, Hand]:
        """A visitor on a lane of ours, whose other side has received OPEN."""
        lane, hand = self.lane(size=size)
        visitor, inner = self.stream()
        self.join(inner, lane, proved=proved)
        self.turn()
        assert hand.receiveKinds() == [OPEN]
        return visitor, lane, hand

    def held(self, size: int) -> tuple[Lane, Hand]:
        """A lane that still has frames of its last stream to send, which the other side does not read."""
        visitor, lane, hand = self.visit(proved=True, size=size)
        fill(visitor)
        self.turn()
        reset(visitor)
        self.turn()
        self.reactor.advance(TAKE_TIMEOUT)  # nothing that the visitor has sent was taken meanwhile
        assert lane.outgoing
        return lane, hand

    def served(self, size: int = 0) -> tuple[socket.socket, Lane, Hand]:
        """A service on a lane of ours, whose other side has sent a visitor."""
        lane, hand = self.lane(False, size)
        service, inner = self.stream()
        hand.send(OPENING)
        self.turn()
        assert self.user.visitors[-1] is lane
        self.serve(inner, lane)
        self.turn()
        return service, lane, hand
