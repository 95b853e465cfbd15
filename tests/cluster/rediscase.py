"""Tests with engines in Redis."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bore.cluster.engine import EngineAway, Voided
from bore.cluster.redis import RedisEngine
from bore.cluster.url import parseEngineUrl
from bore.streams.reactor import IReactor
from tests.cluster.enginecontract import node
from tests.cluster.redisserver import RedisServer
from tests.support import PATIENCE

_T = TypeVar("_T")

_reactor = cast(IReactor, reactor)
_prefixes = count()


class RedisCase(TestCase):
    """A test with engines of its own."""

    def setUp(self) -> None:
        self.prefix = f"test{next(_prefixes)}:"

    def engine(self, server: RedisServer, query: str = "") -> RedisEngine:
        """An engine that has begun."""
        return self.begun(server.url(f"prefix={self.prefix}&{query}"))

    def begun(self, url: str) -> RedisEngine:
        engine = RedisEngine(_reactor, parseEngineUrl(url))
        engine.start()
        self.addCleanup(engine.stop)
        return engine

    async def ready(self, engine: RedisEngine, member: str = "one/1") -> None:
        """Have a member enter, and end the recovery."""
        await self.settled(lambda: engine.enter(node(member)))
        beaten = await self.settled(lambda: engine.beat(node(member, beat=2)))
        await self.settled(lambda: engine.recovered(beaten.incarnation))

    async def settled(self, call: Callable[[], Deferred[_T]]) -> _T:
        """Make a call again until the engine is not away."""
        for _ in range(int(PATIENCE / 0.1)):
            try:
                return await call()
            except EngineAway:
                await deferLater(_reactor, 0.1)
        return await call()

    async def voided(self, engine: RedisEngine) -> None:
        """The engine knows nothing of the member any more."""
        with self.assertRaises(Voided):
            await self.settled(lambda: engine.beat(node("one/1", beat=3)))

    def away(self, call: Deferred[_T]) -> Deferred[str]:
        """The text of the error that the engine is away."""
        return self.assertFailure(call, EngineAway).addCallback(str)
