"""The time-out of a session whose server is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.wire.limits import SILENCE_TIMEOUT

#: Seconds for which the sockets are read before a server counts as silent: after a time in which this program was
#: stopped, timers fire first.
_PASS: Final = 0.1


class Silence:
    """
    Ends after SILENCE_TIMEOUT seconds without a sign of life.

    Behind a slow link with a long queue heartbeats are late while bytes of visitors arrive. The kernel is asked for
    those only when the time is up.

    :param sinceReceived: returns the seconds since the last byte of a visitor was received.
    :param over: called when the time is up.
    """

    def __init__(self, clock: IReactorTime, sinceReceived: Callable[[], float], over: Callable[[], None]) -> None:
        self._clock = clock
        self._sinceReceived = sinceReceived
        self._over = over
        self._judging = False
        self._timer: IDelayedCall = clock.callLater(SILENCE_TIMEOUT - _PASS, self._end)

    def frameReceived(self) -> None:
        """A frame was received on the control connection."""
        if self._judging:
            self._timer.cancel()
            self._wait(SILENCE_TIMEOUT)
        else:
            self._timer.reset(SILENCE_TIMEOUT - _PASS)

    @property
    def runs(self) -> bool:
        """Whether it will notice that the server is silent."""
        return self._timer.active()

    def stop(self) -> None:
        """The connection has ended."""
        if self._timer.active():
            self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._judging = False
        self._timer = self._clock.callLater(max(0.0, seconds - _PASS), self._end)

    def _end(self) -> None:
        self._judging = True
        self._timer = self._clock.callLater(_PASS, self._judge)

    def _judge(self) -> None:
        rest = SILENCE_TIMEOUT - self._sinceReceived()
        if rest > 0:
            self._wait(rest)
        else:
            self._over()
