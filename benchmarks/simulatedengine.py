"""An engine and its clock for simulations: calls cost what was measured, and queue; nothing waits for real."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, ParamSpec, TypeVar, cast

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.cluster.engine import ENGINE_TIMEOUT, EngineAway
from bore.cluster.memory import MemoryEngine, MemoryStore

T = TypeVar("T")
P = ParamSpec("P")

#: Seconds of CPU time that a call takes at the engine: Redis, by ``python -m benchmarks.engines``.
COSTS: Final = {
    "enter": 50e-6,
    "beat": 40e-6,
    "grant": 40e-6,
    "leave": 35e-6,
    "restore": 50e-6,
    "recovered": 30e-6,
    "void": 50e-6,
    "depart": 50e-6,
    "records": 50e-6,
}

#: The same for each record of ``restore``, which is written: twice of what only looking it up takes.
PER_RECORD: Final = 8e-6

#: The same for each entry in the answer to a beat: all nodes are in it.
PER_NODE: Final = 1.1e-6

#: How many calls of a node are under way at the most, as in bore/cluster/redis.py, and what does not wait for them.
RUNNING: Final = 64
URGENT: Final = ("beat", "enter")

#: Seconds from a node to the engine and back.
ROUND_TRIP: Final = 0.5e-3


@implementer(IReactorTime)
class SimulatedClock:
    """A clock that goes from call to call. :class:`twisted.internet.task.Clock` sorts all calls at each new one."""

    def __init__(self) -> None:
        self._now = 0.0
        self._calls: list[tuple[float, int, DelayedCall]] = []
        self._count = 0

    def seconds(self) -> float:
        return self._now

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> DelayedCall:
        call = DelayedCall(self._now + delay, callable, args, kw, lambda call: None, self._push, self.seconds)
        self._push(call)
        return call

    def getDelayedCalls(self) -> list[DelayedCall]:
        return [call for _, _, call in self._calls if call.active()]

    def run(self, until: float) -> None:
        """Make all calls that are due by then."""
        while self._calls and self._calls[0][0] <= until:
            due, _, call = heapq.heappop(self._calls)
            if call.cancelled or call.called:
                continue
            if call.delayed_time > 0:
                call.activate_delay()
                self._push(call)
                continue
            self._now = max(self._now, due)
            call.called = 1
            call.func(*call.args, **call.kw)
        self._now = max(self._now, until)

    def _push(self, call: DelayedCall) -> None:
        self._count += 1
        heapq.heappush(self._calls, (call.time, self._count, call))


class Server:
    """
    The server of an engine, which carries out one call after the other.

    :ivar away: whether nothing answers.
    :ivar calls: how many calls it has carried out in each second.
    :ivar busy: seconds of its CPU time in each second.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.away = False
        self.calls: Counter[int] = Counter()
        self.busy: defaultdict[int, float] = defaultdict(float)
        self._free = 0.0

    def take(self, seconds: float) -> float:
        """Queue a call that takes this much CPU time; returns when it is carried out."""
        begin = max(self.clock.seconds(), self._free)
        self._free = begin + seconds
        self.calls[int(begin)] += 1
        self.busy[int(begin)] += seconds
        return self._free


class SimulatedEngine(MemoryEngine):
    """
    The engine as one node reaches it: no more than RUNNING calls are under way, and beats do not wait for others.

    :param nodes: how many nodes there are in its cluster.
    :ivar dead: whether the node is: nothing is sent, and nothing received.
    """

    def __init__(self, server: Server, store: MemoryStore, nodes: int) -> None:
        super().__init__(store)
        self._server = server
        self._nodes = nodes
        self._running = 0
        self._waiting: deque[tuple[Deferred[object], float, Callable[[], None]]] = deque()
        self.dead = False

    def _call(self, carryOut: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Deferred[T]:
        answer: Deferred[T] = Deferred()
        name = carryOut.__name__
        cost = COSTS[name]
        if name == "beat":
            cost += PER_NODE * self._nodes
        elif name == "restore":
            cost += PER_RECORD * len(arguments[1])  # type: ignore[arg-type]
        until = self._server.clock.seconds() + ENGINE_TIMEOUT
        send = partial(self._send, answer, until, cost, partial(carryOut, *arguments, **named), name in URGENT)
        if name in URGENT or self._running < RUNNING:
            send()
        else:
            self._waiting.append((cast("Deferred[object]", answer), until, send))
            if len(self._waiting) == 1:
                self._expireLater(until)
        return answer

    def _send(self, answer: Deferred[T], until: float, cost: float, carryOut: Callable[[], T], urgent: bool) -> None:
        clock = self._server.clock
        if self.dead:
            return
        self._running += not urgent
        done = until if self._server.away else self._server.take(cost) + ROUND_TRIP
        if done < until:
            clock.callLater(done - clock.seconds(), self._answer, answer, carryOut, urgent)
            return
        if not self._server.away:
            clock.callLater(done - clock.seconds(), self._carryOutLate, carryOut)
        clock.callLater(until - clock.seconds(), self._timeOut, answer, urgent)

    def _answer(self, answer: Deferred[T], carryOut: Callable[[], T], urgent: bool) -> None:
        if self.dead:
            return
        self._ended(urgent)
        try:
            result = carryOut()
        except Exception:
            answer.errback(Failure())
        else:
            answer.callback(result)

    def _carryOutLate(self, carryOut: Callable[[], object]) -> None:
        with suppress(Exception):  # nobody waits for the answer
            carryOut()

    def _timeOut(self, answer: Deferred[T], urgent: bool) -> None:
        if not self.dead:
            self._ended(urgent)
            answer.errback(EngineAway())

    def _ended(self, urgent: bool) -> None:
        """A call is under way no more: the next one may be."""
        self._running -= not urgent
        if self._waiting and self._running < RUNNING:
            self._waiting.popleft()[2]()

    def _expireLater(self, until: float) -> None:
        clock = self._server.clock
        clock.callLater(max(0.0, until - clock.seconds()), self._expire)

    def _expire(self) -> None:
        """Give up the calls that have waited for too long; they were not sent."""
        now = self._server.clock.seconds()
        while self._waiting and self._waiting[0][1] <= now and not self.dead:
            self._waiting.popleft()[0].errback(EngineAway())
        if self._waiting and not self.dead:
            self._expireLater(self._waiting[0][1])
