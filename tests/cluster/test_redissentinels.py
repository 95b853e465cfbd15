"""A Redis master behind Sentinels."""

from __future__ import annotations

from dataclasses import replace
from unittest import skipUnless

from bore.cluster.engine import Recovering
from tests.cluster.enginecontract import node, wanted
from tests.cluster.rediscase import RedisCase
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer, SentinelServer
from tests.support import eventually, temporaryFolder


@skipUnless(REDIS, WHY_NOT)
class RedisSentinelTests(RedisCase):
    """Three Sentinels, a master and a replica."""

    async def test_aFailoverIsFollowedAndAMasterThatWasReplacedIsLeft(self) -> None:
        master, replica, third = (RedisServer() for _ in range(3))
        for server in (master, replica, third):
            self.addCleanup(server.kill)
        replica.replicate(master)
        folder = temporaryFolder(self)
        sentinels = [SentinelServer(folder / f"{n}.conf", master) for n in range(3)]
        for sentinel in sentinels:
            self.addCleanup(sentinel.kill)
        eventually(lambda: all(each.knows(2, 1) for each in sentinels), "Sentinels that know each other")
        servers = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
        url = f"redis+sentinel://{servers}/main?prefix={self.prefix}"
        engine, cut = self.begun(url), self.begun(url)
        await self.ready(engine)
        await self.settled(lambda: cut.enter(node("two/1")))
        kept = await self.settled(lambda: engine.grant(wanted("one/1")))
        unknown = self.begun(f"redis+sentinel://{servers}/other")
        self.assertIn("the Sentinels do not know a master 'other'", await self.away(unknown.enter(node("one/1"))))

        with master.suspended():  # for the others it is dead, and itself it knows nothing
            await self.voided(engine)
            self.assertIn("role:master", replica.command("INFO", "replication"))
            await self.settled(lambda: engine.enter(node("one/2")))
            self.assertEqual(await engine.restore("one/2", [replace(kept, members={"one/2": 1})]), [])
            await self.assertFailure(engine.grant(wanted("one/2", 2002)), Recovering)
        await self.away(cut.beat(node("two/1", beat=2)))  # it goes to the old master

        # One that still knows the former master would tell the others of it again.
        sentinels[2].kill()
        for sentinel in sentinels[:2]:
            sentinel.forget()
        for sentinel in sentinels[:2]:
            sentinel.monitor(third)
        error = await self.away(engine.beat(node("one/2", beat=2)))
        self.assertIn(f"the Sentinels name another master, 127.0.0.1:{third.port}", error)
        await self.voided(engine)
        sentinels[0].kill()
        error = await self.away(engine.enter(node("one/3")))
        self.assertIn("1 of 3 Sentinels agree on a master, and 2 are needed", error)
