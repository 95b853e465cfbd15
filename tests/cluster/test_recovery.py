"""Nodes that tell an engine that has lost what it knew, or that is away, what they own."""

from __future__ import annotations

from bore.cluster.neighbours import MARGIN
from bore.wire.errors import ClusterAway, ClusterRecovering, PortInUse
from tests.cluster.clustercase import TTL, ClusterCase, FakeNode

KEY, OTHER_KEY = "1" * 32, "2" * 32


class RecoveryTests(ClusterCase):
    """An engine that has lost what it knew, or is away."""

    recovers = True

    def recovered(self, *names: str) -> list[FakeNode]:
        nodes = [self.node(name) for name in names]
        self.pass_(TTL + 2)
        return nodes

    def test_anEngineThatIsNewGrantsNothingForATimeToLive(self) -> None:
        one, two = self.node("one"), self.node("two")
        self.failure(one.claim(2001, KEY), ClusterRecovering)
        self.pass_(TTL - 2)
        self.failure(two.claim(2001, KEY), ClusterRecovering)
        self.pass_(4)
        self.successResultOf(one.claim(2001, KEY))
        self.failure(two.claim(2001, OTHER_KEY), PortInUse)

    def test_whoIsRefusedMeanwhileIsToldForHowLongAtMost(self) -> None:
        one = self.node("one")
        for passed, left in ((1, 60), (20, 40), (TTL - 25, 5)):
            self.pass_(passed)
            why = self.failureResultOf(one.claim(2001, KEY), ClusterRecovering).getErrorMessage()
            self.assertEqual(why, f"this cluster is finding out which tunnels exist, which takes up to {left} s more")
        self.pass_(left + 2)
        self.successResultOf(one.claim(2001, KEY))
        self.store.begin()  # the node has not noticed yet that the engine has lost what it knew
        self.assertIn("60 s", self.failureResultOf(one.claim(2002, KEY), ClusterRecovering).getErrorMessage())

    def test_withoutAnEngineANodeStartsAndRefusesClaims(self) -> None:
        one = self.node("one", fault="lost")
        self.failure(one.claim(2001, KEY), ClusterAway)
        self.pass_(30)
        self.assertFalse(one.membership.acting)
        self.failure(one.claim(2001, KEY), ClusterAway)
        one.engine.fault = ""
        self.pass_(4)
        self.assertTrue(one.membership.acting)

    def test_nodesGoOnWithoutAGapWhenTheEngineIsRestartedEmpty(self) -> None:
        one, two = self.recovered("one", "two")
        for port in range(2001, 2101):
            self.successResultOf(one.claim(port, f"{port:032x}"))
        self.successResultOf(two.claim(2001, f"{2001:032x}"))
        self.pass_(2)
        for node in (one, two):
            node.engine.fault = "lost"
        self.pass_(20)
        self.store.begin()
        for node in (one, two):
            node.engine.fault = ""
        for _ in range(TTL + 4):
            self.pass_(1)
            self.assertTrue(one.serves(2001) and two.serves(2001) and one.serves(2100))
        self.failure(two.claim(2050, OTHER_KEY), PortInUse)
        self.successResultOf(two.claim(2050, f"{2050:032x}"))
        before = one.registry.owned(2100)
        new = self.successResultOf(two.claim(3000, OTHER_KEY))
        owned = two.registry.owned(3000)
        assert owned is not None and before is not None and new is not None
        self.assertGreater(owned.epoch, before.epoch)

    def test_duringTheRecoveryNothingIsGrantedNorJoined(self) -> None:
        one, two = self.recovered("one", "two")
        self.successResultOf(one.claim(2001, KEY))
        self.store.begin()
        self.pass_(2)
        self.failure(two.claim(2001, KEY), ClusterRecovering)
        self.failure(two.claim(2002, KEY), ClusterRecovering)

    def test_oneThatHadCeasedToActWaitsForTheEndOfTheRecovery(self) -> None:
        one, two = self.recovered("one", "two")
        self.successResultOf(one.claim(2001, KEY))
        for node in (one, two):
            node.engine.fault = "lost"
        self.pass_(TTL * 10)
        self.store.begin()
        for node in (one, two):
            node.engine.fault = ""
        self.pass_(TTL - 2)
        self.assertFalse(one.serves(2001))
        self.pass_(6)
        self.assertTrue(one.serves(2001))
        self.assertEqual(one.ended, [])

    def test_oneThatHadCeasedToActLosesWhatOthersWereGranted(self) -> None:
        one, two = self.recovered("one", "two")
        self.successResultOf(one.claim(2001, KEY))
        self.successResultOf(one.claim(2002, KEY[::-1] + "0"))
        one.engine.fault = "lost"
        self.pass_(TTL + MARGIN + 4)
        self.successResultOf(two.claim(2001, OTHER_KEY))
        self.store.begin()
        one.engine.fault = ""
        for _ in range(TTL + 6):
            self.pass_(1)
            self.assertNoTwo(2001)
        self.assertTrue(two.serves(2001))
        self.assertEqual(one.ended, [2001])
        self.assertTrue(one.serves(2002))

    def test_oneThatHasMissedTheRecoveryLosesAll(self) -> None:
        one, two = self.recovered("one", "two")
        self.successResultOf(one.claim(2001, KEY))
        one.engine.fault = "lost"
        self.store.begin()
        self.pass_(TTL + 4)
        self.successResultOf(two.claim(2001, OTHER_KEY))
        one.engine.fault = ""
        self.pass_(4)
        self.assertEqual(one.ended, [2001])
        self.assertTrue(one.membership.acting)

    def test_itLastsForTheLongestTimeToLiveThatWasSeen(self) -> None:
        one, two = self.recovered("one", "two")
        hasty = FakeNode(self.clock, self.store, "hasty", ttl=15)
        self.nodes.append(hasty)
        hasty.membership.start()
        self.successResultOf(one.claim(2001, KEY))
        self.pass_(5)
        for node in (one, two):
            node.engine.fault = "lost"
        self.store.begin()
        for _ in range(TTL - 2):
            self.pass_(1)
            self.failure(hasty.claim(2001, OTHER_KEY), ClusterRecovering)
            self.assertNoTwo(2001)
        self.pass_(8)
        self.successResultOf(hasty.claim(2001, OTHER_KEY))
        self.assertNoTwo(2001)

    def test_aRecoveryThatFollowsAnotherBeginsAgain(self) -> None:
        one, two = self.recovered("one", "two")
        self.successResultOf(one.claim(2001, KEY))
        self.store.begin()
        self.pass_(TTL - 5)
        self.store.begin()
        for _ in range(10):
            self.pass_(1)
            self.failure(two.claim(2001, OTHER_KEY), ClusterRecovering)
            self.assertTrue(one.serves(2001))
        self.pass_(TTL)
        self.failure(two.claim(2001, OTHER_KEY), PortInUse)
        self.assertTrue(one.serves(2001))

    def test_whatIsGivenBackDuringTheRecoveryIsNotRestored(self) -> None:
        one, two = self.recovered("one", "two")
        self.successResultOf(one.claim(2001, KEY))
        one.engine.fault = "lost"
        self.store.begin()
        one.release(2001)
        one.engine.fault = ""
        self.pass_(TTL + 4)
        self.successResultOf(two.claim(2001, OTHER_KEY))

    def test_manyTunnelsAreRestoredInPieces(self) -> None:
        one, two = self.recovered("one", "two")
        for port in range(2000, 3700):
            self.successResultOf(one.claim(port, f"{port:032x}"))
        self.store.begin()
        one.engine.calls.clear()
        self.pass_(2)
        self.assertEqual(one.engine.calls.count("restore"), 17)
        self.assertEqual(len(self.store.records()), 1700)
        self.assertTrue(one.serves(3699))
        self.successResultOf(two.membership.stop())
