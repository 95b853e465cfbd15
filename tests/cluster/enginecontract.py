"""What every engine does: a class of tests that each engine's own tests inherit from."""

# Longer than 300 lines: one list of what an engine does.

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from bore.cluster.engine import MAX_RESTORED, Engine, Node, Record, Recovering, Taken, UserLimit, Voided, Wanted
from bore.cluster.memory import MemoryEngine, MemoryStore

T = TypeVar("T")

KEY, OTHER_KEY = "ab" * 32, "cd" * 32

#: Nodes of the random sequences, and the addresses that they claim.
NAMES = ("one", "two", "three")
ADDRESSES = (2001, 2002, 2003)


def node(member: str, number: int = 7, beat: int = 1, tunnels: int = 0) -> Node:
    return Node(member, beat, number, f"tls://{member.partition('/')[0]}.example.com:7835", "up", tunnels, "1.0")


def wanted(member: str, address: int = 2001, key: str = KEY, claim: int = 1, user: str = "", **more: int) -> Wanted:
    return Wanted(address, key, user, member, claim, **more)


def ordered(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.address)


async def outcome(answer: Awaitable[T]) -> T | type[BaseException]:
    """What a call has returned, or the class of the error."""
    try:
        return await answer
    except (Recovering, Taken, UserLimit, Voided) as e:
        return type(e)


class EngineContract(TestCase):
    """
    What every engine does. Classes that inherit from this define :meth:`makeEngine` and :meth:`lose`.

    :ivar engine: one that is recovered and has no entries.
    :ivar other: another one, with the same store.
    """

    __test__ = False

    async def makeEngine(self) -> Engine:
        """Make an engine that has begun, over the store of this test, which is empty at first; it is stopped later."""
        raise NotImplementedError

    async def lose(self) -> None:
        """Have the store lose all it knows; it may have to be found by the calls that follow."""
        raise NotImplementedError

    async def entered(self, member: str, number: int = 7) -> Node:
        """The entry of a new member."""
        given = await self.engine.enter(node(member, number))
        return node(member, given)

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        return Deferred.fromCoroutine(self.begin())

    async def begin(self) -> None:
        """Make the two engines, over an empty store, and end its recovery."""
        self.engine = await self.makeEngine()
        self.other = await self.makeEngine()
        await self.endRecovery(self.engine, 0)

    # Entries.

    async def test_aMemberGetsTheNumberThatItWouldLikeOrTheNextFreeOne(self) -> None:
        self.assertEqual(await self.engine.enter(node("one/1", 65535)), 65535)
        self.assertEqual(await self.other.enter(node("two/1", 65535)), 1)
        self.assertEqual(await self.other.enter(node("three/1", 65535)), 2)

    async def test_aLaterRunOfANodeMayHaveTheNumberOfTheFormerOne(self) -> None:
        await self.engine.enter(node("one/1", 7))
        self.assertEqual(await self.engine.enter(node("one/2", 7)), 7)

    async def test_aBeatWritesTheEntryAndReturnsAll(self) -> None:
        one, two = await self.entered("one/1"), await self.entered("two/1")
        later = replace(one, beat=2, tunnels=3, state="draining")
        beaten = await self.other.beat(later)
        self.assertEqual({each.member: each for each in beaten.nodes}, {"one/1": later, "two/1": two})
        self.assertFalse(beaten.recovering)

    async def test_aBeatThatComesLateWritesNothing(self) -> None:
        entry = await self.entered("one/1")
        later = replace(entry, beat=12)
        await self.engine.beat(later)
        for beat in (9, 12):
            beaten = await self.engine.beat(replace(entry, beat=beat, tunnels=9))
            self.assertEqual(list(beaten.nodes), [later])

    async def test_withoutAnEntryThereIsNoBeat(self) -> None:
        await self.assertFailure(self.engine.beat(node("one/1", beat=2)), Voided)
        await self.entered("one/1")
        await self.other.depart("one/1")
        await self.assertFailure(self.engine.beat(node("one/1", beat=2)), Voided)

    # Grants.

    async def test_anAddressIsGrantedToOneKey(self) -> None:
        await self.entered("one/1")
        await self.entered("two/1")
        record = await self.engine.grant(wanted("one/1"))
        self.assertEqual(record, Record(2001, record.epoch, KEY, "", {"one/1": 1}, True))
        for other in (wanted("two/1", key=OTHER_KEY), wanted("two/1", user="bob"), wanted("one/1", key=OTHER_KEY)):
            with self.assertRaises(Taken) as raised:
                await self.other.grant(other)
            self.assertEqual(raised.exception.record, record)
        second = await self.other.grant(wanted("two/1", 2002, OTHER_KEY))
        self.assertGreater(second.epoch, record.epoch)
        self.assertEqual(ordered(await self.engine.records()), [record, second])

    async def test_oneWithTheSameKeyJoinsUnderTheSameEpoch(self) -> None:
        await self.entered("one/1")
        await self.entered("two/1")
        record = await self.engine.grant(wanted("one/1", claim=3))
        joined = await self.other.grant(wanted("two/1", claim=5))
        self.assertEqual(joined, replace(record, members={"one/1": 3, "two/1": 5}))

    async def test_aGrantMayBeRepeatedAndItsGreatestClaimStays(self) -> None:
        await self.entered("one/1")
        record = await self.engine.grant(wanted("one/1", claim=3))
        self.assertEqual(await self.engine.grant(wanted("one/1", claim=3)), record)
        later = replace(record, members={"one/1": 4})
        self.assertEqual(await self.engine.grant(wanted("one/1", claim=4)), later)
        self.assertEqual(await self.engine.grant(wanted("one/1", claim=3)), later)

    async def test_withoutAnEntryThereIsNoGrant(self) -> None:
        await self.assertFailure(self.engine.grant(wanted("one/1")), Voided)
        self.assertEqual(await self.engine.records(), [])

    async def test_aUserHasAsManyRecordsAsItMay(self) -> None:
        await self.entered("one/1")
        await self.entered("two/1")
        for address in (2001, 2002):
            await self.engine.grant(wanted("one/1", address, user="bob", limit=2))
        await self.assertFailure(self.engine.grant(wanted("one/1", 2003, user="bob", limit=2)), UserLimit)
        await self.engine.grant(wanted("one/1", 2003, user="alice", limit=1))
        await self.other.grant(wanted("two/1", 2002, user="bob", limit=2))
        await self.engine.leave("one/1", 2001, 1)
        await self.engine.grant(wanted("one/1", 2004, user="bob", limit=2))

    # Ends.

    async def test_theLastMemberThatLeavesEndsTheRecord(self) -> None:
        await self.entered("one/1")
        await self.entered("two/1")
        record = await self.engine.grant(wanted("one/1"))
        await self.engine.grant(wanted("two/1"))
        await self.engine.leave("one/1", 2001, 1)
        self.assertEqual(await self.other.records(), [replace(record, members={"two/1": 1})])
        await self.engine.leave("one/1", 2001, 1)
        await self.engine.leave("two/1", 2001, 1)
        self.assertEqual(await self.other.records(), [])
        await self.engine.leave("two/1", 2001, 1)
        self.assertGreater((await self.engine.grant(wanted("one/1", key=OTHER_KEY))).epoch, record.epoch)

    async def test_aLeaveThatComesLateDoesNotEndALaterClaim(self) -> None:
        await self.entered("one/1")
        record = await self.engine.grant(wanted("one/1", claim=8))
        await self.engine.leave("one/1", 2001, 7)
        self.assertEqual(await self.engine.records(), [record])

    async def test_aMemberIsVoidedIfItHasNotBeatenSince(self) -> None:
        entry = await self.entered("one/1")
        await self.entered("two/1")
        record = await self.engine.grant(wanted("one/1"))
        await self.engine.beat(replace(entry, beat=5))
        await self.other.void("one/1", 4)
        await self.assertFailure(self.other.grant(wanted("two/1", key=OTHER_KEY)), Taken)
        await self.other.void("one/1", 5)
        await self.assertFailure(self.engine.beat(replace(entry, beat=6)), Voided)
        self.assertGreater((await self.other.grant(wanted("two/1", key=OTHER_KEY))).epoch, record.epoch)
        await self.other.void("one/1", 5)

    async def test_theRecordsOfAMemberThatDepartsEndAndCountForNobody(self) -> None:
        await self.entered("one/1")
        await self.entered("two/1")
        for address in (2001, 2002):
            await self.engine.grant(wanted("one/1", address, user="bob"))
        both = await self.other.grant(wanted("two/1", 2001, user="bob"))
        await self.engine.depart("one/1")
        await self.engine.depart("one/1")
        self.assertEqual(await self.other.records(), [replace(both, members={"two/1": 1})])
        await self.other.grant(wanted("two/1", 2003, user="bob", limit=2))

    # Recovery.

    async def test_anEngineThatHasLostAllRecoversAndGrantsNothing(self) -> None:
        before = await self.engine.beat(replace(await self.entered("one/1"), beat=2))
        await self.engine.grant(wanted("one/1"))
        await self.lose()
        await self.assertFailure(self.engine.beat(node("one/1", beat=3)), Voided)
        entry = await self.entered("one/2")
        beaten = await self.engine.beat(replace(entry, beat=2))
        self.assertTrue(beaten.recovering)
        self.assertNotEqual(beaten.incarnation, before.incarnation)
        self.assertEqual([each.member for each in beaten.nodes], ["one/2"])
        await self.assertFailure(self.engine.grant(wanted("one/2")), Recovering)
        await self.engine.recovered(before.incarnation)
        self.assertEqual(await self.engine.records(), [])
        await self.assertFailure(self.engine.grant(wanted("one/2")), Recovering)
        await self.other.recovered(beaten.incarnation)
        await self.engine.grant(wanted("one/2"))
        again = await self.engine.beat(replace(entry, beat=3))
        self.assertEqual((again.incarnation, again.recovering), (beaten.incarnation, False))

    async def restored(self, member: str, *records: Record, claim: int = 1) -> list[int]:
        """Restore records as one member; what was lost."""
        own = [replace(record, members={member: claim}) for record in records]
        return list(await self.engine.restore(member, own))

    async def test_membersTellARecoveringEngineWhatTheyOwn(self) -> None:
        await self.lose()
        await self.assertFailure(self.engine.restore("one/1", []), Voided)
        await self.entered("one/1")
        await self.entered("two/1")
        first, second = Record(2001, 1000, KEY, "", {}), Record(2002, 900, OTHER_KEY, "bob", {})
        self.assertEqual(await self.restored("one/1", first, second, claim=4), [])
        self.assertEqual(await self.restored("two/1", first), [])
        found = [replace(first, members={"one/1": 4, "two/1": 1}), replace(second, members={"one/1": 4})]
        self.assertEqual(ordered(await self.other.records()), found)
        await self.endRecovery(self.engine, 0)
        new = await self.engine.grant(wanted("one/1", 2003, user="bob", limit=2))
        self.assertGreater(new.epoch, 1000)
        await self.assertFailure(self.engine.grant(wanted("one/1", 2004, user="bob", limit=2)), UserLimit)

    async def test_whatIsFirmOrLaterReplacesWhatIsNot(self) -> None:
        await self.lose()
        await self.entered("one/1")
        await self.entered("two/1")
        doubtful, later = Record(2001, 7, KEY, "", {}, False), Record(2001, 9, OTHER_KEY, "", {}, False)
        firm = Record(2001, 3, KEY, "bob", {}, True)
        self.assertEqual(await self.restored("one/1", later), [])
        self.assertEqual(await self.restored("two/1", doubtful), [2001])
        self.assertEqual(await self.restored("two/1", firm), [])
        self.assertEqual(await self.restored("one/1", later), [2001])
        self.assertEqual(await self.engine.records(), [replace(firm, members={"two/1": 1})])

    async def test_theSameRecordIsFirmIfOneOfItsMembersIs(self) -> None:
        await self.lose()
        await self.entered("one/1")
        await self.entered("two/1")
        record = Record(2001, 7, KEY, "", {})
        await self.restored("one/1", replace(record, firm=False))
        self.assertEqual(await self.restored("two/1", record), [])
        self.assertEqual(await self.engine.records(), [replace(record, members={"one/1": 1, "two/1": 1})])

    async def test_afterTheRecoveryRestoringOnlyFindsOutWhatIsLost(self) -> None:
        await self.entered("one/1")
        await self.entered("two/1")
        record = await self.engine.grant(wanted("one/1"))
        lost = await self.restored("one/1", record, replace(record, epoch=999), Record(2002, 1, KEY, "", {}))
        self.assertEqual(lost, [2001, 2002])
        self.assertEqual(await self.restored("one/1", record), [])
        self.assertEqual(await self.restored("two/1", record), [2001])
        self.assertEqual(await self.engine.records(), [record])

    async def test_manyRecordsAreRestoredAndDepartInPieces(self) -> None:
        await self.lose()
        await self.entered("one/1")
        many = [Record(3000 + n, n + 1, KEY, "", {"one/1": 1}) for n in range(1200)]
        for begin in range(0, 1200, MAX_RESTORED):
            self.assertEqual(await self.engine.restore("one/1", many[begin : begin + MAX_RESTORED]), [])
        self.assertEqual(ordered(await self.other.records()), many)
        await self.engine.depart("one/1")
        self.assertEqual(await self.other.records(), [])

    # The rules.

    async def test_itDecidesAsTheRulesDo(self) -> None:
        """Calls at random, one after the other, have the outcomes that the rules have."""
        self.runs = {}
        store = MemoryStore()
        store.recovering = False
        rules = MemoryEngine(store)
        random = Random(18)
        for number in range(self.randomCalls):
            if number % 60 == 59:
                await self.lose()
                store.begin()
            await self.compareCall(random, number, rules)
            if number % 20 == 0:
                await self.compareRecords(rules)

    #: How many calls are compared with the rules, and the runs that the nodes have entered with.
    randomCalls = 400
    runs: dict[str, int]

    async def compareRecords(self, rules: Engine) -> None:
        """The records are the same, but for members without an entry, which an engine may take out later."""
        mine, right = ordered(await self.engine.records()), ordered(await rules.records())
        self.assertEqual([replace(each, epoch=0) for each in mine], [replace(each, epoch=0) for each in right])

    async def compareCall(self, random: Random, number: int, rules: Engine) -> None:
        name, address = random.choice(NAMES), random.choice(ADDRESSES)
        seed = random.random()
        found = [await self.called(engine, Random(seed), number, name, address) for engine in (self.engine, rules)]
        self.assertEqual(found[0], found[1], f"call {number} of {name} on {address}")

    async def called(self, engine: Engine, random: Random, number: int, name: str, address: int) -> object:
        """Make a call at random, and return its outcome."""
        member = f"{name}/{self.runs.get(name, 0)}"
        key, user = random.choice((KEY, OTHER_KEY)), random.choice(("", "bob"))
        beat = random.randrange(1, 9)
        match random.choice(("enter", "beat", "void", "grant", "grant", "leave", "restore", "recovered", "depart")):
            case "enter":
                self.runs[name] = number
                return await engine.enter(node(f"{name}/{number}", beat))
            case "beat":
                beaten = await outcome(engine.beat(node(member, beat=beat)))
                if isinstance(beaten, type):
                    return beaten
                return sorted((each.member, each.beat, each.number) for each in beaten.nodes), beaten.recovering
            case "void":
                return await outcome(engine.void(member, beat))
            case "grant":
                limit = random.choice((None, 1, 2))
                record = await outcome(engine.grant(Wanted(address, key, user, member, number, limit)))
                return replace(record, epoch=0) if isinstance(record, Record) else record
            case "leave":
                return await outcome(engine.leave(member, address, number - random.randrange(12)))
            case "restore":
                # No epoch that could be granted.
                epoch = random.randrange(1, 4) * 1_000_000
                own = Record(address, epoch, key, user, {member: number}, random.random() < 0.5)
                lost = await outcome(engine.restore(member, [own]))
                return lost if isinstance(lost, type) else list(lost)
            case "recovered":
                return await outcome(self.endRecovery(engine, number))
            case _:
                return await outcome(engine.depart(member))

    async def endRecovery(self, engine: Engine, number: int) -> None:
        await engine.enter(node(f"recovery/{number}", 65535))
        beaten = await engine.beat(node(f"recovery/{number}", 65535, 2))
        await engine.recovered(beaten.incarnation)
        await engine.depart(f"recovery/{number}")
