"""The lanes of a session: how many there are, and the visitors that come on them."""
# Longer than 300 lines: each rule for the number of lanes depends on the others.

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.client.dataconnections import DataConnections
from bore.client.expected import ExpectedVisitors
from bore.client.pauses import Pauses
from bore.client.reasons import describe
from bore.client.visitors import Visitors
from bore.events.client import LaneClosed, LaneFailed, LaneOpened, VisitorNotUnderstood
from bore.relay.interface import LaneCarrier, LaneHandle, Stream
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import prepareLane
from bore.wire.errors import MalformedMessage
from bore.wire.extension import Lane as LaneMessage
from bore.wire.laneopen import LaneVisitor, readOpen

#: Lanes that are being opened at the same time. Under a burst those that are open take the next visitors meanwhile.
_MAX_OPENING: Final = 32

#: The server knows of a lane after this time, in seconds, and mostly long before.
_FRESH: Final = 2.0

#: Lanes beyond those that are kept are closed if they were idle for this time, in seconds.
_QUIET: Final = 60.0

#: No lane is opened in case of need when less than this part of the descriptors is left for visitors.
_LAST_PART: Final = 8


class LanePool:
    """
    Keeps some idle lanes open, and passes on the visitors that come on them.

    :param connections: opens connections to the server.
    :param server: the server, as events name it.
    :param token: the session's token for lanes.
    :param keep: the number of idle lanes that are kept.
    :param serve: serves the visitor on a lane.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactor,
        relay: LaneCarrier,
        visitors: Visitors,
        connections: DataConnections,
        server: str,
        token: str,
        keep: int,
        serve: Callable[[LaneHandle, LaneVisitor], None],
    ) -> None:
        self._reactor = reactor
        self._relay = relay
        self._visitors = visitors
        self._sink = visitors.sink
        self._connections = connections
        self._server = server
        self._request = LaneMessage(token)
        self._keep = keep
        self._serve = serve
        self._idle: dict[LaneHandle, float] = {}
        self._opening: set[Deferred[Stream]] = set()
        self._expected = ExpectedVisitors(reactor)
        self._credit = 0
        self._leastIdle = 0
        self._open = True
        self._filling = False
        self._pauses = Pauses(reactor, self._fill)
        self._again: IDelayedCall | None = None
        self._soon: IDelayedCall | None = None
        self._shrinking = LoopingCall(self._shrink)
        self._shrinking.clock = reactor
        self._shrinking.start(_QUIET, now=False).addErrback(self._shrinkingFailed)
        visitors.lanes.add(self)
        self._fill()

    def __len__(self) -> int:
        """The number of idle lanes."""
        return len(self._idle)

    @property
    def keeps(self) -> bool:
        """Whether idle lanes are kept, so that visitors come on lanes."""
        return self._keep > 0

    def keep(self, count: int) -> None:
        """Keep another number of idle lanes. With none, those that visitors have left are closed, too."""
        if count == self._keep:
            return
        self._keep = count
        surplus = max(0, len(self._idle) - max(count, self._fresh(len(self._expected))))
        for lane in list(self._idle)[:surplus]:
            lane.dismiss()
        self._fill()

    def announced(self, id: UUID) -> None:
        """The server has no lane for a visitor."""
        if self._expected.hasCome(id):
            return
        if self._expected.announced(id):
            self._credit += 1
            patience = self._connections.patience
            if patience and self._soon is None:
                self._soon = self._reactor.callLater(patience, self._waited)
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
        idle = len(self._idle)
        if idle < self._leastIdle:
            self._leastIdle = idle
        try:
            who = readOpen(visitor)
        except MalformedMessage as e:
            self._sink.emit(VisitorNotUnderstood(str(e)))
            lane.refuse()
            return
        if who.announced:
            self._expected.came(UUID(who.id))
        if idle < self._keep or self._expected:
            self._fill()
        self._serve(lane, who)

    def idle(self, lane: LaneHandle) -> None:
        """See LaneUser: the visitor has left."""
        if self._open and self._keep:
            self._idle[lane] = self._reactor.seconds()
        else:
            lane.end(reset=False)

    def gone(self, lane: LaneHandle) -> None:
        """See LaneUser: the lane is closed."""
        wasIdle = self._idle.pop(lane, None) is not None
        self._leastIdle = min(self._leastIdle, len(self._idle))
        if self._sink.visitors:
            self._sink.emit(LaneClosed(self._server, id(lane)))
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

    def _fill(self) -> None:
        """
        Open as many lanes as are wanted, but not too many at once.

        The server had none for the visitors that are expected: only lanes that it may not have known of then can be for
        them. The others that are idle here are dead, or the visitors have gone. So each visitor that is announced has
        one lane opened for it; further ones are opened now and then, and a few at a time.
        """
        if not self._open or self._filling:
            return
        spare = 0 if self._pauses.resting else self._keep - len(self._idle)
        needed = self._needed() if self._expected else 0
        missing = max(spare, needed)
        self._filling = True  # within this machine a lane may be open before the next one is begun
        try:
            for count in range(len(self._opening), min(missing, _MAX_OPENING)):
                if not self._hasDescriptors(needed=count < needed):
                    return
                self._credit -= count < needed
                self._openOne()
        finally:
            self._filling = False
        if missing > _MAX_OPENING and not self._opening:
            self._reactor.callLater(0, self._fill)

    def _needed(self) -> int:
        """The number of lanes that are wanted for expected visitors, those that are being opened included."""
        patience = self._connections.patience
        expected = self._expected.countOlderThan(patience) if patience else len(self._expected)
        if not expected:
            return 0
        if self._again is None:
            self._again = self._reactor.callLater(_FRESH, self._lookAgain)
        if self._pauses.failing:
            return 0
        self._credit = min(self._credit, len(self._expected))
        return min(expected - self._fresh(expected), self._credit + len(self._opening))

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
        """A visitor is still expected: a lane that seemed to be for it was not."""
        self._again = None
        self._credit = max(self._credit, _MAX_OPENING)
        self._fill()

    def _waited(self) -> None:
        """The visitors that are still expected have waited long enough for a lane that becomes free."""
        self._soon = None
        self._fill()
        patience = self._connections.patience
        if len(self._expected) > self._expected.countOlderThan(patience):
            self._soon = self._reactor.callLater(patience, self._waited)

    def _fresh(self, most: int) -> int:
        """The number of idle lanes that the server may not know of yet; they are not counted beyond a number."""
        since = self._reactor.seconds() - _FRESH
        count = 0
        for idleSince in reversed(self._idle.values()):
            if idleSince < since or count == most:
                break
            count += 1
        return count

    def _openOne(self) -> None:
        self._visitors.descriptors.opened()
        opening = self._connections.open(self._request)
        if isinstance(opening, Deferred):
            self._opening.add(opening)
            opening.addBoth(self._tried, opening)
            opening.addCallbacks(self._adopt, self._failed).addCallback(lambda _: self._fill()).addErrback(self._broken)
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
        if self._sink.visitors:
            self._sink.emit(LaneOpened(self._server, id(lane)))
        self._idle[lane] = self._reactor.seconds()

    def _failed(self, reason: Failure) -> None:
        if not self._open:
            return
        self._sink.emit(LaneFailed(self._server, describe(reason.value)))
        self._credit += 1
        self._pauses.fail()

    def _broken(self, reason: Failure) -> None:
        self._log.failure("a lane could not be used", reason)

    def _shrinkingFailed(self, reason: Failure) -> None:
        self._log.failure("lanes that are not needed stay open from now on", reason)

    def _shrink(self) -> None:
        """Close the lanes beyond those that are kept that were idle for the whole time, the ones idle longest first."""
        surplus = max(0, self._leastIdle - self._keep)
        for lane in list(self._idle)[:surplus]:
            lane.dismiss()
        self._leastIdle = len(self._idle)
        self._pauses.calm()
