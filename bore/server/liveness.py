"""Whether the client of a session is alive."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.streams.tcpinfo import unacknowledgedFor
from bore.wire.limits import DOUBT_TIMEOUT, HEARTBEAT_INTERVAL, MAX_UNANSWERED

#: When the time between two heartbeats is longer than this, in seconds, the server itself was stopped or starved.
_LATE: Final = 2 * HEARTBEAT_INTERVAL

#: Bytes that came within this time of the last sign of life, in seconds, are the same sign: the kernel has a clock of
#: its own.
_SAME: Final = HEARTBEAT_INTERVAL / 2


class Liveness:
    """
    Keeps the signs of life of a session's client.

    Silence is counted in heartbeats, not in seconds: time during which the server itself was stopped does not count.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._silentBeats = 0  # heartbeats since the last sign
        self._signAt = 0.0  # when that was, to half a second
        self._beatAt = self._steadyAt = clock.seconds()  # the last heartbeat; since when all have been in time

    def received(self) -> None:
        """Bytes have come from the client on the control connection."""
        self._silentBeats = 0

    def beat(self) -> None:
        """A heartbeat is due."""
        now = self._clock.seconds()
        if now - self._beatAt > _LATE:
            self._steadyAt = now
        self._beatAt = now
        if not self._silentBeats:
            self._signAt = now
        self._silentBeats += 1

    def isLost(self, sinceReceived: Callable[[], float]) -> bool:
        """
        Whether a client that has to answer has given no sign of life for too many heartbeats.

        On a slow link with a long queue its answers come late, behind the bytes of its visitors. These are signs of
        life as well; they are asked for only when answers are missing.

        :param sinceReceived: returns the seconds since the last bytes of visitors came.
        """
        if self._silentBeats <= MAX_UNANSWERED:
            return False
        ago, now = sinceReceived(), self._clock.seconds()
        if ago > now - self._signAt - _SAME:
            return True
        self._signAt = now - ago
        awake = min(ago, now - self._steadyAt)
        self._silentBeats = min(int(awake / HEARTBEAT_INTERVAL), MAX_UNANSWERED - 1) + 1
        return False

    def inDoubt(self, sock: socket.socket) -> bool:
        """
        Whether a client that does not answer heartbeats may be gone: its kernel acknowledges nothing.

        :param sock: the control connection.
        """
        now = self._clock.seconds()
        if now - self._beatAt > _LATE:
            return False
        return min(now - self._steadyAt, unacknowledgedFor(sock)) >= DOUBT_TIMEOUT
