"""An engine in memory: for tests, for the model of the cluster, and for simulations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed

from bore.cluster.engine import Beaten, EngineAway, Node, Record, Voided, Wanted
from bore.cluster.rules import beaten, granted, left, mayVoid, numberFor, restored, without

T = TypeVar("T")
P = ParamSpec("P")


class MemoryStore:
    """
    What an engine keeps. Its methods are the calls of an engine, each of which is carried out at once, and raises what
    the call fails with.

    :ivar incarnation: see :attr:`bore.cluster.engine.Beaten.incarnation`.
    :ivar recovering: see :attr:`bore.cluster.engine.Beaten.recovering`.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self.begin()

    def begin(self) -> None:
        """Begin a new incarnation, as something was lost."""
        self.incarnation = token_hex(8)
        self.recovering = True
        self._nodes: dict[str, Node] = {}
        self._records: dict[int, Record] = {}
        self._byMember: dict[str, set[int]] = {}
        self._byUser: dict[str, set[int]] = {}

    def enter(self, node: Node) -> int:
        """See :meth:`bore.cluster.engine.Engine.enter`."""
        number = numberFor(node, self._nodes.values())
        self._nodes[node.member] = replace(node, number=number)
        return number

    def beat(self, node: Node) -> Beaten:
        """See :meth:`bore.cluster.engine.Engine.beat`."""
        self._nodes[node.member] = beaten(self._nodes.get(node.member), node)
        return Beaten(list(self._nodes.values()), self.incarnation, self.recovering)

    def void(self, member: str, beat: int) -> None:
        """See :meth:`bore.cluster.engine.Engine.void`."""
        if mayVoid(self._nodes.get(member), beat):
            self.depart(member)

    def depart(self, member: str) -> None:
        """See :meth:`bore.cluster.engine.Engine.depart`."""
        self._nodes.pop(member, None)
        for address in list(self._byMember.get(member, ())):
            self._put(address, without(self._records[address], member, self._nodes))

    def grant(self, wanted: Wanted) -> Record:
        """See :meth:`bore.cluster.engine.Engine.grant`."""
        mine = self._byUser.get(wanted.user, set())
        others = len(mine) - (wanted.address in mine)
        before = self._records.get(wanted.address)
        record = granted(before, wanted, self._nodes, self.recovering, others, self._epoch + 1)
        self._put(wanted.address, record)
        return record

    def leave(self, member: str, address: int, claim: int) -> None:
        """See :meth:`bore.cluster.engine.Engine.leave`."""
        record = self._records.get(address)
        if record is not None:
            self._put(address, left(record, member, claim, self._nodes))

    def restore(self, member: str, records: Sequence[Record]) -> list[int]:
        """See :meth:`bore.cluster.engine.Engine.restore`."""
        if member not in self._nodes:
            raise Voided
        lost = []
        for own in records:
            record = restored(self._records.get(own.address), own, member, self.recovering)
            if record is None:
                lost.append(own.address)
            else:
                self._put(own.address, record)
        return lost

    def recovered(self, incarnation: str) -> None:
        """See :meth:`bore.cluster.engine.Engine.recovered`."""
        if incarnation == self.incarnation:
            self.recovering = False

    def records(self) -> list[Record]:
        """See :meth:`bore.cluster.engine.Engine.records`."""
        return list(self._records.values())

    def _put(self, address: int, record: Record | None) -> None:
        before = self._records.pop(address, None)
        if before is not None:
            self._byUser[before.user].discard(address)
            for member in before.members:
                self._byMember[member].discard(address)
        if record is not None:
            self._epoch = max(self._epoch, record.epoch)
            self._records[address] = record
            self._byUser.setdefault(record.user, set()).add(address)
            for member in record.members:
                self._byMember.setdefault(member, set()).add(address)


class MemoryEngine:
    """
    The engine of one node, over a store that it shares with others. It answers at once.

    :ivar away: whether it does not answer: then calls fail at once, and change nothing.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.away = False

    def start(self) -> None:
        """See :meth:`bore.cluster.engine.Engine.start`."""

    def stop(self) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.stop`."""
        self.away = True
        return succeed(None)

    def enter(self, node: Node) -> Deferred[int]:
        """See :meth:`bore.cluster.engine.Engine.enter`."""
        return self._call(self._store.enter, node)

    def beat(self, node: Node) -> Deferred[Beaten]:
        """See :meth:`bore.cluster.engine.Engine.beat`."""
        return self._call(self._store.beat, node)

    def void(self, member: str, beat: int) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.void`."""
        return self._call(self._store.void, member, beat)

    def grant(self, wanted: Wanted) -> Deferred[Record]:
        """See :meth:`bore.cluster.engine.Engine.grant`."""
        return self._call(self._store.grant, wanted)

    def leave(self, member: str, address: int, claim: int) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.leave`."""
        return self._call(self._store.leave, member, address, claim)

    def restore(self, member: str, records: Sequence[Record]) -> Deferred[Sequence[int]]:
        """See :meth:`bore.cluster.engine.Engine.restore`."""
        return self._call(self._store.restore, member, records)

    def recovered(self, incarnation: str) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.recovered`."""
        return self._call(self._store.recovered, incarnation)

    def depart(self, member: str) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.depart`."""
        return self._call(self._store.depart, member)

    def records(self) -> Deferred[Sequence[Record]]:
        """See :meth:`bore.cluster.engine.Engine.records`."""
        return self._call(self._store.records)

    def _call(self, carryOut: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Deferred[T]:
        return fail(EngineAway()) if self.away else maybeDeferred(carryOut, *arguments, **named)
