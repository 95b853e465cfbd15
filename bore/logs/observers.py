"""How log events are written: as text for people, as JSON for programs, with priorities for the journal."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from zope.interface import implementer

from bore.commandline import printable
from bore.logs.outlet import Reactor, unblocked
from bore.logs.settings import LogSettings
from bore.streams.visitorlog import VisitorLog

#: What systemd's journal calls our levels (sd-daemon(3)).
_PRIORITIES: Final = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}

#: What an event holds beside its own fields.
_INTERNAL: Final = frozenset(
    ("announce", "format", "isError", "message", "system", "time", "trackActiveSpan", "log_failure")
)


def text(event: LogEvent) -> str:
    """
    The event as one line of text, without its time.

    What came from the network may stand in it: characters that would do something to a terminal are escaped. Only the
    traceback of a fault in the program itself has further lines.
    """
    line = printable(formatEvent(event))
    failure = event.get("log_failure")
    return line if failure is None else f"{line}\n{_traceback(failure)}"


def _traceback(failure: Any) -> str:
    if failure.tb is not None:
        return "".join(traceback.format_exception(failure.type, failure.value, failure.tb)).rstrip()
    return str(failure.getTraceback()).rstrip()


def levelOf(event: LogEvent) -> str:
    """The name of an event's level."""
    level = event.get("log_level")
    return "info" if level is None else str(level.name)


def priorityOf(level: str) -> int:
    """The priority of a level (sd-daemon(3), syslog(3))."""
    return _PRIORITIES[level]


def _time(event: LogEvent) -> datetime:
    return datetime.fromtimestamp(event.get("log_time", 0.0), tz=UTC)


@implementer(ILogObserver)
class TextObserver:
    """Writes a line of text for each event: local time, level and text; or priority and text for the journal."""

    def __init__(self, file: TextIO, journal: bool = False) -> None:
        self._file = file
        self._journal = journal

    def __call__(self, event: LogEvent) -> None:
        level = levelOf(event)
        if self._journal:
            # Each line of a traceback would otherwise be an entry of its own priority.
            mark = f"<{priorityOf(level)}>"
            line = mark + text(event).replace("\n", f"\n{mark}")
        else:
            line = f"{_time(event).astimezone():%Y-%m-%d %H:%M:%S} {level:5} {text(event)}"
        self._file.write(line + "\n")
        self._file.flush()


@implementer(ILogObserver)
class JSONObserver:
    """Writes a JSON object on a line of its own for each event: time, level, source, text, and the event's fields."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __call__(self, event: LogEvent) -> None:
        entry: dict[str, object] = {
            "time": _time(event).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": levelOf(event),
            "source": event.get("log_namespace", ""),
            "message": text(event),
        }
        for key, value in _fields(event).items():
            entry.setdefault(key, value if isinstance(value, str | int | float | bool | None) else str(value))
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def _fields(event: LogEvent) -> Mapping[str, object]:
    return {k: v for k, v in event.items() if not k.startswith("log_") and k not in _INTERNAL}


@implementer(ILogObserver)
class Announcer:
    """
    Writes what the command was started for, and nothing else: events that carry ``announce``.

    :param others: gets all other events, and the announcements as well where they do not share a reader.
    """

    def __init__(self, file: TextIO, others: ILogObserver, shared: bool) -> None:
        self._file = file
        self._others = others
        self._shared = shared

    def __call__(self, event: LogEvent) -> None:
        announced = bool(event.get("announce"))
        if announced:
            self._file.write(text(event) + "\n")
            self._file.flush()
        if not (announced and self._shared):
            self._others(event)


@implementer(ILogObserver)
class Escaper:
    """
    Makes events safe for observers that are not ours: to be added before these.

    What came from the network may stand in an event: see :func:`text`.
    """

    def __call__(self, event: LogEvent) -> None:
        if printable(formatEvent(event)) != formatEvent(event):
            for key, value in _fields(event).items():
                if isinstance(value, str):
                    event[key] = printable(value)
            # What is no text itself, an exception for instance, is only made one when it is written.
            event["log_format"] = printable(formatEvent(event)).replace("{", "{{").replace("}", "}}")


def observer(settings: LogSettings, file: TextIO) -> ILogObserver:
    """Make the observer that the user has asked for."""
    return filtered(settings, JSONObserver(file) if settings.format == "json" else TextObserver(file, _isJournal(file)))


def filtered(settings: LogSettings, made: ILogObserver) -> ILogObserver:
    """Keep from an observer what the user has not asked for."""
    level = LogLevel.levelWithName(settings.level)
    predicate = LogLevelFilterPredicate(max(level, LogLevel.warn))  # Twisted's own events matter when they warn
    predicate.setLogLevelForNamespace("bore", level)
    return FilteringLogObserver(made, [predicate])


def beginLogging(settings: LogSettings, reactor: Reactor) -> None:
    """Log to standard error, and announce on standard output; from here on neither blocks."""
    sys.stdout, sys.stderr = unblocked(sys.stdout, reactor), unblocked(sys.stderr, reactor)
    VisitorLog.wanted = settings.level == "debug"
    others = observer(settings, sys.stderr)
    announcer = Announcer(sys.stdout, others, shared=settings.format == "text")
    globalLogBeginner.beginLoggingTo([announcer], redirectStandardIO=False)


def _isJournal(file: TextIO) -> bool:
    """Whether the journal reads this file (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        found = os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):  # as twistd's log files, or what stands in for one
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
