"""The engine in a Redis server."""

from __future__ import annotations

import re
from itertools import count
from typing import ClassVar, cast
from unittest import skipUnless

from twisted.internet import reactor

from bore.cluster.engine import Engine, UserLimit
from bore.cluster.redis import RedisEngine
from bore.cluster.url import parseEngineUrl
from bore.streams.reactor import IReactor
from tests.cluster.enginecontract import EngineContract, wanted
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer

_prefixes = count()


@skipUnless(REDIS, WHY_NOT)
class RedisContractTests(EngineContract):
    """The engine in Redis does what every engine does."""

    __test__ = True
    server: ClassVar[RedisServer]

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RedisServer()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.kill()

    async def begin(self) -> None:
        self.prefix = f"test{next(_prefixes)}:"
        await super().begin()

    async def makeEngine(self) -> Engine:
        engine = RedisEngine(cast(IReactor, reactor), parseEngineUrl(self.server.url(f"prefix={self.prefix}")))
        engine.start()
        self.addCleanup(engine.stop)
        return engine

    async def lose(self) -> None:
        self.server.command("FLUSHALL")

    async def test_theLimitOfAUserIsHeldWithoutReadingItsRecords(self) -> None:
        await self.entered("one/1")
        for address in range(2001, 2041):
            await self.engine.grant(wanted("one/1", address, user="bob", limit=40))
        self.server.command("CONFIG", "RESETSTAT")
        await self.assertFailure(self.engine.grant(wanted("one/1", 3000, user="bob", limit=40)), UserLimit)
        reads = re.search(r"cmdstat_hget:calls=(\d+)", self.server.command("INFO", "commandstats"))
        self.assertLess(0 if reads is None else int(reads[1]), 10)
