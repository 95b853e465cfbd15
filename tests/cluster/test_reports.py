"""What the log of a node has."""

from __future__ import annotations

from bore.cluster.neighbours import MARGIN
from bore.cluster.report import clusterReport
from bore.events.server import (
    AddressesLost,
    ClusterJoined,
    ClusterTtlDiffers,
    EngineAnswers,
    EngineRefused,
    EngineUnanswered,
    NodeNameTaken,
    OwnershipBack,
    OwnershipLapsed,
)
from bore.status.report import ClusterReport, NodeReport
from bore.wire.errors import ClusterAway
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

    def test_anotherErrorOfAnEngineThatIsAwayIsReportedAsWell(self) -> None:
        one = self.node("one")
        self.pass_(10)
        one.events.clear()
        for error in ("refused", "refused", "no password", "refused", "no password"):
            one.engine.refusal = error
            one.engine.refuses = {"beat"}
            self.pass_(8)
        errors = [each.error for each in one.events if isinstance(each, EngineUnanswered)]
        self.assertEqual(errors, ["refused", "no password"])
        one.engine.refuses = set()
        self.pass_(4)
        one.engine.refuses = {"beat"}
        self.pass_(8)
        self.assertEqual(sum(isinstance(each, EngineUnanswered) for each in one.events), 3)
        self.assertNotIn(EngineRefused("no password"), one.events)

    def test_errorsOfAnEngineThatIsAwayAreNotWithoutNumber(self) -> None:
        one = self.node("one")
        one.engine.refuses = {"beat"}
        for n in range(100):
            one.engine.refusal = f"error {n}"
            self.pass_(1)
        self.assertLess(sum(isinstance(each, EngineUnanswered) for each in one.events), 10)

    def test_aCallThatAnEngineRefusesWhichAnswersOthersIsReported(self) -> None:
        """As one whose user lacks a right that only some calls need."""
        one = self.node("one")
        self.pass_(10)
        one.events.clear()
        one.engine.refuses = {"grant"}
        one.engine.refusal = "no right"
        for _ in range(5):
            self.failure(one.claim(2001, KEY), ClusterAway)
            self.pass_(5)
        self.assertEqual(one.events, [EngineRefused("no right")])
        self.pass_(600)
        self.failure(one.claim(2001, KEY), ClusterAway)
        self.pass_(5)
        self.assertEqual(one.events, [EngineRefused("no right")] * 2)

    def test_soIsOneThatANodeMakesByItself(self) -> None:
        for call in ("leave", "restore", "recovered", "void"):
            one = self.node(f"one-{call}")
            self.successResultOf(one.claim(2001, KEY))
            self.pass_(10)
            one.events.clear()
            for each in self.nodes:  # another one would do it otherwise
                each.engine.refuses, each.engine.refusal = {call}, "no right"
            if call == "leave":
                one.release(2001)
            elif call == "void":
                self.stopped.add(self.node("two"))
            else:
                self.store.begin()
            self.pass_(2 * TTL)
            self.assertIn(EngineRefused("no right"), one.events, call)
            for each in self.nodes:
                each.engine.refuses = set()
            if 2001 in one.has:
                one.release(2001)
            self.pass_(2 * TTL)

    def test_aCallThatIsNeverAnsweredIsReportedWhileOthersAre(self) -> None:
        one = self.node("one")
        self.successResultOf(one.claim(2001, KEY))
        self.pass_(10)
        self.store.begin()
        one.engine.fault = "restore"
        self.pass_(TTL)
        self.assertEqual([type(each) for each in one.events], [ClusterJoined, EngineRefused, OwnershipLapsed])

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
        report = clusterReport(one.membership)
        beat = report.nodes[0].beat
        self.assertTrue(0 <= beat <= 2)
        nodes = [NodeReport("two", "draining", "tls://two.example.com:7835", 0, "1.0", beat)]
        assert report.recoversIn is not None
        self.assertTrue(TTL - 10 < report.recoversIn <= TTL)
        self.assertEqual(report, ClusterReport("one", "acting", None, True, report.recoversIn, nodes))
        two.engine.fault = "lost"
        self.pass_(TTL)
        [shown] = clusterReport(one.membership).nodes
        self.assertEqual(shown.state, "away")
        self.assertTrue(TTL - 2 <= shown.beat <= TTL + 2)
        self.assertFalse(clusterReport(one.membership).recovering)
        one.engine.fault = "lost"
        self.pass_(TTL)
        report = clusterReport(one.membership)
        self.assertEqual(report.state, "holding")
        self.assertTrue(2 * TTL - 2 <= report.nodes[0].beat <= 2 * TTL + 2, "also while the engine does not answer")
