"""Log observers: text for people, JSON for programs, priorities for systemd's journal."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.commandline import printable
from bore.logs.outlet import Reactor, unblocked
from bore.logs.settings import LogSettings

#: The priorities of log levels (sd-daemon(3)).
_PRIORITIES: Final = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}

#: Keys of an event that are not fields of its own.
_INTERNAL: Final = frozenset(
    ("announce", "format", "isError", "message", "system", "time", "trackActiveSpan", "log_failure")
)


#: Keys of each JSON object, whatever the event is.
_COMMON: Final = ("time", "level", "source", "event", "message")

#: Names that a field of an event must not have: it would be left out.
RESERVED: Final = _INTERNAL.union(_COMMON)


def text(event: LogEvent) -> str:
    """
    Format an event as one line of text, without its time.

    Fields may contain data from the network, and so characters that would control a terminal are escaped. Only the
    traceback of a bug has further lines.
    """
    line = printable(formatEvent(event))
    failure = event.get("log_failure")
    return line if failure is None else f"{line}\n{_traceback(failure)}"


def _traceback(failure: Failure) -> str:
    if failure.tb is not None:
        return "".join(traceback.format_exception(failure.type, failure.value, failure.tb)).rstrip()
    return str(failure.getTraceback()).rstrip()


def levelOf(event: LogEvent) -> str:
    """Return the name of an event's level."""
    level = event.get("log_level")
    return "info" if level is None else str(level.name)


def priorityOf(level: str) -> int:
    """Return the priority of a level (sd-daemon(3), syslog(3))."""
    return _PRIORITIES[level]


def _time(event: LogEvent) -> datetime:
    return datetime.fromtimestamp(event.get("log_time", 0.0), tz=UTC)


@implementer(ILogObserver)
class TextObserver:
    """Writes each event as a line of text: local time, level and text, or priority and text for the journal."""

    def __init__(self, file: TextIO, journal: bool = False) -> None:
        self._file = file
        self._journal = journal

    def __call__(self, event: LogEvent) -> None:
        level = levelOf(event)
        if self._journal:
            # Every line is an entry, and one without a priority would get the default.
            prefix = f"<{priorityOf(level)}>"
            line = prefix + text(event).replace("\n", f"\n{prefix}")
        else:
            line = f"{_time(event).astimezone():%Y-%m-%d %H:%M:%S} {level:5} {text(event)}"
        self._file.write(line + "\n")
        self._file.flush()


@implementer(ILogObserver)
class JSONObserver:
    """
    Writes each event as a JSON object on one line: time, level, source, event, message, and the fields of the event.

    The value of ``event`` is the name of what is in :mod:`bore.events`; null: the line is about nothing that is there.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __call__(self, event: LogEvent) -> None:
        time = _time(event).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        common = time, levelOf(event), event.get("log_namespace", ""), event.get("event"), text(event)
        entry: dict[str, object] = dict(zip(_COMMON, common, strict=True))
        for key, value in _fields(event).items():
            entry.setdefault(key, value if isinstance(value, str | int | float | bool | None) else str(value))
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def _fields(event: LogEvent) -> Mapping[str, object]:
    return {k: v for k, v in event.items() if not k.startswith("log_") and k not in _INTERNAL}


@implementer(ILogObserver)
class Announcer:
    """
    Writes the events with the field ``announce``: what the user has started the command for.

    :param others: the observer of all other events.
    :param shared: whether both outputs have the same reader; if not, the other observer gets the announcements too.
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
    Escapes events for observers of other packages, which have to be added after it. See :func:`text`.
    """

    def __call__(self, event: LogEvent) -> None:
        if printable(formatEvent(event)) != formatEvent(event):
            for key, value in _fields(event).items():
                if isinstance(value, str):
                    event[key] = printable(value)
            # Fields of other types, such as exceptions, are formatted here: an observer would do it without escaping.
            event["log_format"] = printable(formatEvent(event)).replace("{", "{{").replace("}", "}}")


def observer(settings: LogSettings, file: TextIO) -> ILogObserver:
    """Return the observer for these settings."""
    return filtered(settings, JSONObserver(file) if settings.format == "json" else TextObserver(file, _isJournal(file)))


def labelled(unlabelled: ILogObserver, worker: int, generation: int) -> ILogObserver:
    """Return an observer of a worker process: each event has the number and the generation of the worker."""

    def observe(event: LogEvent) -> None:
        # The text comes first, so that what reads the log of a server finds the same lines.
        labels = {"worker": worker, "generation": generation}
        form = f"{event.get('log_format') or ''} [worker {worker}, generation {generation}]"
        unlabelled({**labels, **event, "log_format": form} if event.get("log_format") else {**labels, **event})

    return cast(ILogObserver, observe)


def filtered(settings: LogSettings, unfiltered: ILogObserver) -> ILogObserver:
    """Return an observer that passes on the events of the level in the settings."""
    level = LogLevel.levelWithName(settings.level)
    predicate = LogLevelFilterPredicate(
        max(level, LogLevel.warn)
    )  # of Twisted's own events only warnings are of interest
    predicate.setLogLevelForNamespace("bore", level)
    return FilteringLogObserver(unfiltered, [predicate])


def beginLogging(settings: LogSettings, reactor: Reactor) -> None:
    """Begin to log to standard error and to announce on standard output, and replace both by non-blocking outputs."""
    sys.stdout, sys.stderr = unblocked(sys.stdout, reactor), unblocked(sys.stderr, reactor)
    others = observer(settings, sys.stderr)
    announcer = Announcer(sys.stdout, others, shared=settings.format == "text")
    globalLogBeginner.beginLoggingTo([announcer], redirectStandardIO=False)


def _isJournal(file: TextIO) -> bool:
    """Return whether the file is connected to the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        found = os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):  # one of twistd's log files, or not a file of the system
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
