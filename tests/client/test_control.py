"""The control connection, with time and transports of the test's own."""

from __future__ import annotations

import socket
from uuid import uuid4

from twisted.internet.error import ConnectionLost

from bore.client.reasons import ServerUnreachable
from bore.streams.socketoptions import BASE_TIMEOUT
from bore.wire.errors import PortInUse
from bore.wire.extension import markedHello
from bore.wire.messages import Challenge, Connection, Error, Heartbeat, Hello
from bore.wire.secret import Secret
from tests.client.case import ControlCase


class OpeningTests(ControlCase):
    """Asking for a tunnel."""

    def test_helloIsSaidAtOnce(self) -> None:
        _, transport = self.connect()
        self.assertEqual(transport.takeWritten(), markedHello(0))

    def test_theTunnelIsAnnouncedInOneLine(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Hello(20001), Heartbeat())
        self.assertEqual(self.announced, ["listening at example.com:20001 -> localhost:8000"])
        self.assertEqual(self.successResultOf(self.tunnel.whenOpened()), 20001)

    def test_anIPv6ServerIsAnnouncedInBrackets(self) -> None:
        self.make("2001:db8::1")
        protocol, _ = self.connect()
        self.receive(protocol, Hello(20001))
        self.assertEqual(self.announced, ["listening at [2001:db8::1]:20001 -> localhost:8000"])

    def test_onlyWhatChangesIsAnnouncedAgain(self) -> None:
        for port in (20001, 20001, 20002):
            protocol, _ = self.connect()
            self.receive(protocol, Hello(port))
            self.lose(protocol)
        self.assertEqual([line.split()[2] for line in self.announced], ["example.com:20001", "example.com:20002"])
        self.assertIn("the public address changed from example.com:20001 to example.com:20002", self.logged)

    def test_visitorsAreServed(self) -> None:
        protocol, _ = self.connect()
        ids = [uuid4(), uuid4()]
        self.receive(protocol, Hello(20001), *map(Connection, ids))
        self.assertEqual(self.visitors.ids, ids)

    def test_thePeerIsWatched(self) -> None:
        _, transport = self.connect()
        self.assertEqual(transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), BASE_TIMEOUT * 1000)


class SilenceTests(ControlCase):
    """A server that sends nothing."""

    def test_eightSecondsWithoutAFrameEndTheConnection(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Hello(20001))
        for _ in range(40):
            self.reactor.advance(0.5)
            self.receive(protocol, Heartbeat())
        self.assertFalse(transport.aborted)
        self.reactor.advance(7.9)
        self.assertFalse(transport.aborted)
        self.reactor.advance(0.2)
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.assertIn("lost example.com:7835: no sign of life for 8 s", self.logged)

    def test_bytesThatMakeNoFrameAreNoSignOfLife(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Hello(20001))
        for _ in range(81):
            self.reactor.advance(0.1)
            protocol.dataReceived(b" ")
        self.assertTrue(transport.aborted)

    def test_aServerThatNeverAnswersIsGivenUp(self) -> None:
        _, transport = self.connect()
        self.reactor.pump([7.9, 0.2])
        self.assertTrue(transport.aborted)

    def test_noTimerIsLeftBehind(self) -> None:
        self.make(secret=Secret("x"))
        protocol, _ = self.connect()
        protocol.connectionLost()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class RetryTests(ControlCase):
    """Trying again."""

    def test_theDelayDoublesUpToTheLimit(self) -> None:
        self.make(maxReconnectDelay=10.0)
        delays = []
        for _ in range(8):
            self.refuseConnection()
            delays.append(self.delayToNextAttempt())
        for delay, nominal in zip(delays, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
            self.assertTrue(nominal * 0.5 - 0.01 <= delay <= nominal + 0.11, (nominal, delays))

    def test_theDelayIsSpread(self) -> None:
        delays = set()
        for _ in range(20):
            self.make()
            self.refuseConnection()
            delays.add(round(self.delayToNextAttempt(), 1))
        self.assertGreater(len(delays), 2)

    def test_theDelayIsResetWhenATunnelIsConfirmedAndNotBefore(self) -> None:
        for _ in range(4):
            protocol, _ = self.connect()
            self.lose(protocol)
            delay = self.delayToNextAttempt()
        self.assertGreater(delay, 3.9)
        protocol, _ = self.connect()
        self.receive(protocol, Hello(20001))
        self.lose(protocol)
        self.assertLess(self.delayToNextAttempt(), 1.2)

    def test_everythingButAuthenticationIsTriedAgain(self) -> None:
        for text in ("port already in use", "server is shutting down", "permission denied", "no idea"):
            self.make()
            protocol, transport = self.connect()
            self.receive(protocol, Error(text))
            self.assertTrue(transport.aborted)
            self.lose(protocol)
            self.assertIn(f"no tunnel from example.com:7835: server error: {text}", self.logged[0])
            self.delayToNextAttempt()

    def test_garbageIsTriedAgain(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n\0")
        self.assertTrue(transport.aborted)
        self.lose(protocol)
        self.delayToNextAttempt()

    def test_aRandomPortIsAskedForAgain(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Hello(20001))
        self.lose(protocol, ConnectionLost())
        _, transport = self.connect()
        self.assertEqual(transport.takeWritten(), markedHello(20001))

    def test_anotherPortIsTakenAtOnceWhenTheOldOneCannotBeHad(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Hello(20001))
        self.lose(protocol)
        self.delayToNextAttempt()
        refused = 0
        while True:
            protocol, transport = self.connect()
            if transport.takeWritten() == markedHello(0):
                break
            refused += 1
            self.receive(protocol, Error("port already in use"))
            attempts = self.connector.attempts
            self.lose(protocol)
            if self.connector.attempts == attempts:
                self.delayToNextAttempt()
        self.assertLess(self.reactor.seconds(), 32)
        self.assertGreater(refused, 2)
        self.assertIn(
            "server error: port already in use: the public port cannot be had back, any other will do", self.logged
        )

    def test_aServerThatOpensAndRefusesAtOnceIsNotHammered(self) -> None:
        for text in ("permission denied", "failed to bind to port", "port already in use"):
            self.make()
            protocol, _ = self.connect()
            self.receive(protocol, Hello(20001))
            self.lose(protocol)
            self.delayToNextAttempt()
            for _ in range(5):
                protocol, _ = self.connect()
                self.receive(protocol, Hello(20001), Error(text))
                attempts = self.connector.attempts
                self.lose(protocol)
                self.assertEqual(self.connector.attempts, attempts)
                self.assertGreater(self.delayToNextAttempt(), 0.4)

    def test_unexpectedMessagesAreLoggedOnce(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Hello(20001))
        for _ in range(100):
            self.receive(protocol, Hello(1), Challenge(uuid4()))
        self.assertFalse(transport.aborted)
        self.assertEqual(sum("ignored" in line for line in self.logged), 1)

    def test_aRefusalWhileStoppingStartsNothing(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Hello(20001))
        self.lose(protocol)
        self.delayToNextAttempt()
        protocol, _ = self.connect()
        self.receive(protocol, Error("permission denied"))
        self.link.stop()
        attempts = self.connector.attempts
        self.lose(protocol)
        self.assertEqual((self.connector.attempts, self.reactor.getDelayedCalls()), (attempts, []))

    def test_aServerThatGivesPortZeroIsRefused(self) -> None:
        protocol, transport = self.connect()
        self.receive(protocol, Hello(0))
        self.assertTrue(transport.aborted)
        self.assertEqual(self.announced, [])

    def test_stoppingEndsAllAttempts(self) -> None:
        self.refuseConnection()
        self.link.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.refuseConnection()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_aTunnelThatOpensWhileStoppingRevivesNothing(self) -> None:
        protocol, _ = self.connect()
        self.link.stop()
        self.receive(protocol, Hello(20001))
        self.lose(protocol)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class NoReconnectTests(ControlCase):
    """--no-reconnect."""

    def setUp(self) -> None:
        self.make(reconnect=False)

    def test_aServerThatCannotBeReachedIsFinal(self) -> None:
        self.refuseConnection()
        error = self.gaveUp()
        self.assertIsInstance(error, ServerUnreachable)
        self.assertTrue(str(error).startswith("cannot reach example.com:7835: connection refused: no program listens"))

    def test_aLostServerIsFinal(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Hello(20001))
        self.lose(protocol, ConnectionLost())
        self.assertEqual(str(self.gaveUp()), "lost example.com:7835: the connection was cut")

    def test_aRefusalIsFinalAndKeepsItsKind(self) -> None:
        protocol, _ = self.connect()
        self.receive(protocol, Error("port already in use"))
        self.lose(protocol)
        self.assertIsInstance(self.gaveUp(), PortInUse)
