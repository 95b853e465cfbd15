"""What a program tells the service manager that has started it: systemd, or one that knows its protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bore.events import Draining, Event, Sink, Stopped
from bore.events import client as clientFacts
from bore.events import server as serverFacts
from bore.system.notify import Notifier

#: Events after which the status may be another one.
_CHANGES: Final = frozenset(
    (
        serverFacts.Listening,
        serverFacts.SessionOpened,
        serverFacts.SessionLost,
        serverFacts.SessionClosed,
        serverFacts.TunnelOpened,
        serverFacts.TunnelLost,
        serverFacts.TunnelBack,
        serverFacts.TunnelClosed,
        serverFacts.WorkerStarted,
        serverFacts.WorkerEnded,
        serverFacts.ServerHandedOver,
        clientFacts.Connected,
        clientFacts.ServerLost,
        clientFacts.ServerMoved,
        clientFacts.TunnelUp,
        clientFacts.TunnelGivenUp,
        clientFacts.GaveUp,
    )
)

#: Changes within this time, in seconds, make one notice.
_TOGETHER: Final = 0.5

#: After this time, in seconds, it is sent again that the program is ready, if the manager has not taken that.
_AGAIN: Final = 0.5

#: When a program drains, the manager gives it this time more than its visitors, in seconds.
_MORE: Final = 10.0

#: Signs of life in each interval of the watchdog.
_SIGNS: Final = 3


class Notices:
    """
    Sends the manager that the program is ready, its status, that it stops, and signs of life.

    A sign of life proves that the reactor runs, as a timer of the reactor sends it, and that ``alive`` says so. When
    the signs are missing, the manager ends the program and starts it again.

    :param sink: the events of the program.
    :param status: returns the status in one line.
    :param alive: returns whether all parts of the program work that have to work always.
    :param waits: whether another process is the one that the manager listens to, before :meth:`take`.
    :param watchdog: how often the manager wants a sign of life, in seconds; None: never.
    """

    _log: Final = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        notifier: Notifier,
        status: Callable[[], str],
        alive: Callable[[], bool],
        watchdog: float | None,
        waits: bool = False,
    ) -> None:
        self._clock = clock
        self._notifier = notifier
        self._status = status
        self._alive = alive
        self._interval = None if watchdog is None else watchdog / _SIGNS
        self._timer: IDelayedCall | None = None
        self._changing: IDelayedCall | None = None
        self._again: IDelayedCall | None = None
        self._sent = ""
        self._drainsFor: float | None = None
        self._stopping = self._dead = False
        self._away = waits
        sink.subscribe(self._happened)

    def ready(self) -> None:
        """The program has started, or is ready again."""
        self._sendReady()
        if self._interval is not None and self._timer is None:
            self._timer = self._clock.callLater(0, self._live, self._interval)

    def goOn(self) -> None:
        """The program was ready, and runs new code: it sends signs of life even before it is :meth:`ready` again."""
        if self._interval is not None and self._timer is None:
            self._timer = self._clock.callLater(self._interval, self._live, self._interval)

    def reloading(self) -> None:
        """The program begins to read its files, or to run new code; :meth:`ready` is called when it is ready again."""
        if not self._stopping:
            self._sendReloading()

    def reload(self, reload: Callable[[], object]) -> None:
        """Reload the files of the program, and tell the manager when that begins and ends."""
        if self._stopping or self._away:
            reload()
            return
        self._sendReloading()
        try:
            reload()
        finally:
            self._sendReady()

    def hold(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""

    def keep(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""

    def give(self, pid: int) -> bool:
        """See :class:`bore.handover.place.Belonging`: the manager listens to the other process from now on."""
        if not self._notifier.send(f"MAINPID={pid}"):
            return False
        self._away = True
        self._cancel()
        return True

    def take(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""
        self._away = False
        self.ready()

    def _sendReloading(self) -> None:
        # The time is that of CLOCK_MONOTONIC, by which systemd knows that the notice is not older than its request.
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def look(self) -> None:
        """Send the status if it is another one: what it is about need not be an event of this process."""
        if self._sent and self._changing is None and not self._stopping:
            self._changed()

    def _sendReady(self) -> None:
        """Send that the program is ready. Without that the manager would end it: it is sent until it is read."""
        if self._again is not None and self._again.active():
            self._again.cancel()
        self._sent = self._status()
        if not self._notifier.send("READY=1", f"STATUS={self._sent}"):
            self._again = self._clock.callLater(_AGAIN, self._sendReady)

    def _happened(self, event: Event) -> None:
        if self._away:
            return
        if type(event) is Stopped:
            self._stop()
        elif type(event) is Draining:
            self._drainsFor = event.seconds
        elif type(event) in _CHANGES and self._changing is None and not self._stopping:
            self._changing = self._clock.callLater(_TOGETHER, self._changed)

    def _changed(self) -> None:
        self._changing = None
        status = self._status()
        if status != self._sent:
            self._sent = status
            self._notifier.send(f"STATUS={status}")

    def _live(self, interval: float) -> None:
        """Send a sign of life, if there is life."""
        self._timer = self._clock.callLater(interval, self._live, interval)
        if self._alive():
            self._dead = False
            self._notifier.send("WATCHDOG=1")
        elif not self._dead:
            self._dead = True
            self._log.error("a part of the program has ended, and nothing starts it again: no sign of life is sent")

    def _stop(self) -> None:
        """The program stops: the manager has another time limit for that."""
        self._stopping = True
        notices = ["STOPPING=1", "STATUS=stopping"]
        if self._drainsFor is not None:  # longer than TimeoutStopSec, after which the manager would kill the program
            notices.append(f"EXTEND_TIMEOUT_USEC={int((self._drainsFor + _MORE) * 1e6)}")
        self._notifier.send(*notices)
        self._cancel()

    def _cancel(self) -> None:
        for each in (self._timer, self._changing, self._again):
            if each is not None and each.active():
                each.cancel()
        self._timer = self._changing = self._again = None
