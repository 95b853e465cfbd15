"""With which nodes of a cluster there are sessions, by the clock and without a network."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from bore.client.link import ServerLink
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.events import Sink
from bore.events.client import NodeLost, NodeOpened, Stage
from bore.wire.errors import InvalidSecret, ShuttingDown
from bore.wire.publicaddress import UnixPath
from tests.client.case import tunnelOf
from tests.client.companionscase import HOME, NODES, WHY, CompanionsCase, FakeKept


class ChoiceTests(CompanionsCase):
    """Which nodes are chosen."""

    def test_oneNodeBesideTheHomeHasAllTunnelsAtTheirPorts(self) -> None:
        [link] = self.links
        self.assertIn(link.address, NODES[1:4])
        self.assertEqual((link.started, link.tunnels.kept), (True, self.tunnels))
        self.assertEqual([tunnel.publicPort(link.address).wanted for tunnel in self.tunnels], [20000, 20001])
        self.assertEqual(link.settings.checkEvery, 0, "that is done at home")

    def test_theNodeOfTheHomeItselfAndUnfollowedAddressesAreNone(self) -> None:
        self.make(nodes=4)
        self.household.present.nodes = ["tls://node0.example", "tls://bore.example", "node5.example"]
        for link in self.links:
            self.lose(link)
        self.reactor.advance(200)
        self.assertEqual(self.links, [])

    def test_asManyAsAreWantedAreAtDifferentNodes(self) -> None:
        self.make(nodes=4)
        self.assertEqual({link.address for link in self.links}, set(NODES[1:4]))
        self.companions.apply(self.household.settings)
        self.household.settings = ClientSettings((HOME,), nodes=2)
        self.companions.apply(self.household.settings)
        self.reactor.advance(0)
        self.assertEqual([len(self.links), sum(link.stopped for link in self.household.made)], [1, 2])

    def test_withOtherServersInTheSettingsTheyBeginAnew(self) -> None:
        [before] = self.links
        self.companions.apply(ClientSettings((HOME, NODES[5])))
        self.reactor.advance(0)
        self.assertEqual((before.stopped, len(self.links)), (True, 1))

    def test_aNodeToWhichTheHomeHasGoneIsLeftByTheCompanion(self) -> None:
        [link] = self.links
        self.household.present.here = link.address
        self.name(*NODES[:4])
        [other] = self.links
        self.assertEqual((link.stopped, other.address != link.address), (True, True))

    def test_theyAreGivenTunnelsThatComeUpAndNoneThatAreNoPorts(self) -> None:
        more = [tunnelOf(self.reactor, Sink(), TunnelSpec(Target(9000 + n), name=f"more{n}")) for n in range(2)]
        self.openAtHome(more[0], 20007)
        self.openAtHome(more[1], UnixPath("/run/a"))
        self.name(*NODES[1:4])
        [link] = self.links
        self.assertEqual(link.tunnels.kept, [*self.tunnels, more[0]])

    def test_anotherPublicPortAtHomeIsAskedForAnew(self) -> None:
        [link] = self.links
        self.tunnels[0].publicPort(HOME).opened(20009, None)
        self.name(*NODES[1:4])
        [again] = self.links
        self.assertEqual((link.stopped, self.tunnels[0].publicPort(again.address).wanted), (True, 20009))

    def test_aTunnelThatIsClosedIsGivenBackAndWithTheLastOneTheCompanion(self) -> None:
        [link] = self.links
        for tunnel in self.tunnels:
            self.companions.close(tunnel)
        self.assertEqual((link.removed, self.links), (self.tunnels, []))


class LossTests(CompanionsCase):
    """Nodes that go away."""

    def test_oneThatIsLostIsReplacedAtOnceByAnotherNode(self) -> None:
        [link] = self.links
        self.open(link)
        self.lose(link)
        [other] = self.links
        self.assertNotEqual(other.address, link.address)
        self.assertEqual(self.events, [NodeOpened(link.server), NodeLost(link.server, Stage.TUNNEL, WHY)])

    def test_theSameNodeIsTriedEverMoreRarelyAndReportedOnce(self) -> None:
        self.make(nodes=2)
        self.lose(self.links[0])
        self.name(node := self.links[0].address)
        delays = []
        for _ in range(12):
            self.lose(self.links[0], Stage.UNREACHED)
            before = self.reactor.seconds()
            while not self.links:
                self.reactor.advance(0.25)
            delays.append(self.reactor.seconds() - before)
        self.assertLess(delays[0], 1.5)
        self.assertGreater(delays[-1], 25)
        self.assertLessEqual(max(delays), 60.5)
        self.assertEqual(self.lostAt().count(str(node)), 1)
        self.open(self.links[0])
        self.lose(self.links[0])
        self.assertEqual(self.lostAt().count(str(node)), 2)
        self.reactor.advance(20)
        self.assertEqual(self.links, [], "a session that does not last is no success")
        self.reactor.advance(40)
        self.open(self.links[0])
        self.reactor.advance(60)
        self.lose(self.links[0])
        self.reactor.advance(1.1)
        self.assertEqual(len(self.links), 1)

    def test_aNodeThatCannotBeHadForAnotherReasonThanBeforeIsReported(self) -> None:
        self.make(nodes=2)
        self.lose(self.links[0])
        self.name(node := self.links[0].address)
        for why in (ShuttingDown(), InvalidSecret(), InvalidSecret()):
            while not self.links:
                self.reactor.advance(0.25)
            self.lose(self.links[0], Stage.UNREACHED, why)
        self.assertEqual(self.lostAt().count(str(node)), 2)

    def test_aServerThatNamesOtherNodesAllTheTimeHasTheClientTryFew(self) -> None:
        for n in range(1000):
            self.name(*(ServerAddress(f"node{n}-{each}.example", 7835) for each in range(3)))
            for link in self.links:
                self.lose(link, Stage.UNREACHED)
            self.reactor.advance(0.1)
        self.assertLess(len(self.household.made), 15, "in 100 s")
        self.reactor.advance(60)
        self.open(self.links[0])
        self.reactor.advance(60)
        for _ in range(2):
            self.lose(self.links[0])
            self.assertEqual(len(self.links), 1, "one that has lasted is replaced at once")

    def test_whatIsNoNodeIsLost(self) -> None:
        [link] = self.links
        self.companions.foundBase(cast(ServerLink, link), [])
        self.reactor.advance(0)
        self.assertEqual((link.stopped, self.links == [link]), (True, False))

    def test_theHomeThatIsLostIsSucceededByTheOneWithTheMostTunnels(self) -> None:
        self.make(nodes=3)
        self.open(self.links[1])
        self.links[0].tunnels.up.append(FakeKept(self.tunnels[0]))
        heir = self.links[1]
        self.assertTrue(self.companions.takeOver(Stage.TUNNEL, ShuttingDown()))
        self.assertIs(self.household.present, heir)
        self.name(NODES[0])
        self.assertEqual(len(self.links), 1, "the node that was lost rests")
        self.assertEqual(self.events[-1], NodeLost(str(HOME), Stage.TUNNEL, WHY, heir.server))
        self.name(*NODES[:4])
        self.assertEqual(len(self.links), 2)
        self.assertNotIn(heir.address, [link.address for link in self.links])

    def test_withoutAnOpenTunnelNoneSucceedsUntilItHasOne(self) -> None:
        [link] = self.links
        self.assertFalse(self.companions.takeOver(Stage.TUNNEL, ShuttingDown()))
        self.household.present.tunnels.up.clear()
        self.open(link)
        self.assertIs(self.household.present, link)

    def test_nothingChangesWhileTheyRest(self) -> None:
        [link] = self.links
        self.open(link)
        self.companions.rest(True)
        self.assertFalse(self.companions.takeOver(Stage.TUNNEL, ShuttingDown()))
        self.lose(link)
        self.reactor.advance(100)
        self.assertEqual(self.links, [])
        self.companions.rest(False)
        self.reactor.advance(0)
        self.assertEqual(len(self.links), 1)

    def test_allAreGivenBackAtTheEnd(self) -> None:
        self.make(nodes=4)
        self.companions.soon()
        self.companions.stop()
        self.assertTrue(all(link.stopped for link in self.household.made))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sets(st.integers(1, 5))), max_size=30))
    def test_whateverHappensNoNodeHasTwoSessionsAndNoneTooMany(self, steps: list[tuple[int, int, set[int]]]) -> None:
        self.make(nodes=3)
        for what, which, named in steps:
            link = self.links[which % len(self.links)] if self.links else None
            match what:
                case 0 if link is not None and not link.tunnels.up:
                    self.open(link)
                case 1 | 2 if link is not None:
                    self.lose(link)
                case 3 if not self.companions.takeOver(Stage.TUNNEL, None):
                    self.household.present.tunnels.up.clear()
                case 4:
                    self.reactor.advance(20)
                case 5:
                    self.name(*(NODES[n] for n in named))
            self.reactor.advance(0)
            used = [each.address for each in self.links]
            self.assertLessEqual(len(used), 2)
            self.assertEqual(len({*used}), len(used))
            self.assertFalse(any(each.stopped for each in self.links))
            running = [each for each in self.household.made if not each.stopped and each is not self.household.present]
            self.assertEqual(running, self.links)
