"""One relay with lanes whose other sides are driven by hand, and time that stands still."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
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
from bore.streams.reactor import IReactor
from bore.streams.tcpinfo import SIOCOUTQ
from bore.wire.lane import DATA, HEADER, OPEN, LaneDecoder, openFrame
from tests.fakes import FakeReactor
from tests.relay.contract import reset
from tests.relay.laned import Side

#: Turns after which nothing more happens by itself.
TURNS = 40

#: Sizes of buffers.
SMALL = 1 << 16
TINY = 1 << 12

_numbers = itertools.count(1)

OPENING = openFrame(UUID(int=1), None)


def data(payload: bytes) -> bytes:
    """A frame with bytes of a stream."""
    return HEADER.pack(DATA, len(payload)) + payload


class Plugs:
    """
    Makes connected sockets, at an address of its own: a great many do not take the system's ports away.

    The kinds are those with the system's buffers, with small ones, and with buffers of a few thousand bytes, which
    take short segments to work well.
    """

    def __init__(self) -> None:
        # loopbackHost() has 255 of them for a process; a long stress takes more.
        pid = os.getpid()
        number = next(_numbers)
        self._host = f"127.{200 + pid % 50}.{number // 250 % 250}.{1 + number % 250}"
        self._listeners: dict[int, socket.socket] = {}

    def pair(self, size: int = 0) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets that do not block, with buffers of a size; 0: the system's."""
        listener = self._listeners.get(size)
        if listener is None:
            listener = self._listeners[size] = socket.socket()
            self._shrink(listener, size)
            listener.bind((self._host, 0))
            listener.listen()
        near = socket.socket()
        self._shrink(near, size)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        return near, far

    def _shrink(self, sock: socket.socket, size: int) -> None:
        if size:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        if size == TINY:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)

    def close(self) -> None:
        """Make no more."""
        for listener in self._listeners.values():
            listener.close()


def take(sock: socket.socket, most: int = 1 << 24) -> bytes:
    """What has come on a socket up to now, or up to its end."""
    parts = []
    with contextlib.suppress(BlockingIOError):
        while most > 0 and (part := sock.recv(min(most, 1 << 18))):
            parts.append(part)
            most -= len(part)
    return b"".join(parts)


def hasEnded(sock: socket.socket) -> bool:
    """Whether a stream has come to its orderly end. Bytes before it are lost."""
    try:
        while sock.recv(1 << 18):
            pass
    except BlockingIOError:
        return False
    return True


def wasReset(sock: socket.socket) -> bool:
    """Whether a stream was reset. Bytes before that are lost."""
    try:
        while sock.recv(1 << 18):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return False


def fill(sock: socket.socket, byte: bytes = b"\0") -> int:
    """Write until no more goes in, and say how much did."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(byte * 65536)
    return sent


def pairOn(lane: Lane) -> LanePair:
    """The pair that is on a lane."""
    assert isinstance(lane.on, LanePair)
    return lane.on


class Hand:
    """The other side of a lane, which says what it likes."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._decoder = LaneDecoder()

    def say(self, *frames: bytes) -> None:
        """Say this; there has to be room for it."""
        said = b"".join(frames)
        assert self.socket.send(said) == len(said)

    def hear(self) -> list[tuple[int, bytes]]:
        """The frames that have come since the last call; neighbouring pieces of DATA, and of bare bytes, are one."""
        self._decoder.feed(take(self.socket))
        heard: list[tuple[int, bytes]] = []
        while (frame := self._decoder.next()) is not None:
            kind, payload = frame
            if heard and heard[-1][0] == kind and payload:
                heard[-1] = (kind, heard[-1][1] + payload)
            else:
                heard.append(frame)
        return heard

    def hearKinds(self) -> list[int]:
        """The kinds of the frames that have come."""
        return [kind for kind, _ in self.hear()]


class Owner(Side):
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


class LaneCase(SynchronousTestCase):
    """
    A relay, its lanes, and at the end a look at whether anything was left behind.

    :ivar endings: how pairs ended.
    :ivar given: what was given back: the bytes, and whether silence has shown it.
    """

    def setUp(self) -> None:
        self._descriptors = len(os.listdir("/proc/self/fd"))
        self.plugs = Plugs()
        self.reactor = FakeReactor()
        self.relay = LaneRelay(cast(IReactor, self.reactor), 600)
        self.owner = Owner()
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
        """From now on nothing that is said on lanes seems to arrive: a loopback acknowledges everything at once."""
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
        return self.relay.adopt(near, b"", serves, self.owner), Hand(far)

    def stream(self, size: int = 0) -> tuple[socket.socket, socket.socket]:
        """Somebody's socket, and our end of it."""
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

    def serve(self, inner: socket.socket, lane: LaneHandle, header: bytes = b"") -> None:
        """Bring a visitor to a service, as a client does."""
        self._joined.add(inner)
        self.relay.joinWithLane(Stream(inner), lane, self.endings.append, header=header)

    def visit(self, proved: bool = False, size: int = 0) -> tuple[socket.socket, Lane, Hand]:
        """A visitor on a lane of ours; the other side has heard of it."""
        lane, hand = self.lane(size=size)
        visitor, inner = self.stream()
        self.join(inner, lane, proved=proved)
        self.turn()
        assert hand.hearKinds() == [OPEN]
        return visitor, lane, hand

    def served(self, size: int = 0) -> tuple[socket.socket, Lane, Hand]:
        """A service on a lane of ours, whose other side has sent a visitor."""
        lane, hand = self.lane(False, size)
        service, inner = self.stream()
        hand.say(OPENING)
        self.turn()
        assert self.owner.visitors[-1] is lane
        self.serve(inner, lane)
        self.turn()
        return service, lane, hand


__all__ = [
    "OPENING",
    "SMALL",
    "TINY",
    "TURNS",
    "Hand",
    "LaneCase",
    "Owner",
    "Plugs",
    "data",
    "fill",
    "hasEnded",
    "pairOn",
    "reset",
    "take",
    "wasReset",
]
