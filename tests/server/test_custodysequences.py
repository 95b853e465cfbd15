"""Whatever happens to several holders, an address has one of them, and in the end nothing is left."""

from __future__ import annotations

import socket
from typing import Final, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Sink
from bore.server.custody import HAND_OVER_TIMEOUT, Abandoned, Opened, Waiting, Wish
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import Grant, LocalRegistry
from bore.server.settings import Bounds, ServerSettings
from bore.server.users import NAMELESS
from bore.streams.reactor import IReactor
from bore.wire.errors import Refusal
from tests.fakes import FakeReactor
from tests.ports import loopbackHost
from tests.server.custodycase import LEASE, FakeHolder
from tests.support import isOpen

#: Three ports and three holders: they are in each other's way.
LOWEST, HIGHEST = 20000, 20002

#: What can happen. The numbers choose a holder, and a token, a port or a wish.
STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(
            "open open base resume resume resume move slow answer answer lose back die doubt visit abandon time lease "
            "visit late".split()
        ),
        st.integers(0, 2),
        st.integers(0, 9),
    ),
    max_size=40,
)


class World:
    """
    Custody, and holders of which some die.

    :ivar tokens: those of all grants.
    :ivar asked: what was asked for and is not answered.
    :ivar visitors: the sockets of all visitors, at the side of custody.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.reactor = FakeReactor()
        clock = cast(IReactor, self.reactor)
        settings = ServerSettings(LOWEST, HIGHEST, bindTunnels=host, lease=LEASE, bounds=Bounds(tunnels=2))
        self.registry = LocalRegistry(clock, LEASE)
        self.custody = LocalCustody(clock, Sink(), settings, self.registry, Places(clock, settings))
        self.holders = [FakeHolder(self.custody) for _ in range(3)]
        self.holders[0].slow = self.holders[1].slow = True
        self.dead: list[FakeHolder] = []
        self.tokens: list[str] = []
        self.grants: list[Grant] = []
        self.asked: dict[Wish, FakeHolder] = {}
        self.visitors: list[socket.socket] = []
        self.failures: list[Failure] = []

    def ask(self, holder: FakeHolder, token: str | None = None, port: int = 0, lasting: bool = True) -> None:
        wish = Wish(port, token, NAMELESS, "192.0.2.1", lasting)
        self.asked[wish] = holder
        answer: Deferred[Opened] = holder.share.open(wish)
        answer.addCallbacks(self.given, self.refused, callbackArgs=(wish,), errbackArgs=(wish,))
        answer.addErrback(self.failures.append)

    def given(self, opened: Opened, wish: Wish) -> None:
        holder = self.asked.pop(wish)
        assert holder in self.holders, "one that is dead"
        holder.opened(opened)
        self.tokens.append(opened.grant.token)
        self.grants.append(opened.grant)

    def refused(self, reason: Failure, wish: Wish) -> None:
        reason.trap(Refusal, Abandoned)
        del self.asked[wish]

    def step(self, what: str, which: int, number: int) -> None:
        holder = self.holders[which]
        addresses = list(holder.has)
        match what:
            case "open" | "base":
                self.ask(holder, None, LOWEST + number if number < 3 else 0, what == "open")
            case "resume" | "move" if self.tokens:
                port = 0 if what == "resume" else LOWEST + number % 3
                self.ask(holder, self.tokens[-1 - number % min(3, len(self.tokens))], port)
            case "slow":
                holder.slow = not holder.slow
            case "answer":
                for each in self.holders[which:]:
                    if each.questions:
                        each.answer()
                        break
            case "die":
                self.holders[which] = FakeHolder(self.custody)
                self.dead.append(holder)
                holder.die(self.custody)
            case "abandon" if self.asked:
                wish, asking = list(self.asked.items())[number % len(self.asked)]
                asking.share.abandon(wish)
            case "time":
                self.reactor.advance(HAND_OVER_TIMEOUT / 2)
            case "late" if self.grants:
                holder.share.forward(self.grants[-1 - number % len(self.grants)], self.visitor())
            case "lease":
                self.reactor.pump([0.5] * (2 * LEASE))
            case "lose" | "back" | "doubt" | "visit" if addresses:
                self.happen(what, holder, cast(int, addresses[number % len(addresses)]))

    def happen(self, what: str, holder: FakeHolder, address: int) -> None:
        """Something happens to one tunnel."""
        match what:
            case "lose":
                holder.lose(address)
            case "back":
                holder.giveBack(address)
            case "doubt":
                holder.doubts ^= {address}
            case "visit":
                holder.visitors.setdefault(address, []).append(self.visitor())

    def visitor(self) -> Waiting:
        mine, theirs = socket.socketpair()
        mine.close()
        self.visitors.append(theirs)
        return Waiting(theirs, ("192.0.2.7", 4711), b"", 0.0)

    def finish(self) -> None:
        for holder in self.holders:
            holder.die(self.custody)
        for holder in (*self.dead, *self.holders):
            while holder.questions:
                holder.answer()
        self.reactor.pump([0.5] * (2 * LEASE + 4))


class CustodySequenceTests(SynchronousTestCase):
    """All that can happen, in any order."""

    @given(STEPS)
    def test_anAddressHasOneHolderAndNothingIsLeft(self, steps: list[tuple[str, int, int]]) -> None:
        world = World(loopbackHost())
        for what, which, number in steps:
            world.step(what, which, number)
            self.check(world)
        world.finish()
        self.assertEqual(world.failures, [])
        self.assertEqual((world.asked, world.custody._wishes), ({}, {}))
        self.assertEqual((len(world.custody), len(world.registry)), (0, 0))
        self.assertEqual([each for each in world.visitors if each.fileno() >= 0], [])
        self.assertEqual(world.reactor.getDelayedCalls(), [])
        for port in range(LOWEST, HIGHEST + 1):
            self.assertFalse(isOpen(world.host, port))

    def check(self, world: World) -> None:
        """Each tunnel has one holder, which has the last grant of its address; the limits hold."""
        self.assertEqual(world.failures, [])
        has = [(address, holder) for holder in world.holders for address in holder.has]
        self.assertEqual(len({address for address, _ in has}), len(has))
        for address, holder in has:
            held = world.custody._held.get(address)
            assert held is not None
            self.assertIs(held.share, holder.share)
            self.assertEqual(held.grant, holder.has[address])
            self.assertEqual(world.registry._byAddress[address], held.grant)
        self.assertLessEqual(len(world.custody), 2)
        self.assertEqual(len(world.custody), len(world.registry))
