"""The engine in etcd, with a real one: what every engine does, and what it does when etcd is away, or back in time."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bore.cluster.engine import Engine, EngineAway, Record, Recovering, Taken, UserLimit, Voided
from bore.cluster.etcd import EtcdEngine
from bore.cluster.etcdclient import EtcdClient
from bore.cluster.etcdgateway import Part, deleteAll, put
from bore.cluster.etcdstore import EtcdStore, View
from bore.cluster.url import parseEngineUrl
from tests.cluster.enginecontract import KEY, OTHER_KEY, EngineContract, node, outcome, wanted
from tests.cluster.etcdprogram import ETCD, REACTOR, WHY_NOT, EtcdMember, engineOf
from tests.ports import freePort

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
        cls.member.start()
        cls.member.wait()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.member.end()

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

    async def test_whatAnotherProgramHasWrittenIsNamed(self) -> None:
        client = self.client()
        await client.transact(REACTOR.seconds() + 3.0, [], [put(f"{self.prefix}record/02001", "[]")])
        await self.entered("one/1")
        error = await self.assertFailure(self.engine.grant(wanted("one/1")), EngineAway)
        self.assertIn(f"another program has written keys of etcd that begin with {self.prefix}", str(error))

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


class EtcdLossTests(TestCase):
    """etcd is away, or has lost something."""

    if ETCD is None:
        skip = WHY_NOT

    member: EtcdMember

    @classmethod
    def setUpClass(cls) -> None:
        cls.member = EtcdMember()
        cls.member.start()
        cls.member.wait()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.member.end()

    async def test_whereNothingListensTheCallSaysSo(self) -> None:
        port = freePort()
        error = await self.assertFailure(engineOf(self, f"etcd://127.0.0.1:{port}").records(), EngineAway)
        self.assertEqual(str(error), f"127.0.0.1:{port}: connection refused")

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
