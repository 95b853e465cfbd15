"""The limit on a user's visitors holds for all workers together."""

from __future__ import annotations

import mmap
import os
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events.server import TurnedAway, VisitorRefused
from bore.server.users import User
from bore.users.rights import Rights
from bore.workers import visitortable
from bore.workers.visitortable import COLUMNS, VisitorTable, WorkersVisitors, makeTable
from tests.server.userscase import UsersCase, portOf, usersOf
from tests.wire.strategies import UNHURRIED

ALICE, BOB = User("alice"), User("bob")


class TableTests(SynchronousTestCase):
    """The table, as several processes have it."""

    def setUp(self) -> None:
        self.fd = makeTable()
        self.addCleanup(os.close, self.fd)
        self.supervisor = self.open()

    def open(self) -> VisitorTable:
        """The table in one more process."""
        table = VisitorTable(self.fd)
        self.addCleanup(table.close)
        return table

    def worker(self, number: int) -> WorkersVisitors:
        self.supervisor.addWorker(number)
        return WorkersVisitors(Clock(), self.open(), number, lambda user: 0)

    def test_eachWorkerSeesWhatTheOthersHave(self) -> None:
        workers = [self.worker(number) for number in (3, 1, 65535)]
        self.supervisor.addUser("alice")
        self.supervisor.addUser("bob")
        for count, worker in enumerate(workers, 1):
            worker.publish(ALICE, count)
        workers[0].publish(BOB, 7)
        self.assertEqual([worker.elsewhere(ALICE) for worker in workers], [5, 4, 3])
        self.assertEqual([worker.elsewhere(BOB) for worker in workers], [0, 7, 7])

    def test_usersMayComeWhenWorkersRunAlready(self) -> None:
        first, second = self.worker(1), self.worker(2)
        self.assertEqual(first.elsewhere(ALICE), 0)
        self.supervisor.addUser("alice")
        second.publish(ALICE, 2)
        self.assertEqual(first.elsewhere(ALICE), 2)

    def test_oneWorkerIsTheFirst(self) -> None:
        seen = self.open()
        self.assertFalse(seen.isFirst(3))
        for number in (3, 4):
            self.worker(number)
        self.assertEqual([seen.isFirst(number) for number in (3, 4)], [True, False])
        self.supervisor.removeWorker(3)
        self.assertEqual([seen.isFirst(number) for number in (3, 4)], [False, True])

    def test_aUserWithoutARowIsCountedNowhere(self) -> None:
        first, second = self.worker(1), self.worker(2)
        second.publish(ALICE, 2)
        self.assertEqual(first.elsewhere(ALICE), 0)

    def test_theVisitorsOfAWorkerThatIsGoneAreGone(self) -> None:
        first, second = self.worker(1), self.worker(2)
        for name in ("alice", "bob"):
            self.supervisor.addUser(name)
        second.publish(ALICE, 2)
        second.publish(BOB, 3)
        self.supervisor.removeWorker(2)
        self.assertEqual((first.elsewhere(ALICE), first.elsewhere(BOB)), (0, 0))

    def test_itsColumnIsFreeForTheNext(self) -> None:
        for number in range(1, 3 * COLUMNS):
            self.supervisor.addWorker(number)
            self.assertEqual(self.supervisor.column(number), 0)
            self.supervisor.removeWorker(number)
            self.assertIsNone(self.supervisor.column(number))

    def test_moreWorkersThanThereIsRoomForCountTheirOwn(self) -> None:
        for number in range(1, COLUMNS + 1):
            self.supervisor.addWorker(number)
        self.supervisor.addUser("alice")
        late = self.worker(COLUMNS + 1)
        late.publish(ALICE, 5)
        self.assertEqual((late.elsewhere(ALICE), self.supervisor.total(self.supervisor.row("alice") or 0)), (0, 0))

    def test_soDoThoseOfMoreUsers(self) -> None:
        self.patch(visitortable, "ROWS", 1)
        self.supervisor.addUser("alice")
        self.supervisor.addUser("bob")
        self.assertIsNone(self.supervisor.row("bob"))
        self.assertIsNotNone(self.open().row("alice"))

    def test_noUserAndNoWorkerIsThereTwice(self) -> None:
        for _ in range(3):
            self.supervisor.addUser("alice")
            self.supervisor.addWorker(7)
        self.assertEqual((self.supervisor._numbers[0], self.supervisor._numbers[1]), (1, 1))

    def test_aSupervisorThatWasUpgradedFindsAllAgain(self) -> None:
        first = self.worker(1)
        self.supervisor.addUser("alice")
        first.publish(ALICE, 2)
        again = self.open()
        again.addUser("alice")
        again.addUser("bob")
        again.addWorker(2)
        self.assertEqual((again.total(again.row("alice") or 0), first.elsewhere(ALICE)), (2, 0))
        self.assertEqual((again.column(1), again.column(2)), (0, 1))

    def test_itTakesMemoryOnlyForRowsThatAreThere(self) -> None:
        for number in range(40):
            self.supervisor.addUser(f"user{number}")
        self.assertLess(os.fstat(self.fd).st_blocks * 512, 40 * 1040 + 3 * mmap.PAGESIZE)

    def test_whenVisitorsHaveLeftItIsWrittenOnceForAllOfATurn(self) -> None:
        clock, counts = Clock(), Counter({ALICE: 5})
        asked: list[User] = []

        def count(user: User) -> int:
            asked.append(user)
            return counts[user]

        self.supervisor.addWorker(1)
        self.supervisor.addUser("alice")
        other, table = self.worker(2), self.open()
        worker = WorkersVisitors(clock, table, 1, count)
        worker.publish(ALICE, 5)
        for _ in range(3):
            worker.changed(ALICE)
            counts[ALICE] -= 1
        clock.advance(0)
        self.assertEqual((other.elsewhere(ALICE), asked), (2, [ALICE]))
        counts[ALICE] = 1  # one has moved to another worker
        worker.refresh()
        self.assertEqual(other.elsewhere(ALICE), 1)
        worker.changed(ALICE)
        worker.stop()
        self.assertEqual(clock.getDelayedCalls(), [])

    @UNHURRIED
    @given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from("abc"), st.integers(0, 9) | st.none()), max_size=40))
    def test_itIsASimpleTable(self, steps: list[tuple[int, str, int | None]]) -> None:
        fd = makeTable()
        table, model = VisitorTable(fd), dict[int, Counter[str]]()
        other = VisitorTable(fd)
        os.close(fd)
        for name in "abc":
            table.addUser(name)
        for number, name, count in steps:
            if count is None:
                table.removeWorker(number)
                model.pop(number, None)
                continue
            table.addWorker(number)
            WorkersVisitors(Clock(), other, number, lambda user: 0).publish(User(name), count)
            model.setdefault(number, Counter())[name] = count
            for each in "abc":
                row = other.row(each)
                assert row is not None
                self.assertEqual(other.total(row), sum(counts[each] for counts in model.values()))
        table.close()
        other.close()


class LimitTests(UsersCase):
    """A worker whose users have visitors at another one."""

    def setUp(self) -> None:
        super().setUp()
        fd = makeTable()
        self.table, theirs = VisitorTable(fd), VisitorTable(fd)
        os.close(fd)
        for number in (1, 2):
            self.table.addWorker(number)
        self.table.addUser("alice")
        users = self.server.users
        assert users is not None
        self.ours = WorkersVisitors(self.reactor, self.table, 1, users.visitors)
        self.other = WorkersVisitors(self.reactor, theirs, 2, lambda user: 0)
        users.shared = self.ours
        self.refused: list[TurnedAway] = []
        self.sink.subscribe(self._note)
        self.change(usersOf(alice=Rights(maxVisitors=3)))

    def _note(self, event: object) -> None:
        if isinstance(event, VisitorRefused):
            self.refused.append(event.why)

    def test_thoseOfOtherWorkersCount(self) -> None:
        _, _, opened = self.tunnel("alice")
        self.other.publish(ALICE, 2)
        self.visit(portOf(opened))
        self.assertEqual(self.refused, [])
        self.visit(portOf(opened))
        self.assertEqual(self.refused, [TurnedAway.TOO_MANY_OF_USER])
        self.other.publish(ALICE, 1)
        self.visit(portOf(opened))
        self.assertEqual(len(self.refused), 1)

    def test_othersKnowOfAVisitorBeforeItsTurnIsOver(self) -> None:
        _, _, opened = self.tunnel("alice")
        for count in (1, 2, 3, 3):
            self.visit(portOf(opened))
            self.assertEqual(self.other.elsewhere(ALICE), count)

    def test_andWhenItHasLeft(self) -> None:
        _, transport, opened = self.tunnel("alice")
        self.stream("alice", portOf(opened), transport)
        self.stream("alice", portOf(opened), transport)
        self.relay.cut({self.relay.joined[0][0].socket})
        self.reactor.advance(0)
        self.assertEqual(self.other.elsewhere(ALICE), 1)

    def test_andWhenItHasLeftBeforeItWasServed(self) -> None:
        _, _, opened = self.tunnel("alice")
        self.visit(portOf(opened))
        self.reactor.advance(20)
        self.assertEqual(self.other.elsewhere(ALICE), 0)

    def test_andWhenItsTunnelIsClosedMeanwhile(self) -> None:
        protocol, transport, opened = self.tunnel("alice")
        self.stream("alice", portOf(opened), transport)
        self.lose(protocol)
        self.reactor.advance(self.lease + 1)
        self.assertEqual(self.other.elsewhere(ALICE), 1)
        self.relay.cut({self.relay.joined[0][0].socket})
        self.reactor.advance(0)
        self.assertEqual(self.other.elsewhere(ALICE), 0)
