"""The engine in memory."""

from __future__ import annotations

from bore.cluster.engine import Engine, EngineAway
from bore.cluster.memory import MemoryEngine, MemoryStore
from tests.cluster.enginecontract import EngineContract, node


class MemoryEngineTests(EngineContract):
    """The engine in memory does what every engine does."""

    __test__ = True
    store: MemoryStore

    async def begin(self) -> None:
        self.store = MemoryStore()
        await super().begin()

    async def makeEngine(self) -> Engine:
        return MemoryEngine(self.store)

    async def lose(self) -> None:
        self.store.begin()

    async def test_anEngineThatIsAwayChangesNothing(self) -> None:
        engine = MemoryEngine(self.store)
        engine.away = True
        await self.assertFailure(engine.enter(node("one/1")), EngineAway)
        self.assertEqual(await self.engine.enter(node("two/1")), 7)
