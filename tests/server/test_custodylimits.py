"""The limits on the number of tunnels, and clients in doubt, with several holders."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from bore.events.server import LimitReached
from bore.server.custody import HAND_OVER_TIMEOUT, Abandoned, Opened
from bore.server.settings import Bounds
from bore.server.users import User
from bore.users.rights import Rights
from bore.wire.errors import PortInUse, TooManyTunnels, TooManyTunnelsFromSource, TooManyTunnelsOfUser
from tests.ports import freePort
from tests.server.claimcase import SlowRegistry
from tests.server.custodycase import CustodyCase
from tests.support import isOpen


class DoubtTests(CustodyCase):
    """A client may be gone, and another one needs its address."""

    def setUp(self) -> None:
        super().setUp()
        self.open(self.a)

    def test_anotherHolderGetsItsAddress(self) -> None:
        self.a.doubts.add(self.port)
        self.open(self.b)
        self.assertEqual((self.a.done, list(self.b.has)), ([("giveUp", self.port)], [self.port]))

    def test_theAddressIsFreeEvenIfAnotherProcessHasACopyOfTheSocket(self) -> None:
        held = self.custody._held.get(self.port)
        assert held is not None
        with held.place.socket.dup():
            self.a.doubts.add(self.port)
            self.open(self.b)

    def test_aClientThatIsThereKeepsIt(self) -> None:
        self.failureResultOf(self.ask(self.b), PortInUse)
        self.assertEqual(self.a.done, [])

    def test_aHolderThatDoesNotAnswerKeepsIt(self) -> None:
        self.a.slow = True
        self.a.doubts.add(self.port)
        asked = self.ask(self.b)
        self.assertNoResult(asked)
        self.reactor.advance(HAND_OVER_TIMEOUT)
        self.failureResultOf(asked, PortInUse)
        self.a.answer()
        self.assertEqual(list(self.a.has), [self.port])

    def test_aClientThatComesBackMeanwhileKeepsIt(self) -> None:
        grant = self.a.has[self.port]
        self.a.slow = True
        self.a.doubts.add(self.port)
        asked = self.ask(self.b)
        self.open(self.a, self.wish(grant.token))
        self.a.answer()
        self.failureResultOf(asked, PortInUse)
        self.assertEqual(list(self.a.has), [self.port])

    def test_nobodyLosesATunnelForASessionThatIsOver(self) -> None:
        self.a.slow = True
        self.a.doubts.add(self.port)
        wish = self.wish()
        asked = self.ask(self.b, wish)
        self.b.share.abandon(wish)
        self.a.answer()
        self.failureResultOf(asked, Abandoned)
        self.assertEqual((self.a.done, list(self.a.has)), ([], [self.port]))

    def test_anAddressThatIsKeptForALostClientIsNotInDoubt(self) -> None:
        self.a.die(self.custody)
        self.failureResultOf(self.ask(self.b), PortInUse)


class LimitTests(CustodyCase):
    """The limits count the tunnels of all holders."""

    bounds = Bounds(tunnels=3, tunnelsPerSource=2)

    def another(self, source: str = "192.0.2.1", user: str = "", limit: int | None = None) -> Deferred[Opened]:
        rights = None if limit is None else Rights(maxTunnels=limit)
        return self.ask(self.c, self.wish(address=0, source=source, user=User(user), rights=rights))

    def two(self, user: str = "", rights: Rights | None = None) -> None:
        for holder in (self.a, self.b):
            self.open(holder, self.wish(address=0, user=User(user), rights=rights))

    def test_ofASource(self) -> None:
        self.two()
        self.failureResultOf(self.another(), TooManyTunnelsFromSource)
        self.successResultOf(self.another("192.0.2.2"))

    def test_ofAUser(self) -> None:
        self.two("alice", Rights(maxTunnels=2))
        self.failureResultOf(self.another("192.0.2.2", "alice", 2), TooManyTunnelsOfUser)
        self.successResultOf(self.another("192.0.2.2", "bob", 2))

    def test_ofTheServer(self) -> None:
        self.two()
        self.successResultOf(self.another("192.0.2.2"))
        self.failureResultOf(self.another("192.0.2.3"), TooManyTunnels)
        self.assertEqual(len([event for event in self.events if isinstance(event, LimitReached)]), 1)

    def test_aTunnelThatIsKeptForALostClientCounts(self) -> None:
        self.two()
        self.a.die(self.custody)
        self.failureResultOf(self.another(), TooManyTunnelsFromSource)

    def test_whatIsAskedForAtTheSameTimeCounts(self) -> None:
        self.two()
        self.a.slow = self.b.slow = True
        asked = [self.another("192.0.2.2"), self.another("192.0.2.3")]
        results = [self.successResultOf(asked[0])]
        while self.a.questions or self.b.questions:
            for holder in (self.a, self.b):
                if holder.questions:
                    holder.answer()
        self.failureResultOf(asked[1], TooManyTunnels)
        self.assertEqual(len(results), 1)

    def test_theFirstInDoubtMakesRoomWhereverItIs(self) -> None:
        self.two()
        [second] = self.b.has
        self.b.doubts.add(second)
        self.successResultOf(self.another())
        self.assertEqual((self.a.done, self.b.done), ([], [("giveUp", second)]))

    def test_aMovedTunnelCountsForItsNewSource(self) -> None:
        self.two()
        [address], [grant] = self.a.has, self.a.has.values()
        self.open(self.b, self.wish(grant.token, address, source="192.0.2.9"))
        self.successResultOf(self.another())
        self.failureResultOf(self.another(), TooManyTunnelsFromSource)


class SlowRegistryTests(CustodyCase):
    """What happens while the registry is asked."""

    bounds = Bounds(tunnels=1)

    def setUp(self) -> None:
        super().setUp()
        self.open(self.a)
        self.slow = SlowRegistry(self.registry)
        self.custody._registry = self.slow
        self.other = freePort(self.host)
        self.a.doubts.add(self.port)

    def test_aClientThatWasInDoubtAndIsBackKeepsItsPlace(self) -> None:
        asked = self.ask(self.b, self.wish(address=self.other))
        self.slow.slow = False
        self.open(self.a, self.wish(self.a.has[self.port].token))
        self.a.doubts.clear()
        self.slow.answer()
        self.failureResultOf(asked, TooManyTunnels)
        self.assertEqual(list(self.a.has), [self.port])
        self.assertFalse(isOpen(self.host, self.other))

    def test_norIsAnotherOneTakenForASessionThatIsOver(self) -> None:
        wish = self.wish(address=self.other)
        asked = self.ask(self.b, wish)
        self.slow.slow = False
        self.open(self.a, self.wish(self.a.has[self.port].token))
        self.a.slow = True
        self.slow.answer()
        self.b.share.abandon(wish)
        self.a.answer()
        self.failureResultOf(asked, Abandoned)
        self.assertEqual(list(self.a.has), [self.port])
        self.assertFalse(isOpen(self.host, self.other))
