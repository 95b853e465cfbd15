"""The heartbeats of a session."""

from __future__ import annotations

import socket
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from bore.server.liveness import Liveness
from bore.wire.limits import BUSY_TIME, HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL

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


class Heartbeats:
    """
    Sends heartbeats, and finds out that a client does not answer them.

    A client of the extension gets few of them while it has no visitors, and has had none for BUSY_TIME. The first
    visitor after that brings the next one at once. Other clients need not answer, and get them all the time.

    :param extended: whether it is a client of the extension.
    :ivar visited: whether a visitor came since the last one.
    """

    def __init__(self, clock: IReactorTime, session: Beating, extended: bool) -> None:
        self._clock = clock
        self._session: Beating | None = session
        self._extended = extended
        self._liveness = Liveness(clock)
        self._next: IDelayedCall | None = None
        self._due = 0.0
        self._busyUntil = 0.0
        self._busy = not extended
        self.visited = False

    def start(self) -> None:
        """Send the first one now, if it was not sent before."""
        if self._next is None:
            self._beat()

    def stop(self) -> None:
        """Send none any more, and keep nothing of the session."""
        self._session = None
        if self._next is not None and self._next.active():
            self._next.cancel()

    def received(self) -> None:
        """Bytes have come from the client on the control connection."""
        self._liveness.received()

    def visitorCame(self) -> None:
        """A visitor has come, the first one since the last heartbeat."""
        self.visited = True
        if not self._busy and self._next is not None and self._next.active():
            self._next.reset(0)

    def inDoubt(self, sock: socket.socket) -> bool:
        """See :meth:`Liveness.inDoubt`."""
        return self._liveness.inDoubt(sock)

    def _beat(self) -> None:
        session = self._session
        assert session is not None
        try:
            self._liveness.beat(self._busy)
            if self._extended and self._liveness.isLost(session.sinceReceived):
                session.unanswered()
                return
            self._schedule(self._interval(session))
            session.sendHeartbeat()
        except Exception:
            session.failed(Failure())

    def _schedule(self, interval: float) -> None:
        """Have the next one sent; one that was late does not delay those behind it."""
        now = self._clock.seconds()
        since = self._due if 0 <= now - self._due < interval else now
        self._due = since + interval
        self._liveness.plan(self._due - now)
        self._next = self._clock.callLater(self._due - now, self._beat)

    def _interval(self, session: Beating) -> float:
        """The time until the next one."""
        if not self._extended:
            return HEARTBEAT_INTERVAL
        now = self._clock.seconds()
        if self.visited or session.hasVisitors():
            self._busyUntil = now + BUSY_TIME
            self.visited = False
        self._busy = now < self._busyUntil
        if self._busy:
            return HEARTBEAT_INTERVAL
        return min(IDLE_HEARTBEAT_INTERVAL, max(self._liveness.left, _SOONEST))
