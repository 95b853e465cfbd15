"""
A model of the cluster: nodes whose processes stop, whose clocks differ, whose calls are lost or come late, and an
engine that loses what it knew. No two tunnels are ever served at one address.

The rules are also broken one by one: the model has to find each of these mistakes.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from random import Random
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from bore.cluster import membership, memory, neighbours
from bore.cluster.engine import Beaten, Node, Record, Wanted
from bore.cluster.membership import Membership
from bore.cluster.rules import granted, restored, without
from tests.cluster.modelworld import ADDRESSES, NAMES, NETWORKS, TIMES, TTL, TwoOwners, World
from tests.effort import examples

_NAMES: Final = st.sampled_from(NAMES)

#: How many worlds are looked at until a mistake is found; most are found in one of the first ten.
_WORLDS: Final = 1000


class ClusterMachine(RuleBasedStateMachine):
    """What happens to a cluster."""

    world: World

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.world = World(Random(seed))

    @rule(seconds=st.sampled_from(TIMES))
    def passTime(self, seconds: int) -> None:
        self.world.passTime(seconds)

    @rule(name=_NAMES, network=st.sampled_from(NETWORKS))
    def setNetwork(self, name: str, network: str) -> None:
        self.world.setNetwork(name, network)

    @rule(name=_NAMES, address=st.sampled_from(ADDRESSES))
    def want(self, name: str, address: int) -> None:
        self.world.want(name, address)

    @rule(name=_NAMES)
    def stop(self, name: str) -> None:
        self.world.stop(name)

    @rule(name=_NAMES)
    def goOn(self, name: str) -> None:
        self.world.goOn(name)

    @rule(name=_NAMES)
    def crash(self, name: str) -> None:
        self.world.crash(name)

    @rule(name=_NAMES)
    def leave(self, name: str) -> None:
        self.world.leave(name)

    @rule()
    def loseAll(self) -> None:
        self.world.loseAll()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.heal()


class ModelTests(SynchronousTestCase):
    """No two tunnels are served at one address, and nothing is left when all is well again."""

    def test_noAddressEverHasTwoOwners(self) -> None:
        run_state_machine_as_test(ClusterMachine, settings=settings(max_examples=examples(40), stateful_step_count=50))

    def test_soItIsInManyWorlds(self) -> None:
        for seed in range(examples(40)):
            World(Random(seed)).live()


class MistakeTests(SynchronousTestCase):
    """Each rule is needed: without it, the model finds an address with two owners."""

    def assertFound(self, begin: int = 0) -> None:
        """
        A mistake is found.

        :param begin: the world to begin with, if it is rarely found.
        """
        for seed in range(begin, begin + _WORLDS):
            try:
                World(Random(seed)).live()
            except TwoOwners:
                return
        self.fail("no address had two owners")

    def test_withoutAMargin(self) -> None:
        self.patch(membership, "MARGIN", 0.0)
        self.patch(neighbours, "MARGIN", 0.0)
        self.assertFound()

    def test_countedFromTheAnswer(self) -> None:
        extend = Membership._extend

        def fromNow(self: Membership) -> None:
            self._sent = self._right.moment()
            extend(self)

        self.patch(Membership, "_extend", fromNow)
        self.assertFound()

    def test_extendedBeforeTheEngineKnowsAll(self) -> None:
        beatOnce = Membership._beatOnce

        async def extends(self: Membership) -> bool:
            there = await beatOnce(self)
            self._extend()
            return there

        self.patch(Membership, "_beatOnce", extends)
        self.assertFound()

    def test_voidedWithoutAComparisonOfBeats(self) -> None:
        def mayVoid(stored: Node | None, beat: int) -> bool:
            return stored is not None

        self.patch(memory, "mayVoid", mayVoid)
        self.assertFound(begin=305)

    def test_leftByALateCall(self) -> None:
        def left(record: Record, member: str, claim: int, alive: Container[str]) -> Record | None:
            return without(record, member, alive)

        self.patch(memory, "left", left)
        self.assertFound()

    def test_grantedDuringARecovery(self) -> None:
        def always(
            record: Record | None, wanted: Wanted, alive: Container[str], recovering: bool, others: int, epoch: int
        ) -> Record:
            return granted(record, wanted, alive, False, others, epoch)

        self.patch(memory, "granted", always)
        self.assertFound()

    def test_aRecoveryThatIsTooShort(self) -> None:
        tidy = Membership._tidy

        async def early(self: Membership) -> None:
            self._since -= TTL / 2
            await tidy(self)

        self.patch(Membership, "_tidy", early)
        self.assertFound()

    def test_restoredWithoutADoubtByOneThatHadCeasedToAct(self) -> None:
        arrived = Membership._arrived

        def firm(self: Membership, beaten: Beaten, now: float) -> None:
            arrived(self, beaten, now)
            self._firm = True

        self.patch(Membership, "_arrived", firm)
        self.assertFound()

    def test_aDoubtThatIsOnlyDecidedByEpochs(self) -> None:
        def byEpoch(stored: Record | None, own: Record, member: str, recovering: bool) -> Record | None:
            stored = None if stored is None else replace(stored, firm=True)
            return restored(stored, replace(own, firm=True), member, recovering)

        self.patch(memory, "restored", byEpoch)
        self.assertFound()
