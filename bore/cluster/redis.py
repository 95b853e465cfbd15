"""
The engine in a Redis or Valkey server, alone, with replicas, or behind Sentinels.

Each call is one script, which is atomic: see :mod:`bore.cluster.redisscripts`. It counts when all replicas that are
there have what it has written, and at least as many as the URL requires. With Sentinels, a beat counts only if most of
them, asked after it was sent, name the server as the master: so a member ceases to be an owner when it can only reach a
master that has been replaced.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import Final, TypeAlias, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, fail, succeed
from twisted.python.failure import Failure

from bore.cluster import redisscripts as scripts
from bore.cluster.dialling import engineAway, engineRefuses, strangersText
from bore.cluster.engine import (
    ENGINE_TIMEOUT,
    Beaten,
    EngineAway,
    EngineRefuses,
    Node,
    Record,
    Recovering,
    Taken,
    UserLimit,
    Voided,
    Wanted,
)
from bore.cluster.redisheld import HeldRedis
from bore.cluster.redislink import RedisLink, Script
from bore.cluster.sentinels import NoMaster, Sentinels
from bore.cluster.stored import nodeFrom, recordFrom, textOf
from bore.cluster.url import SENTINEL, EngineUrl
from bore.streams.reactor import IReactor
from bore.wire.errors import MalformedMessage

_T = TypeVar("_T")

#: The object that a script has returned.
_Answer: TypeAlias = dict[object, object]

#: How many records a step reads at most, or about so many: the server does nothing else meanwhile.
_PAGE: Final = 500

#: How many calls run at the same time, and how many more may wait: no more are carried out within ENGINE_TIMEOUT.
_RUNNING: Final = 64
_WAITING: Final = 8192

#: The cursor of the first page, and behind the last one.
_FIRST: Final = "0"

#: How many characters of an unexpected answer are shown.
_SHOWN: Final = 200

_EVICTS: Final = "it may evict keys when it is full: set its maxmemory-policy to noeviction"

#: What an answer says against a call.
_REFUSALS: Final = {"voided": Voided, "recovering": Recovering, "limit": UserLimit}


class RedisEngine:
    """
    The engine of one node.

    :param url: of the kind REDIS or SENTINEL.
    """

    def __init__(self, reactor: IReactor, url: EngineUrl) -> None:
        self._reactor = reactor
        self._prefix = url.prefix
        self._replicas = url.replicas
        self._sentinels = Sentinels(reactor, url) if url.kind == SENTINEL else None
        find = partial(succeed, url.servers[0]) if self._sentinels is None else self._sentinels.master
        self._running = DeferredSemaphore(_RUNNING)
        self._held = HeldRedis(reactor, find, url.login, url.tls, url.database)

    def start(self) -> None:
        """See :meth:`bore.cluster.engine.Engine.start`."""
        if self._sentinels is not None:
            self._sentinels.start()
        self._held.start()

    def stop(self) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.stop`."""
        for waiting in list(self._running.waiting):
            waiting.cancel()
        sentinels = self._sentinels
        stopping = self._held.stop()
        return stopping if sentinels is None else stopping.addCallback(lambda _: sentinels.stop())

    def enter(self, node: Node) -> Deferred[int]:
        """See :meth:`bore.cluster.engine.Engine.enter`."""
        return self._call(self._enter(node), urgent=True)

    def beat(self, node: Node) -> Deferred[Beaten]:
        """See :meth:`bore.cluster.engine.Engine.beat`."""
        return self._call(self._beat(node), urgent=True)

    def void(self, member: str, beat: int) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.void`."""
        return self._call(self._void(member, str(beat)), urgent=True)

    def grant(self, wanted: Wanted) -> Deferred[Record]:
        """See :meth:`bore.cluster.engine.Engine.grant`."""
        return self._call(self._grant(wanted))

    def leave(self, member: str, address: int, claim: int) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.leave`."""
        return self._call(self._tell(scripts.LEAVE, member, address, claim))

    def restore(self, member: str, records: Sequence[Record]) -> Deferred[Sequence[int]]:
        """See :meth:`bore.cluster.engine.Engine.restore`."""
        return self._call(self._restore(member, records))

    def recovered(self, incarnation: str) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.recovered`."""
        return self._call(self._tell(scripts.RECOVERED, incarnation))

    def depart(self, member: str) -> Deferred[None]:
        """See :meth:`bore.cluster.engine.Engine.depart`."""
        return self._call(self._void(member, "any"))

    def records(self) -> Deferred[Sequence[Record]]:
        """See :meth:`bore.cluster.engine.Engine.records`."""
        return self._call(self._records())

    async def _enter(self, node: Node) -> int:
        link, answer = await self._write(scripts.ENTER, node.member, textOf(node))
        await self._agreed(link)
        match answer:
            case {"number": int(number)}:
                return number
        raise self._strange(answer)

    async def _beat(self, node: Node) -> Beaten:
        link, answer = await self._write(scripts.BEAT, node.member, textOf(node))
        await self._agreed(link)
        match answer:
            case {"nodes": [*nodes], "incarnation": str(incarnation), "recovering": bool(recovering)}:
                return Beaten([nodeFrom(str(each)) for each in nodes], incarnation, recovering)
        raise self._strange(answer)

    async def _void(self, member: str, beat: str) -> None:
        _, answer = await self._write(scripts.VOID, member, beat)
        if answer.get("gone"):
            cursor = _FIRST
            while True:
                _, page = await self._step(scripts.SWEEP, member, cursor, _PAGE)
                cursor = str(page.get("cursor"))
                if cursor == _FIRST:
                    return

    async def _grant(self, wanted: Wanted) -> Record:
        limit = "" if wanted.limit is None else wanted.limit
        member, address, claim = wanted.member, wanted.address, wanted.claim
        link, answer = await self._step(scripts.GRANT, member, address, wanted.key, wanted.user, claim, limit)
        try:
            await self._confirmed(link, answer)
        except EngineAway:
            if not answer.get("had"):
                await link.evaluate(scripts.LEAVE, self._prefix, token_hex(8), member, address, claim)
            raise
        return recordFrom(str(answer.get("record")))

    async def _restore(self, member: str, records: Sequence[Record]) -> Sequence[int]:
        texts = ",".join(textOf(replace(each, members={member: each.members[member]})) for each in records)
        _, answer = await self._write(scripts.RESTORE, member, f"[{texts}]")
        return [int(each) for each in str(answer.get("lost")).split()]

    async def _records(self) -> Sequence[Record]:
        found: dict[int, Record] = {}  # a page may have some again
        cursor = ""
        while cursor != _FIRST:
            _, page = await self._step(scripts.RECORDS, cursor or _FIRST, _PAGE)
            match page:
                case {"records": list() | dict() as texts, "cursor": str(cursor)}:  # an empty list comes as {}
                    records = [recordFrom(str(each)) for each in texts]
                    found.update((each.address, each) for each in records)
                case _:
                    raise self._strange(page)
        return list(found.values())

    async def _step(self, script: Script, *arguments: str | int) -> tuple[RedisLink, _Answer]:
        """Run a script; return the connection, and the answer."""
        link = await self._held.link()
        reply = await link.evaluate(script, self._prefix, token_hex(8), *arguments)
        try:
            answer: object = json.loads(reply) if isinstance(reply, str) else None
        except (ValueError, RecursionError):
            answer = None
        match answer:
            case {"no": "taken", "record": str(record)}:
                raise Taken(recordFrom(record))
            case {"no": "evicts"}:
                raise engineRefuses(link.server, _EVICTS)
            case {"no": str(no)} if no in _REFUSALS:
                raise _REFUSALS[no]
            case {"replicas": int(replicas), **others}:
                return link, {"replicas": replicas, **others}
        raise self._strange(reply)

    async def _write(self, script: Script, *arguments: str | int) -> tuple[RedisLink, _Answer]:
        """Run a script, and wait until the replicas have what it has written."""
        link, answer = await self._step(script, *arguments)
        await self._confirmed(link, answer)
        return link, answer

    async def _tell(self, script: Script, *arguments: str | int) -> None:
        await self._write(script, *arguments)

    async def _confirmed(self, link: RedisLink, answer: _Answer) -> None:
        connected = answer.get("replicas")
        needed = max(self._replicas, connected if isinstance(connected, int) else 0)
        if needed and (count := await link.confirmed(needed)) < needed:
            raise engineAway(link.server, f"replicas that have confirmed a write in time: {count} of {needed}")

    async def _agreed(self, link: RedisLink) -> None:
        """See that most Sentinels still name the server that was written to as the master."""
        if self._sentinels is None:
            return
        try:
            master = await self._sentinels.master()
        except NoMaster as e:
            raise engineAway(link.server, str(e)) from None
        if master != link.server:
            link.drop(f"the Sentinels name another master, {master}")
            raise engineAway(link.server, link.why)

    def _call(self, steps: Coroutine[Deferred[object], object, _T], urgent: bool = False) -> Deferred[_T]:
        """
        Begin a call.

        :param urgent: whether it does not wait for others.
        """
        if not urgent and len(self._running.waiting) >= _WAITING:
            steps.close()
            return fail(engineAway(self._held.server, f"more than {_WAITING} calls wait for it"))
        calling = Deferred.fromCoroutine(steps if urgent else self._inTurn(steps))
        calling.addTimeout(ENGINE_TIMEOUT, self._reactor, lambda *_: Failure(self._held.timedOut()))
        return calling.addErrback(self._malformed)

    async def _inTurn(self, steps: Coroutine[Deferred[object], object, _T]) -> _T:
        try:
            await self._running.acquire()
        except CancelledError:  # it was late, or we have stopped
            steps.close()
            raise self._held.away() from None
        try:
            return await steps
        finally:
            self._running.release()

    def _malformed(self, reason: Failure) -> Failure:
        """The database has something that we have not written."""
        if not isinstance(reason.value, MalformedMessage):
            return reason
        return Failure(engineRefuses(self._held.server, strangersText(self._prefix, reason.value)))

    def _strange(self, answer: object) -> EngineRefuses:
        return engineRefuses(self._held.server, f"it has answered {str(answer)[:_SHOWN]!r}")
