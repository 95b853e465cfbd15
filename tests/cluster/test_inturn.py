"""Claims that wait for their turn at the engine."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bore.cluster.engine import ENGINE_TIMEOUT, EngineAway
from bore.cluster.inturn import AT_ONCE, WAITING, InTurn
from bore.wire.errors import ClusterAway
from tests.cluster.clustercase import ClusterCase


class InTurnTests(SynchronousTestCase):
    """Turns."""

    def setUp(self) -> None:
        self.now = 0.0
        self.turns = InTurn(lambda: self.now)
        for _ in range(AT_ONCE):
            self.successResultOf(self.turns.enter())

    def test_theNextOneGoesWhenOneIsOver(self) -> None:
        first, second = self.turns.enter(), self.turns.enter()
        self.assertNoResult(first)
        self.turns.leave()
        self.successResultOf(first)
        self.assertNoResult(second)

    def test_thoseThatHaveWaitedForTooLongAreGivenUp(self) -> None:
        late = [self.turns.enter() for _ in range(3000)]
        self.now = ENGINE_TIMEOUT
        inTime = self.turns.enter()
        self.turns.leave()
        for each in late:
            self.failureResultOf(each, EngineAway)
        self.successResultOf(inTime)

    def test_thoseThatAreOverAtOnceDoNotNest(self) -> None:
        """The stack of the interpreter has room for a thousand calls."""
        waiting = [self.turns.enter() for _ in range(3000)]
        for each in waiting:
            each.addCallback(lambda _: self.turns.leave())
        self.turns.leave()
        for each in waiting:
            self.successResultOf(each)

    def test_notMoreWaitThanMay(self) -> None:
        waiting: list[Deferred[None]] = [self.turns.enter() for _ in range(WAITING)]
        self.failureResultOf(self.turns.enter(), EngineAway)
        self.assertNoResult(waiting[-1])


class ManyClaimsTests(ClusterCase):
    """Many claims at once of one node."""

    def test_whatHasOnlyWaitedIsRefusedWithoutACall(self) -> None:
        node = self.node("one")
        node.engine.fault = "lost"
        node.engine.calls.clear()
        claims = [node.claim(port, f"{port:032x}") for port in range(2000, 2100)]
        self.pass_(ENGINE_TIMEOUT)
        for each in claims:
            self.failureResultOf(each, ClusterAway)
        self.assertEqual(node.engine.calls.count("grant"), AT_ONCE)
        node.engine.fault = ""
        self.pass_(4)
        self.assertEqual(node.engine.calls.count("leave"), AT_ONCE)
        self.assertEqual(self.store.records(), [])
