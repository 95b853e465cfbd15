"""Whether the local service of a tunnel answers."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from enum import Enum
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

#: Seconds until the first further probe of a service that is down; then each pause is twice as long, up to the longest.
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0

#: Errors of this machine, which show nothing of the service.
_OWN_ERRORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class LocalState(Enum):
    """What is known of a local service."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class LocalHealth:
    """
    What visitors and probes have shown last of a local service.

    A probe is a connection that is closed at once. There is one when they are allowed; while the service is down there
    are further ones, until one of them or a visitor reaches it.

    :param dial: connects to the service.
    :param unreachable: called with the reason when a probe has found that the service is down, and no visitor before.
    :param reached: called when a probe has reached the service.
    :ivar isUp: whether the service was reached last. It is checked for each visitor.
    :ivar turnedAway: the visitors that were turned away since the service is down.
    """

    _log: Final = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        dial: Callable[[], socket.socket | Deferred[socket.socket]],
        unreachable: Callable[[Failure], None],
        reached: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._dial = dial
        self._unreachable = unreachable
        self._reached = reached
        self._probes = False
        self._probing: Deferred[socket.socket] | None = None
        self._next: IDelayedCall | None = None
        self._pause = _FIRST_PAUSE
        self._downSince: float | None = None
        self.isUp = False
        self.turnedAway = 0

    @property
    def state(self) -> LocalState:
        """What is known of the service."""
        if self.isUp:
            return LocalState.UP
        return LocalState.UNKNOWN if self._downSince is None else LocalState.DOWN

    @property
    def downFor(self) -> float:
        """For how many seconds the service is down."""
        return 0.0 if self._downSince is None else self._clock.seconds() - self._downSince

    def allow(self, probes: bool) -> None:
        """Probe the service from now on, or not."""
        self._probes = probes
        if not probes:
            self._rest()
        elif not self.isUp and self._probing is None and self._next is None:
            self._probe()

    def forget(self) -> None:
        """It is another service from now on."""
        self.up()
        self.isUp = False

    def up(self) -> None:
        """The service was reached."""
        self._rest()
        self._pause = _FIRST_PAUSE
        self._downSince = None
        self.isUp = True
        self.turnedAway = 0

    def down(self) -> None:
        """The service could not be reached."""
        self.isUp = False
        if self._downSince is None:
            self._downSince = self._clock.seconds()
        if self._probes and self._probing is None and self._next is None:
            self._again()

    def _rest(self) -> None:
        """End the probe that is under way, and plan none."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._probing is not None:
            self._probing.cancel()

    def _again(self) -> None:
        """Plan the next probe."""
        self._next = self._clock.callLater(self._pause, self._probe)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _probe(self) -> None:
        self._next = None
        dialled = self._dial()
        if isinstance(dialled, socket.socket):
            self._succeeded(dialled)
            return
        self._probing = dialled
        dialled.addBoth(self._probed).addCallbacks(self._succeeded, self._failed).addErrback(self._broken)

    def _probed(self, result: socket.socket | Failure) -> socket.socket | Failure:
        self._probing = None
        return result

    def _succeeded(self, sock: socket.socket) -> None:
        sock.close()
        self._reached()

    def _failed(self, reason: Failure) -> None:
        if reason.check(CancelledError):
            return
        if getattr(reason.value, "errno", None) in _OWN_ERRORS:
            if self._probes:
                self._again()
            return
        wasKnown = self._downSince is not None
        self.down()
        if not wasKnown:
            self._unreachable(reason)

    def _broken(self, reason: Failure) -> None:
        self._log.failure("a local service is not probed any more", reason)
