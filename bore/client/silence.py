"""A server from which nothing comes any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.wire.limits import SILENCE_TIMEOUT

#: After a time in which this program was stopped, timers fire before the sockets are read: what has come meanwhile is
#: read first, for so long, in seconds.
_PASS: Final = 0.1


class Silence:
    """
    Ends in SILENCE_TIMEOUT seconds without a sign of life.

    Behind a slow link with a long queue heartbeats come too late, and the bytes of visitors do not: they are asked
    about when it matters, and not before.

    :param sinceReceived: says how many seconds ago the last of these bytes came.
    :param over: called when the server has given no sign of life for too long.
    """

    def __init__(self, clock: IReactorTime, sinceReceived: Callable[[], float], over: Callable[[], None]) -> None:
        self._clock = clock
        self._sinceReceived = sinceReceived
        self._over = over
        self._judging = False
        self._timer: IDelayedCall = clock.callLater(SILENCE_TIMEOUT - _PASS, self._end)

    def heard(self) -> None:
        """A frame of the server has come on the control connection."""
        if self._judging:
            self._timer.cancel()
            self._wait(SILENCE_TIMEOUT)
        else:
            self._timer.reset(SILENCE_TIMEOUT - _PASS)

    def stop(self) -> None:
        """The connection is lost."""
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
