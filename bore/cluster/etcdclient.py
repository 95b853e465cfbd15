"""Transactions with an etcd cluster: by one of its members that answers, as a user if it has users."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredLock,
    DeferredSemaphore,
    TimeoutError,
    gatherResults,
)
from twisted.web.http import NOT_FOUND, OK

from bore.cluster.dialling import engineAway, engineRefuses
from bore.cluster.engine import ENGINE_TIMEOUT
from bore.cluster.etcdgateway import Answer, BadAnswer, Part, readAnswer, readError, readToken, transaction
from bore.cluster.etcdserver import EtcdServer, Reply, Unreachable
from bore.cluster.url import EngineUrl
from bore.streams.reactor import IReactor

#: How many members are tried within ENGINE_TIMEOUT.
_TRIES: Final = 3

#: How many transactions run at the same time, and how many more may wait: no more are carried out within
#: ENGINE_TIMEOUT.
_RUNNING: Final = 16
_WAITING: Final = 8192

#: Codes of gRPC that all members answer alike, and our texts for them.
_INVALID_ARGUMENT: Final = 3
_PERMISSION_DENIED: Final = 7
_RESOURCE_EXHAUSTED: Final = 8
_FAILED_PRECONDITION: Final = 9
_UNAUTHENTICATED: Final = 16

_FINAL: Final = (_INVALID_ARGUMENT, _PERMISSION_DENIED, _RESOURCE_EXHAUSTED, _FAILED_PRECONDITION, _UNAUTHENTICATED)

#: The error, with _INVALID_ARGUMENT, if the users have changed since a token was given.
_OLD_USERS: Final = "revision of auth store is old"

#: Errors that the operator can put right, and our texts for these.
_MISTAKES: Final = (
    ("user name is empty", "it requires a user: give one in the URL, as in etcds://USER:PASSWORD@10.0.0.5"),
    ("authentication failed", "it rejects the user or the password in the URL"),
    ("authentication is not enabled", "it has no users: leave the user out of the URL, or enable authentication"),
    ("permission denied", "it does not let us use its keys: give a user in the URL that has readwrite on them"),
    ("CommonName of client", "it has users, and then takes no certificate of ours with a common name: use one without"),
    ("database space exceeded", "its database is full: compact it, defragment it and disarm its alarm"),
)

_NO_GATEWAY: Final = "it has no JSON gateway under /v3: etcd 3.4 or later is needed"

#: How many characters of an error of etcd are shown.
_SHOWN: Final = 200


class EtcdClient:
    """
    A client of an etcd cluster. A member that does not answer is left for the next one.

    A transaction whose outcome is unknown is sent again: each has conditions that it does not meet twice, or does the
    same twice.
    """

    def __init__(self, reactor: IReactor, url: EngineUrl) -> None:
        self._reactor = reactor
        self._login = url.login
        self._servers = [EtcdServer(reactor, each, url.tls) for each in url.servers]
        self._current = 0
        self._running = DeferredSemaphore(_RUNNING)
        self._token = ""
        self._authenticating = DeferredLock()
        self._stopped = False

    def stop(self) -> Deferred[None]:
        """End all transactions, and close all connections."""
        self._stopped = True
        for waiting in list(self._running.waiting):
            waiting.cancel()
        return gatherResults([each.stop() for each in self._servers]).addCallback(lambda _: None)

    async def transact(
        self,
        until: float,
        conditions: Sequence[Part],
        success: Sequence[Part],
        failure: Sequence[Part] = (),
        urgent: bool = False,
    ) -> Answer:
        """
        Carry a transaction out.

        :param until: when it has to be answered, by the reactor's clock.
        :param success: the operations if all conditions are met.
        :param failure: the operations otherwise.
        :param urgent: whether it does not wait for others.
        :raises EngineAway: when no member answers, or etcd refuses it.
        """
        answer = await self._inTurn(until, transaction(conditions, success, failure), urgent)
        if len(answer.found) != len(success if answer.succeeded else failure):
            raise engineAway(None, "it has answered another transaction")
        return answer

    async def _inTurn(self, until: float, body: bytes, urgent: bool) -> Answer:
        if urgent:
            return await self._transact(until, body)
        if len(self._running.waiting) >= _WAITING:
            raise engineAway(None, f"more than {_WAITING} calls wait for it")
        try:
            await self._running.acquire().addTimeout(self._left(until), self._reactor)
        except TimeoutError:
            raise engineAway(None, "too many calls wait for it") from None
        except CancelledError:
            raise engineAway(None, "we have stopped") from None
        try:
            return await self._transact(until, body)
        finally:
            self._running.release()

    async def _transact(self, until: float, body: bytes) -> Answer:
        away = engineAway(None, "there is no time left for the call")
        for _ in range(_TRIES):
            if self._stopped or not self._left(until):
                break
            server = self._servers[self._current]
            try:
                return readAnswer(await self._ask(until, server, body))
            except (Unreachable, BadAnswer) as e:
                away = (engineRefuses if isinstance(e, BadAnswer) else engineAway)(server.place, str(e))
                self._leave(server)
        raise away

    async def _ask(self, until: float, server: EtcdServer, body: bytes) -> bytes:
        """Send a transaction to a member; with a new token, if it does not take the one that we have."""
        for _ in range(2):
            token = await self._tokenFor(until, server)
            reply = await server.ask("kv/txn", body, token, self._patience(until))
            code, text = readError(reply.body) if reply.status != OK else (0, "")
            if not token or (code != _UNAUTHENTICATED and _OLD_USERS not in text):
                break
            if self._token == token:
                self._token = ""
        return _accepted(server, reply)

    async def _tokenFor(self, until: float, server: EtcdServer) -> str:
        """The token of the user, which one call gets for all; empty: there is no user."""
        if self._token or not self._login.user:
            return self._token
        try:
            await self._authenticating.acquire().addTimeout(self._left(until), self._reactor)
        except TimeoutError:
            raise Unreachable("it does not answer") from None
        try:
            if self._stopped:
                raise Unreachable("we have stopped")
            if not self._token:
                body = json.dumps({"name": self._login.user, "password": self._login.password}).encode("ascii")
                reply = await server.ask("auth/authenticate", body, "", self._patience(until))
                self._token = readToken(_accepted(server, reply))
            return self._token
        finally:
            self._authenticating.release()

    def _left(self, until: float) -> float:
        return max(0.0, until - self._reactor.seconds())

    def _patience(self, until: float) -> float:
        """How long to wait for a member: there must be time for others."""
        return min(self._left(until), ENGINE_TIMEOUT / min(_TRIES, len(self._servers)))

    def _leave(self, server: EtcdServer) -> None:
        """Use the next member, unless another call has changed to one already."""
        if server is self._servers[self._current]:
            self._current = (self._current + 1) % len(self._servers)


def _accepted(server: EtcdServer, reply: Reply) -> bytes:
    """
    The body of an answer that is no error.

    :raises Unreachable: when another member may answer otherwise.
    :raises EngineAway: when all would answer so.
    """
    if reply.status == OK:
        return reply.body
    code, text = readError(reply.body)
    mistake = next((ours for words, ours in _MISTAKES if words in text), "")
    refusal = mistake or f"it refuses: {ascii(text[:_SHOWN])[1:-1]}"
    if mistake or code in _FINAL:
        raise engineRefuses(server.place, refusal)
    if not code:
        refusal = _NO_GATEWAY if reply.status == NOT_FOUND else f"it answers with the status {reply.status}"
    raise Unreachable(refusal)
