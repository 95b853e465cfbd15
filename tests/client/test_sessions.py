"""The client with servers that know the extension, and with several of them."""

from __future__ import annotations

import errno
from typing import cast
from uuid import uuid4

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorFDSet

from bore.client.control import ControlProtocol
from bore.client.reasons import ExtensionNeeded, ServerUnreachable
from bore.streams.transport import SocketTransport
from bore.wire.errors import AuthenticationFailed
from bore.wire.extension import Alive, Extended, Goodbye, Open, Opened, Refused, Visitor, encode, markedHello
from bore.wire.messages import Error, Heartbeat, Hello
from bore.wire.proxyprotocol import Version, header
from tests.client.case import ControlCase
from tests.fakes import FakeTransport
from tests.relay.plugs import TINY, Plugs

TOKEN = "0123456789abcdef0123456789abcdef"


class SessionCase(ControlCase):
    """A client whose server knows the extension."""

    def begin(self) -> tuple[ControlProtocol, FakeTransport]:
        protocol, transport = self.connect()
        self.hear(protocol, Extended(1))
        return protocol, transport

    def session(self, port: int = 20001) -> tuple[ControlProtocol, FakeTransport]:
        protocol, transport = self.begin()
        self.hear(protocol, Opened(1, port, TOKEN, 60))
        transport.takeWritten()
        return protocol, transport


class OpeningTests(SessionCase):
    """Asking for a tunnel, and having it back."""

    def test_theTunnelIsAskedForWhenTheServerKnowsTheExtension(self) -> None:
        protocol, transport = self.connect()
        self.assertEqual(transport.takeWritten(), markedHello(0))
        self.hear(protocol, Extended(1))
        self.assertEqual(transport.takeWritten(), encode(Open(1, 0, None)))
        self.hear(protocol, Opened(1, 20001, TOKEN, 60))
        self.assertEqual(self.announced, ["listening at example.com:20001 -> localhost:8000"])

    def test_heartbeatsAreAnswered(self) -> None:
        protocol, transport = self.session()
        self.hear(protocol, Heartbeat(), Heartbeat())
        self.assertEqual(transport.takeWritten(), encode(Alive()) * 2)

    def test_whatIsOverAShareIsFollowedLater(self) -> None:
        """A server that sends Heartbeats without end does not keep the client from all else."""
        protocol, transport = self.session()
        self.hear(protocol, *[Heartbeat()] * 1000)
        first = len(transport.takeWritten())
        self.assertLess(first, 50 * len(encode(Alive())))
        self.assertEqual(transport.producerState, "paused")
        self.reactor.advance(1)
        self.assertEqual(first + len(transport.takeWritten()), 1000 * len(encode(Alive())))
        self.assertEqual(transport.producerState, "producing")

    def test_whatIsOverAShareIsNotFollowedWhenTheConnectionIsLost(self) -> None:
        protocol, transport = self.session()
        self.hear(protocol, *[Heartbeat()] * 1000)
        self.lose(protocol)
        transport.takeWritten()
        self.reactor.advance(0.1)
        self.assertEqual(transport.takeWritten(), b"")

    def test_aServerThatDoesNotReadIsGivenUp(self) -> None:
        protocol, transport = self.session()
        assert transport.producer is protocol
        protocol.pauseProducing()
        self.assertTrue(transport.aborted)
        self.hear(protocol, Heartbeat())
        self.lose(protocol, ConnectionAborted())
        self.assertIn("lost example.com:7835: it does not read its control connection", self.logged)

    def test_whatAServerDoesNotReadIsBounded(self) -> None:
        plugs = Plugs()
        self.addCleanup(plugs.close)
        near, far = plugs.pair(TINY)
        self.addCleanup(far.close)
        protocol = self.link.makeControl()
        transport = SocketTransport(near, protocol, cast(IReactorFDSet, self.reactor))
        transport.start()
        self.hear(protocol, Extended(1), Opened(1, 20001, TOKEN, 60))
        most = sent = 0
        while not transport.disconnected:
            self.hear(protocol, *[Heartbeat()] * 100)
            if self.reactor.getWriters():
                transport.doWrite()
            most = max(most, len(transport.dataBuffer) + transport._tempDataLen)
            self.reactor.advance(0.01)
            sent += 100
            self.assertLess(sent, 1_000_000)
        self.assertLess(most, 1 << 17)
        self.lose(protocol, ConnectionAborted())
        self.assertIn("lost example.com:7835: it does not read its control connection", self.logged)

    def test_theTokenIsShownWhenTheTunnelIsWantedBack(self) -> None:
        protocol, _ = self.session()
        self.lose(protocol)
        _, transport = self.begin()
        self.assertEqual(transport.takeWritten(), markedHello(20001) + encode(Open(1, 20001, TOKEN)))

    def test_whoWasTakenOverDoesNotTakeBack(self) -> None:
        protocol, _ = self.session()
        self.hear(protocol, Refused("taken-over", "another session has taken the tunnel over", True))
        self.lose(protocol)
        _, transport = self.begin()
        self.assertEqual(transport.takeWritten(), markedHello(20001) + encode(Open(1, 20001, None)))

    def test_aRefusalIsTriedAgain(self) -> None:
        protocol, transport = self.begin()
        self.hear(protocol, Refused("too-many-tunnels", "too many tunnels", True))
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.assertIn("no tunnel from example.com:7835: server error: too many tunnels: ", self.logged[0])
        self.assertLess(self.delayToNextAttempt(), 1.2)

    def test_aRefusalThatWillNotChangeSoonIsTriedAgainMuchLater(self) -> None:
        protocol, _ = self.begin()
        self.hear(protocol, Refused("port-not-allowed", "client port number not in allowed range", False))
        self.lose(protocol)
        self.assertGreater(self.delayToNextAttempt(), 30)

    def test_goodbyeIsSaidWhenTheClientIsStopped(self) -> None:
        protocol, transport = self.session()
        left = self.link.stop()
        self.assertEqual(transport.takeWritten(), encode(Goodbye()))
        self.assertTrue(transport.disconnecting)
        self.assertNoResult(left)
        self.lose(protocol)
        self.successResultOf(left)

    def test_aServerThatSaysGoodbyeIsTriedAgain(self) -> None:
        protocol, _ = self.session()
        self.hear(protocol, Goodbye())
        self.lose(protocol)
        self.assertIn("lost example.com:7835: it said goodbye", self.logged)
        self.delayToNextAttempt()


class ProxyProtocolTests(SessionCase):
    """--proxy-protocol."""

    def setUp(self) -> None:
        self.make(proxyProtocol=Version.V1)

    def test_eachVisitorsAddressIsInItsHeader(self) -> None:
        protocol, _ = self.session()
        self.hear(protocol, Visitor(1, uuid4(), ("203.0.113.9", 50123)), Visitor(1, uuid4(), None))
        self.assertEqual(
            self.visitors.headers,
            [
                header(Version.V1, ("203.0.113.9", 50123), ("127.0.0.1", 20001)),
                b"PROXY UNKNOWN\r\n",
            ],
        )

    def test_withoutItThereIsNoHeader(self) -> None:
        self.make()
        protocol, _ = self.session()
        self.hear(protocol, Visitor(1, uuid4(), ("203.0.113.9", 50123)))
        self.assertEqual(self.visitors.headers, [b""])

    def test_aServerThatTellsNoAddressesIsFinal(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Hello(20001))
        self.assertTrue(transport.aborted)
        self.assertEqual(self.announced, [])
        self.lose(protocol)
        error = self.gaveUp()
        self.assertIsInstance(error, ExtensionNeeded)
        self.assertIn("--proxy-protocol", str(error))


class SeveralServersTests(SessionCase):
    """--to A --to B."""

    def setUp(self) -> None:
        self.make("a.example", "b.example")

    def test_theFirstIsUsedAsLongAsItLives(self) -> None:
        self.session()
        self.assertEqual(self.announced, ["listening at a.example:20001 -> localhost:8000"])

    def test_whenAllWereTriedTheDelayGrows(self) -> None:
        delays = []
        for _ in range(6):
            self.refuseConnection()
            delays.append(self.delayToNextAttempt())
        for n, delay in enumerate(delays):
            if n % 2 == 0:
                self.assertLess(delay, 0.7, delays)
        self.assertTrue(0.4 < delays[1] < 1.2, delays)
        self.assertTrue(1.9 < delays[5] < 4.2, delays)

    def test_aWrongSecretIsFinalOnlyWhenAllServersSaySo(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Error("invalid secret"))
        self.lose(protocol)
        self.assertIsNone(self.gaveUp())
        self.delayToNextAttempt()
        protocol, _ = self.connect()
        self.receive(protocol, Error("invalid secret"))
        self.lose(protocol)
        self.assertIsInstance(self.gaveUp(), AuthenticationFailed)


class ExitAfterFailuresTests(SessionCase):
    """--exit-after-failures."""

    def setUp(self) -> None:
        self.make(exitAfterFailures=3)

    def test_soManyFailuresInARowAreFinal(self) -> None:
        for _ in range(2):
            self.refuseConnection()
            self.delayToNextAttempt()
        self.refuseConnection()
        error = self.gaveUp()
        self.assertIsInstance(error, ServerUnreachable)
        text = "failures in a row: 3, the last one: cannot reach example.com:7835: connection refused: "
        self.assertIn(text, str(error))

    def test_aSessionThatLastsStartsTheCountAnew(self) -> None:
        for _ in range(5):
            self.refuseConnection()
            self.delayToNextAttempt()
            protocol, _ = self.session()
            for _ in range(70):
                self.hear(protocol, Heartbeat())
                self.reactor.advance(1)
            self.lose(protocol)
            self.delayToNextAttempt()
        self.assertIsNone(self.gaveUp())

    def test_sessionsThatAreLostSoonCount(self) -> None:
        for number in range(1, 4):
            protocol, _ = self.session()
            self.reactor.advance(1)
            self.lose(protocol)
            if number < 3:
                self.delayToNextAttempt()
        error = self.gaveUp()
        self.assertIsInstance(error, ServerUnreachable)
        self.assertIn("failures in a row: 3, the last one: lost example.com:7835", str(error))

    def test_sessionsThatAreLostSoonCountAtSeveralServers(self) -> None:
        self.make("a.example", "b.example", exitAfterFailures=3)
        for _ in range(3):
            protocol, _ = self.session()
            self.lose(protocol)
            self.reactor.advance(1)
        self.assertIsInstance(self.gaveUp(), ServerUnreachable)

    def test_attemptsToComeBackToAServerThatKeepsThePortDoNotCount(self) -> None:
        self.make("a.example", "b.example", exitAfterFailures=3)
        protocol, _ = self.session()
        for _ in range(70):
            self.hear(protocol, Heartbeat())
            self.reactor.advance(1)
        self.lose(protocol)
        for _ in range(3):
            self.delayToNextAttempt()
            self.failToConnect(OSError(errno.EHOSTUNREACH, "no route"))
        self.assertIsNone(self.gaveUp())
