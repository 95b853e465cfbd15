"""What workers take, and where connections wait meanwhile."""

from __future__ import annotations

import socket
from typing import Final
from uuid import UUID

from bore.events.server import ConnectionRefused
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.token import newToken
from bore.wire.workermessages import BaseSession, Connection, HandOn, Load
from bore.workers.peeking import PLACE_TIMEOUT
from tests.support import connect
from tests.workers.doorwaycase import HELLO, DoorwayCase, lane

CHALLENGE: Final = UUID("e4a5288b-95cd-4e87-b945-492a30b38528")


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

    def test_manyThatComeBeforeTheNextReportDoNotAllGetToTheSameWorker(self) -> None:
        for seconds, used in ((0, (5.0, 5.0)), (1, (5.31, 5.21))):
            self.reactor.advance(seconds)
            for worker, cpu in zip(self.workers, used, strict=True):
                self.doorway.loaded(worker.number, Load(100, 0, cpu))
        for _ in range(150):
            self.connect(HELLO)
        first, second = [len(each.got) for each in self.workers]
        self.assertEqual(first + second, 150)
        self.assertGreater(second, first)
        self.assertGreater(first, 45)

    def test_sessionsThatAreGivenAwayAreSpreadAndGetToANewWorkerFirst(self) -> None:
        for worker, count in zip(self.workers, (3, 0), strict=True):
            self.doorway.loaded(worker.number, Load(count, 0, 1.0))
        session = BaseSession("192.0.2.1:4711", "192.0.2.1", "", None, 8000, newToken(1))
        given = [self.doorway.give(session, -1) for _ in range(7)]
        self.assertEqual((given, [len(each.sessions) for each in self.workers]), ([True] * 7, [2, 5]))
        self.workers = []
        self.assertFalse(self.doorway.give(session, -1))

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
        self.doorway.handOn(HandOn(worker, ("192.0.2.1", 4711), b"early", CHALLENGE), far)
        return near, far

    def test_itGetsThereWithItsBytesAndItsChallenge(self) -> None:
        self.handOn(2)
        [(message, _)] = self.workers[1].got
        self.assertEqual(message, Connection(False, ("192.0.2.1", 4711), b"early", CHALLENGE))

    def test_itWaitsForItsWorker(self) -> None:
        self.workers[1].hasRoom = False
        self.handOn(2)
        self.assertEqual(self.doorway.count, 1)
        self.workers[1].hasRoom = True
        self.doorway.changed()
        self.assertEqual((len(self.workers[1].got), self.doorway.count), (1, 0))

    def test_ifThatIsGoneItGetsToAnotherWhichAnswers(self) -> None:
        self.handOn(7)
        self.assertEqual([len(each.got) for each in self.workers], [1, 0])
