"""Which unclassified connection is closed when there are too many."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Sink
from bore.server.settings import Bounds
from bore.server.unclassified import UnclassifiedConnections
from bore.wire.errors import Refusal
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT

SOURCES = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]


class Waiting:
    """A connection, and what has become of it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.open = True

    def refuse(self, refusal: Refusal) -> None:
        self.open = False

    def timedOut(self) -> bool:
        self.open = False
        return False

    def drop(self) -> None:
        self.open = False


class EvictionTests(SynchronousTestCase):
    """Compared with a simple model that examines all of them each time."""

    @given(st.lists(st.tuples(st.sampled_from(["come", "come", "go", "drop", "time"]), st.sampled_from(SOURCES))))
    def test_itIsTheOldestOfTheSourceWithMost(self, steps: list[tuple[str, str]]) -> None:
        clock = Clock()
        unclassified = UnclassifiedConnections(
            clock, Sink(), Bounds(pending=6, pendingPerSource=4), lambda source: source == SOURCES[0]
        )
        waiting: list[Waiting] = []
        for step, source in steps:
            before = Counter(connection.source for connection in waiting)
            match step:
                case "come":
                    new = Waiting(source)
                    unclassified.add(new, source)
                    self.check(waiting, before, source)
                    waiting.append(new)
                case "go":
                    for connection in waiting:
                        if connection.source == source:
                            unclassified.take(connection)
                            connection.open = False
                            break
                case "drop":
                    unclassified.dropOne()
                    self.check(waiting, before, "")
                case "time":
                    clock.advance(FIRST_MESSAGE_TIMEOUT / 2)
            waiting = [connection for connection in waiting if connection.open]
            self.assertEqual(len(unclassified), len(waiting))
        unclassified.close()
        self.assertEqual([connection for connection in waiting if connection.open], [])
        clock.advance(20)
        self.assertEqual(clock.getDelayedCalls(), [])

    def check(self, waiting: list[Waiting], before: Counter[str], source: str) -> None:
        """Check that at most one was closed, and the right one."""
        closed = [connection for connection in waiting if not connection.open]
        if source and source != SOURCES[0] and before[source] >= 4:
            expected = {source}
        elif waiting and (not source or len(waiting) >= 6):
            expected = {name for name, count in before.items() if count == max(before.values())}
        else:
            self.assertEqual(closed, [])
            return
        [one] = closed
        self.assertIn(one.source, expected)
        self.assertIs(one, next(connection for connection in waiting if connection.source == one.source))
