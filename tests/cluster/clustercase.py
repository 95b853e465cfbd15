"""Shared by the tests of nodes: engines that fail, and nodes with clocks of their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.cluster.engine import ENGINE_TIMEOUT, EngineAway, EngineRefuses
from bore.cluster.membership import Membership
from bore.cluster.memory import MemoryEngine, MemoryStore
from bore.cluster.registry import ClusterRegistry
from bore.events import Event
from bore.server.registry import Grant, LocalRegistry
from bore.server.users import NAMELESS, User
from bore.wire.publicaddress import PublicAddress

T = TypeVar("T")
P = ParamSpec("P")

TTL = 60


class FaultyEngine(MemoryEngine):
    """
    An engine that can fail.

    :ivar fault: what becomes of calls: ``""``: nothing; ``lost``: they do not arrive; ``unanswered``: they are carried
        out, and their answers are lost; ``late``: they are carried out when :meth:`carryOut` is called; ``restore``:
        as ``late``, for these calls alone.
    :ivar refuses: the names of the calls that the engine refuses.
    :ivar refusal: what it says then.
    :ivar late: the calls that are still to be carried out.
    :ivar calls: the names of all calls that were made.
    """

    def __init__(self, clock: Clock, store: MemoryStore) -> None:
        super().__init__(store)
        self._clock = clock
        self.fault = ""
        self.refuses: set[str] = set()
        self.refusal = ""
        self.late: list[Callable[[], object]] = []
        self.calls: list[str] = []

    def carryOut(self) -> None:
        """Carry out the calls that come late."""
        late, self.late = self.late, []
        for call in late:
            with suppress(Exception):  # nobody waits for the answer
                call()

    def _call(self, carryOut: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Deferred[T]:
        self.calls.append(carryOut.__name__)
        if carryOut.__name__ in self.refuses:
            return fail(EngineRefuses(self.refusal))
        if self.fault in ("", "restore") and carryOut.__name__ != self.fault:
            return super()._call(carryOut, *arguments, **named)
        self.late.append(partial(carryOut, *arguments, **named))
        match self.fault:
            case "lost":
                self.late.pop()
            case "unanswered":
                self.carryOut()
        answer: Deferred[T] = Deferred()
        self._clock.callLater(ENGINE_TIMEOUT, answer.errback, EngineAway())
        return answer


class FakeNode:
    """
    A node of a cluster, without sockets.

    :param offset: by how much its clock is ahead, in seconds.
    :param rate: how fast its clock is.
    :param ttl: the time to live of members.
    :param makeEngine: makes its engine.
    :param advertise: where it is reached; empty: where its name says.
    :ivar offset: see above; a clock that stands still falls behind.
    :ivar timeOfDay: the time of day, in seconds.
    :ivar has: its tunnels.
    :ivar acts: what the membership has reported.
    :ivar events: the events of the node.
    """

    def __init__(
        self,
        clock: Clock,
        store: MemoryStore,
        name: str,
        offset: float = 0,
        rate: float = 1,
        ttl: float = TTL,
        makeEngine: Callable[[Clock, MemoryStore], FaultyEngine] = FaultyEngine,
        advertise: str = "",
    ) -> None:
        self.clock = Clock()
        self._real = clock
        self.offset = offset
        self.rate = rate
        self.engine = makeEngine(self.clock, store)
        advertise = advertise or f"tls://{name}.example.com:7835"
        now = self.seconds
        self.timeOfDay = 0.0  # it stands still: the other clock decides
        self.membership = Membership(self.clock, self.engine, name, advertise, "1.0", ttl, now, lambda: self.timeOfDay)
        self.registry = ClusterRegistry(LocalRegistry(self.clock, 60), self.membership)
        self.registry.ended = self._ended
        self.registry.expired = lambda grant: self._forget(grant)
        self.has: dict[PublicAddress, Grant] = {}
        self.ended: list[PublicAddress] = []
        self.acts: list[bool] = []
        self.events: list[Event] = []
        self.membership.reports.emit = self.events.append
        self.membership.acts = self.acts.append

    def seconds(self) -> float:
        """Its clock that goes on while the process is stopped."""
        return self._real.seconds() * self.rate + self.offset

    def claim(self, address: int, key: str, user: User = NAMELESS, limit: int = 0) -> Deferred[Grant]:
        return self.registry.claim(address, user, key, limit).addCallback(self._granted)

    def release(self, address: int) -> None:
        self.registry.release(self.has.pop(address))

    def serves(self, address: int) -> bool:
        """Whether it takes new visitors of a tunnel of its own."""
        return address in self.has and self.registry.mayServe(address)

    def _granted(self, grant: Grant) -> Grant:
        self.has[grant.address] = grant
        return grant

    def _ended(self, address: PublicAddress) -> None:
        self.ended.append(address)
        self.registry.release(self.has.pop(address))

    def _forget(self, grant: Grant) -> None:
        del self.has[grant.address]


class ClusterCase(SynchronousTestCase):
    """
    Nodes of a cluster.

    :ivar recovers: whether the engine is still recovering when the nodes start.
    """

    recovers = False

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore()
        self.store.recovering = self.recovers
        self.nodes: list[FakeNode] = []
        self.stopped: set[FakeNode] = set()
        self.addCleanup(self._leaveNothing)

    def _leaveNothing(self) -> None:
        for node in self.nodes:
            node.engine.fault = ""
            self.successResultOf(node.membership.stop())
            node.registry.close()
            self.stopped.discard(node)
        self.pass_(4)
        for node in self.nodes:
            self.assertEqual(node.clock.getDelayedCalls(), [])

    def node(self, name: str, offset: float = 0, fault: str = "") -> FakeNode:
        """Start a node."""
        node = FakeNode(self.clock, self.store, name, offset)
        node.engine.fault = fault
        self.nodes.append(node)
        node.membership.start()
        return node

    def pass_(self, seconds: float, step: float = 0.5) -> None:
        """Have time pass, for all nodes whose process is not stopped."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            for node in self.nodes:
                if node not in self.stopped:
                    node.clock.advance(step)

    def failure(self, deferred: Deferred[T], error: type[Exception]) -> None:
        self.failureResultOf(deferred, error)

    def assertNoTwo(self, address: int) -> None:
        """At most one key is served at an address."""
        keys = set()
        for node in self.nodes:
            owned = node.registry.owned(address)
            if owned is not None and node not in self.stopped and node.registry.mayServe(address):
                keys.add(owned.key)
        self.assertLess(len(keys), 2)
