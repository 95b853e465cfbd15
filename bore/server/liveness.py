"""Whether the client of a session is alive."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.streams.tcpinfo import unacknowledgedFor
from bore.wire.limits import BUSY_SILENCE, DOUBT_TIMEOUT, IDLE_SILENCE

#: When a heartbeat is later than this, in seconds, the server itself was stopped or starved.
_LATE: Final = 0.5

#: Bytes that came within this time of the last sign of life, in seconds, are the same sign: the kernel has a clock of
#: its own.
_SAME: Final = 0.25

#: Times are compared with this tolerance, in seconds: sums of fractions are not exact.
_EXACT: Final = 0.001


class Liveness:
    """
    Keeps the signs of life of a session's client.

    Silence is measured from heartbeat to heartbeat: time during which the server itself was stopped does not count.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._silence = 0.0  # seconds since the last sign
        self._busySilence = 0.0  # those of them with visitors, if there are visitors
        self._signAt = self._countedTo = self._beatAt = clock.seconds()
        self._steadyAt = self._beatAt  # since when all heartbeats have been in time
        self._planned = 0.0  # the time from the last heartbeat to the next one

    @property
    def left(self) -> float:
        """Seconds until a client without visitors is lost."""
        return IDLE_SILENCE - self._silence

    def received(self) -> None:
        """Bytes have come from the client on the control connection."""
        self._silence = self._busySilence = 0.0
        self._signAt = self._countedTo = self._clock.seconds()

    def beat(self, busy: bool) -> None:
        """
        A heartbeat is due.

        :param busy: whether the client has had visitors since the last one.
        """
        now = self._clock.seconds()
        passed = now - self._countedTo
        if self._isLate(now):
            self._steadyAt = now
            passed = min(passed, self._planned)
        self._beatAt = self._countedTo = now
        self._silence += passed
        self._busySilence = self._busySilence + passed if busy else 0.0

    def plan(self, seconds: float) -> None:
        """The next heartbeat is due in this time, or earlier."""
        self._planned = seconds

    def isLost(self, sinceReceived: Callable[[], float]) -> bool:
        """
        Whether a client that has to answer has given no sign of life for too long.

        On a slow link with a long queue its answers come late, behind the bytes of its visitors. These are signs of
        life as well; they are asked for only when answers are missing.

        :param sinceReceived: returns the seconds since the last bytes of visitors came.
        """
        if not self._isTooLong():
            return False
        ago, now = sinceReceived(), self._clock.seconds()
        if ago > now - self._signAt - _SAME:
            return True
        self._signAt = now - ago
        self._silence = min(ago, now - self._steadyAt)
        self._busySilence = min(self._busySilence, self._silence)
        return self._isTooLong()

    def inDoubt(self, sock: socket.socket) -> bool:
        """
        Whether a client that does not answer heartbeats may be gone: its kernel acknowledges nothing.

        :param sock: the control connection.
        """
        now = self._clock.seconds()
        if self._isLate(now):
            return False
        return min(now - self._steadyAt, unacknowledgedFor(sock)) >= DOUBT_TIMEOUT

    def _isLate(self, now: float) -> bool:
        return now - self._beatAt > self._planned + _LATE

    def _isTooLong(self) -> bool:
        return self._silence >= IDLE_SILENCE - _EXACT or self._busySilence >= BUSY_SILENCE - _EXACT
