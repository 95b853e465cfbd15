"""A cluster whose nodes, clocks, network and engine fail at random: see tests/cluster/test_model.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from bore.cluster.engine import ENGINE_TIMEOUT, EngineAway
from bore.cluster.memory import MemoryStore
from bore.server.users import NAMELESS
from bore.wire.errors import Refusal
from bore.wire.token import digest
from tests.cluster.clustercase import FakeNode, FaultyEngine

T = TypeVar("T")
P = ParamSpec("P")

NAMES: Final = ("one", "two", "three")
ADDRESSES: Final = (2001, 2002)
KEYS: Final = ("1" * 32, "2" * 32)

#: What the network between a node and the engine does.
NETWORKS: Final = ("good", "good", "slow", "lost", "unanswered", "mixed")

#: The time to live of members, in seconds.
TTL: Final = 15.0

#: How fast clocks are: they differ by as much as the margin allows for.
RATES: Final = (0.8, 1.0, 1.2)

#: For how long nothing else happens, in seconds.
TIMES: Final = (1, 2, 5, 8, 11, 14, 17, 21)

#: Seconds between two looks at the world.
STEP: Final = 0.5


class TwoOwners(AssertionError):
    """Two tunnels are served at one address."""


class ModelEngine(FaultyEngine):
    """The engine of a node, behind a network that loses and delays calls and answers at random."""

    def __init__(self, world: World, clock: Clock, store: MemoryStore) -> None:
        super().__init__(clock, store)
        self._world = world
        self.network = "good"

    def _call(self, carryOut: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Deferred[T]:
        there, back = self._delays()
        answer: Deferred[T] = Deferred()

        def outcome(deliver: Callable[[], None]) -> None:
            if not answer.called:
                timeout.cancel()
                deliver()

        def carriedOut() -> None:
            try:
                deliver = partial(answer.callback, carryOut(*arguments, **named))
            except Exception:
                deliver = partial(answer.errback, Failure())
            if back is not None:
                self._clock.callLater(back, outcome, deliver)

        timeout = self._clock.callLater(ENGINE_TIMEOUT, answer.errback, EngineAway())
        if there is not None:
            self._world.mayLeave |= there > TTL - ENGINE_TIMEOUT and carryOut.__name__ in ("grant", "restore")
            self._world.clock.callLater(there, carriedOut)
        return answer

    def _delays(self) -> tuple[float | None, float | None]:
        """After how long a call arrives, and the answer to it; None: never."""
        random = self._world.random
        network = random.choice(NETWORKS[:-1]) if self.network == "mixed" else self.network
        match network:
            case "lost":
                return None, None
            case "unanswered":
                return random.choice((0.0, 2.0, random.uniform(3, 60))), None
            case "slow":
                return random.uniform(0, 4), random.uniform(0, 4)
        return 0.0, 0.0


class World:
    """
    Three nodes, two addresses, and clients that want them for two tunnels.

    :ivar wanted: which key a client shows at a node, for an address.
    :ivar mayLeave: whether something was carried out so late that the node has given up to look for it: a record may
        be left until the node stops.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.clock = Clock()
        self.store = MemoryStore()
        self.store.recovering = False
        self.nodes: dict[str, FakeNode] = {}
        self.stopped: dict[str, float] = {}
        self.mayLeave = False
        self.wanted: dict[tuple[str, int], str | None] = {}
        self._asking: set[tuple[FakeNode, int]] = set()
        for name in NAMES:
            self.start(name)
            for address in ADDRESSES:
                self.want(name, address)

    # What happens.

    def start(self, name: str) -> None:
        """Start a node."""
        random = self.random
        make = partial(ModelEngine, self)
        node = FakeNode(self.clock, self.store, name, random.uniform(-9999, 9999), random.choice(RATES), TTL, make)
        self.nodes[name] = node
        node.membership.start()

    def crash(self, name: str) -> None:
        """Kill a node, and start it again. What it has sent may still arrive."""
        self.stopped.pop(name, None)
        self.start(name)

    def leave(self, name: str) -> None:
        """Stop a node in order, and start it again."""
        if name not in self.stopped:
            node = self.nodes[name]
            for address in node.registry.addresses():
                node.release(address)
            node.membership.stop()
            node.clock.advance(ENGINE_TIMEOUT + 1)
            self.start(name)

    def stop(self, name: str) -> None:
        """Stop a process, as SIGSTOP does, or a suspended machine."""
        self.stopped.setdefault(name, self.clock.seconds())

    def goOn(self, name: str) -> None:
        """Let a process go on. Its timers may have gone on meanwhile, and then are due before anything arrives."""
        since = self.stopped.pop(name, None)
        if since is not None and self.random.random() < 0.5:
            self.nodes[name].clock.advance(self.clock.seconds() - since)

    def setNetwork(self, name: str, network: str) -> None:
        engine = self.nodes[name].engine
        assert isinstance(engine, ModelEngine)
        engine.network = network

    def loseAll(self) -> None:
        """The engine loses what it knew; its counter may be behind, as after a failover."""
        self.store.begin()
        self.store._epoch = max(0, self.store._epoch - self.random.choice((0, 0, 3, 1000)))

    def want(self, name: str, address: int) -> None:
        """Another client, or none, wants an address at a node."""
        self.wanted[name, address] = self.random.choice((None, *KEYS))

    def passTime(self, seconds: float) -> None:
        """Have time pass, and look at everything."""
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)
            for name, node in list(self.nodes.items()):
                if name not in self.stopped:
                    node.clock.advance(STEP * node.rate)
            self.check()
            self._clients()
            self.check()

    def heal(self) -> None:
        """All faults end, everything is found out, and then no client wants anything: nothing is left."""
        for name in NAMES:
            self.goOn(name)
            self.setNetwork(name, "good")
        self.passTime(4 * TTL)
        self.wanted = dict.fromkeys(self.wanted)
        self.passTime(4 * TTL)
        assert not self.store.recovering
        assert self.mayLeave or not self.store.records(), self.store.records()
        assert all(node.membership.acting and not node.has for node in self.nodes.values())

    def live(self, steps: int = 60) -> None:
        """Have things happen at random, and all end well."""
        random = self.random
        for _ in range(steps):
            name = random.choice(NAMES)
            match random.randrange(20):
                case 0:
                    self.loseAll()
                case 1:
                    self.crash(name)
                case 2:
                    self.leave(name)
                case 3:
                    self.stop(name)
                case 4:
                    self.goOn(name)
                case 5 | 6 | 7:
                    self.want(name, random.choice(ADDRESSES))
                case 8 | 9 | 10:
                    self.setNetwork(name, random.choice(NETWORKS))
                case _:
                    self.passTime(random.choice(TIMES))
        self.heal()

    # What has to be true.

    def check(self) -> None:
        """No two tunnels are served at one address."""
        for address in ADDRESSES:
            keys = {}
            for name, node in self.nodes.items():
                owned = node.registry.owned(address)
                if owned is not None and node.registry.mayServe(address):
                    keys[owned.key] = name
            if len(keys) > 1:
                raise TwoOwners(f"{address} has two owners: {keys.values()}")

    # Clients.

    def _clients(self) -> None:
        for (name, address), key in self.wanted.items():
            node = self.nodes[name]
            if name in self.stopped or (node, address) in self._asking:
                continue
            owned = node.registry.owned(address)
            if owned is not None and (key is None or owned.key != digest(key).hex()):
                node.release(address)
            elif owned is None and key is not None:
                self._ask(node, address, key)

    def _ask(self, node: FakeNode, address: int, key: str) -> None:
        self._asking.add((node, address))

        def answered(answer: object) -> None:
            self._asking.discard((node, address))
            if isinstance(answer, Failure):
                answer.trap(Refusal)

        node.claim(address, key, NAMELESS).addBoth(answered)
