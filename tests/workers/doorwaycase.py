"""A doorway with real sockets, and workers that keep what they get."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final, cast

from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.server.settings import Bounds
from bore.streams.listener import bindSocket
from bore.streams.reactor import IReactor
from bore.wire.extension import Lane, encode, markedHello
from bore.wire.token import newToken
from bore.wire.workermessages import BaseSession, Connection, DropOldest, Pending, SupervisorMessage
from bore.workers.doorway import Doorway
from tests.fakes import FakeReactor
from tests.ports import loopbackHost
from tests.support import connect

#: The first message of a client that asks for a session.
HELLO: Final = markedHello(8000)


def lane(worker: int) -> bytes:
    """The first message of a lane of a worker."""
    return encode(Lane(newToken(worker)))


class FakeWorker:
    """
    Keeps the connections that it is sent.

    :ivar got: the messages, and the connections that came with them.
    :ivar sessions: those of original clients.
    :ivar dropped: the sources of which it had to drop one.
    """

    def __init__(self, case: SynchronousTestCase, number: int) -> None:
        self._case = case
        self.number = number
        self.takesSessions = self.serves = self.hasRoom = True
        self.got: list[tuple[Connection, socket.socket]] = []
        self.sessions: list[BaseSession] = []
        self.dropped: list[str] = []

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        match message:
            case Connection():
                [descriptor] = descriptors
                sock = socket.socket(fileno=descriptor)
                self._case.addCleanup(sock.close)
                self.got.append((message, sock))
            case BaseSession():
                self.sessions.append(message)
            case DropOldest(source):
                self.dropped.append(source)
            case _:
                raise AssertionError(message)

    def readAll(self) -> list[bytes]:
        """What can be read from each connection that it has got."""
        return [sock.recv(1 << 16) for _, sock in self.got]


class DoorwayCase(SynchronousTestCase):
    """
    A doorway between clients and two workers.

    :ivar known: the sources that have a tunnel.
    """

    bounds = Bounds()
    asks = False

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.events: list[Event] = []
        sink = Sink()
        sink.subscribe(self.events.append)
        self.known: set[str] = set()
        self.workers = [FakeWorker(self, 1), FakeWorker(self, 2)]
        self.host = loopbackHost()
        self.doorway = Doorway(
            cast(IReactor, self.reactor), sink, self.bounds, lambda: self.workers, self.known.__contains__, self.asks
        )
        self.ports = [self._listen(encrypted) for encrypted in (False, True)]
        self.addCleanup(self._leaveNothing)

    def _listen(self, encrypted: bool) -> int:
        sock = bindSocket(self.host, 0)
        port: int = sock.getsockname()[1]
        self.doorway.listen(sock, encrypted)
        return port

    def _leaveNothing(self) -> None:
        self.doorway.close()
        self.assertEqual((self.doorway.count, self.reactor.getReaders()), (0, []))
        self.assertEqual(self.reactor.getDelayedCalls(), [], "timers were left")

    def connect(self, data: bytes = b"", encrypted: bool = False) -> socket.socket:
        """A client that has sent something, and was accepted."""
        client = connect(self.host, self.ports[encrypted])
        self.addCleanup(client.close)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if data:
            client.sendall(data)
        self.turn()
        return client

    def turn(self, most: int = 1000) -> int:
        """See :meth:`~tests.fakes.FakeReactor.turn`."""
        return self.reactor.turn(most)

    def report(self, worker: FakeWorker, *counts: tuple[str, int]) -> None:
        """A worker has seen all that was sent to it."""
        self.doorway.reported(worker.number, Pending(len(worker.got), counts))
