"""Two clients in one process, of which one has the tunnels that the other one had, on real sockets."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport

from bore.client.bequest import estateOf, inherit, inventoryOf, isReady, learn
from bore.client.reasons import NotMovable
from bore.client.service import ClientService
from bore.client.tunnelspec import TunnelSpec
from bore.events.client import AddressChanged, Connected, ServerLost, StateFileTaken
from tests.test_moves import SECRET, MoveCase


class LendingCase(MoveCase):
    """A client with two tunnels, and another one that inherits from it."""

    async def successor(self, *names: str, **settings: object) -> ClientService:
        """Another client, which has all tunnels that it inherits."""
        estate = estateOf(self.showing)
        specs = [spec for spec in self.showing.tunnels if spec.name in (names or "ab")]
        made = self.client(self.serving.controlPort, specs, secret=SECRET, **settings)
        inherit(made, estate)
        self.showing.lend()
        made.startService()
        await self.eventually(lambda: isReady(made, estate))
        return made

    async def busy(self, ports: list[object]) -> list[Deferred[None]]:
        """Visitors that talk until the moves are over."""
        visits = [await self.assertShows(port, name) for port, name in zip(ports, (b"a", b"b"), strict=True)]  # type: ignore[arg-type]
        return [Deferred.fromCoroutine(self.talk(visit)) for visit in visits]

    async def over(self, talks: list[Deferred[None]]) -> None:
        self.moved = True
        for each in talks:
            await each


class LendingTests(LendingCase):
    """From one to the other, for good or not."""

    async def assertGoesOver(self, **settings: object) -> None:
        ports = await self.begin(**settings)
        talks = await self.busy([*ports])
        heir = await self.successor(**settings)
        self.assertEqual([each.address for each in inventoryOf(heir)], ports)
        self.showing.retire(giveBack=True)
        heir.own()
        await self.eventually(lambda: len(self.serving._server.sessions._sessions) == 1)
        for port, name in zip(ports, (b"a", b"b"), strict=True):
            await self.assertShows(port, name)
        self.assertFalse(self.showing.isIdle)
        await self.over(talks)
        self.assertEqual([self.seen(each) for each in (ServerLost, AddressChanged, StateFileTaken)], [0, 0, 0])

    async def test_itKeepsThePortsAndStreamsOnLanesGoOn(self) -> None:
        await self.assertGoesOver()

    async def test_itKeepsThePortsAndStreamsOfTheirOwnGoOn(self) -> None:
        await self.assertGoesOver(lanes=0)

    async def test_theFirstOneTakesItsTunnelsBack(self) -> None:
        """Twice, with the tokens that the other one had."""
        ports = await self.begin()
        talks = await self.busy([*ports])
        for _ in "12":
            heir = await self.successor()
            await self.eventually(lambda: not self.showing.parts.links[0].tunnels.up)
            learn(self.showing, inventoryOf(heir))
            heir.retire(giveBack=False)
            self.showing.takeBack()
            await self.eventually(lambda: len(self.showing.parts.links[0].tunnels.up) == 2)
            await self.eventually(lambda: len(self.serving._server.sessions._sessions) == 1)
            for port, name in zip(ports, (b"a", b"b"), strict=True):
                await self.assertShows(port, name)
        await self.over(talks)
        self.assertEqual(self.seen(ServerLost), 0)
        self.assertEqual([each.address for each in inventoryOf(self.showing)], ports)

    async def test_oneThatVanishesHalfwayCostsNoPort(self) -> None:
        """It has one of two tunnels, and its session is cut."""
        ports = await self.begin()
        heir = await self.successor("a")
        learn(self.showing, inventoryOf(heir))
        for link in heir.parts.links:
            link.abandon()
        self.showing.takeBack()
        await self.eventually(lambda: len(self.showing.parts.links[0].tunnels.up) == 2)
        for port, name in zip(ports, (b"a", b"b"), strict=True):
            await self.assertShows(port, name)

    async def test_whatIsNotWantedAnyMoreIsGivenBack(self) -> None:
        ports = await self.begin()
        heir = await self.successor("b")
        self.showing.retire(giveBack=True)
        heir.own()
        await self.eventually(lambda: self.isFree(ports[0]))
        await self.assertShows(ports[1], b"b")

    async def test_theFilesAreTheOthersBeforeTheyAreOwned(self) -> None:
        """The one that starts next has the ports from them."""
        ports = await self.begin()
        heir = await self.successor()
        self.showing.retire(giveBack=True)
        heir.own()
        await self.eventually(lambda: len(self.serving._server.sessions._sessions) == 1)
        await heir.stopService()
        again = self.client(self.serving.controlPort, heir.tunnels, secret=SECRET)
        again.startService()
        self.assertEqual([await again.whenOpened(name) for name in "ab"], ports)
        self.assertEqual(self.seen(StateFileTaken), 0)

    async def test_itIsIdleWithoutVisitors(self) -> None:
        ports = await self.begin()
        visit = await self.assertShows(ports[0], b"a")
        self.showing.retire(giveBack=False)
        self.assertFalse(self.showing.isIdle)
        cast(ITCPTransport, visit.transport).abortConnection()
        await self.eventually(lambda: self.showing.isIdle)

    async def test_whileOtherSettingsAreTriedItIsRefused(self) -> None:
        await self.begin()
        self.showing._links._wanted = self.showing.settings  # type: ignore[union-attr]
        with self.assertRaises(NotMovable):
            estateOf(self.showing)
        self.showing._links._wanted = None  # type: ignore[union-attr]

    async def test_anotherUserInheritsNothing(self) -> None:
        await self.begin()
        estate = estateOf(self.showing)
        spec = TunnelSpec(await self.service(b"c"), name="a")
        made = self.client(self.serving.controlPort, [spec], user="alice")
        inherit(made, estate)
        self.assertEqual(inventoryOf(made), [])
        self.assertEqual(self.seen(Connected), 1)
