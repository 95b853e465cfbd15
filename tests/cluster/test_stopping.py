"""Nodes that leave the cluster while the engine has still to answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from bore.cluster.engine import Voided
from bore.cluster.memory import MemoryStore
from tests.cluster.clustercase import ClusterCase, FakeNode, FaultyEngine

T = TypeVar("T")
P = ParamSpec("P")


class HeldEngine(FaultyEngine):
    """
    An engine that carries a call out, and whose answer waits.

    :ivar holds: the name of the call.
    """

    holds = ""

    def __init__(self, clock: Clock, store: MemoryStore) -> None:
        super().__init__(clock, store)
        self._held: Deferred[object] | None = None
        self._answer: object = None

    def answer(self, error: Exception | None) -> None:
        """Give the answer; None: what the call has returned."""
        assert self._held is not None
        self._held.callback(self._answer if error is None else Failure(error))

    def _call(self, carryOut: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Deferred[T]:
        calling = super()._call(carryOut, *arguments, **named)
        if carryOut.__name__ != self.holds or self._held is not None:
            return calling
        calling.addCallback(partial(setattr, self, "_answer"))
        held: Deferred[T] = Deferred()
        self._held = cast(Deferred[object], held)
        return held


class StoppingTests(ClusterCase):
    """What a node does that was stopped."""

    def test_oneThatStopsDuringACallDoesNothingElse(self) -> None:
        """Calls may be carried out in another order than they were made."""
        other = self.node("other")
        for call, answer in (("beat", Voided()), ("beat", None), ("enter", None)):
            one = FakeNode(self.clock, self.store, "one", makeEngine=HeldEngine)
            assert isinstance(one.engine, HeldEngine)
            one.engine.holds = call if call == "enter" else ""
            self.nodes.append(one)
            one.membership.start()
            self.pass_(2)
            one.engine.holds = call
            self.pass_(2)
            one.events.clear()
            stopping = one.membership.stop()
            one.engine.calls.clear()
            one.engine.answer(answer)
            self.successResultOf(stopping)
            self.pass_(5)
            self.assertEqual([each for each in one.engine.calls if each != "depart"], [], call)
            self.assertEqual(one.events, [])
            self.assertEqual(other.membership.neighbours.all(), [])
