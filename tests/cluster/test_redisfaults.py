"""Redis servers that end, hang, lose what they know, or are somebody else's."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar
from unittest import skipUnless

from twisted.internet.defer import gatherResults

from bore.cluster.engine import Recovering, Taken
from tests.cluster.enginecontract import OTHER_KEY, node, wanted
from tests.cluster.rediscase import RedisCase
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer


@skipUnless(REDIS, WHY_NOT)
class RedisFaultsTests(RedisCase):
    """One server, which is alone."""

    server: ClassVar[RedisServer]

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RedisServer()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.kill()

    async def test_aServerThatIsKilledAndComesBackEmptyBeginsAnIncarnation(self) -> None:
        engine = self.engine(self.server)
        await self.ready(engine)
        before = await engine.grant(wanted("one/1"))
        self.server.kill()
        self.assertIn(f"127.0.0.1:{self.server.port} cannot be used: ", await self.away(engine.beat(node("one/1"))))
        self.server.restart()
        await self.voided(engine)
        await engine.enter(node("one/2"))
        await self.assertFailure(engine.grant(wanted("one/2", key=OTHER_KEY)), Recovering)
        restored = replace(before, members={"one/2": 1})
        self.assertEqual(await engine.restore("one/2", [restored]), [])
        self.assertTrue((await engine.beat(node("one/2", beat=2))).recovering)

    async def test_aServerThatHangsIsAwayAndIsUsedAgainAfterwards(self) -> None:
        engine = self.engine(self.server)
        await self.ready(engine)
        with self.server.suspended():
            calls = [self.away(engine.grant(wanted("one/1"))), self.away(engine.beat(node("one/1", beat=3)))]
            for call in calls:
                self.assertIn("it does not answer", await call)
        await self.settled(lambda: engine.beat(node("one/1", beat=4)))
        # It may have carried the grant out late, as an engine may.
        await engine.leave("one/1", 2001, 1)
        self.assertEqual(await engine.records(), [])

    async def test_aBeatDoesNotWaitForClaimsAndTheseAreNotWithoutNumber(self) -> None:
        engine = self.engine(self.server)
        await self.ready(engine)
        ended: list[str] = []
        calls = [engine.grant(wanted("one/1", 2000 + n)).addBoth(lambda _: ended.append("grant")) for n in range(1000)]
        calls.append(engine.beat(node("one/1", beat=3)).addCallback(lambda _: ended.append("beat")))
        await gatherResults(calls)
        self.assertLess(ended.index("beat"), 500)
        with self.server.suspended():
            calls = [engine.grant(wanted("one/1")).addErrback(lambda _: None) for _ in range(64 + 8192)]
            self.assertIn("more than 8192 calls wait", await self.away(engine.grant(wanted("one/1"))))
            await engine.stop()
            await gatherResults(calls)

    async def test_allCallsEndWhenTheServerDoes(self) -> None:
        engine = self.engine(self.server)
        await self.ready(engine)
        calls = [self.away(engine.grant(wanted("one/1", 2000 + n))) for n in range(1000)]
        self.server.kill()
        await gatherResults(calls)
        self.server.restart()
        await self.voided(engine)

    async def test_aNodeThatRequiresReplicasHasNothingWithoutThem(self) -> None:
        await self.ready(self.engine(self.server))
        engine = self.engine(self.server, "replicas=1")
        calls = [self.away(engine.grant(wanted("one/1"))), self.away(engine.beat(node("one/1", beat=3)))]
        for call in calls:
            self.assertIn("replicas that have confirmed a write in time: 0 of 1", await call)
        self.assertEqual(await engine.records(), [])

    async def test_whatIsNotOursIsLeftAlone(self) -> None:
        self.server.command("SET", f"{self.prefix}store", "mine")
        self.assertIn("WRONGTYPE", await self.away(self.engine(self.server).enter(node("one/1"))))
        self.assertEqual(self.server.command("GET", f"{self.prefix}store"), "mine")

    async def test_recordsThatNobodyCanReadAreAnError(self) -> None:
        engine = self.engine(self.server)
        await self.ready(engine)
        self.server.command("HSET", f"{self.prefix}records", "2001", '{"members":{}}')
        strange = f"another program has written keys that begin with {self.prefix}: not a"
        self.assertIn(strange, await self.away(engine.records()))
        self.server.command("HSET", f"{self.prefix}records", "2001", "?")
        self.assertIn("script", await self.away(engine.grant(wanted("one/1"))))

    async def test_aServerThatMayEvictKeysIsRefused(self) -> None:
        engine = self.engine(self.server)
        await self.ready(engine)
        self.server.command("CONFIG", "SET", "maxmemory", "100mb")
        self.server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        self.assertIn("it may evict keys", await self.away(engine.beat(node("one/1", beat=3))))
        self.server.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        await engine.beat(node("one/1", beat=3))

    async def test_aServerThatItselfRequiresReplicasIsAwayWithoutThem(self) -> None:
        engine = self.engine(self.server)
        await self.ready(engine)
        self.server.command("CONFIG", "SET", "min-replicas-to-write", "1")
        self.assertIn("NOREPLICAS", await self.away(engine.grant(wanted("one/1"))))
        self.server.command("CONFIG", "SET", "min-replicas-to-write", "0")
        await engine.grant(wanted("one/1"))

    async def test_callsThatWaitEndWhenTheEngineDoes(self) -> None:
        engine = self.begun("redis://127.0.0.1:1")
        self.assertIn("connection refused", await self.away(engine.enter(node("one/1"))))
        waiting = engine.enter(node("one/1"))
        await engine.stop()
        self.assertIn("it is not used any more", await self.away(waiting))


@skipUnless(REDIS, WHY_NOT)
class RedisReplicaTests(RedisCase):
    """A master and its replica."""

    async def test_aGrantThatTheReplicaDoesNotHaveIsUndone(self) -> None:
        master, replica = self.pair()
        engine = self.engine(master)
        await self.ready(engine)
        await self.settled(lambda: engine.grant(wanted("one/1")))
        with replica.suspended():
            calls = [self.away(engine.grant(wanted("one/1", 3000 + n))) for n in range(20)]
            calls += [self.away(engine.beat(node("one/1", beat=3))), self.away(engine.grant(wanted("one/1", claim=2)))]
            for call in calls:
                self.assertIn("replicas that have confirmed a write in time: 0 of 1", await call)
            # A replica that is dead, and still connected, does not count for long.
            await self.settled(lambda: engine.beat(node("one/1", beat=4)))
        self.assertEqual([(each.address, each.members) for each in await engine.records()], [(2001, {"one/1": 2})])
        await self.settled(lambda: engine.grant(wanted("one/1", 3000)))

    async def test_aReplicaThatIsPromotedWithoutTheLastGrantsGivesNoAddressTwice(self) -> None:
        master, replica = self.pair()
        engine = self.engine(master)
        await self.ready(engine)
        kept = await self.settled(lambda: engine.grant(wanted("one/1")))
        replica.command("REPLICAOF", "127.0.0.1", "1")  # it is cut off, and nobody knows
        master.command("CLIENT", "KILL", "TYPE", "replica")
        lost = await engine.grant(wanted("one/1", 2002))
        master.kill()
        replica.command("REPLICAOF", "NO", "ONE")
        replica.command("CONFIG", "SET", "port", str(master.port))
        other = self.engine(master)
        await other.enter(node("two/1"))
        for address in (2001, 2002):
            await self.assertFailure(other.grant(wanted("two/1", address, OTHER_KEY)), Recovering)
        await self.voided(engine)
        await engine.enter(node("one/2"))
        own = [replace(each, members={"one/2": 1}) for each in (kept, lost)]
        self.assertEqual(await engine.restore("one/2", own), [])
        await other.recovered((await other.beat(node("two/1", beat=2))).incarnation)
        for address in (2001, 2002):
            await self.assertFailure(other.grant(wanted("two/1", address, OTHER_KEY)), Taken)
        self.assertGreater((await other.grant(wanted("two/1", 2003))).epoch, lost.epoch)

    async def test_aMasterThatBecomesAReplicaIsAway(self) -> None:
        master, replica = self.pair()
        engine = self.engine(master)
        await self.ready(engine)
        before = await self.settled(lambda: engine.beat(node("one/1", beat=2)))
        replica.command("REPLICAOF", "NO", "ONE")
        master.replicate(replica)
        self.assertIn("READONLY", await self.away(engine.beat(node("one/1", beat=3))))
        master.command("REPLICAOF", "NO", "ONE")
        await self.voided(engine)
        await engine.enter(node("one/2"))
        self.assertNotEqual((await engine.beat(node("one/2", beat=2))).incarnation, before.incarnation)

    async def test_aReplicaThatComesOrGoesBeginsNoIncarnation(self) -> None:
        master, replica = self.pair()
        engine = self.engine(master)
        await self.ready(engine)
        replica.kill()
        third = RedisServer()
        self.addCleanup(third.kill)
        third.replicate(master)
        await self.settled(lambda: engine.beat(node("one/1", beat=3)))

    def pair(self) -> tuple[RedisServer, RedisServer]:
        master, replica = RedisServer(), RedisServer()
        self.addCleanup(master.kill)
        self.addCleanup(replica.kill)
        replica.replicate(master)
        return master, replica
