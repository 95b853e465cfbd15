"""
The membership of a node in its cluster: it beats once a second, and acts as owner as long as its beats are answered.

Others may presume that a member has ceased to act when they have seen its entry unchanged for the time to live and
MARGIN. It has ceased MARGIN before the time to live is over, counted from when its last answered beat was *sent*. All
times are measured by the clock of the one who measures.
"""

# Longer than 300 lines: what gives a member the right to act, and what ends it, is read together.

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import randbelow, token_hex
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.cluster.engine import MAX_NUMBER, MAX_RESTORED, Beaten, Engine, EngineAway, Node, Recovering, Voided, Wanted
from bore.cluster.estate import Claimed, Estate
from bore.cluster.inturn import InTurn
from bore.cluster.leaving import Leaving
from bore.cluster.neighbours import MARGIN, Neighbours
from bore.cluster.reports import Reports
from bore.cluster.right import Right

#: The time between two beats, in seconds.
BEAT: Final = 1.0


class Membership:
    """
    The membership of this process.

    :param name: the name of the node.
    :param advertise: see :attr:`bore.cluster.engine.Node.advertise`.
    :param ttl: for how long it may act as owner without an answer, and MARGIN, in seconds.
    :param now: the clock that it judges by, in seconds; it goes on while the machine is suspended.
    :param timeOfDay: by which the right to act as owner ends, too: see :class:`bore.cluster.right.Right`.
    :ivar name: the name of the node.
    :ivar estate: what it owns; set before :meth:`start`.
    :ivar member: its name in the engine; empty: it has no entry, as far as it knows.
    :ivar number: the number of the node, which changes if another node has it already.
    :ivar state: ``up`` or ``draining``, for the other nodes.
    :ivar neighbours: the other members.
    :ivar recovering: whether the engine grants nothing, as it has lost what it knew.
    :ivar reports: reports what happens.
    :ivar changed: called when the others, or the number, have changed.
    :ivar acts: called when it begins to act as owner, with True, and soon after it has ceased to, with False.
    """

    estate: Estate
    _log: Final = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        engine: Engine,
        name: str,
        advertise: str,
        version: str,
        ttl: float,
        now: Callable[[], float],
        timeOfDay: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._engine = engine
        self.name = name
        self._advertise = advertise
        self._version = version
        self._ttl = ttl
        self._now = now
        self.member = ""
        self.number = 1 + randbelow(MAX_NUMBER)
        self.state = "up"
        self.neighbours = Neighbours(name, ttl)
        self.recovering = False
        self.reports = Reports(name, now)
        self.changed: Callable[[], None] = lambda: None
        self.acts: Callable[[bool], None] = lambda acting: None
        self._acted = False
        self._beat = self._claim = 0
        self._right = Right(now, timeOfDay)
        self._sent = self._right.moment()  # when the last beat was sent that was answered
        self._incarnation = ""
        self._since = 0.0
        self._new = False  # the engine has not answered this member yet
        self._settled = False  # the engine knows all that it owns
        self._firm = False  # all of it is beyond doubt
        self._untold: list[int] | None = []  # what the engine was not told; None: it waits for the end of the recovery
        self._leaving = Leaving(ttl)
        self._claims = InTurn(now)
        self._running = False
        self._entering = ""  # the member that was to enter last, as long as the engine has not answered
        self._timer: IDelayedCall | None = None

    @property
    def acting(self) -> bool:
        """Whether it may act as owner of its addresses now."""
        return self._right.holds

    @property
    def settled(self) -> bool:
        """Whether the engine knows all that it owns."""
        return self._settled

    @property
    def recoversIn(self) -> float:
        """For how long an engine that recovers may still grant nothing, as far as is known, in seconds."""
        if not self.recovering:  # it has lost what it knew since the last beat
            return self.neighbours.longest
        return max(BEAT, self._since + self.neighbours.longest - self._now())

    def sinceBeat(self, member: str) -> float:
        """How long ago the last beat of another member was seen first, in seconds."""
        return self.neighbours.sinceBeat(member, self._now())

    def start(self) -> None:
        """Begin to beat. The engine may be away."""
        self._running = True
        self._engine.start()
        self._tick()

    def stop(self) -> Deferred[None]:
        """Leave the cluster, with all that it owns; fires within the time that the engine's calls may take."""
        self._running = False
        self._right.end()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def grant(self, address: int, key: str, user: str, limit: int | None) -> Claimed:
        """
        Ask for an address.

        :param key: the digest of the tunnel's key, in hexadecimal.
        :param limit: how many tunnels the user may have in the cluster; None: any number.
        :raises EngineAway: if it cannot be known whether it was granted; it is given back then.
        :raises Recovering: and what else :meth:`bore.cluster.engine.Engine.grant` fails with.
        """
        await self._claims.enter()
        try:
            return await self._grant(address, key, user, limit)
        finally:
            self._claims.leave()

    async def _grant(self, address: int, key: str, user: str, limit: int | None) -> Claimed:
        member = self.member
        if not self._settled or not member:
            raise Recovering if member and self.recovering else EngineAway
        self._claim += 1
        claim = self._claim
        try:
            record = await self._engine.grant(Wanted(address, key, user, member, claim, limit))
        except EngineAway as e:
            self._leaving.doubt(address, claim, self._now())
            self.reports.refused(e)
            raise
        if member != self.member:
            raise EngineAway  # a former member has it, which owns nothing
        return Claimed(record, claim)

    def leave(self, address: int, claim: int) -> None:
        """Give an address back, at once or when the engine is there again."""
        if self._running:
            self._leaving.add(address, claim)
            if self._settled:
                self._giveBack()

    # A turn, once a second.

    def _tick(self) -> None:
        began = self._now()
        turn = Deferred.fromCoroutine(self._turn())
        turn.addErrback(self._failed)
        turn.addCallback(lambda _: self._waitFrom(began))

    def _waitFrom(self, began: float) -> None:
        if self._running:
            self._review()
            self._timer = self._clock.callLater(min(BEAT, max(0.0, began + BEAT - self._now())), self._tick)

    async def _turn(self) -> None:
        try:
            if not self.member or not await self._beatOnce():
                if self._running:
                    await self._enter()
                if self._running:
                    await self._beatOnce()
            if self.member and self._running:
                self._review()
                await self._afterBeat()
        except Voided:
            self._ended()

    async def _afterBeat(self) -> None:
        try:
            await self._settle()
            await self._tidy()
            self.reports.completed()
        except EngineAway as e:
            self.reports.incomplete(e)
            raise

    async def _enter(self) -> None:
        """Become another member. One whose entering has an unknown outcome is given up."""
        member = f"{self.name}/{token_hex(8)}"
        self._beat = 1
        self._entering = member
        number = await self._engine.enter(self._entry(member))
        self.member, self._new = member, True
        self._entering = ""
        if number != self.number:
            self.number = number
            self.changed()

    async def _beatOnce(self) -> bool:
        """Beat, and take the answer; False: the member has no entry."""
        sent = self._right.moment()
        self._beat += 1
        try:
            beaten = await self._engine.beat(self._entry(self.member))
        except Voided:
            self._ended()
            return False
        now = self._now()
        self.reports.answered()
        if self._new:
            self._arrived(beaten, now)
        self._sent = sent
        self.recovering = beaten.recovering
        if self._settled:
            self._extend()
        if self.neighbours.take(beaten.nodes, self.member, beaten.incarnation, now):
            self.changed()
        self.reports.sees(self.neighbours.hasTwin(self._advertise), self.neighbours.hasOtherTtl())
        return True

    def _entry(self, member: str) -> Node:
        about = self.number, self._advertise, self.state, len(self.estate), self._version, round(self._ttl)
        return Node(member, self._beat, *about)

    def _ended(self) -> None:
        """The member has no entry: the engine has lost it, or it was presumed dead."""
        self.member = ""
        self._settled = False
        self._leaving.clear()

    def _arrived(self, beaten: Beaten, now: float) -> None:
        """The first answer to a new member, which has to find out what it has of that which the former one owned."""
        self._new = False
        # If the right to act has not ended by now, nobody was granted any of it before the engine lost what it knew.
        self._firm = self.acting
        if beaten.incarnation == self._incarnation:
            self._right.end()  # the former member was presumed dead: another one may have been granted all that it had
        else:
            self._incarnation = beaten.incarnation
            self._since = now
        self._untold = self.estate.addresses()
        self._settled = not self._untold

    def _extend(self) -> None:
        if self._running:
            self._right.extend(self._sent, self._ttl - MARGIN)

    async def _settle(self) -> None:
        """
        Tell an engine that is recovering what this member owns. One that had ceased to act waits for the end of the
        recovery, and finds out then what of it others have been granted before.
        """
        if self._untold is None and not self.recovering:
            self._firm = True
            self._untold = self.estate.addresses()
        began, member = self._now(), self.member
        while not self._settled and self._untold is not None and self._now() - began < BEAT / 2:
            part = self._untold[:MAX_RESTORED]
            records = [self.estate.record(address, member, self._firm) for address in part]
            if part:
                self.estate.lost(await self._engine.restore(member, [each for each in records if each is not None]))
                del self._untold[: len(part)]
            if not self._untold:
                self._settled = self._firm
                self._untold = None
        if self._settled:
            self._extend()

    async def _tidy(self) -> None:
        """Give back what was left, end members that are silent, and the recovery when it has lasted for long enough."""
        if self._settled:
            self._giveBack()
        began = self._now()
        for node in self.neighbours.silent():
            if self._now() - began < BEAT:  # the others have time: a beat has not
                await self._engine.void(node.member, node.beat)
        if self.recovering and self._now() - self._since >= self.neighbours.longest:
            await self._engine.recovered(self._incarnation)

    def _giveBack(self) -> None:
        for address, claim in self._leaving.take(self._now()):
            self._engine.leave(self.member, address, claim).addErrback(self._notLeft, self.member, address, claim)

    def _notLeft(self, reason: Failure, member: str, address: int, claim: int) -> None:
        reason.trap(EngineAway)
        assert isinstance(reason.value, EngineAway)
        self.reports.refused(reason.value)
        if member == self.member:
            self._leaving.add(address, claim)

    def _review(self) -> None:
        acting = self.acting
        if acting != self._acted:
            self._acted = acting
            self.reports.acts(acting, len(self.estate), len(self.neighbours.all()))
            self.acts(acting)

    def _failed(self, reason: Failure) -> None:
        if not reason.check(EngineAway):
            self._log.failure("a turn of the membership has failed", reason)
        elif self._running:
            self.reports.failed(str(reason.value), self._right.until)

    async def _stop(self) -> None:
        try:
            for member in filter(None, (self.member, self._entering)):
                await self._engine.depart(member)
        except EngineAway:
            pass  # others will presume that it is dead
        await self._engine.stop()
