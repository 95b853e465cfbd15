"""One connection to a Redis server."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from hashlib import sha1
from typing import Final, TypeAlias
from typing import Protocol as Interface

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import BaseRedisProtocol, RedisError, ResponseError

from bore.cluster.dialling import MAX_ANSWER, TOO_LONG, engineAway, engineRefuses
from bore.cluster.engine import EngineAway
from bore.cluster.url import EngineServer
from bore.streams.transport import IStreamTransport

#: What a server answers.
Reply: TypeAlias = "str | int | list[Reply] | None"

#: How long the replicas have to confirm a write, in milliseconds. A call may have to wait for two others before, and
#: its write should be undone within ENGINE_TIMEOUT.
_REPLICATION_TIMEOUT: Final = 750

#: The begin of an error: the server does not have a script yet.
_NO_SCRIPT: Final = "NOSCRIPT"

#: A part of an error, behind others in Redis 6: the server was the master, and is not any more.
_READ_ONLY: Final = "READONLY"

#: What a server adds to the error of a script.
_PLACE: Final = re.compile(r" script: [0-9a-f]{40}\b.*")

#: How many characters of an error are shown: some have instructions of several lines.
_SHOWN: Final = 200

_CUT: Final = "the connection was cut"

_NO_REDIS: Final = "it does not answer in the protocol of Redis"


def replyText(error: BaseException | None) -> str:
    """The text of an error that a server has answered, without the place in a script."""
    return _PLACE.sub("", str(error).removeprefix("ERR "))[:_SHOWN]


class Commands(Interface):
    """What is used of txredisapi's protocol, which is not annotated."""

    transport: IStreamTransport
    connected: int
    broken: Callable[[str], None]

    def whenConnected(self) -> Deferred[Commands]:
        """Fire when commands can be sent."""

    def execute_command(self, *words: str | int) -> Deferred[Reply]:
        """
        Send a command. Fails with ResponseError when the answer is an error, and with another RedisError when the
        connection is lost.
        """


class _Broken(Exception):
    """What was received is no answer; the text says why."""


class RedisProtocol(BaseRedisProtocol):  # type: ignore[misc]
    """
    txredisapi's protocol, which by itself takes answers of any length, and any number that nobody has asked for.

    :ivar broken: called with what is wrong when the server sends what cannot be an answer: the connection has to end.
    """

    def __init__(self) -> None:
        BaseRedisProtocol.__init__(self, convertNumbers=False)
        self._length = 0  # of what was received behind the last answer
        self.broken: Callable[[str], None] = lambda why: None

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """See the base class, which calls it as well."""
        self._length += 0 if unpause else len(data)
        try:
            BaseRedisProtocol.dataReceived(self, data, unpause)
            if self._length > MAX_ANSWER:
                raise _Broken(TOO_LONG)
        except _Broken as e:
            self.broken(str(e))
        except Exception:  # whatever the base class stumbles over
            self.broken(_NO_REDIS)

    def lineLengthExceeded(self, line: bytes) -> None:
        """See the base class."""
        raise _Broken(_NO_REDIS)

    def replyReceived(self, reply: Reply | Exception) -> None:
        """See the base class."""
        if not self.replyQueue.waiting:
            raise _Broken(_NO_REDIS)
        self._length = 0
        BaseRedisProtocol.replyReceived(self, reply)


class Script:
    """
    A script in Lua.

    :ivar digest: what a server knows it by.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """
    A connection, from its begin to its end.

    :ivar server: the server.
    :ivar why: why it ends, if that is now.
    :ivar answeredAt: when the last answer came, by the clock.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, commands: Commands, server: EngineServer) -> None:
        self._clock = clock
        self._commands = commands
        self.server = server
        self._unconfirmed: list[tuple[int, Deferred[int]]] = []
        self._waits = False
        self.why = "it does not answer"
        self._dropped = False
        self.answeredAt = clock.seconds()

    async def enter(self, user: str, password: str, database: int) -> None:
        """
        Say who we are, and see that commands are answered.

        :raises RedisError: when the server refuses that, or the connection is lost.
        """
        if password:
            await self._commands.execute_command("AUTH", *filter(None, (user, password)))
        if database:
            await self._commands.execute_command("SELECT", database)
        await self._commands.execute_command("PING")
        self.why = _CUT

    def drop(self, why: str) -> None:
        """End it at once, for this reason. The server may still carry out what it has received."""
        if not self.ended:
            self.why = why
            self._dropped = True
            self._commands.transport.abortConnection()

    @property
    def ended(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._dropped or not self._commands.connected

    async def execute(self, *words: str | int) -> Reply:
        """
        Send a command. It is for the caller to limit the time.

        :raises EngineAway: when the connection is lost before the answer, or the answer is an error.
        """
        try:
            return await self._answer(*words)
        except RedisError as e:
            raise self._failed(e) from None

    async def evaluate(self, script: Script, *arguments: str | int) -> Reply:
        """Have the server run a script without keys: see :meth:`execute`."""
        try:
            return await self._answer("EVALSHA", script.digest, 0, *arguments)
        except RedisError as e:
            if not str(e).startswith(_NO_SCRIPT):
                raise self._failed(e) from None
        return await self.execute("EVAL", script.text, 0, *arguments)

    async def _answer(self, *words: str | int) -> Reply:
        answering = self._commands.execute_command(*words)
        answering.addBoth(self._answered)
        return await answering

    def _answered(self, result: Reply | Failure) -> Reply | Failure:
        if not (isinstance(result, Failure) and result.check(CancelledError)):
            self.answeredAt = self._clock.seconds()
        return result

    def confirmed(self, needed: int) -> Deferred[int]:
        """
        Wait until replicas have all that was written by this connection. While one WAIT is under way, all others are
        collected for the next: the server does nothing else for the connection meanwhile.

        :param needed: the number of replicas for which it is waited.
        :returns: the number of replicas that have it, which may be lower, or 0 if the connection is lost.
        """
        confirming: Deferred[int] = Deferred()
        self._unconfirmed.append((needed, confirming))
        if not self._waits:
            self._waits = True
            Deferred.fromCoroutine(self._confirm()).addErrback(partial(self._log.failure, "no write is confirmed"))
        return confirming

    async def _confirm(self) -> None:
        while self._unconfirmed:
            asked, self._unconfirmed = self._unconfirmed, []
            try:
                count = await self.execute("WAIT", max(needed for needed, _ in asked), _REPLICATION_TIMEOUT)
            except EngineAway:
                count = 0
            for _, confirming in asked:
                if not confirming.called:  # cancelled
                    confirming.callback(count if isinstance(count, int) else 0)
        self._waits = False

    def _failed(self, why: RedisError) -> EngineAway:
        if not isinstance(why, ResponseError):
            return engineAway(self.server, self.why)
        text = replyText(why)
        if _READ_ONLY in text:
            self.drop(text)
        return engineRefuses(self.server, text)
