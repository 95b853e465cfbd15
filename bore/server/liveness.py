"""Whether the client of a session is alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.timing.rhythm import Stalls
from bore.wire.limits import BUSY_SILENCE, IDLE_SILENCE

#: Bytes that came within this time of the last sign of life, in seconds, are the same sign: the kernel has a clock of
#: its own.
_SAME: Final = 0.25

#: Times are compared with this tolerance, in seconds: sums of fractions are not exact.
_EXACT: Final = 0.001


class Liveness:
    """
    Keeps the signs of life of a client that has to answer heartbeats.

    Time during which the server itself was stopped is not silence of the client.

    :param stalls: the times in which the server was stopped.
    """

    __slots__ = ("_busySince", "_clock", "_signAt", "_stalled", "_stalls")

    def __init__(self, clock: IReactorTime, stalls: Stalls) -> None:
        self._clock = clock
        self._stalls = stalls
        self._signAt = clock.seconds()
        self._stalled = stalls.total  # how much of the time up to the last sign does not count
        self._busySince: float | None = None  # since when there are visitors, without the time that does not count

    @property
    def left(self) -> float:
        """Seconds until a client without visitors is lost."""
        return IDLE_SILENCE - self._silence

    def received(self) -> None:
        """Bytes have come from the client on the control connection."""
        self._signAt = self._clock.seconds()
        self._stalled = self._stalls.total

    def setBusy(self, busy: bool) -> None:
        """The client has visitors, or had some lately; or it has none any more."""
        self._busySince = self._clock.seconds() - self._stalls.total if busy else None

    def isLost(self, sinceReceived: Callable[[], float]) -> bool:
        """
        Whether a client has given no sign of life for too long.

        On a slow link with a long queue its answers come late, behind the bytes of its visitors. These are signs of
        life as well; they are asked for only when answers are missing.

        :param sinceReceived: returns the seconds since the last bytes of visitors came.
        """
        if not self._isTooLong():
            return False
        ago, now = sinceReceived(), self._clock.seconds()
        if ago > now - self._signAt - _SAME:
            return True
        self._signAt = now - min(ago, now - self._stalls.end)
        self._stalled = self._stalls.total
        return self._isTooLong()

    @property
    def _silence(self) -> float:
        """Seconds since the last sign."""
        return self._clock.seconds() - self._signAt - (self._stalls.total - self._stalled)

    def _isTooLong(self) -> bool:
        silence = self._silence
        if silence < BUSY_SILENCE - _EXACT:
            return False
        if silence >= IDLE_SILENCE - _EXACT:
            return True
        if self._busySince is None:
            return False
        busy = self._clock.seconds() - self._stalls.total - self._busySince
        return min(silence, busy) >= BUSY_SILENCE - _EXACT
