"""Nodes that act as owners, cease to, come back, and lose what they owned."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from bore.cluster.engine import MAX_NUMBER, Node
from bore.cluster.neighbours import AWAY, MARGIN
from bore.server.users import User
from bore.wire.errors import ClusterAway, PortInUse, TooManyTunnelsOfUser
from bore.wire.token import digest
from tests.cluster.clustercase import TTL, ClusterCase, FakeNode, FaultyEngine

KEY, OTHER_KEY = "1" * 32, "2" * 32


class SlowEngine(FaultyEngine):
    """An engine that takes its time to remove a member."""

    def void(self, member: str, beat: int) -> Deferred[None]:
        return deferLater(self._clock, 2.5).addCallback(lambda _: FaultyEngine.void(self, member, beat))


class BeatTests(ClusterCase):
    """What beats tell a node, and the others."""

    def test_aNodeActsFromTheFirstAnswerOn(self) -> None:
        node = self.node("one")
        self.assertTrue(node.membership.acting)
        self.assertEqual(node.acts, [True])

    def test_nodesSeeEachOther(self) -> None:
        one, two = self.node("one"), self.node("two")
        self.pass_(1)
        self.assertEqual([node.name for node in one.membership.neighbours.all()], ["two"])
        self.assertEqual([node.name for node in two.membership.neighbours.all()], ["one"])
        self.assertNotEqual(one.membership.number, two.membership.number)

    def test_thereIsOneBeatASecondWhateverTheNumberOfTunnels(self) -> None:
        node = self.node("one")
        for port in range(2000, 2100):
            self.successResultOf(node.claim(port, f"{port:032x}"))
        node.engine.calls.clear()
        self.pass_(10)
        self.assertEqual(node.engine.calls, ["beat"] * 10)

    def test_oneThatIsSilentIsAwayAndLaterVoided(self) -> None:
        one, two = self.node("one"), self.node("two")
        self.pass_(2)
        member = two.membership.member
        two.engine.fault = "lost"
        self.pass_(AWAY + 1)
        self.assertTrue(one.membership.neighbours.isAway(member))
        self.pass_(TTL + MARGIN - AWAY - 3)
        self.assertEqual([node.member for node in one.membership.neighbours.all()], [member])
        self.pass_(4)
        self.assertEqual(one.membership.neighbours.all(), [])

    def test_manyThatAreSilentDoNotKeepItFromBeating(self) -> None:
        one = FakeNode(self.clock, self.store, "one", makeEngine=SlowEngine)
        self.nodes.append(one)
        one.membership.start()
        for number in range(1, 9):
            self.store.enter(Node(f"dead{number}/1", 1, number, "tls://192.0.2.1", "up", 0, "1.0", TTL))
        for _ in range(TTL // 4 + 20):
            one.engine.calls.clear()
            self.pass_(4)
            self.assertIn("beat", one.engine.calls)
        self.assertEqual(one.membership.neighbours.all(), [])

    def test_theNumberChangesIfAnotherNodeHasIt(self) -> None:
        one = self.node("one")
        two = FakeNode(self.clock, self.store, "two")
        two.membership.number = one.membership.number
        changes: list[int] = []
        two.membership.changed = lambda: changes.append(two.membership.number)
        self.nodes.append(two)
        two.membership.start()
        self.assertEqual(changes[0], one.membership.number % MAX_NUMBER + 1)

    def test_oneThatStopsLeavesNothing(self) -> None:
        one, two = self.node("one"), self.node("two")
        self.successResultOf(one.claim(2001, KEY))
        self.successResultOf(one.membership.stop())
        self.assertFalse(one.membership.acting)
        self.successResultOf(two.claim(2001, OTHER_KEY))
        self.pass_(1)
        self.assertEqual(two.membership.neighbours.all(), [])

    def test_drainingIsShownToTheOthers(self) -> None:
        one, two = self.node("one"), self.node("two")
        one.membership.state = "draining"
        self.pass_(2)
        self.assertEqual([node.state for node in two.membership.neighbours.all()], ["draining"])


class ClaimTests(ClusterCase):
    """Addresses of a cluster."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.node("one"), self.node("two")

    def test_anAddressHasOneKeyAndItsNodesOwnItTogether(self) -> None:
        self.successResultOf(self.one.claim(2001, KEY))
        self.failure(self.two.claim(2001, OTHER_KEY), PortInUse)
        self.successResultOf(self.two.claim(2001, KEY))
        first, second = self.one.registry.owned(2001), self.two.registry.owned(2001)
        assert first is not None and second is not None
        self.assertEqual((first.epoch, first.key), (second.epoch, digest(KEY).hex()))
        self.one.release(2001)
        self.failure(self.one.claim(2001, OTHER_KEY), PortInUse)
        self.two.release(2001)
        self.successResultOf(self.one.claim(2001, OTHER_KEY))

    def test_oneWithoutAKeyIsOwnedByOneNode(self) -> None:
        self.successResultOf(self.one.registry.claim(2001, User("")))
        self.failure(self.two.registry.claim(2001, User("")), PortInUse)

    def test_theKeyBringsBackATunnelWithoutItsToken(self) -> None:
        former = self.successResultOf(self.one.claim(2001, KEY))
        calls = list(self.one.engine.calls)
        for key, user in ((OTHER_KEY, former.user), (KEY, User("bob")), (None, former.user)):
            self.assertIsNone(self.successResultOf(self.one.registry.resume(None, user, key)))
        grant = self.successResultOf(self.one.registry.resume("unknown", former.user, KEY))
        assert grant is not None
        self.assertGreater(grant.epoch, former.epoch)
        self.assertIsNone(self.successResultOf(self.one.registry.resume(former.token, former.user)))
        self.assertEqual(self.one.engine.calls, calls)

    def test_aTokenBringsItBackWhileTheEngineIsAway(self) -> None:
        former = self.successResultOf(self.one.claim(2001, KEY))
        self.one.engine.fault = "lost"
        self.assertIsNotNone(self.successResultOf(self.one.registry.resume(former.token, former.user, KEY)))

    def test_aUserHasAsManyTunnelsAsItMayAtAllNodes(self) -> None:
        bob = User("bob")
        self.successResultOf(self.one.claim(2001, KEY, bob, 1))
        self.failure(self.two.claim(2002, OTHER_KEY, bob, 1), TooManyTunnelsOfUser)

    def test_aLeaseThatIsOverGivesTheAddressBack(self) -> None:
        self.one.registry.renew(self.successResultOf(self.one.claim(2001, KEY)))
        self.pass_(60)
        self.successResultOf(self.two.claim(2001, OTHER_KEY))

    def test_aUnixSocketIsNoMatterOfTheCluster(self) -> None:
        from bore.wire.publicaddress import UnixPath

        calls = list(self.one.engine.calls)
        self.successResultOf(self.one.registry.claim(UnixPath("/run/one.sock"), User("")))
        self.assertEqual(self.one.engine.calls, calls)

    def test_twoClaimsOfOneAddressAtTheSameTimeAreNotBothAsked(self) -> None:
        self.one.engine.fault = "lost"
        first = self.one.claim(2001, KEY)
        self.failure(self.one.claim(2001, KEY), PortInUse)
        self.pass_(3)
        self.failure(first, ClusterAway)

    def test_aClaimWithAnUnknownOutcomeIsGivenBack(self) -> None:
        self.one.engine.fault = "unanswered"
        claimed = self.one.claim(2001, KEY)
        self.pass_(3)
        self.failure(claimed, ClusterAway)
        self.one.engine.fault = ""
        self.pass_(4)
        self.successResultOf(self.two.claim(2001, OTHER_KEY))

    def test_aClaimThatIsCarriedOutAfterItWasGivenBackIsGivenBackOnceMore(self) -> None:
        self.one.engine.fault = "late"
        claimed = self.one.claim(2001, KEY)
        self.pass_(3)
        self.failure(claimed, ClusterAway)
        self.one.engine.fault = ""
        self.pass_(4)
        self.one.engine.carryOut()
        self.failure(self.two.claim(2001, OTHER_KEY), PortInUse)
        self.pass_(TTL)
        self.successResultOf(self.two.claim(2001, OTHER_KEY))

    def test_aLateEndOfAnEarlierClaimDoesNotEndALaterOne(self) -> None:
        self.successResultOf(self.one.claim(2001, KEY))
        self.one.engine.fault = "late"
        self.one.release(2001)
        self.one.engine.fault = ""
        self.successResultOf(self.one.claim(2001, KEY))
        self.one.engine.carryOut()
        self.failure(self.two.claim(2001, OTHER_KEY), PortInUse)
        self.pass_(4)
        self.failure(self.two.claim(2001, OTHER_KEY), PortInUse)

    def test_whatIsGivenBackWhileTheEngineIsAwayIsFreeWhenItIsBack(self) -> None:
        self.successResultOf(self.one.claim(2001, KEY))
        self.one.engine.fault = "lost"
        self.one.release(2001)
        self.pass_(5)
        self.failure(self.two.claim(2001, OTHER_KEY), PortInUse)
        self.one.engine.fault = ""
        self.pass_(5)
        self.successResultOf(self.two.claim(2001, OTHER_KEY))


class LapseTests(ClusterCase):
    """A node that has no answers for a while."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.node("one", offset=5000), self.node("two")
        self.successResultOf(self.one.claim(2001, KEY))

    def test_itCeasesToActBeforeItsTimeIsOverAndGoesOnWithTheNextAnswer(self) -> None:
        self.pass_(10)
        self.one.engine.fault = "lost"
        self.pass_(TTL - MARGIN - 2)
        self.assertTrue(self.one.serves(2001))
        self.pass_(5)
        self.assertFalse(self.one.serves(2001))
        self.assertIn(2001, self.one.has)
        self.one.engine.fault = ""
        self.pass_(4)
        self.assertTrue(self.one.serves(2001))
        self.assertEqual(self.one.acts, [True, False, True])

    def test_beatsThatAreCarriedOutWithoutAnAnswerDoNotCount(self) -> None:
        self.one.engine.fault = "unanswered"
        self.pass_(TTL)
        self.assertFalse(self.one.serves(2001))
        self.failure(self.two.claim(2001, OTHER_KEY), PortInUse)
        self.pass_(TTL)
        self.failure(self.two.claim(2001, OTHER_KEY), PortInUse)
        self.one.engine.fault = ""
        self.pass_(4)
        self.assertTrue(self.one.serves(2001))

    def test_anotherGetsItsAddressWhenItHasCeasedToAct(self) -> None:
        self.pass_(10)
        self.one.engine.fault = "lost"
        self.successResultOf(self.two.claim(2002, OTHER_KEY))
        for _ in range(TTL + int(MARGIN) + 4):
            claimed = self.two.claim(2001, OTHER_KEY)
            self.assertNoTwo(2001)
            if 2001 in self.two.has:
                break
            self.failure(claimed, PortInUse)
            self.pass_(1)
        self.assertTrue(self.two.serves(2001))
        self.one.engine.fault = ""
        self.pass_(4)
        self.assertEqual(self.one.ended, [2001])
        self.assertEqual(self.one.has, {})
        self.assertTrue(self.two.serves(2001))
        self.assertTrue(self.one.membership.acting)
        self.successResultOf(self.one.claim(2003, KEY))

    def test_oneWithAShorterTimeToLiveWaitsForThatOfTheOther(self) -> None:
        hasty = FakeNode(self.clock, self.store, "hasty", ttl=15)
        self.nodes.append(hasty)
        hasty.membership.start()
        self.pass_(10)
        self.one.engine.fault = "lost"
        for _ in range(TTL + 4):
            self.pass_(1)
            self.failure(hasty.claim(2001, OTHER_KEY), PortInUse)
            self.assertNoTwo(2001)
        self.pass_(MARGIN)
        self.successResultOf(hasty.claim(2001, OTHER_KEY))
        self.assertNoTwo(2001)

    def test_aProcessThatWasStoppedKnowsThatItHasCeasedToAct(self) -> None:
        self.stopped.add(self.one)
        self.pass_(TTL + MARGIN + 5)
        self.successResultOf(self.two.claim(2001, OTHER_KEY))
        self.stopped.clear()
        self.assertFalse(self.one.serves(2001))
        self.pass_(2)
        self.assertEqual(self.one.ended, [2001])

    def test_oneThatWasStoppedForAShorterTimeGoesOn(self) -> None:
        self.stopped.add(self.one)
        self.pass_(TTL)
        self.stopped.clear()
        self.assertFalse(self.one.serves(2001))
        self.pass_(2)
        self.assertTrue(self.one.serves(2001))
        self.assertEqual(self.one.ended, [])

    def test_aBeatThatIsCarriedOutLateDoesNotRenewAnEntry(self) -> None:
        self.one.engine.fault = "late"
        self.pass_(2)
        self.one.engine.fault = ""
        self.pass_(10)
        self.one.engine.fault = "lost"
        self.pass_(TTL + MARGIN - 2)
        self.one.engine.carryOut()
        self.pass_(6)
        self.successResultOf(self.two.claim(2001, OTHER_KEY))
        self.assertNoTwo(2001)
