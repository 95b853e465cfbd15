"""The visitor log: a line of JSON for each visitor of a server, when it has left or was refused."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from bore.events import Event, Sink, VisitorEnd
from bore.events.server import VisitorLeft, VisitorLinesDropped, VisitorLogFailed, VisitorLogReopened, VisitorRefused
from bore.system.linefile import LineFile, Reactor
from bore.wire.publicaddress import PublicAddress, fieldOf

#: While lines are dropped, their number is reported at this interval, in seconds.
WINDOW: Final = 60.0

#: Tunnels whose part of a line is kept, at most.
_TUNNELS: Final = 1024

_quoted: Final = json.JSONEncoder().encode


class CannotLog(Exception):
    """The file of the visitor log cannot be opened. The text says what would be right."""


class VisitorLog:
    """
    Writes a line for each visitor, with a subscription to the events of a server.

    Nothing waits for the file: see :class:`~bore.system.linefile.LineFile`.

    :param sink: gets an event when lines are dropped.
    :param now: the time of day, in seconds since 1970.
    :raises CannotLog: when the file cannot be opened.
    """

    def __init__(self, reactor: Reactor, sink: Sink, path: Path, now: Callable[[], float] = time.time) -> None:
        self._reactor = reactor
        self._sink = sink
        self._path = str(path)
        self._now = now
        self._why = ""  # what was wrong when lines were written last
        self._dropped = 0
        self._second = -1
        self._clock = ""  # that second, as text
        self._tunnels: dict[tuple[PublicAddress, str], str] = {}
        self._reporting: IDelayedCall | None = None
        try:
            self._file = LineFile(path, reactor, self._wrote)
        except OSError as e:
            raise CannotLog(f"cannot write the visitor log {path}: {_advice(path, e)}") from e
        sink.subscribe(self._write, ends=True)

    def reopen(self) -> None:
        """Open the file again: another one may have its name."""
        self._file.reopen()
        self._sink.emit(VisitorLogReopened(self._path))

    def close(self) -> None:
        """Write what is left, for a second at most, and report the lines that were dropped."""
        self._dropped += self._file.close()
        if self._reporting is not None and self._reporting.active():
            self._reporting.cancel()
        self._report()

    def _write(self, event: Event) -> None:
        if isinstance(event, VisitorLeft):
            if event.reason is VisitorEnd.HANDED_OVER:
                return  # it goes on waiting: the process that serves it writes its line
            seconds, toClient, toVisitor, why = event.seconds, event.toClient, event.toVisitor, event.reason.name
        elif isinstance(event, VisitorRefused):
            seconds, toClient, toVisitor, why = 0.0, 0, 0, event.why.name
        else:
            return
        second, millisecond = divmod(round((self._now() - seconds) * 1000), 1000)
        if second != self._second:
            self._second = second
            self._clock = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        who = event.address, event.user
        tunnel = self._tunnels.get(who)
        if tunnel is None:
            if len(self._tunnels) >= _TUNNELS:
                self._tunnels.clear()
            tunnel = self._tunnels[who] = _tunnelPart(*who)
        # As json.dumps has it, in a third of the time: a visitor costs little more than this.
        line = (
            f'{{"when": "{self._clock}.{millisecond:03}Z", {tunnel}, "from": {_quoted(event.visitor)}, '
            f'"seconds": {seconds:.3f}, "toClient": {toClient}, "toVisitor": {toVisitor}, '
            f'"reason": "{_inKebabCase(why)}"}}\n'
        )
        self._file.write(line.encode())

    def _wrote(self, dropped: int, why: str) -> None:
        """
        Lines were written, or dropped.

        The first trouble is reported at once, and then the number of lines that it has cost, once in each window.
        """
        self._dropped += dropped
        if why and self._reporting is None:
            self._sink.emit(VisitorLogFailed(self._path, why))
            self._reporting = self._reactor.callLater(WINDOW, self._look)
        self._why = why

    def _look(self) -> None:
        """A window is over: the next one begins if there is still trouble."""
        self._reporting = None
        again = bool(self._why or self._dropped)
        self._report()
        if again:
            self._reporting = self._reactor.callLater(WINDOW, self._look)

    def _report(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._sink.emit(VisitorLinesDropped(self._path, dropped))


def nameOf(reason: Enum) -> str:
    """The name of a reason in the file, such as ``visitor-cut``."""
    return _inKebabCase(reason.name)


@cache
def _inKebabCase(name: str) -> str:
    return name.lower().replace("_", "-")


def _tunnelPart(address: PublicAddress, user: str) -> str:
    """What a line has of the tunnel."""
    return json.dumps(dict([fieldOf(address)], user=user or None))[1:-1]


def _advice(path: Path, error: OSError) -> str:
    """What is wrong with the path, and what would be right."""
    folder = path.absolute().parent
    if path.is_dir():
        return f"it is a directory: name a file in it, such as {path / 'visitors.log'}"
    if not folder.is_dir():
        return f"there is no directory {folder}: make it, or name another one"
    if isinstance(error, PermissionError):
        what = path if path.exists() else folder
        return f"the user of this process may not write {what}: give it the right, or name another file"
    return error.strerror or os.strerror(error.errno or 0)
