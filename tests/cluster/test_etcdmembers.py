"""The engine in a cluster of three members of etcd."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bore.cluster.engine import Beaten, EngineAway
from bore.cluster.etcd import EtcdEngine
from bore.cluster.etcdserver import EtcdServer
from bore.cluster.url import EngineServer
from tests.cluster.enginecontract import node, wanted
from tests.cluster.etcdprogram import ETCD, REACTOR, WHY_NOT, EtcdMember, engineOf
from tests.support import PATIENCE

T = TypeVar("T")


class EtcdMembersTests(TestCase):
    """One of three members is lost."""

    if ETCD is None:
        skip = WHY_NOT

    members: list[EtcdMember]

    @classmethod
    def setUpClass(cls) -> None:
        cls.members = [EtcdMember(name=f"m{n}") for n in range(3)]
        for each in cls.members:
            cls.addClassCleanup(each.end)
        for each in cls.members:
            each.start(",".join(f"{one.name}={one.peers}" for one in cls.members))
        for each in cls.members:
            each.wait()

    def begun(self, *members: EtcdMember) -> EtcdEngine:
        """An engine that tries these members, in this order."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in members)
        return engineOf(self, f"etcd://{hosts}?prefix={self.id()[-30:]}/")

    async def leaderFirst(self) -> list[EtcdMember]:
        """The members, the leader first."""
        found = []
        for each in self.members:
            server = EtcdServer(REACTOR, EngineServer("127.0.0.1", each.port), None)
            status = json.loads((await server.ask("maintenance/status", b"{}", "", PATIENCE)).body)
            await server.stop()
            found.append((status["leader"] != status["header"]["member_id"], each))
        return [each for _, each in sorted(found, key=lambda one: one[0])]

    async def again(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call until it is answered: a busy machine may be too slow, and a new leader has to be elected."""
        end = REACTOR.seconds() + PATIENCE
        while True:
            try:
                return await call()
            except EngineAway:
                if REACTOR.seconds() > end:
                    raise
                await deferLater(REACTOR, 0.1)

    async def beat(self, engine: EtcdEngine, beat: int) -> Beaten:
        """A beat of the member, whose number does not grow if it has to be repeated."""
        return await self.again(lambda: engine.beat(node("one/1", beat=beat)))

    async def entered(self, engine: EtcdEngine) -> str:
        """Enter, end the recovery, and return the incarnation."""
        await self.again(lambda: engine.enter(node("one/1")))
        incarnation = (await self.beat(engine, 2)).incarnation
        await self.again(lambda: engine.recovered(incarnation))
        return incarnation

    async def test_itGoesOnWithTheNextMemberIfOneDoesNotAnswer(self) -> None:
        leader, *followers = await self.leaderFirst()
        engine = self.begun(*followers, leader)
        incarnation = await self.entered(engine)
        with followers[0].suspended():
            beaten = await self.beat(engine, 3)
            self.assertEqual((beaten.incarnation, beaten.recovering), (incarnation, False))
            await self.again(lambda: engine.grant(wanted("one/1")))

    async def test_whenTheLeaderIsKilledNothingIsLost(self) -> None:
        leader, *followers = await self.leaderFirst()
        engine = self.begun(leader, *followers)
        incarnation = await self.entered(engine)
        record = await self.again(lambda: engine.grant(wanted("one/1")))
        leader.kill()
        beaten = await self.beat(engine, 3)
        self.assertEqual((beaten.incarnation, beaten.recovering), (incarnation, False))
        self.assertEqual(await self.again(engine.records), [record])
        await self.again(lambda: engine.grant(wanted("one/1", 2002)))
        leader.start(",".join(f"{one.name}={one.peers}" for one in self.members))
        leader.wait()
