"""Connections of trusted proxies to the control ports of a server with workers."""

from __future__ import annotations

from typing import Final

from bore.events.server import Limit, LimitReached
from bore.server.settings import NO_PROXIES, Bounds
from bore.wire.proxyprotocol import Version, header
from bore.wire.workermessages import Connection
from tests.server.proxycase import ANNOUNCED, HERE, OWN, V1, V2
from tests.wire.test_clienthello import opensslHello
from tests.workers.doorwaycase import HELLO, DoorwayCase, FakeWorker, lane

LANE: Final = lane(2)


class ProxiedCase(DoorwayCase):
    """A doorway that trusts the proxies of this machine."""

    def setUp(self) -> None:
        super().setUp()
        self.doorway.apply(self.bounds, self.asks, HERE)

    def assertGot(self, worker: FakeWorker, data: bytes, encrypted: bool = False) -> None:
        """A worker has got one connection, whose first bytes are these, and the announced address."""
        [(message, sock)] = worker.got
        self.assertEqual(message, Connection(encrypted, ANNOUNCED, b"", None))
        self.assertEqual(sock.recv(1 << 16), data)
        worker.got.clear()


class ProxiedTests(ProxiedCase):
    """A port without a secret, and one with TLS."""

    def test_theWorkerIsFoundBehindTheHeader(self) -> None:
        for begin in (V1, V2):
            self.connect(begin + LANE)
            self.assertGot(self.workers[1], LANE)
            data = opensslHello(b"bore/1", b"bore-at/2")
            self.connect(begin + data, encrypted=True)
            self.assertGot(self.workers[1], data, encrypted=True)

    def test_inPiecesToo(self) -> None:
        client = self.connect(V2[:20])
        client.sendall(V2[20:] + LANE[:9])
        self.turn()
        self.assertEqual(self.doorway.count, 1)
        client.sendall(LANE[9:])
        self.turn()
        self.assertGot(self.workers[1], LANE)

    def test_aHealthCheckReachesNoWorker(self) -> None:
        for begin in (b"", *OWN):
            for encrypted in (False, True):
                self.connect(begin, encrypted).close()
                self.turn()
        self.assertEqual((self.doorway.count, self.events, [each.got for each in self.workers]), (0, [], [[], []]))

    def test_whatWaitsForItsHeaderOutlastsAnUpgrade(self) -> None:
        clients = [self.connect(V2[:-1], encrypted) for encrypted in (False, True)]
        own = self.connect(OWN[1])
        self.doorway.pause()
        states = self.doorway.release()
        self.assertEqual((len(states), self.doorway.count, self.reactor.getReaders()), (3, 0, []))
        self.doorway.adopt(states)
        data = opensslHello(b"bore/1", b"bore-at/2")
        for client, rest in zip(clients, (LANE, data), strict=True):
            client.sendall(V2[-1:] + rest)
            self.turn()
            self.assertGot(self.workers[1], rest, encrypted=rest is data)
        own.sendall(LANE)
        self.turn()
        [(message, sock)] = self.workers[1].got
        self.assertEqual((message.peer, sock.recv(1000)), (own.getsockname(), LANE))

    def test_whoeverIsTrustedNoMoreIsReadAsItIs(self) -> None:
        self.doorway.apply(self.bounds, self.asks, NO_PROXIES)
        client = self.connect(V1 + HELLO)
        [(message, sock)] = self.workers[0].got
        self.assertEqual((message.peer, sock.recv(1000)), (client.getsockname(), V1 + HELLO))


class LimitTests(ProxiedCase):
    """Limits per address."""

    bounds = Bounds(pendingPerSource=1)

    def test_theyConcernTheAnnouncedAddress(self) -> None:
        others = [header(Version.V1, (f"203.0.113.{n}", 4711), ("192.0.2.1", 443)) for n in range(3)]
        for begin in (b"", b"", *others):
            self.connect(begin)
        self.assertEqual((self.doorway.count, self.events), (5, []))
        self.connect(others[2])
        self.assertEqual(self.doorway.count, 5)
        self.assertEqual(self.events[0], LimitReached(Limit.UNCLASSIFIED_PER_SOURCE, 1, "203.0.113.2"))


class SecretTests(ProxiedCase):
    """A port without TLS where clients have to prove something: they send nothing before the challenge."""

    asks = True

    def test_theHeaderIsReadBeforeItIsPassedOn(self) -> None:
        client = self.connect()
        self.assertEqual((self.doorway.count, self.workers[0].got), (1, []))
        client.sendall(V2)
        self.turn()
        [(message, _)] = self.workers[0].got
        self.assertEqual(message, Connection(False, ANNOUNCED, b"", None))
