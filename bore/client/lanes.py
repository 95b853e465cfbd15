"""The lanes of a session, as the client sees them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from bore.client.pauses import Pauses
from bore.client.reasons import describe
from bore.client.visitors import Visitors
from bore.relay.interface import LaneCarrier, LaneHandle, Stream
from bore.streams.dial import Dials
from bore.streams.reactor import IReactor
from bore.streams.sockets import prepareLane
from bore.streams.visitorlog import VisitorLog
from bore.timing.bursts import Burst
from bore.timing.deadlines import Deadlines
from bore.wire.errors import MalformedMessage
from bore.wire.extension import Lane as LaneMessage
from bore.wire.extension import Source
from bore.wire.lane import readOpen
from bore.wire.limits import ACCEPT_TIMEOUT

#: Lanes that are being opened at the same time. Under a burst those that are open take the next visitors meanwhile.
_MAX_OPENING: Final = 32

#: What is said on a lane is known to the server after so many seconds, and long before.
_FRESH: Final = 2.0

#: Visitors that are known to wait for lanes; of more, the oldest are forgotten. A server announces 256 at a time.
_MAX_EXPECTED: Final = 4096

#: Lanes beyond those that are kept were needed for nothing, when they were idle for so long, in seconds.
_QUIET: Final = 60.0

#: No lane is kept in case of need when fewer than this part of the descriptors is left for visitors.
_LAST_PART: Final = 8


class SessionLanes:
    """
    Keeps some idle lanes open, and brings the visitors on them to the local service.

    :param server: dials the server.
    :param token: what the server knows the session's lanes by.
    :param keep: how many idle lanes are kept.
    :param header: makes what the local service is told first about a visitor.
    """

    _log = VisitorLog()

    def __init__(
        self,
        reactor: IReactor,
        relay: LaneCarrier,
        visitors: Visitors,
        server: Dials,
        token: str,
        keep: int,
        header: Callable[[Source | None], bytes],
    ) -> None:
        self._reactor = reactor
        self._relay = relay
        self._visitors = visitors
        self._server = server
        self._request = LaneMessage(token)
        self._keep = keep
        self._header = header
        self._idle: dict[LaneHandle, float] = {}
        self._opening: set[Deferred[Stream]] = set()
        self._credit = 0
        self._overtaken: dict[UUID, bool] = {}
        self._expected: Deadlines[UUID, None] = Deadlines(reactor, ACCEPT_TIMEOUT, lambda id, _: None)
        self._trouble = Burst(reactor)
        self._leastIdle = 0
        self._open = True
        self._pauses = Pauses(reactor, self._fill)
        self._again: IDelayedCall | None = None
        self._soon: IDelayedCall | None = None
        self._shrinking = LoopingCall(self._shrink)
        self._shrinking.clock = reactor
        self._shrinking.start(_QUIET, now=False).addErrback(self._shrinkingFailed)
        visitors.lanes.add(self)
        self._fill()

    def came(self, id: UUID) -> None:
        """A visitor waits for a lane."""
        self._visitors.noticed()
        if self._overtaken.pop(id, False):
            return  # it is on a lane already, or was
        if id not in self._expected:
            if len(self._expected) >= _MAX_EXPECTED:
                self._expected.takeOldest()
            self._expected.add(id, None)
            self._credit += 1
            if self._server.patience and self._soon is None:
                self._soon = self._reactor.callLater(self._server.patience, self._waited)
        self._fill()

    def close(self) -> None:
        """The session is over: idle lanes are closed, the others when their visitors have left."""
        self._open = False
        self._visitors.lanes.discard(self)
        self._expected.takeAll()
        if self._shrinking.running:
            self._shrinking.stop()
        self._pauses.close()
        for timer in (self._again, self._soon):
            if timer is not None:
                timer.cancel()
        self._again = self._soon = None
        for opening in list(self._opening):
            opening.cancel()
        for lane in list(self._idle):
            lane.dismiss()

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        """See LaneUser: a visitor is on the lane."""
        self._idle.pop(lane, None)
        self._leastIdle = min(self._leastIdle, len(self._idle))
        try:
            who = readOpen(visitor)
        except MalformedMessage as e:
            if self._trouble.begins():
                self._log.warn("a visitor that the server cannot describe: {error}", error=e)
            lane.refuse()
            return
        if who.id in self._expected:
            self._expected.take(who.id)
        elif who.announced:
            self._overtaken[who.id] = True
            if len(self._overtaken) > _MAX_EXPECTED:
                del self._overtaken[next(iter(self._overtaken))]
        self._fill()
        self._visitors.noticed()
        if VisitorLog.wanted:
            self._log.debug("visitor {id} on lane {lane}", id=who.id, lane=id(lane))
        if self._visitors.mayCome():
            self._bring(lane, who.id, self._header(who.source))
        else:
            lane.refuse()

    def idle(self, lane: LaneHandle) -> None:
        """See LaneUser: the visitor has left."""
        if self._open:
            self._idle[lane] = self._reactor.seconds()
        else:
            lane.end(reset=False)

    def gone(self, lane: LaneHandle) -> None:
        """See LaneUser: the lane is closed."""
        wasIdle = self._idle.pop(lane, None) is not None
        self._leastIdle = min(self._leastIdle, len(self._idle))
        if VisitorLog.wanted:
            self._log.debug("lane {lane} is gone", lane=id(lane))
        if not wasIdle:
            self._fill()  # a stream has used it up
        elif len(self._idle) < self._keep:
            self._pauses.rest()

    def giveWay(self) -> bool:
        """Close the oldest idle lane that no visitor waits for, to free its descriptor; False if there is none."""
        awaited = self._fresh(len(self._expected))
        for lane in list(self._idle)[: len(self._idle) - awaited]:
            lane.dismiss()
            if lane.closed:
                return True
        return False

    def _bring(self, lane: LaneHandle, id: UUID, header: bytes) -> None:
        """Connect a visitor with the local service."""
        local = self._visitors.reach()
        if isinstance(local, Deferred):
            local.addCallbacks(self._join, self._refuse, callbackArgs=(lane, id, header), errbackArgs=(lane, id))
        else:
            self._join(local, lane, id, header)

    def _join(self, local: socket.socket, lane: LaneHandle, id: UUID, header: bytes) -> None:
        if lane.closed:
            local.close()
            return
        self._visitors.served(id, self._server, lane.socket)
        self._relay.joinWithLane(Stream(local), lane, partial(self._visitors.left, id), header=header)

    def _refuse(self, reason: Failure, lane: LaneHandle, id: UUID) -> None:
        self._visitors.notServed(id, reason)
        if not lane.closed:
            lane.refuse()

    def _fill(self) -> None:
        """
        Open as many lanes as are wanted, but not too many at once.

        The server had none for the visitors that are expected: only lanes that it may not have known of then can be for
        them. The others that are idle here are dead, or the visitors have gone. So each visitor that is announced has
        one lane opened for it; further ones are opened now and then, and a few at a time.
        """
        if not self._open:
            return
        spare = 0 if self._pauses.resting else self._keep - len(self._idle)
        patience = self._server.patience
        expected = self._expected.countOlderThan(patience) if patience else len(self._expected)
        needed = 0
        if expected:
            if not self._pauses.failing:
                self._credit = min(self._credit, len(self._expected))
                needed = min(expected - self._fresh(expected), self._credit + len(self._opening))
            if self._again is None:
                self._again = self._reactor.callLater(_FRESH, self._lookAgain)
        missing = max(spare, needed)
        for count in range(len(self._opening), min(missing, _MAX_OPENING)):
            if not self._hasDescriptors(needed=count < needed):
                return
            self._credit -= count < needed
            self._openOne()
        if missing > _MAX_OPENING and not self._opening:
            self._reactor.callLater(0, self._fill)  # within this machine a lane is open at once

    def _hasDescriptors(self, needed: bool) -> bool:
        """
        Whether there are descriptors for one more lane, and for the visitor that comes on it; else it is tried later.

        :param needed: whether a visitor waits for it.
        """
        visitors = self._visitors
        wanted = len(self._idle) + len(self._opening) + 2
        if not needed:
            if visitors.descriptors.has(wanted + visitors.descriptors.limit // _LAST_PART):
                return True
            self._pauses.rest()
        elif visitors.hasDescriptors(wanted):
            return True
        else:
            self._pauses.look()
        return False

    def _lookAgain(self) -> None:
        """Some lane that seemed to be for a visitor was not, if it is still expected."""
        self._again = None
        self._credit = max(self._credit, _MAX_OPENING)
        self._fill()

    def _waited(self) -> None:
        """Those who are still expected have waited for long enough for a lane that becomes free."""
        self._soon = None
        self._fill()
        if len(self._expected) > self._expected.countOlderThan(self._server.patience):
            self._soon = self._reactor.callLater(self._server.patience, self._waited)

    def _fresh(self, most: int) -> int:
        """How many idle lanes the server may not know of yet; they are not counted beyond a number."""
        since = self._reactor.seconds() - _FRESH
        count = 0
        for idleSince in reversed(self._idle.values()):
            if idleSince < since or count == most:
                break
            count += 1
        return count

    def _openOne(self) -> None:
        self._visitors.descriptors.opened()
        opening = self._visitors.connections.open(self._server, self._request)
        if isinstance(opening, Deferred):
            self._opening.add(opening)
            opening.addBoth(self._tried, opening)
            opening.addCallbacks(self._adopt, self._failed).addCallback(lambda _: self._fill())
        else:
            self._adopt(opening)

    def _tried(self, result: object, opening: Deferred[Stream]) -> object:
        self._opening.discard(opening)
        return result

    def _adopt(self, stream: Stream) -> None:
        prepareLane(stream.socket)
        try:
            lane = self._relay.adopt(stream.socket, stream.early, False, self)
        except (OSError, ValueError):
            stream.socket.close()
            self._credit += 1
            self._pauses.fail()
            return
        if VisitorLog.wanted:
            self._log.debug("lane {lane} opened", lane=id(lane))
        self._idle[lane] = self._reactor.seconds()

    def _failed(self, reason: Failure) -> None:
        if not self._open:
            return
        if self._trouble.begins():
            self._log.warn("a lane could not be opened: {error}", error=describe(reason.value))
        self._credit += 1
        self._pauses.fail()

    def _shrinkingFailed(self, reason: Failure) -> None:
        self._log.failure("lanes that are not needed stay open from now on", reason)

    def _shrink(self) -> None:
        """Close what was idle for the whole time, and is more than is kept; those that were idle for the longest."""
        surplus = max(0, self._leastIdle - self._keep)
        for lane in list(self._idle)[:surplus]:
            lane.dismiss()
        self._leastIdle = len(self._idle)
        self._pauses.calm()
