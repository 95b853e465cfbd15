"""The heartbeats of all sessions."""

from __future__ import annotations

import socket
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from bore.server.liveness import Liveness
from bore.streams.tcpinfo import unacknowledgedFor
from bore.timing.rhythm import Group, Rhythm, Stalls
from bore.wire.limits import BUSY_TIME, DOUBT_TIMEOUT, HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL

#: A heartbeat is not sent sooner than this after the one before, in seconds, however soon the client is lost.
_SOONEST: Final = 0.05


class Beating(Protocol):
    """The session, as its heartbeats see it."""

    def sendHeartbeat(self) -> None:
        """Send a heartbeat."""

    def hasVisitors(self) -> bool:
        """Whether a visitor is served, or waits."""

    def sinceReceived(self) -> float:
        """How many seconds ago bytes of the client came on the connections that serve visitors."""

    def unanswered(self) -> None:
        """The client is lost: it has given no sign of life for too long."""

    def failed(self, reason: Failure) -> None:
        """The heartbeats have ended by a fault of ours."""


class Rhythms:
    """
    What the heartbeats of all sessions share: few timers, and what is known of the times in which there were none.

    :ivar frequent: for clients of the base protocol, and for those with visitors.
    :ivar rare: for clients of the extension without visitors.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.stalls = Stalls(clock)
        self.frequent = Rhythm(clock, HEARTBEAT_INTERVAL, self.stalls)
        self.rare = Rhythm(clock, IDLE_HEARTBEAT_INTERVAL, self.stalls)


class _Heartbeats:
    """The heartbeats of a session."""

    __slots__ = ("_group", "_rhythms", "_session")

    def __init__(self, rhythms: Rhythms, session: Beating) -> None:
        self._rhythms = rhythms
        self._session: Beating | None = session
        self._group: Group | None = None

    def start(self) -> None:
        """Send the first one now, if it was not sent before."""
        if self._group is None:
            self._group = self._first().join(self)
            self.beat(late=False)

    def stop(self) -> None:
        """Send none any more, and keep nothing of the session."""
        self._session = None
        if self._group is not None:
            self._group.leave(self)
            self._group = None

    def beat(self, late: bool) -> None:
        """See :class:`~bore.timing.rhythm.Member`."""
        raise NotImplementedError

    def _first(self) -> Rhythm:
        """The rhythm at the beginning."""
        raise NotImplementedError


class BaseHeartbeats(_Heartbeats):
    """
    The heartbeats of a client of the base protocol, which gets them all the time, and does not answer.

    :ivar visited: whether the next visitor makes no difference: always so.
    """

    __slots__ = ()

    visited = True

    def received(self) -> None:
        """Bytes have come from the client on the control connection; they say nothing."""

    def visitorCame(self) -> None:
        """A visitor has come; the heartbeats are the same."""

    def inDoubt(self, sock: socket.socket) -> bool:
        """
        Whether the client may be gone: its kernel acknowledges nothing.

        :param sock: the control connection.
        """
        if self._group is None or self._group.late:
            return False
        steadyFor = self._rhythms.clock.seconds() - self._rhythms.stalls.end
        return min(steadyFor, unacknowledgedFor(sock)) >= DOUBT_TIMEOUT

    def _first(self) -> Rhythm:
        return self._rhythms.frequent

    def beat(self, late: bool) -> None:
        """See :class:`~bore.timing.rhythm.Member`."""
        session = self._session
        assert session is not None
        try:
            session.sendHeartbeat()
        except Exception:
            self.stop()
            session.failed(Failure())


class ExtendedHeartbeats(_Heartbeats):
    """
    The heartbeats of a client of the extension, and how it is found out that it does not answer them.

    It gets few of them while it has no visitors, and has had none for BUSY_TIME. The first visitor after that brings
    the next one at once.

    :ivar visited: whether a visitor came since the last one.
    """

    __slots__ = ("_alone", "_aloneDue", "_busyUntil", "_liveness", "visited")

    def __init__(self, rhythms: Rhythms, session: Beating) -> None:
        super().__init__(rhythms, session)
        self._liveness = Liveness(rhythms.clock, rhythms.stalls)
        self._alone: IDelayedCall | None = None  # for a heartbeat sooner than the group's
        self._aloneDue = 0.0
        self._busyUntil: float | None = None
        self.visited = False

    def stop(self) -> None:
        """See :class:`_Heartbeats`."""
        super().stop()
        if self._alone is not None:
            self._alone.cancel()
            self._alone = None

    def received(self) -> None:
        """Bytes have come from the client on the control connection."""
        self._liveness.received()

    def visitorCame(self) -> None:
        """A visitor has come, the first one since the last heartbeat."""
        self.visited = True
        if self._busyUntil is None and self._group is not None:
            self._beatSoon(0)

    def inDoubt(self, sock: socket.socket) -> bool:
        """Whether the client may be gone although it is not lost: never, as it has to answer."""
        return False

    def beat(self, late: bool) -> None:
        """See :class:`~bore.timing.rhythm.Member`."""
        session = self._session
        assert session is not None
        try:
            if not late and self._liveness.isLost(session.sinceReceived):
                self.stop()
                session.unanswered()
                return
            self._plan(session)
            session.sendHeartbeat()
        except Exception:
            self.stop()
            session.failed(Failure())

    def _plan(self, session: Beating) -> None:
        """Have the next heartbeat sent when it is due."""
        now = self._rhythms.clock.seconds()
        if self.visited or session.hasVisitors():
            self.visited = False
            if self._busyUntil is None:
                self._follow(self._rhythms.frequent)
            self._busyUntil = now + BUSY_TIME
        elif self._busyUntil is not None and now >= self._busyUntil:
            self._busyUntil = None
            self._follow(self._rhythms.rare)
        left = self._liveness.left
        if self._busyUntil is None and left < IDLE_HEARTBEAT_INTERVAL:
            self._beatSoon(max(left, _SOONEST))

    def _first(self) -> Rhythm:
        return self._rhythms.rare

    def _follow(self, rhythm: Rhythm) -> None:
        assert self._group is not None
        self._group.leave(self)
        self._group = rhythm.join(self)
        self._liveness.setBusy(rhythm is self._rhythms.frequent)

    def _beatSoon(self, seconds: float) -> None:
        """Send one after this time, without the group."""
        clock = self._rhythms.clock
        if self._alone is not None:
            self._alone.cancel()
        self._aloneDue = clock.seconds() + seconds
        self._alone = clock.callLater(seconds, self._beatAlone)

    def _beatAlone(self) -> None:
        self._alone = None
        self.beat(self._rhythms.stalls.wasLate(self._aloneDue, self._rhythms.clock.seconds()))
