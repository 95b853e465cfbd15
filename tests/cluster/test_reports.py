"""What the log of a node has."""

from __future__ import annotations

from bore.cluster.neighbours import MARGIN
from bore.cluster.report import clusterReport
from bore.events.server import (
    AddressesLost,
    ClusterJoined,
    ClusterTtlDiffers,
    EngineAnswers,
    EngineUnanswered,
    NodeNameTaken,
    OwnershipBack,
    OwnershipLapsed,
)
from bore.status.report import ClusterReport, NodeReport
from tests.cluster.clustercase import TTL, ClusterCase, FakeNode

KEY = "1" * 32


class ReportTests(ClusterCase):
    """Events of a node."""

    def test_anEngineThatIsAwayIsReportedOnceAndWhatFollows(self) -> None:
        self.node("two")
        one = self.node("one")
        self.successResultOf(one.claim(2001, KEY))
        self.assertEqual(one.events, [ClusterJoined("one", 1)])
        self.pass_(10)
        one.engine.fault = "lost"
        self.pass_(50)
        [_, unanswered] = one.events
        assert isinstance(unanswered, EngineUnanswered)
        self.assertTrue(45 <= unanswered.seconds <= 55)
        self.pass_(10)
        self.assertEqual(one.events[2:], [OwnershipLapsed(1)])
        one.engine.fault = ""
        self.pass_(4)
        [answers, back] = one.events[3:]
        self.assertIsInstance(answers, EngineAnswers)
        self.assertEqual(back, OwnershipBack())

    def test_oneCallWithoutAnAnswerIsNot(self) -> None:
        one = self.node("one")
        self.pass_(10)
        one.events.clear()
        one.engine.fault = "lost"
        self.pass_(1)
        one.engine.fault = ""
        self.pass_(10)
        self.assertEqual(one.events, [])

    def test_twoNodesWithOneNameAreReportedOnceAtEach(self) -> None:
        first, second = self.node("one"), self.node("one")
        self.pass_(10)
        for node in (first, second):
            self.assertEqual(node.events.count(NodeNameTaken("one")), 1)

    def test_twoNodesWithOneAddressAreReportedOnceAtEach(self) -> None:
        first, second = (
            self.node("one"),
            FakeNode(self.clock, self.store, "two", advertise="tls://one.example.com:7835"),
        )
        self.nodes.append(second)
        second.membership.start()
        self.pass_(10)
        self.assertEqual(first.events.count(NodeNameTaken("one")), 1)
        self.assertEqual(second.events.count(NodeNameTaken("two")), 1)

    def test_anEarlierRunOfANodeIsNotAnotherNode(self) -> None:
        self.stopped.add(self.node("one"))
        again = self.node("one")
        self.pass_(TTL)
        self.assertNotIn(NodeNameTaken("one"), again.events)

    def test_anotherTimeToLiveIsReportedOnce(self) -> None:
        first = self.node("one")
        second = FakeNode(self.clock, self.store, "two", ttl=15)
        self.nodes.append(second)
        second.membership.start()
        self.pass_(10)
        for node in (first, second):
            self.assertEqual(node.events.count(ClusterTtlDiffers()), 1)

    def test_lostAddressesAreCounted(self) -> None:
        one, _ = self.node("one"), self.node("two")
        for port in (2001, 2002):
            self.successResultOf(one.claim(port, f"{port:032x}"))
        self.stopped.add(one)
        self.pass_(TTL + MARGIN + 3)
        self.stopped.clear()
        self.pass_(2)
        self.assertIn(AddressesLost(2), one.events)
        self.assertEqual(one.ended, [2001, 2002])


class StatusTests(ClusterCase):
    """What a node shows those who ask for its status."""

    recovers = True

    def test_itHasItsStateAndTheOtherNodes(self) -> None:
        one = self.node("one", fault="lost")
        self.assertEqual(clusterReport(one.membership), ClusterReport("one", "joining", None, False, None, []))
        self.pass_(10)
        report = clusterReport(one.membership)
        assert report.engineAway is not None
        self.assertGreater(report.engineAway, 5)
        one.engine.fault = ""
        two = self.node("two")
        two.membership.state = "draining"
        self.pass_(4)
        nodes = [NodeReport("two", "draining", "tls://two.example.com:7835", 0, "1.0")]
        report = clusterReport(one.membership)
        assert report.recoversIn is not None
        self.assertTrue(TTL - 10 < report.recoversIn <= TTL)
        self.assertEqual(report, ClusterReport("one", "acting", None, True, report.recoversIn, nodes))
        two.engine.fault = "lost"
        self.pass_(TTL)
        [shown] = clusterReport(one.membership).nodes
        self.assertEqual(shown.state, "away")
        self.assertFalse(clusterReport(one.membership).recovering)
        one.engine.fault = "lost"
        self.pass_(TTL)
        self.assertEqual(clusterReport(one.membership).state, "holding")
