"""Short messages that are sent without the reactor."""

from __future__ import annotations

import socket
from typing import cast

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.transport import SocketTransport
from tests.fakes import FakeReactor
from tests.relay.encrypted import tlsPair
from tests.relay.plugs import TINY, Plugs, fill


class _Receiver(Protocol):
    """Records that the connection is lost."""

    def __init__(self) -> None:
        self.lost: list[BaseException | None] = []

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason.value)


class WriteNowTests(SynchronousTestCase):
    """A message is sent at once, if nothing is queued before it."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        plugs = Plugs()
        self.addCleanup(plugs.close)
        self.sock, self.peer = plugs.pair(TINY)
        self.addCleanup(self.sock.close)
        self.addCleanup(self.peer.close)
        self.receiver = _Receiver()
        self.transport = SocketTransport(self.sock, self.receiver, cast(IReactorFDSet, self.reactor))
        self.transport.start()

    def test_itIsSentAtOnce(self) -> None:
        self.transport.writeNow(b"beat")
        self.assertEqual((self.peer.recv(100), self.reactor.getWriters()), (b"beat", []))

    def test_itDoesNotOvertakeWhatIsQueued(self) -> None:
        self.transport.write(b"first")
        self.transport.writeNow(b"beat")
        self.assertEqual((self.transport.queued, self.reactor.getWriters()), (9, [self.transport]))
        self.transport.doWrite()
        self.assertEqual((self.peer.recv(100), self.transport.queued), (b"firstbeat", 0))

    def test_whatTheSystemDoesNotTakeIsQueued(self) -> None:
        filled = fill(self.sock)
        self.transport.writeNow(b"beat")
        self.assertEqual((self.transport.queued, self.reactor.getWriters()), (4, [self.transport]))
        received = b""
        while len(received) < filled + 4:
            self.transport.doWrite()
            received += self.peer.recv(1 << 16)
        self.assertEqual(received[filled:], b"beat")

    def test_anErrorIsFoundByTheReactor(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)
        self.transport.writeNow(b"beat")
        self.assertEqual((self.receiver.lost, self.reactor.getWriters()), ([], [self.transport]))
        self.assertIsNotNone(self.transport.doWrite())

    def test_behindTheEndNothingIsSent(self) -> None:
        self.transport.finish()
        self.transport.writeNow(b"beat")
        self.transport.connectionLost(Failure(self.transport.doWrite()))
        self.transport.writeNow(b"beat")
        self.assertEqual((self.peer.recv(100), self.peer.recv(100)), (b"beat", b""))


class EncryptedTests(SynchronousTestCase):
    """The same inside TLS."""

    def test_whatTheSystemDoesNotTakeIsSentLaterAndOnce(self) -> None:
        server, client = tlsPair(small=True)
        self.addCleanup(server.close)
        self.addCleanup(client.close)
        reactor = FakeReactor()
        transport = SocketTransport(server, _Receiver(), cast(IReactorFDSet, reactor), control=True)
        transport.start()
        count = 0
        while not transport.queued:
            transport.writeNow(b"%07d\0" % count * 500)
            count += 1
        for _ in range(9):
            transport.writeNow(b"%07d\0" % count * 500)
            count += 1
        received = b""
        while len(received) < 8 * 500 * count:
            received += client.recv(1 << 14)
            if transport.queued:
                transport.doWrite()
        self.assertEqual(received, b"".join(b"%07d\0" % number * 500 for number in range(count)))
