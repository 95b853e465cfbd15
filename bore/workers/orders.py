"""What the supervisor orders its workers to do, and what they answer."""

from __future__ import annotations

from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.wire.publicaddress import PublicAddress
from bore.wire.workermessages import Done, Order
from bore.workers.crew import Crew, Member, Phase

#: How long a worker may take to carry an order out, in seconds: it may read files. Whoever asks at the admin socket
#: waits for 5 s.
TIMEOUT: Final = 4.0

#: A worker that is starting gets these when it is ready: it may have read or opened the files before.
_ALSO_LATER: Final = frozenset(("reload", "rotate"))


class Orders:
    """Orders to workers."""

    def __init__(self, clock: IReactorTime, crew: Crew) -> None:
        self._clock = clock
        self._crew = crew
        self._waiting: dict[tuple[int, int], tuple[Deferred[Done | None], IDelayedCall]] = {}
        self._later: dict[int, dict[str, None]] = {}
        # The supervisor before an upgrade may have ordered something: its numbers do not come again.
        self._number = int(clock.seconds() * 1000)

    def give(
        self,
        member: Member,
        order: str,
        user: str | None = None,
        address: PublicAddress | None = None,
        seconds: float = 0.0,
    ) -> Deferred[Done | None]:
        """
        Order a worker to do something.

        :returns: fires with its answer; None: there is none, or none in time.
        """
        done: Deferred[Done | None] = Deferred()
        if not member.maySend(Order):
            done.callback(None)
            return done
        self._number += 1
        key = member.number, self._number
        self._waiting[key] = done, self._clock.callLater(TIMEOUT, partial(self._end, key, None))
        member.send(Order(self._number, order, user, address, seconds))
        return done

    def giveAll(
        self, order: str, user: str | None = None, address: PublicAddress | None = None, seconds: float = 0.0
    ) -> Deferred[list[tuple[int, Done | None]]]:
        """
        Order all workers that are there to do something, and those that are starting to do so when they are ready, if
        it concerns them.

        :returns: fires with their numbers and answers; None: one has not answered in time. One that has ended meanwhile
            is left out.
        """
        if order in _ALSO_LATER:
            for each in self._crew.members():
                if each.phase is Phase.STARTING:
                    self._later.setdefault(each.number, {})[order] = None
        asked = [each for each in self._crew.members() if each.maySend(Order)]
        answers = gatherResults([self.give(each, order, user, address, seconds) for each in asked])
        return answers.addCallback(
            lambda found: [
                (each.number, answer)
                for each, answer in zip(asked, found, strict=True)
                if answer is not None or each.line is not None
            ]
        )

    def ready(self, member: Member) -> None:
        """A worker is ready: it gets what was ordered while it was starting."""
        for each in self._later.pop(member.number, ()):
            self.give(member, each)

    def done(self, member: Member, message: Done) -> None:
        """A worker has answered."""
        self._end((member.number, message.id), message)

    def gone(self, member: Member) -> None:
        """A worker is gone: it does not answer any more."""
        self._later.pop(member.number, None)
        for key in [key for key in self._waiting if key[0] == member.number]:
            self._end(key, None)

    def _end(self, key: tuple[int, int], message: Done | None) -> None:
        found = self._waiting.pop(key, None)
        if found is not None:
            done, timer = found
            if timer.active():
                timer.cancel()
            done.callback(message)
