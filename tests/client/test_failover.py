"""Several servers: when a client comes back to the one that it has lost, and when it goes on to the next."""

from __future__ import annotations

import errno
import os

from twisted.internet.error import ConnectionLost, UserError

from bore.client.reasons import CheckFailed, ServerSilent
from bore.streams.encryption import TlsError
from bore.wire.errors import ServerLeft
from bore.wire.extension import Extended, Open, Opened, Refused, encode, markedHello
from bore.wire.messages import Heartbeat
from tests.client.test_sessions import TOKEN, SessionCase

NO_ROUTE = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
REFUSED = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


class FailoverCase(SessionCase):
    """A client of a.example and b.example."""

    def setUp(self) -> None:
        self.make("a.example", "b.example")

    def server(self) -> str:
        """The one that is tried next, or now."""
        return self.servers.current.address.host


class BlipTests(FailoverCase):
    """The connection is lost, and the server keeps the port."""

    def test_theClientComesBackToTheServerWithItsToken(self) -> None:
        blips = (ConnectionLost(), ServerSilent("silent"), OSError(errno.ETIMEDOUT, "x"), NO_ROUTE)
        for why in blips:
            self.make("a.example", "b.example")
            protocol, _ = self.session()
            self.lose(protocol, why)
            self.assertLess(self.delayToNextAttempt(), 0.7)
            self.assertEqual(self.server(), "a.example")
            _, transport = self.begin()
            self.assertEqual(transport.takeWritten(), markedHello(20001) + encode(Open(1, 20001, TOKEN)))

    def test_itIsTheSameWhenTheServerHasLostTheClient(self) -> None:
        protocol, _ = self.session()
        self.hear(protocol, Refused("no-answer", "no answer to heartbeats", True))
        self.lose(protocol)
        self.delayToNextAttempt()
        self.assertEqual(self.server(), "a.example")

    def test_itDoesNotHappenOnceOnly(self) -> None:
        for _ in range(5):
            protocol, _ = self.session()
            for _ in range(61):
                self.hear(protocol, Heartbeat())
                self.reactor.advance(1)
            self.assertEqual((self.server(), self.connector.stopped), ("a.example", 0))
            self.lose(protocol, ConnectionLost())
            self.delayToNextAttempt()
            self.assertEqual(self.server(), "a.example")
            self.reactor.advance(2)

    def test_oneWhoseSessionsAreAlwaysLostSoonIsLeft(self) -> None:
        servers = []
        for _ in range(5):
            protocol, _ = self.session()
            self.lose(protocol, ConnectionLost())
            self.delayToNextAttempt()
            servers.append(self.server()[0])
        self.assertEqual("".join(servers), "aabab")

    def test_severalAttemptsAreMadeWhileTheNetworkIsAway(self) -> None:
        protocol, _ = self.session()
        self.lose(protocol, ConnectionLost())
        begin, attempts = self.reactor.seconds(), 0
        while True:
            self.delayToNextAttempt()
            if self.server() != "a.example":
                break
            attempts += 1
            self.failToConnect(NO_ROUTE)
        self.assertLess(self.reactor.seconds() - begin, 4)
        self.assertGreater(attempts, 3)


class DeadTests(FailoverCase):
    """The server is not there any more."""

    def test_oneThatRefusesIsLeftAtOnce(self) -> None:
        for why in (REFUSED, TlsError(errno.EPROTO, "it does not speak TLS")):
            self.make("a.example", "b.example")
            protocol, _ = self.session()
            self.lose(protocol, ConnectionLost())
            self.delayToNextAttempt()
            self.failToConnect(why)
            self.assertLess(self.delayToNextAttempt(), 0.7)
            self.assertEqual(self.server(), "b.example")
            _, transport = self.connect()
            self.assertEqual(transport.takeWritten(), markedHello(0), "the other server's port is none of ours")

    def test_oneThatDoesNotAnswerADialIsLeftSoon(self) -> None:
        protocol, _ = self.session()
        self.lose(protocol, ConnectionLost())
        waited = self.delayToNextAttempt()
        self.connector.connecting = True
        self.reactor.advance(2.9 - waited)
        self.assertEqual(self.connector.stopped, 0)
        self.reactor.advance(0.2)
        self.assertEqual(self.connector.stopped, 1)
        self.failToConnect(UserError())
        self.assertEqual(self.logged[-2], "cannot reach a.example:7835: it does not answer")
        self.assertLess(self.delayToNextAttempt(), 0.7)
        self.assertEqual(self.server(), "b.example")

    def test_oneThatIsConnectedAndSaysNothingIsLeftSoon(self) -> None:
        protocol, _ = self.session()
        self.lose(protocol, ConnectionLost())
        self.delayToNextAttempt()
        protocol, transport = self.connect()
        self.reactor.advance(3)
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.assertLess(self.delayToNextAttempt(), 0.7)
        self.assertEqual(self.server(), "b.example")

    def test_oneThatHasNoPortForUsAnyMoreIsLeftAtOnce(self) -> None:
        protocol, _ = self.session()
        self.lose(protocol, ConnectionLost())
        self.delayToNextAttempt()
        protocol, _ = self.begin()
        self.hear(protocol, Refused("too-many-tunnels", "too many tunnels", True))
        self.lose(protocol)
        self.assertEqual(self.server(), "b.example")

    def test_whoKeepsNothingForUsOrSendsUsAwayIsLeftAtOnce(self) -> None:
        for why in (ServerLeft(), CheckFailed("no visitor came through")):
            self.make("a.example", "b.example")
            protocol, _ = self.session()
            self.lose(protocol, why)
            self.assertEqual(self.server(), "b.example")
        self.make("a.example", "b.example")
        protocol, _ = self.session()
        self.hear(protocol, Refused("draining", "server is shutting down", True))
        self.lose(protocol)
        self.assertEqual(self.server(), "b.example")
        self.make("a.example", "b.example")
        protocol, _ = self.connect()
        self.hear(protocol, Extended(1), Opened(1, 20001, None, 0))
        self.lose(protocol, ConnectionLost())
        self.assertEqual(self.server(), "b.example")

    def test_eachServersPortAndTokenAreKept(self) -> None:
        for port in (20001, 20002):
            protocol, _ = self.session(port)
            self.lose(protocol, ServerLeft())
        _, transport = self.begin()
        self.assertEqual(transport.takeWritten(), markedHello(20001) + encode(Open(1, 20001, TOKEN)))

    def test_nothingIsLeftWhenTheClientStops(self) -> None:
        protocol, _ = self.session()
        self.lose(protocol, ConnectionLost())
        self.link.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
