"""Shared by the tests of lanes: a relay that carries lanes without a network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from bore.relay.interface import Ending, GiveBack, LaneCarrier, LaneHandle, LaneUser, Reason, Stream
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor
from bore.wire import extension
from bore.wire.extension import Visitor, encode
from bore.wire.lane import HEADER
from bore.wire.laneopen import LaneVisitor, readOpen
from tests.fakes import FakeTransport
from tests.server.case import FakeRelay, SessionCase


class FakeLane:
    """
    A lane without a network.

    :ivar reset: whether it was reset when it was closed; None: it is open.
    :ivar refused: its visitor cannot be served.
    :ivar hasBytes: whether bytes of its visitor have come along with it.
    :ivar looksAlive: as the kernel sees it.
    """

    def __init__(self, sock: socket.socket, user: LaneUser) -> None:
        self.socket = sock
        self._user = user
        self.reset: bool | None = None
        self.refused = self.hasBytes = False
        self.looksAlive = True

    @property
    def closed(self) -> bool:
        return self.reset is not None

    def end(self, reset: bool) -> None:
        if not self.closed:
            self.reset = reset
            self.socket.close()
            self._user.gone(self)

    def dismiss(self) -> None:
        if self.looksAlive:
            self.end(reset=False)

    def refuse(self) -> None:
        self.refused = True

    def open(self, visitor: LaneVisitor) -> None:
        """The server puts a visitor on it."""
        frame = extension.visitorText(visitor.tunnel, visitor.id, visitor.source, visitor.announced).encode()
        self._user.opened(self, frame)

    def turnIdle(self) -> None:
        """It can have the next visitor."""
        self._user.idle(self)


@dataclass
class OnLane:
    """A stream on a lane, and the arguments it was joined with."""

    plain: Stream
    lane: FakeLane
    ended: Callable[[Ending], None]
    opening: bytes
    header: bytes
    giveBack: GiveBack | None
    last: bool = False

    @property
    def who(self) -> Visitor:
        visitor = readOpen(self.opening[HEADER.size :])
        return Visitor(visitor.tunnel, UUID(visitor.id), visitor.source)

    @property
    def announced(self) -> bool:
        return readOpen(self.opening[HEADER.size :]).announced


class FakeLaneRelay(FakeRelay):
    """
    Keeps what it was asked to carry.

    :ivar adopted: all lanes, the oldest first.
    :ivar carried: the streams that are on lanes, the oldest first.
    """

    def __init__(self, reactor: IReactor) -> None:
        super().__init__(reactor)
        self.adopted: list[FakeLane] = []
        self.carried: list[OnLane] = []

    def __len__(self) -> int:
        return len(self.carried)

    @property
    def lanes(self) -> LaneCarrier:
        return self

    def adopt(self, sock: socket.socket, early: bytes, serves: bool, user: LaneUser) -> LaneHandle:
        self.adopted.append(FakeLane(sock, user))
        return self.adopted[-1]

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
        self.carried.append(OnLane(plain, cast(FakeLane, lane), ended, opening, header, giveBack, last))

    def _take(self, lane: FakeLane) -> OnLane:
        [one] = [one for one in self.carried if one.lane is lane]
        self.carried.remove(one)
        return one

    def leave(self, lane: FakeLane) -> None:
        """The visitor on a lane leaves."""
        one = self._take(lane)
        one.plain.socket.close()
        one.ended(Ending(Reason.FINISHED, 0, 0))
        lane.turnIdle()

    def giveBack(self, lane: FakeLane, early: bytes, silent: bool) -> None:
        """A lane turns out to be dead."""
        one = self._take(lane)
        lane.end(reset=True)
        assert one.giveBack is not None
        one.giveBack(early, silent)

    def finishAll(self) -> None:
        """All visitors leave."""
        for one in list(self.carried):
            self.leave(one.lane)


class LaneCase(SessionCase):
    """A server that carries lanes."""

    relay: FakeLaneRelay

    def setUp(self) -> None:
        super().setUp()
        self.relay = FakeLaneRelay(cast(IReactor, self.reactor))
        settings = ServerSettings(bindTunnels=self.host, bounds=self.bounds)
        self.server = Server(cast(IReactor, self.reactor), self.sink, settings, self.relay)
        self.addCleanup(self.relay.finishAll)
        self.protocol, self.transport, self.opened = self.session()

    def lane(self, token: str | None = None) -> FakeLane:
        """The client opens a lane."""
        transport = self.offer(self.opened.lane if token is None else token)
        self.reactor.advance(0)  # many together send more than one turn's share
        self.assertTrue(transport.detached)
        return self.relay.adopted[-1]

    def offer(self, token: str | None) -> FakeTransport:
        assert token is not None
        data, transport = self.connect()
        data.dataReceived(encode(extension.Lane(token)))
        return transport

    def come(self) -> socket.socket:
        """A visitor comes."""
        return self.visit(self.opened.port)

    def waiting(self, transport: FakeTransport | None = None) -> list[Visitor]:
        """The visitors that were announced since the last call."""
        return [message for message in self.said(transport or self.transport) if isinstance(message, Visitor)]

    @property
    def busy(self) -> list[FakeLane]:
        return [one.lane for one in self.relay.carried]
