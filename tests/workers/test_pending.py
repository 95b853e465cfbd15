"""Limits on unclassified connections hold for all processes of a server together."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Sink
from bore.events.server import (
    Limit,
    LimitReached,
)
from bore.server.settings import Bounds
from bore.wire.errors import Refusal
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.workermessages import Pending
from bore.workers.pending import PendingConnections, ReportedConnections
from tests.wire.strategies import UNHURRIED
from tests.workers.doorwaycase import HELLO, DoorwayCase, lane


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

    def test_thoseThatAWorkerWillDropDoNotCount(self) -> None:
        for _ in range(100):  # while the workers read nothing
            self.connect(HELLO)
        self.assertEqual(sum(len(each.dropped) for each in self.workers), 96)
        self.assertEqual(self.doorway._pending.elsewhere, 4)
        self.report(self.workers[0], (self.source, 2))
        self.report(self.workers[1], (self.source, 2))
        self.assertEqual(self.doorway._pending.elsewhere, 4)

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


class Other:
    """A connection of the supervisor."""

    def __init__(self) -> None:
        self.open = True

    def refuse(self, refusal: Refusal) -> None:
        self.open = False

    def timedOut(self) -> bool:
        self.open = False
        return False

    def drop(self) -> None:
        self.open = False


class Anywhere:
    """A supervisor and its workers, none of whose messages is late: what a server of one process would have."""

    def __init__(self, bounds: Bounds) -> None:
        self.clock = Clock()
        self.sink = Sink()
        self.pending = PendingConnections(self.clock, self.sink, bounds, lambda source: False, self.drop)
        self.workers: dict[int, ReportedConnections] = {}
        self.seen: Counter[int] = Counter()
        for number in (1, 2):
            self.workers[number] = ReportedConnections(self.clock, self.sink, Bounds(), lambda: None)

    def drop(self, worker: int, source: str) -> None:
        self.workers[worker].dropOldest(source)
        self.report(worker)

    def report(self, worker: int) -> None:
        self.pending.reported(worker, Pending(self.seen[worker], self.workers[worker].takeChanges()))


class WholeServerTests(SynchronousTestCase):
    """Where every message arrives at once, the limits are exact."""

    @UNHURRIED
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["come", "come", "come", "pass", "classify", "time"]),
                st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
                st.sampled_from([1, 2]),
            ),
            max_size=60,
        )
    )
    def test_noMoreThanTheLimitAreOpenAnywhere(self, steps: list[tuple[str, str, int]]) -> None:
        all = Anywhere(Bounds(pending=6, pendingPerSource=4))
        here: list[tuple[str, Other]] = []
        there: list[tuple[str, int, Other]] = []
        for step, source, worker in steps:
            match step:
                case "come":
                    here.append((source, Other()))
                    all.pending.add(here[-1][1], source)
                case "pass" if here:
                    of, connection = here.pop(0)
                    all.pending.take(connection)
                    all.pending.passed(worker, of)
                    there.append((of, worker, connection))
                    all.workers[worker].add(connection, of)
                    all.seen[worker] += 1
                    all.report(worker)
                case "classify" if there:
                    _, at, connection = there.pop(0)
                    all.workers[at].take(connection)
                    all.report(at)
                case "time":
                    all.clock.advance(FIRST_MESSAGE_TIMEOUT / 2)
                    for number in all.workers:
                        all.report(number)
            here = [each for each in here if each[1].open]
            there = [each for each in there if each[2].open]
            counts = Counter([of for of, _ in here] + [of for of, _, _ in there])
            self.assertLessEqual(counts.total(), 6)
            self.assertLessEqual(max(counts.values(), default=0), 4)
            self.assertEqual((len(all.pending), all.pending.elsewhere), (len(here), len(there)))

    def test_aWorkerReportsWhatHasChangedOnce(self) -> None:
        told: list[None] = []
        connections = ReportedConnections(Clock(), Sink(), Bounds(), lambda: told.append(None))
        first, second = Other(), Other()
        connections.add(first, "192.0.2.1")
        connections.add(second, "192.0.2.1")
        self.assertEqual((len(told), connections.takeChanges()), (1, (("192.0.2.1", 2),)))
        self.assertEqual(connections.takeChanges(), ())
        connections.take(first)
        connections.take(second)
        self.assertEqual((len(told), connections.takeChanges()), (2, (("192.0.2.1", 0),)))
        connections.dropOldest("192.0.2.1")  # it has sent its message in the meantime
        self.assertEqual(len(told), 2)
        connections.close()
