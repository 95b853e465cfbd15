"""Dials that wait for a descriptor."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from bore.streams.dial import Dialer
from bore.wire.limits import ACCEPT_TIMEOUT

#: The errors that mean that no descriptor is left, in this process or in the whole system.
_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)

#: Seconds until the next attempt.
_AGAIN: Final = 0.1


class Patience:
    """
    Dials for visitors. Without a descriptor it tries again, for as long as a visitor waits.

    :param giveWay: frees a descriptor; False if it cannot.
    """

    def __init__(self, clock: IReactorTime, giveWay: Callable[[], bool]) -> None:
        self._clock = clock
        self._giveWay = giveWay

    def dial(self, dials: Dialer, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        """Connect once: see :meth:`bore.streams.dial.Dialer.dial`."""
        dialled = dials.dial(sendsFirst)
        if not isinstance(dialled, socket.socket):  # a check for Deferred, which is an ABC, takes ten times as long
            dialled.addErrback(self._failed, dials, self._clock.seconds() + ACCEPT_TIMEOUT)
        return dialled

    def _failed(self, reason: Failure, dials: Dialer, until: float) -> Deferred[socket.socket]:
        code = getattr(reason.value, "errno", None)
        if code not in _NO_DESCRIPTOR or self._clock.seconds() >= until:
            reason.raiseException()
        later = 0.0 if self._giveWay() else _AGAIN
        waited: Deferred[None] = deferLater(self._clock, later)
        return waited.addCallback(lambda _: dials.dial()).addErrback(self._failed, dials, until)
