"""Connections to the control ports of a server with workers get to the worker that they belong to."""

from __future__ import annotations

import socket
import struct
from typing import Final

from bore.events.server import (
    ConnectionClosed,
    ConnectionRefused,
    FirstMessageTimedOut,
    HandshakeTimedOut,
    Limit,
    LimitReached,
)
from bore.server.settings import Bounds
from bore.wire.clienthello import MAX_START
from bore.wire.errors import NeedsTls
from bore.wire.extension import Lane, encode, markedHello
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.token import newToken
from bore.wire.workermessages import HandOn, Load, Pending
from bore.workers.peeking import PLACE_TIMEOUT, Arrival
from tests.support import connect
from tests.wire.test_clienthello import alpn, hello, opensslHello, records
from tests.workers.doorwaycase import DoorwayCase

HELLO: Final = markedHello(8000)

#: How many bytes are sent at once of what is sent in parts. With far more parts, the peer's kernel has the sender wait
#: for its acknowledgements, and the test with it.
STEP: Final = 7


def lane(worker: int) -> bytes:
    return encode(Lane(newToken(worker)))


class PlainTests(DoorwayCase):
    """A port without TLS and without a secret."""

    def test_aConnectionGetsToTheWorkerOfItsHint(self) -> None:
        for number in (2, 1, 2):
            self.connect(lane(number))
        self.assertEqual([len(each.got) for each in self.workers], [1, 2])
        [(message, sock)] = self.workers[0].got
        self.assertEqual((message.encrypted, message.early, message.user), (False, b"", None))
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
        [arrival] = [each for each in self.reactor.getReaders() if isinstance(each, Arrival)]
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
        self.doorway.apply(self.bounds, False)
        self.connect()
        self.assertEqual(self.doorway.count, 1)
        self.connect(lane(2))
        self.assertEqual([len(each.got) for each in self.workers], [0, 1])


class WorkersTests(DoorwayCase):
    """What workers take, and when."""

    def test_theOneWithLessCpuTimeIsChosen(self) -> None:
        for seconds, used in ((0, (5.0, 5.0)), (1, (5.9, 5.1))):
            self.reactor.advance(seconds)
            for worker, cpu in zip(self.workers, used, strict=True):
                self.doorway.loaded(worker.number, Load(0, 0, cpu))
        for _ in range(4):
            self.connect(HELLO)
        self.assertEqual([len(each.got) for each in self.workers], [0, 4])

    def test_inStepsOfTenPercentAndThenTheOneWithFewerSessions(self) -> None:
        for seconds, used, sessions in ((0, (5.0, 5.0), (0, 0)), (1, (5.11, 5.19), (10, 7))):
            self.reactor.advance(seconds)
            for worker, cpu, count in zip(self.workers, used, sessions, strict=True):
                self.doorway.loaded(worker.number, Load(count, 0, cpu))
        for _ in range(5):
            self.connect(HELLO)
        self.assertEqual([len(each.got) for each in self.workers], [1, 4])

    def test_aRetiredWorkerGetsOnlyWhatIsItsOwn(self) -> None:
        self.workers[0].takesSessions = False
        for _ in range(3):
            self.connect(HELLO)
        self.connect(lane(1))
        self.assertEqual([len(each.got) for each in self.workers], [1, 3])

    def test_oneThatEndsGetsNothing(self) -> None:
        self.workers[0].takesSessions = self.workers[0].serves = False
        self.connect(lane(1))
        self.assertEqual([len(each.got) for each in self.workers], [0, 1])

    def test_whileNoneTakesMoreConnectionsWaitInTheKernel(self) -> None:
        for worker in self.workers:
            worker.hasRoom = False
        clients = [self.connect(HELLO) for _ in range(3)]
        self.assertEqual((self.doorway.count, self.turn()), (0, 0))
        self.reactor.advance(60)
        self.workers[1].hasRoom = True
        self.doorway.changed()
        self.turn()
        self.assertEqual([len(each.got) for each in self.workers], [0, 3])
        self.assertEqual(len(clients), 3)

    def test_oneOfAWorkerThatTakesNoneWaitsForIt(self) -> None:
        self.workers[0].hasRoom = False
        self.connect(lane(1))
        self.connect(lane(2))
        self.assertEqual(([len(each.got) for each in self.workers], self.doorway.count), ([0, 1], 1))
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT * 2)
        self.workers[0].hasRoom = True
        self.doorway.changed()
        self.assertEqual(([len(each.got) for each in self.workers], self.doorway.count), ([1, 1], 0))

    def test_butNotForEver(self) -> None:
        self.workers[0].hasRoom = False
        client = self.connect(lane(1))
        for _ in range(int(PLACE_TIMEOUT / FIRST_MESSAGE_TIMEOUT) + 1):
            self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.assertEqual(self.doorway.count, 0)
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        self.assertIsInstance(self.events[-1], ConnectionRefused)

    def test_ifThatWorkerIsGoneItGetsToAnother(self) -> None:
        self.workers[0].hasRoom = False
        self.connect(lane(1))
        del self.workers[0]
        self.doorway.gone(1)
        self.assertEqual((len(self.workers[0].got), self.doorway.count), (1, 0))

    def test_withoutAWorkerNothingIsAccepted(self) -> None:
        workers, self.workers = self.workers, []
        self.connect(HELLO)
        self.assertEqual(self.doorway.count, 0)
        self.workers = workers
        self.doorway.changed()
        self.turn()
        self.assertEqual(len(workers[0].got), 1)

    def test_aPortThatIsOpenedMeanwhileWaitsToo(self) -> None:
        workers, self.workers = self.workers, []
        self.connect(HELLO)
        self.ports.append(self._listen(False))
        client = connect(self.host, self.ports[-1])
        self.addCleanup(client.close)
        self.assertEqual((self.turn(), self.doorway.count), (0, 0))
        self.workers = workers


class HandOnTests(DoorwayCase):
    """Connections that a worker has read from, and that belong to another one."""

    asks = True

    def handOn(self, worker: int) -> tuple[socket.socket, socket.socket]:
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.doorway.handOn(HandOn(worker, ("192.0.2.1", 4711), b"early", "alice"), far)
        return near, far

    def test_itGetsThereWithItsBytesAndItsUser(self) -> None:
        self.handOn(2)
        [(message, _)] = self.workers[1].got
        self.assertEqual((message.peer, message.early, message.user), (("192.0.2.1", 4711), b"early", "alice"))
        self.assertFalse(message.encrypted)

    def test_itWaitsForItsWorker(self) -> None:
        self.workers[1].hasRoom = False
        self.handOn(2)
        self.assertEqual(self.doorway.count, 1)
        self.workers[1].hasRoom = True
        self.doorway.changed()
        self.assertEqual((len(self.workers[1].got), self.doorway.count), (1, 0))

    def test_ifThatIsGoneItIsClosedAndNotSentInACircle(self) -> None:
        near, _ = self.handOn(7)
        self.assertEqual(near.recv(1), b"")
        [event] = self.events
        assert isinstance(event, ConnectionClosed)
        self.assertIn("the worker 7, which is gone", str(event.error))
        self.assertEqual([len(each.got) for each in self.workers], [0, 0])


class LimitTests(DoorwayCase):
    """The limits on unclassified connections, which hold for all processes together."""

    bounds = Bounds(pending=6, pendingPerSource=4)
    source = "127.0.0.1"

    def test_beyondThatOfASourceItsOldestGoes(self) -> None:
        clients = [self.connect() for _ in range(5)]
        self.assertEqual(self.doorway.count, 4)
        self.assertIn(b"too many", clients[0].recv(1000))
        self.assertEqual(clients[0].recv(1), b"")
        refused = [each for each in self.events if isinstance(each, LimitReached)]
        self.assertEqual(refused, [LimitReached(Limit.UNCLASSIFIED_PER_SOURCE, 4, self.source)])

    def test_thoseOnTheWayAndThoseOfWorkersCount(self) -> None:
        for _ in range(4):
            self.connect(HELLO)
        self.assertEqual(self.workers[0].dropped + self.workers[1].dropped, [])
        self.connect(HELLO)
        self.assertEqual(self.workers[0].dropped, [self.source])
        self.report(self.workers[0], (self.source, 2))
        self.report(self.workers[1], (self.source, 2))
        self.connect(HELLO)
        self.assertEqual(len(self.workers[0].dropped + self.workers[1].dropped), 2)

    def test_thoseThatWereSeenAndHaveSentAMessageDoNot(self) -> None:
        for _ in range(20):
            self.connect(HELLO)
            for worker in self.workers:
                self.report(worker)
        self.assertEqual(self.workers[0].dropped + self.workers[1].dropped, [])
        self.assertEqual(self.events, [])

    def test_theOldestGoesWhereverItIs(self) -> None:
        self.connect(HELLO)
        self.report(self.workers[0], (self.source, 1))
        here = [self.connect() for _ in range(4)]
        self.assertEqual((self.workers[0].dropped, self.doorway.count), ([self.source], 4))
        self.connect()
        self.assertIn(b"too many", here[0].recv(1000))

    def test_forASourceWithATunnelOnlyTheTotalCounts(self) -> None:
        self.known.add(self.source)
        for _ in range(6):
            self.connect()
        self.assertEqual(self.doorway.count, 6)
        self.connect()
        self.assertEqual(self.doorway.count, 6)
        [event] = [each for each in self.events if isinstance(each, LimitReached)]
        self.assertEqual(event, LimitReached(Limit.UNCLASSIFIED, 6))

    def test_thoseOfAWorkerThatIsGoneAreForgotten(self) -> None:
        self.report(self.workers[0], (self.source, 3))
        del self.workers[0]
        self.doorway.gone(1)
        for _ in range(4):
            self.connect()
        self.assertEqual((self.doorway.count, self.events), (4, []))

    def test_anUpgradedSupervisorFollowsAWorkerThatHasSeenMore(self) -> None:
        self.doorway.reported(1, Pending(1000, ()))
        for _ in range(3):
            self.connect(lane(1))
        self.doorway.reported(1, Pending(1003, ((self.source, 1),)))
        self.assertEqual(self.doorway._pending.elsewhere, 1)
