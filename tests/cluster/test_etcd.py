"""The engine in etcd, with a real one: what every engine does, and what is done at the same time."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from bore.cluster.engine import Engine, EngineAway, Record, Taken, UserLimit
from bore.cluster.etcd import EtcdEngine
from bore.cluster.etcdclient import EtcdClient
from bore.cluster.etcdgateway import Part, delete, deleteAll, put
from bore.cluster.etcdstore import EtcdStore, View
from bore.cluster.url import parseEngineUrl
from tests.cluster.enginecontract import KEY, OTHER_KEY, EngineContract, node, outcome, wanted
from tests.cluster.etcdprogram import ETCD, REACTOR, WHY_NOT, EtcdMember, engineOf

_prefixes = itertools.count()


class EtcdTests(EngineContract):
    """The engine in etcd does what every engine does."""

    __test__ = True
    if ETCD is None:
        skip = WHY_NOT

    member: EtcdMember

    @classmethod
    def setUpClass(cls) -> None:
        cls.member = EtcdMember()
        cls.addClassCleanup(cls.member.end)
        cls.member.start()
        cls.member.wait()

    async def begin(self) -> None:
        self.prefix = f"{next(_prefixes)}/"
        await super().begin()

    async def makeEngine(self) -> EtcdEngine:
        return engineOf(self, f"{self.member.url}?prefix={self.prefix}")

    def client(self) -> EtcdClient:
        """A client that is stopped when the test has ended."""
        made = EtcdClient(REACTOR, parseEngineUrl(self.member.url))
        self.addCleanup(made.stop)
        return made

    async def lose(self) -> None:
        await self.client().transact(REACTOR.seconds() + 3.0, [], [deleteAll(self.prefix)])

    # What more members at once must not do.

    async def test_ofManyThatWantOneAddressAtOnceOneGetsIt(self) -> None:
        for name in "abcd":
            await self.entered(f"{name}/1")
        keys = {name: KEY if name < "c" else OTHER_KEY for name in "abcd"}
        grants = [self.engine.grant(wanted(f"{name}/1", key=keys[name])) for name in "ac"]
        grants += [self.other.grant(wanted(f"{name}/1", key=keys[name])) for name in "bd"]
        found = await gatherResults([Deferred.fromCoroutine(outcome(each)) for each in grants])
        (record,) = await self.engine.records()
        self.assertEqual(set(record.members), {f"{name}/1" for name in "abcd" if keys[name] == record.key})
        self.assertEqual(found.count(Taken), 2)

    async def test_twoKeysNeverHaveAnAddressAtTheSameTime(self) -> None:
        """From the answer to a grant until the member leaves, no other key is granted the address."""
        random = Random(18)
        holders: dict[int, set[tuple[str, str]]] = {2001: set(), 2002: set()}
        epochs: dict[int, tuple[int, str]] = {2001: (0, ""), 2002: (0, "")}

        async def claimAndLeave(engine: Engine, member: str, key: str) -> None:
            await engine.enter(node(member))
            for claim in range(40):
                address = random.choice((2001, 2002))
                record = await outcome(engine.grant(wanted(member, address, key, claim)))
                if isinstance(record, Record):
                    self.assertEqual({other for _, other in holders[address]} - {key}, set())
                    epoch, last = epochs[address]
                    self.assertGreaterEqual(record.epoch, epoch if key == last else epoch + 1)
                    epochs[address] = record.epoch, key
                    holders[address].add((member, key))
                    await deferLater(REACTOR, random.random() * 0.004)
                    holders[address].discard((member, key))
                    await engine.leave(member, address, claim)

        engines = itertools.cycle((self.engine, self.other))
        people = [("a/1", KEY), ("b/1", KEY), ("c/1", OTHER_KEY), ("d/1", OTHER_KEY)]
        await gatherResults(
            [Deferred.fromCoroutine(claimAndLeave(next(engines), *each)) for each in people], consumeErrors=True
        )
        self.assertEqual(await self.engine.records(), [])

    async def test_ofManyRecordsThatAUserWantsAtOnceItGetsAsManyAsItMay(self) -> None:
        await self.entered("one/1")
        grants = [
            each.grant(wanted("one/1", address, user="bob/b", limit=3))
            for address, each in zip(range(2001, 2011), itertools.cycle((self.engine, self.other)), strict=False)
        ]
        found = await gatherResults([Deferred.fromCoroutine(outcome(each)) for each in grants])
        self.assertEqual(found.count(UserLimit), 7)
        self.assertEqual(len(await self.engine.records()), 3)

    async def test_membersThatEnterAtOnceGetDifferentNumbers(self) -> None:
        engines = (self.engine, self.other, self.engine, self.other)
        calls = [each.enter(node(f"{name}/1", 7)) for name, each in zip("abcd", engines, strict=True)]
        found = await gatherResults(calls)
        self.assertEqual(sorted(found), [7, 8, 9, 10])

    async def test_severalBeatsMayBeUnderWayAtOnce(self) -> None:
        entry = await self.entered("one/1")
        for start in (2, 42):
            await gatherResults([self.engine.beat(replace(entry, beat=beat)) for beat in range(start, start + 40)])
        (found,) = (await self.other.beat(entry)).nodes
        self.assertEqual(found.beat, 81)

    async def test_aGrantThatIsCarriedOutAfterALaterBeatIsRefused(self) -> None:
        """As one that was stuck in a member of etcd."""
        entry = await self.entered("one/1")

        async def beat() -> None:
            await self.other.beat(replace(entry, beat=2))

        engine, written = await self.delayed(beat)
        await engine.grant(wanted("one/1"))
        self.assertEqual(written, [False, True])

    async def test_epochsGrowAlthoughARecordHasBegunAndEndedMeanwhile(self) -> None:
        """The key of a record that has ended is not as it was before the record."""
        await self.entered("one/1")
        await self.entered("two/1")
        epochs = []

        async def beginAndEnd() -> None:
            epochs.append((await self.other.grant(wanted("two/1", key=OTHER_KEY))).epoch)
            await self.other.leave("two/1", 2001, 1)

        engine, written = await self.delayed(beginAndEnd)
        self.assertGreater((await engine.grant(wanted("one/1"))).epoch, epochs[0])
        self.assertEqual(written, [False, True])

    async def delayed(self, meanwhile: Callable[[], Awaitable[None]]) -> tuple[EtcdEngine, list[bool]]:
        """An engine whose first write comes after something else, and a list of which of its writes have succeeded."""
        engine = await self.makeEngine()
        engine._store = store = _DelayedStore(self.client(), self.prefix, meanwhile)
        return engine, store.written

    async def test_tidyingUpMayTakeLongerThanTheCall(self) -> None:
        """The call has no time left when the entry is gone."""
        await self.entered("one/1")
        await self.engine.grant(wanted("one/1"))
        await self.client().transact(REACTOR.seconds() + 3.0, [], [delete(f"{self.prefix}node/one/1")])
        assert isinstance(self.engine, EtcdEngine)
        await self.engine._tidied(REACTOR.seconds(), "one/1")
        while await self.engine.records():
            pass

    async def test_whatAnotherProgramHasWrittenIsNamed(self) -> None:
        client = self.client()
        await client.transact(REACTOR.seconds() + 3.0, [], [put(f"{self.prefix}record/02001", "[]")])
        await self.entered("one/1")
        error = await self.assertFailure(self.engine.grant(wanted("one/1")), EngineAway)
        self.assertIn(f"another program has written keys that begin with {self.prefix}", str(error))

    async def test_whatComesAfterItsEndFails(self) -> None:
        await self.engine.stop()
        await self.assertFailure(self.engine.beat(node("one/1")), EngineAway)


class _DelayedStore(EtcdStore):
    """
    Does something else between the first read and the first write.

    :ivar written: which writes have succeeded.
    """

    def __init__(self, client: EtcdClient, prefix: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(client, prefix)
        self._meanwhile = meanwhile
        self.written: list[bool] = []

    async def write(self, until: float, view: View, conditions: Sequence[Part], operations: Sequence[Part]) -> bool:
        if not self.written:
            await self._meanwhile()
        self.written.append(await super().write(until, view, conditions, operations))
        return self.written[-1]
