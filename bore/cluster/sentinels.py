"""The Sentinels of a Redis master, of which most have to agree on where it is."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.python.failure import Failure

from bore.cluster.engine import EngineAway
from bore.cluster.redisheld import HeldRedis
from bore.cluster.url import EngineServer, EngineUrl
from bore.streams.reactor import IReactor

#: How long a Sentinel has to answer, in seconds.
_PATIENCE: Final = 1.0


class NoMaster(Exception):
    """The Sentinels do not agree on a master, or too few of them answer."""


class Sentinels:
    """
    Connections to all Sentinels, which are held.

    :param url: names them, and the master.
    """

    def __init__(self, reactor: IReactor, url: EngineUrl) -> None:
        self._reactor = reactor
        self._name = url.master
        self._held = [HeldRedis(reactor, partial(succeed, each), url.sentinelLogin, url.tls) for each in url.servers]

    def start(self) -> None:
        """Begin to connect."""
        for each in self._held:
            each.start()

    def stop(self) -> Deferred[None]:
        """Close all connections."""
        return gatherResults([each.stop() for each in self._held]).addCallback(lambda _: None)

    def master(self) -> Deferred[EngineServer]:
        """
        Return where the master is, for most of all Sentinels, which have answered since this was called.

        There are no two masters for which that is so at the same time: whoever can only reach an old one, and the
        Sentinels beside it, is told.

        :returns: fails with :class:`NoMaster`.
        """
        poll = Poll(self._name, len(self._held))
        for each in self._held:
            asking = Deferred.fromCoroutine(self._ask(each)).addTimeout(_PATIENCE, self._reactor)
            asking.addErrback(self._noAnswer, each).addBoth(poll.answered)
        return poll.found

    async def _ask(self, held: HeldRedis) -> EngineServer | None:
        link = await held.link()
        match await link.execute("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name):
            case [str(host), str(port)] if port.isdigit():
                return EngineServer(host, int(port))
        return None

    def _noAnswer(self, reason: Failure, held: HeldRedis) -> Failure:
        return reason if reason.check(EngineAway) else Failure(held.timedOut())


class Poll:
    """
    The answers of the Sentinels to one question.

    :ivar found: see :meth:`Sentinels.master`.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._answers: list[EngineServer | None] = []
        self._failed = ""
        self._left = count
        self.found: Deferred[EngineServer] = Deferred()

    def answered(self, result: EngineServer | Failure | None) -> None:
        """A Sentinel has answered: with the master, or None if it does not know one; or it has not."""
        self._left -= 1
        if isinstance(result, Failure):
            self._failed = f"; {result.getErrorMessage()}"
        else:
            self._answers.append(result)
        if self.found.called:
            return  # or cancelled
        needed = self._count // 2 + 1
        for server, votes in Counter(self._answers).items():
            if server is not None and votes >= needed:
                self.found.callback(server)
                return
        if not self._left:
            self.found.errback(NoMaster(self._complaint(needed)))

    def _complaint(self, needed: int) -> str:
        votes = max(Counter(each for each in self._answers if each).values(), default=0)
        if self._answers and not any(self._answers):
            return f"the Sentinels do not know a master {self._name!r}{self._failed}"
        return f"{votes} of {self._count} Sentinels agree on a master, and {needed} are needed{self._failed}"
