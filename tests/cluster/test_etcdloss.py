"""The engine in etcd, when that is away, or has lost something."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import TestCase

from bore.cluster.engine import EngineAway, Recovering, Voided
from bore.cluster.etcd import EtcdEngine
from bore.cluster.etcdclient import EtcdClient
from bore.cluster.etcdgateway import put
from bore.cluster.url import parseEngineUrl
from tests.cluster.enginecontract import OTHER_KEY, node, wanted
from tests.cluster.etcdprogram import ETCD, REACTOR, WHY_NOT, EtcdMember, engineOf
from tests.ports import freePort


class EtcdLossTests(TestCase):
    """etcd is away, or has lost something."""

    if ETCD is None:
        skip = WHY_NOT

    member: EtcdMember

    @classmethod
    def setUpClass(cls) -> None:
        cls.member = EtcdMember()
        cls.addClassCleanup(cls.member.end)
        cls.member.start()
        cls.member.wait()

    async def test_whereNothingListensTheCallSaysSo(self) -> None:
        port = freePort()
        error = await self.assertFailure(engineOf(self, f"etcd://127.0.0.1:{port}").records(), EngineAway)
        self.assertEqual(str(error), f"the engine at 127.0.0.1:{port} cannot be used: connection refused")

    async def test_aUserWhereThereIsNoneIsRefused(self) -> None:
        engine = engineOf(self, f"etcd://bore:secret@127.0.0.1:{self.member.port}")
        error = await self.assertFailure(engine.records(), EngineAway)
        self.assertIn("it has no users: leave the user out of the URL, or enable authentication", str(error))

    def makeEngine(self) -> EtcdEngine:
        return engineOf(self, f"{self.member.url}?prefix={self.id()[-40:]}/")

    async def begun(self) -> EtcdEngine:
        """An engine that has recovered, in which one/1 has beaten 9 times and has a record."""
        engine = self.makeEngine()
        await engine.enter(node("one/1"))
        beaten = await engine.beat(node("one/1", beat=9))
        await engine.recovered(beaten.incarnation)
        await engine.grant(wanted("one/1"))
        return engine

    async def recovers(self, engine: EtcdEngine, other: EtcdEngine) -> None:
        """Both engines find that a new incarnation has begun, and it is the same one."""
        await self.assertFailure(engine.beat(node("one/1", beat=10)), Voided)
        self.assertEqual(await engine.records(), [])
        found = []
        for name, each in (("two", engine), ("three", other)):
            await each.enter(node(f"{name}/2"))
            beaten = await each.beat(node(f"{name}/2", beat=2))
            self.assertTrue(beaten.recovering)
            found.append(beaten.incarnation)
        self.assertEqual(found[0], found[1])
        await self.assertFailure(other.grant(wanted("two/2", key=OTHER_KEY)), Recovering)

    async def test_killedAndStartedEmptyItRecovers(self) -> None:
        engine, other = await self.begun(), self.makeEngine()
        (record,) = await other.records()
        self.member.restart(empty=True)
        await self.recovers(engine, other)
        await engine.restore("two/2", [replace(record, members={"two/2": 1})])
        await engine.recovered((await engine.beat(node("two/2", beat=3))).incarnation)
        self.assertGreater((await other.grant(wanted("three/2", 2002))).epoch, record.epoch)

    async def test_restoredFromAnEarlierTimeItRecovers(self) -> None:
        engine, other = await self.begun(), self.makeEngine()
        self.member.save()
        await engine.grant(wanted("one/1", 2002))
        (_, later) = sorted(await other.records(), key=lambda each: each.address)
        self.member.restore()
        await self.recovers(engine, other)
        await engine.recovered((await engine.beat(node("two/2", beat=3))).incarnation)
        self.assertGreater((await engine.grant(wanted("two/2", 2002, OTHER_KEY))).epoch, later.epoch)

    async def test_anEarlierTimeShowsInItsBeatAlthoughOthersHaveWrittenSince(self) -> None:
        """Where other programs use the same etcd, its revision is soon higher again."""
        engine = await self.begun()
        self.member.save()
        await engine.beat(node("one/1", beat=10))
        self.member.restore()
        client = EtcdClient(REACTOR, parseEngineUrl(self.member.url))
        self.addCleanup(client.stop)
        for _ in range(10):
            await client.transact(REACTOR.seconds() + 3.0, [], [put("elsewhere", "")])
        await self.assertFailure(engine.beat(node("one/1", beat=11)), Voided)
        self.assertEqual(await engine.records(), [])

    async def test_killedAndStartedAgainItKnowsAll(self) -> None:
        engine = await self.begun()
        before = await engine.beat(node("one/1", beat=10))
        self.member.restart()
        after = await engine.beat(node("one/1", beat=11))
        self.assertEqual((after.incarnation, after.recovering), (before.incarnation, False))

    async def test_suspendedItIsAwayAndGoesOn(self) -> None:
        engine = await self.begun()
        with self.member.suspended():
            begin = REACTOR.seconds()
            calls = engine.beat(node("one/1", beat=10)), engine.grant(wanted("one/1", 2002)), engine.records()
            for error in [await self.assertFailure(each, EngineAway) for each in calls]:
                self.assertIn("it does not answer", str(error))
            self.assertGreater(REACTOR.seconds() - begin, 2.9)
        await engine.beat(node("one/1", beat=11))

    async def test_stoppedItsCallsEnd(self) -> None:
        engine = await self.begun()
        with self.member.suspended():
            call = engine.beat(node("one/1", beat=10))
            await engine.stop()
            await self.assertFailure(call, EngineAway)
