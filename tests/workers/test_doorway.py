"""Connections to the control ports of a server with workers get to the worker that they belong to."""

from __future__ import annotations

import socket
import struct
from typing import Final

from bore.events.server import (
    ConnectionRefused,
    FirstMessageTimedOut,
    HandshakeTimedOut,
)
from bore.server.firstbytes import FirstBytes
from bore.server.settings import NO_PROXIES
from bore.wire.clienthello import MAX_START
from bore.wire.errors import NeedsTls
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from tests.wire.test_clienthello import alpn, hello, opensslHello, records
from tests.workers.doorwaycase import HELLO, DoorwayCase, lane

#: How many bytes are sent at once of what is sent in parts. With far more parts, the peer's kernel has the sender wait
#: for its acknowledgements, and the test with it.
STEP: Final = 7


class PlainTests(DoorwayCase):
    """A port without TLS and without a secret."""

    def test_aConnectionGetsToTheWorkerOfItsHint(self) -> None:
        for number in (2, 1, 2):
            self.connect(lane(number))
        self.assertEqual([len(each.got) for each in self.workers], [1, 2])
        [(message, sock)] = self.workers[0].got
        self.assertEqual((message.encrypted, message.early, message.challenge), (False, b"", None))
        self.assertEqual(message.peer, sock.getpeername())

    def test_nothingIsTakenOfItsBytes(self) -> None:
        data = lane(2) + b"\2OPEN" * 1000
        self.connect(data)
        self.assertEqual(self.workers[1].readAll(), [data])

    def test_oneWithoutAHintGetsToTheWorkerWithTheLeastToDo(self) -> None:
        for _ in range(6):
            self.connect(HELLO)
        self.assertEqual([len(each.got) for each in self.workers], [3, 3])

    def test_andSoDoesOneWhoseWorkerIsNotThere(self) -> None:
        self.connect(lane(7))
        self.connect(lane(65535))
        self.assertEqual([len(each.got) for each in self.workers], [1, 1])

    def test_andWhatIsNotOurs(self) -> None:
        for data in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\0", b'{"Lane":3}\0', b"x" * 300):
            self.connect(data)
        self.assertEqual(sum(len(each.got) for each in self.workers), 5)

    def test_aClientThatSendsNothingTimesOut(self) -> None:
        client = self.connect()
        self.assertEqual(self.doorway.count, 1)
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.assertEqual((self.doorway.count, client.recv(10)), (0, b""))
        [event] = self.events
        assert isinstance(event, FirstMessageTimedOut)
        self.assertEqual(event.seconds, FIRST_MESSAGE_TIMEOUT)

    def test_aMessageMayComeInParts(self) -> None:
        data = lane(2)
        client = self.connect(data[:1])
        for at in range(1, len(data), STEP):
            self.assertEqual(self.doorway.count, 1)
            client.sendall(data[at : at + STEP])
            self.turn()
        self.assertEqual(self.workers[1].readAll(), [data])

    def test_oneThatEndsOrResetsIsForgotten(self) -> None:
        client = self.connect()
        client.close()
        self.turn()
        client = self.connect(b"{")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        self.turn()
        self.assertEqual((self.doorway.count, self.events), (0, []))

    def test_oneThatEndsBehindAPartGetsToAWorkerWhichAnswers(self) -> None:
        client = self.connect(b'{"Lane":')
        client.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(self.doorway.count, 0)
        self.assertEqual(self.workers[0].readAll(), [b'{"Lane":'])


class EncryptedTests(DoorwayCase):
    """A port with TLS."""

    def test_aConnectionGetsToTheWorkerOfItsHint(self) -> None:
        data = opensslHello(b"bore/1", b"bore-at/2")
        self.connect(data, encrypted=True)
        [(message, _)] = self.workers[1].got
        self.assertTrue(message.encrypted)
        self.assertEqual(self.workers[1].readAll(), [data])

    def test_halfAClientHelloDoesNotHaveThePollSpin(self) -> None:
        data = opensslHello(b"bore/1", b"bore-at/2")
        client = self.connect(data[:100], encrypted=True)
        for _ in range(10):
            self.assertEqual(self.turn(most=10), 0)
        client.sendall(data[100:-1])
        self.assertEqual(self.turn(most=10), 0, "it is woken before what it waits for is there")
        client.sendall(data[-1:])
        self.assertEqual(self.turn(most=10), 1)
        self.assertEqual(self.workers[1].readAll(), [data])

    def test_aSlowClientHelloCostsFewLooks(self) -> None:
        data = opensslHello(b"bore/1", b"bore-at/2")
        client = self.connect(data[:1], encrypted=True)
        looks = 0
        for at in range(1, len(data), STEP * 20):
            client.sendall(data[at : at + STEP * 20])
            looks += self.turn(most=10)
        self.assertLessEqual(looks, 3)
        self.assertEqual(self.workers[1].readAll(), [data])

    def test_ifTheKernelWakesUsTooEarlyItRests(self) -> None:
        data = opensslHello(b"bore/1", b"bore-at/2")
        client = self.connect(data[:100], encrypted=True)
        [arrival] = [each for each in self.reactor.getReaders() if isinstance(each, FirstBytes)]
        for _ in range(5):  # as it does when it is short of memory
            arrival.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self.assertEqual(self.turn(most=10), 1)
            self.assertEqual(self.turn(most=10), 0)
            self.reactor.advance(0.1)
        client.sendall(data[100:])
        self.turn()
        self.assertEqual(self.workers[1].readAll(), [data])

    def test_theLongestOneIsRead(self) -> None:
        room = (1 << 14) - len(hello(alpn([b"bore/1", b"bore-at/2"])))
        message = hello(b"\0\x15" + room.to_bytes(2, "big") + bytes(room) + alpn([b"bore/1", b"bore-at/2"]))
        data = records(message, range(0, len(message), len(message) // 15))
        self.assertEqual(len(data), MAX_START)
        client = self.connect(data[:-1], encrypted=True)
        self.assertEqual(self.doorway.count, 1)
        client.sendall(data[-1:])
        self.turn()
        self.assertEqual(len(self.workers[1].got), 1)

    def test_theWorkerIsWokenForEachByteAgain(self) -> None:
        data = opensslHello(b"bore/1", b"bore-at/2")
        client = self.connect(data[:9], encrypted=True)
        client.sendall(data[9:])
        self.turn()
        [(_, sock)] = self.workers[1].got
        self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT), 1)

    def test_plainClientsGetToAWorkerWhichAnswers(self) -> None:
        self.connect(HELLO, encrypted=True)
        self.assertEqual(self.workers[0].readAll(), [HELLO])

    def test_aClientThatWaitsForAPlainChallengeIsToldToUseTls(self) -> None:
        client = self.connect(encrypted=True)
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.assertIn(str(NeedsTls()).encode(), client.recv(1000))
        self.assertEqual(client.recv(1), b"")
        [event] = self.events
        assert isinstance(event, ConnectionRefused)

    def test_oneThatStopsInTheMiddleTimesOut(self) -> None:
        client = self.connect(opensslHello(b"bore/1")[:50], encrypted=True)
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.assertIsInstance(self.events[0], HandshakeTimedOut)
        self.assertEqual(self.doorway.count, 0)
        with self.assertRaises(ConnectionResetError):
            client.recv(1)


class SecretTests(DoorwayCase):
    """A port without TLS where clients have to prove something: they send nothing before the challenge."""

    asks = True

    def test_aConnectionIsPassedOnAtOnce(self) -> None:
        self.connect()
        self.connect(lane(2))  # which is not looked at
        self.connect()
        self.assertEqual([len(each.got) for each in self.workers], [2, 1])

    def test_aSettingThatChangesCountsForTheNext(self) -> None:
        self.doorway.apply(self.bounds, False, NO_PROXIES)
        self.connect()
        self.assertEqual(self.doorway.count, 1)
        self.connect(lane(2))
        self.assertEqual([len(each.got) for each in self.workers], [0, 1])
