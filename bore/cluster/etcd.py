"""
The engine in etcd.

Each call reads, decides by :mod:`bore.cluster.rules`, and writes on the condition that nothing that counts has changed
since; if it has, the call begins again. The transactions of etcd are linearizable, and survive the loss of any minority
of its members. What the keys are is said in :mod:`bore.cluster.etcdstore`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Concatenate, Final, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.cluster.dialling import engineRefuses, strangersText
from bore.cluster.engine import ENGINE_TIMEOUT, Beaten, EngineAway, Node, Record, Voided, Wanted
from bore.cluster.etcdclient import EtcdClient
from bore.cluster.etcdgateway import countAll, delete, get, getAll, getNames, isLess, put, unchanged, unchangedAll
from bore.cluster.etcdstore import MAX_WRITTEN, EtcdStore, beatText, entryIn, entryText, recordIn
from bore.cluster.etcdsweep import sweep
from bore.cluster.rules import granted, left, mayVoid, numberFor, restored
from bore.cluster.url import EngineUrl
from bore.streams.reactor import IReactor
from bore.wire.errors import MalformedMessage

#: How long tidying up behind a member may take, in seconds: ten times what 60 000 records take.
_SWEEP_TIMEOUT: Final = 60.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


class EtcdEngine:
    """
    See :class:`bore.cluster.engine.Engine`. There is nothing to wait for at its start: each call finds a member of etcd
    that answers.
    """

    _log: Final = Logger()

    def __init__(self, reactor: IReactor, url: EngineUrl) -> None:
        self._reactor = reactor
        self._prefix = url.prefix
        self._client = EtcdClient(reactor, url)
        self._store = EtcdStore(self._client, url.prefix)
        self._beaten = ("", 0)  # the member that has beaten last, and the beat that was acknowledged

    def start(self) -> None:
        """See :meth:`bore.cluster.engine.Engine.start`."""

    def stop(self) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.stop`."""
        return self._client.stop()

    def enter(self, node: Node) -> Deferred[int]:
        """See :meth:`bore.cluster.engine.Engine.enter`."""
        return self._call(self._enter, node)

    def beat(self, node: Node) -> Deferred[Beaten]:
        """See :meth:`bore.cluster.engine.Engine.beat`."""
        return self._call(self._beat, node)

    def void(self, member: str, beat: int) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.void`."""
        return self._call(self._remove, member, beat)

    def grant(self, wanted: Wanted) -> Deferred[Record]:
        """See :meth:`bore.cluster.engine.Engine.grant`."""
        return self._call(self._grant, wanted)

    def leave(self, member: str, address: int, claim: int) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.leave`."""
        return self._call(self._leave, member, address, claim)

    def restore(self, member: str, records: Sequence[Record]) -> Deferred[Sequence[int]]:
        """See :meth:`bore.cluster.engine.Engine.restore`."""
        return self._call(self._restore, member, records)

    def recovered(self, incarnation: str) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.recovered`."""
        return self._call(self._recovered, incarnation)

    def depart(self, member: str) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.depart`."""
        return self._call(self._remove, member, None)

    def records(self) -> Deferred[Sequence[Record]]:
        """See :meth:`bore.cluster.engine.Engine.records`."""
        return self._call(self._records)

    def _call(
        self,
        carryOut: Callable[Concatenate[float, _P], Coroutine[Deferred[object], object, _T]],
        *arguments: _P.args,
        **named: _P.kwargs,
    ) -> Deferred[_T]:
        until = self._reactor.seconds() + ENGINE_TIMEOUT
        return Deferred.fromCoroutine(carryOut(until, *arguments, **named)).addErrback(self._failed)

    def _failed(self, reason: Failure) -> Failure:
        if isinstance(reason.value, MalformedMessage):
            return Failure(engineRefuses(None, strangersText(self._prefix, reason.value)))
        return reason

    async def _enter(self, until: float, node: Node) -> int:
        store = self._store
        while True:
            view = await store.read(until, getAll(store.nodes), get(store.entered))
            nodes, last = view.found
            entries = [entry for each in nodes.entries if (entry := entryIn(each))]
            for entry in entries:
                if entry.member == node.member:  # an earlier transaction of this call
                    return entry.number
            entry = replace(node, number=numberFor(node, entries))
            written = [put(store.entered, node.member), put(store.nodeKey(node.member), entryText(entry))]
            if await store.write(until, view, [unchanged(store.entered, last.only)], written):
                self._beaten = (node.member, node.beat)
                return entry.number

    async def _beat(self, until: float, node: Node) -> Beaten:
        store, key = self._store, self._store.nodeKey(node.member)
        nodes = getAll(store.nodes)
        later, write = isLess(key, beatText(node.beat)), put(key, entryText(node))
        member, beat = self._beaten  # before it is sent: answers to several beats may come in another order
        view = await store.transact(until, [later], [write, nodes], [get(key), nodes], urgent=True)
        before = entryIn(view.found[0].only)
        if before is None:
            raise Voided
        if member == node.member and before.beat < beat:  # which was acknowledged: etcd is back in an earlier state
            await store.lost(until, view)
            raise Voided
        self._beaten = (node.member, node.beat)
        entries = [entry for each in view.found[1].entries if (entry := entryIn(each))]
        return Beaten(entries, view.state.incarnation, view.state.recovering)

    async def _remove(self, until: float, member: str, beat: int | None) -> None:
        """
        Remove a member.

        :param beat: only if this is the beat of its entry; None: whatever it is.
        """
        key, removing = self._store.nodeKey(member), False
        while True:
            view = await self._store.read(until, get(key))
            entry = view.found[0].only
            if entry is None and removing:
                break
            if beat is not None and not mayVoid(entryIn(entry), beat):
                return
            removing = True
            if await self._store.write(until, view, [unchanged(key, entry)], [delete(key)]):
                break
        await self._tidied(until, member)

    def _tidied(self, until: float, member: str) -> Deferred[None]:
        """Tidy up behind a member. That may take longer than the call."""
        answered: Deferred[None] = Deferred()

        def ended(result: Failure | None) -> None:
            if isinstance(result, Failure) and not result.check(EngineAway, MalformedMessage):
                self._log.failure("tidying up behind {member} has failed", result, member=member)
            if not answered.called:
                answered.callback(None)

        now = self._reactor.seconds()
        Deferred.fromCoroutine(sweep(self._store, now + _SWEEP_TIMEOUT, member)).addBoth(ended)
        return answered.addTimeout(max(0.0, until - now), self._reactor, lambda *_: None)

    async def _grant(self, until: float, wanted: Wanted) -> Record:
        store, member, address = self._store, wanted.member, wanted.address
        nodeKey, recordKey, ofUser = store.nodeKey(member), store.recordKey(address), store.recordsOf(wanted.user)
        asked = [getNames(store.nodes), get(recordKey)]
        if wanted.limit is not None:
            asked.append(countAll(ofUser))
        while True:
            view = await store.read(until, *asked)
            nodes, stored, *counted = view.found
            before = recordIn(stored.only)
            others = sum(each.count for each in counted) - (before is not None and before.user == wanted.user)
            alive = store.membersIn(nodes)
            record = granted(before, wanted, alive, view.state.recovering, others, view.nextEpoch)
            if record == before:
                return record
            # If this is carried out late, the member has beaten again, and it is refused.
            conditions = [unchanged(nodeKey, alive[member]), unchanged(recordKey, stored.only)]
            if wanted.limit is not None:
                conditions.append(unchangedAll(ofUser, view.revision))
            if await store.write(until, view, conditions, store.recordWritten(address, before, record)):
                return record

    async def _leave(self, until: float, member: str, address: int, claim: int) -> None:
        store, key = self._store, self._store.recordKey(address)
        while True:
            view = await store.read(until, getNames(store.nodes), get(key))
            nodes, stored = view.found
            before = recordIn(stored.only)
            record = None if before is None else left(before, member, claim, store.membersIn(nodes))
            if record == before:
                return
            written = store.recordWritten(address, before, record)
            if await store.write(until, view, [unchanged(key, stored.only)], written):
                return

    async def _restore(self, until: float, member: str, records: Sequence[Record]) -> Sequence[int]:
        lost: list[int] = []
        for start in range(0, max(1, len(records)), MAX_WRITTEN):
            part = records[start : start + MAX_WRITTEN]
            while (found := await self._restorePart(until, member, part)) is None:
                pass
            lost += found
        return lost

    async def _restorePart(self, until: float, member: str, records: Sequence[Record]) -> list[int] | None:
        """Restore some; None: what was read has changed meanwhile."""
        store, key = self._store, self._store.nodeKey(member)
        view = await store.read(until, get(key), *(get(store.recordKey(each.address)) for each in records))
        entry, *stored = view.found
        if entry.only is None:
            raise Voided
        lost, written = [], []
        conditions = [unchanged(key, entry.only)]
        state = view.state
        for own, found in zip(records, stored, strict=True):
            before = recordIn(found.only)
            record = restored(before, own, member, state.recovering)
            if record is None:
                lost.append(own.address)
            elif record != before:
                state = replace(state, base=max(state.base, record.epoch - view.revision))
                conditions.append(unchanged(store.recordKey(own.address), found.only))
                written += store.recordWritten(own.address, before, record)
        if state != view.state:
            written.append(store.stateWritten(state))
        return lost if not written or await store.write(until, view, conditions, written) else None

    async def _recovered(self, until: float, incarnation: str) -> None:
        while True:
            view = await self._store.read(until)
            if view.state.incarnation != incarnation or not view.state.recovering:
                return
            over = self._store.stateWritten(replace(view.state, recovering=False))
            if await self._store.write(until, view, [], [over]):
                return

    async def _records(self, until: float) -> Sequence[Record]:
        found: list[Record] = []
        for page in await self._store.pages(until):
            view = await self._store.read(until, page)
            found += [record for each in view.found[0].entries if (record := recordIn(each))]
        return found
