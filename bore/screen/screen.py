"""What a person sees who runs the client on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import LogEvent, Logger

from bore.events import Event, VisitorEvent
from bore.events.client import TunnelUp, VisitorLeft, VisitorUnserved
from bore.logs.observers import levelOf, text
from bore.screen.figures import Figures
from bore.screen.heading import Heading
from bore.screen.lines import Line, Painter, Part, Style
from bore.screen.live import liveLine
from bore.screen.returns import Returns
from bore.screen.visits import Visits

#: Seconds between two refreshes, and at least that many if an event asks for one.
_INTERVAL: Final = 1.0
_SOON: Final = 0.5

#: A narrower terminal has no times in front of its lines.
_WIDTH_FOR_TIME: Final = 60

#: Losses whose lines are known, so that they are not repeated for each attempt.
_MAX_LOSSES: Final = 64

_LEVELS: Final = {"debug": Style.DIM, "warn": Style.WARN, "error": Style.BAD, "critical": Style.BAD}


class Client(Protocol):
    """What the screen needs of the client."""

    def retryNow(self) -> bool:
        """Make the attempts that are waited for now; returns whether there was one."""


class Display(Protocol):
    """What the screen needs of a terminal: see :class:`bore.screen.terminal.Terminal`."""

    @property
    def isStopped(self) -> bool:
        """Whether it does not take what was written."""

    def size(self) -> tuple[int, int]:
        """Return columns and lines."""

    def write(self, lines: list[str]) -> None:
        """Write lines above the last one."""

    def replace(self, last: str, anew: bool = False) -> None:
        """Replace the last line."""


class Screen:
    """
    Shows the client: a header, visits and what the log has as lines, and a last line that changes.

    In the background of the terminal it shows the header and the log alone.

    :param display: the terminal.
    :param isForeground: whether the process is in the foreground of the terminal.
    :param hasKeys: whether keys can be pressed.
    :param today: returns the time, in the user's time zone.
    """

    _log = Logger("bore.screen")

    def __init__(
        self,
        clock: IReactorTime,
        display: Display,
        painter: Painter,
        isForeground: Callable[[], bool],
        today: Callable[[], datetime],
        hasKeys: bool = True,
    ) -> None:
        self._clock = clock
        self._display = display
        self._painter = painter
        self._isForeground = isForeground
        self._today = today
        self._hasKeys = hasKeys
        self._figures: Callable[[], Figures] | None = None
        self._client: Client | None = None
        self._visits = Visits(painter.glyphs)
        self._returns = Returns()
        self._names: dict[str, str] = {}
        self._heading = Heading(painter)
        self._losses: set[str] = set()
        self._timer: IDelayedCall | None = None
        self._refreshedAt = float("-inf")
        self._active = False  # whether there is a last line
        self._stopped = False

    def follow(self, client: Client, figures: Callable[[], Figures]) -> None:
        """
        Show a client from now on.

        :param figures: returns its figures.
        """
        self._client, self._figures = client, figures
        self.refresh()

    def stop(self) -> None:
        """Remove the last line. What is logged from now on has lines."""
        self._stopped = True
        self._active = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._display.replace("")

    # What happens.

    def happened(self, event: Event) -> None:
        """Take an event into account: see :class:`bore.events.Sink`."""
        if isinstance(event, VisitorEvent):
            self._visited(event)
            return
        if isinstance(event, TunnelUp):
            self._losses.clear()
            if event.tunnel:
                self._names[event.local] = event.tunnel
        now = self._clock.seconds()
        self._heading.happened(event, now)
        self._returns.happened(event, now)
        self._refreshSoon()

    def _visited(self, event: VisitorEvent) -> None:
        if self._active and isinstance(event, VisitorLeft | VisitorUnserved):
            self._visits.held = self._display.isStopped
            line = self._visits.happened(event, self._names)
            if line is not None:
                self._write([self._stamped(line)])

    def firstBytes(self, name: str, data: bytes) -> None:
        """
        Take into account what the service of a tunnel has sent first.

        :param name: the name of the tunnel.
        """
        self._heading.firstBytes(name, data, self._clock.seconds())

    def pressed(self, keys: bytes) -> None:
        """Follow keys: q shows a QR code, Enter retries now."""
        if self._stopped or self._client is None:
            return
        if b"\n" in keys or b"\r" in keys:
            self._client.retryNow()
            self._refreshSoon()
        if b"q" in keys and self._figures is not None:
            width, _ = self._display.size()
            self._write(self._heading.code(self._figures(), width))

    def resized(self) -> None:
        """The terminal has another size."""
        if self._active:
            self.refresh(anew=True)

    def suspended(self) -> None:
        """The process is about to be stopped: leave the terminal as others expect it."""
        self._active = False
        self._display.replace("")

    # The log.

    def logged(self, event: LogEvent) -> None:
        """Show an event of the log, unless it is shown in other ways."""
        line = text(event)
        kind = event.get("event")
        if kind == "tunnel-up" or event.get("log_follows") or (kind == "server-trusted" and not self._heading.shown):
            return
        if kind == "server-lost":
            if line in self._losses:
                return
            if len(self._losses) < _MAX_LOSSES:
                self._losses.add(line)
        self.say(line, _LEVELS.get(levelOf(event), Style.PLAIN))

    def say(self, text: str, style: Style = Style.PLAIN) -> None:
        """Show lines of text."""
        width, _ = self._display.size()
        first, *more = text.split("\n")
        lines = self._painter.wrapped(self._time(width) + first, style, width)
        for each in more:
            lines += self._painter.wrapped(each, style, width)
        self._write(lines)

    # The picture.

    def refresh(self, anew: bool = False) -> None:
        """
        Show what has changed, and do so again soon.

        :param anew: whether the last line is drawn even if it is the same.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._stopped or self._figures is None:
            return
        try:
            self._draw(self._figures(), anew)
        except Exception:
            self.stop()
            self._log.failure("the screen has failed: from now on there is the log alone")
            return
        self._refreshedAt = self._clock.seconds()
        self._timer = self._clock.callLater(_INTERVAL, self.refresh)

    def _refreshSoon(self) -> None:
        if self._timer is not None and self._timer.active():
            soon = max(0.0, self._refreshedAt + _SOON - self._clock.seconds())
            if self._timer.getTime() > self._clock.seconds() + soon:
                self._timer.reset(soon)

    def _draw(self, figures: Figures, anew: bool) -> None:
        width, height = self._display.size()
        lines = self._heading.lines(figures, width, height, self._clock.seconds())
        back = self._returns.line()
        if back is not None:
            lines.append(self._stamped(back))
        wasActive, self._active = self._active, self._isForeground()
        if self._active:
            self._visits.held = self._display.isStopped
            sum = self._visits.sum()
            if sum is not None:
                lines.append(self._stamped(sum))
        self._write(lines)
        if self._active:
            last = liveLine(figures, self._painter, width, self._hasKeys)
            self._display.replace(last, anew or not wasActive)
        elif wasActive:
            self._display.replace("")

    def _stamped(self, line: Line) -> str:
        width, _ = self._display.size()
        return self._painter.paint([Part(self._time(width), Style.DIM), *line], width)

    def _time(self, width: int) -> str:
        return f"{self._today():%H:%M:%S} " if width >= _WIDTH_FOR_TIME else ""

    def _write(self, lines: list[str]) -> None:
        if lines:
            self._display.write(lines)
