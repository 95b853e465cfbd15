"""The streams of server-sent events to those who look at the page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.status.questions import Outlet
from bore.status.slices import spread
from bore.status.traffic import R, Traffic
from bore.status.views import View, changesBetween, makeView

#: The time between two snapshots while there are viewers, in seconds.
_INTERVAL: Final = 1.0

#: The time between two snapshots is at least this many times what one takes: with many tunnels there are fewer.
_PAUSE: Final = 10

#: A viewer is sent something at least this often, in seconds, so that it notices when the connection is dead.
_BEAT: Final = 15.0

#: How long a viewer may leave something unread, in seconds.
_PATIENCE: Final = 60.0


class _Viewer:
    """
    A stream of events.

    :ivar stale: whether something was not sent to it, so that it needs a whole snapshot.
    :ivar sent: when something was sent to it.
    """

    def __init__(self, outlet: Outlet, clock: IReactorTime) -> None:
        self._outlet = outlet
        self._clock = clock
        self.sent = clock.seconds()
        self.stale = True

    @property
    def isBehind(self) -> bool:
        """Whether the system has not taken yet what was sent before."""
        return self._outlet.unread > 0

    def offer(self, data: bytes) -> None:
        """Send an event, unless the viewer is behind."""
        if self.isBehind:
            self.stale = True
        else:
            self.send(data)

    def send(self, data: bytes) -> None:
        """Send an event."""
        self.sent = self._clock.seconds()
        self._outlet.write(data)

    def end(self) -> None:
        """End the stream."""
        self._outlet.close()


class Viewers:
    """
    All viewers. While there are some, snapshots are taken, and each viewer is sent what has changed.

    A viewer that does not read as fast is not sent changes, but a whole snapshot when it has read the rest. So is one
    that connects again.

    :param take: takes a snapshot, which is what there is to show.
    :param traffic: the traffic of the last hour.
    :param wallClock: the time of day, in seconds since 1970: browsers have clocks of their own.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        take: Callable[[], Deferred[R]],
        traffic: Traffic,
        wallClock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._makeView: Callable[[], Deferred[View]] = lambda: take().addCallback(
            lambda report: spread(clock, makeView(report))
        )
        self._traffic = traffic
        self._wallClock = wallClock
        self._viewers: dict[_Viewer, None] = {}
        traffic.changed = self._sendTraffic
        self._timer: IDelayedCall | None = None  # runs while there are viewers
        self._making: Deferred[None] | None = None  # the next view
        self._view: View = {}
        self._full = b""  # the view as an event; empty: it was not needed yet
        self._seen = 0.0  # when the view was complete

    def add(self, outlet: Outlet) -> Callable[[], None]:
        """
        Send events from now on.

        :returns: has to be called when the connection is lost.
        """
        viewer = _Viewer(outlet, self._clock)
        self._viewers[viewer] = None
        if self._timer is None and self._making is None:
            self._timer = self._clock.callLater(0, self._tick)
        elif self._view:
            self._sendAll(viewer)
        return lambda: self._left(viewer)

    def _sendTraffic(self) -> None:
        """The traffic of the last hour has changed."""
        if self._viewers:
            event = self._event("traffic", self._traffic.toJson())
            for viewer in tuple(self._viewers):
                viewer.offer(event)

    def _endAll(self) -> None:
        for viewer in tuple(self._viewers):
            viewer.end()

    def _left(self, viewer: _Viewer) -> None:
        self._viewers.pop(viewer, None)
        if not self._viewers:
            self._forget()

    def _forget(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        making, self._making = self._making, None
        if making is not None:
            making.cancel()
        self._view, self._full = {}, b""

    def _tick(self) -> None:
        """Make the next view. Streams have their turns meanwhile."""
        self._timer = None
        began = self._clock.seconds()
        self._making = self._makeView().addCallback(self._show)
        self._making.addCallbacks(lambda _: self._pause(self._clock.seconds() - began), self._failed)

    def _pause(self, spent: float) -> None:
        self._making = None
        if self._viewers:
            self._timer = self._clock.callLater(max(_INTERVAL, _PAUSE * spent), self._tick)

    def _failed(self, reason: Failure) -> None:
        if not reason.check(CancelledError):  # nobody looks any more
            self._log.failure("the page gets no snapshot", reason)
            self._making = None
            self._forget()
            self._endAll()

    def _show(self, view: View) -> None:
        """There is a new view."""
        now, event = self._clock.seconds(), b""
        changes = changesBetween(self._view, view) if self._view else {}
        if changes:
            event = self._event("change", {"parts": changes, "seconds": round(now - self._seen, 3)})
        self._view, self._full, self._seen = view, b"", now
        for viewer in tuple(self._viewers):
            if viewer.isBehind:
                viewer.stale = viewer.stale or bool(event)
                if now - viewer.sent >= _PATIENCE:
                    viewer.end()
            elif viewer.stale:
                self._sendAll(viewer)
            elif event:
                viewer.send(event)
            elif now - viewer.sent >= _BEAT:
                viewer.send(self._event("beat", {}))

    def _sendAll(self, viewer: _Viewer) -> None:
        if not self._full:
            self._full = self._event("snapshot", {"parts": self._view})
        viewer.stale = False
        viewer.send(self._full + self._event("traffic", self._traffic.toJson()))

    def _event(self, kind: str, data: dict[str, object]) -> bytes:
        """An event of the stream. JSON is without line breaks here, and in ASCII."""
        text = json.dumps(data | {"now": round(self._wallClock(), 3)}, separators=(",", ":"))
        return f"event: {kind}\ndata: {text}\n\n".encode("ascii")
