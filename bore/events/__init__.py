"""
What happens, as values: a frozen dataclass for each fact, and the sink that passes facts on to whatever shows them.

:mod:`bore.events.server` has the facts of a server, :mod:`bore.events.client` those of a client. The log subscribes to
them; so does whatever else shows or counts what happens. The code in which something happens emits the event and does
nothing more: it formats no text, keeps no totals, and does not decide whether an event is worth a line.

An event holds numbers, strings, enumerations and errors, never a live object. Durations are in seconds, amounts of data
in bytes. Faults of the program itself are not events: they are logged with their traceback where they are caught.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeAlias, cast

from bore.wire.publicaddress import fieldOf
from bore.wire.values import value


@value
class Event:
    """A fact."""


@value
class VisitorEvent(Event):
    """
    A step of a single visitor or lane.

    There are thousands of them per second, so they are only made if :attr:`Sink.visitors` says that they are wanted.
    """


@value
class VisitorEnded(VisitorEvent):
    """
    A visitor was closed.

    There is one for each visitor. They are only made if :attr:`Sink.ends` says that they are wanted.
    """


def fieldsOf(event: Event) -> dict[str, object]:
    """
    The fields of an event by name, for people and programs: enumerations as their values, and the address of a tunnel
    under the name of its kind, such as ``port``.
    """
    names: tuple[str, ...] = cast(Any, event).__match_args__
    values = (fieldOf(getattr(event, name)) if name == "address" else (name, getattr(event, name)) for name in names)
    return {name: value.value if isinstance(value, Enum) else value for name, value in values}


def nameOf(kind: type[Event]) -> str:
    """The name of a kind of event for programs: that of its class in kebab case, such as ``tunnel-opened``."""
    return _inKebabCase(kind.__name__)


@cache
def _inKebabCase(name: str) -> str:
    return re.sub("(?<=.)(?=[A-Z])", "-", name).lower()


def entryOf(event: Event) -> dict[str, object]:
    """
    What a log has of an event: its name as ``event``, and its fields; docs/events.rst lists them.

    An error is a text, since a log may keep the entry, and an error holds what has raised it. A refusal has its
    ``code``, too. An empty ``user`` is left out: a server without users has none in its log.
    """
    entry = {"event": nameOf(type(event)), **fieldsOf(event)}
    if entry.get("user") == "":
        del entry["user"]
    error = entry.get("error")
    if isinstance(error, Exception):
        entry["error"] = str(error)
        if code := getattr(error, "code", ""):
            entry["code"] = code
    return entry


Subscriber: TypeAlias = Callable[[Event], object]


def _printFault(subscriber: Subscriber, event: Event) -> None:
    sys.excepthook(*sys.exc_info())


class Sink:
    """
    Passes each event to all subscribers, in the order in which they subscribed.

    Subscribers are called while the event happens, so they must not block, or call back into what emitted it.

    :param failed: called with a subscriber that has raised an exception, and the event, while the exception is handled:
        once for each subscriber.
    :ivar visitors: whether a subscriber wants the :class:`VisitorEvent` s. Check it before making one.
    :ivar ends: whether a subscriber wants the :class:`VisitorEnded` s. Check it before making one.
    """

    __slots__ = ("_details", "_ends", "_failed", "_faulty", "_subscribers", "ends", "visitors")

    def __init__(self, failed: Callable[[Subscriber, Event], object] = _printFault) -> None:
        self._failed = failed
        self._subscribers: list[Subscriber] = []
        self._details: list[Subscriber] = []
        self._ends: list[Subscriber] = []
        self._faulty: list[Subscriber] = []
        self.visitors = self.ends = False

    def subscribe(self, subscriber: Subscriber, visitors: bool = False, ends: bool = False) -> None:
        """
        Pass events to a subscriber from now on.

        :param visitors: whether it wants the :class:`VisitorEvent` s, too.
        :param ends: whether it wants the :class:`VisitorEnded` s, too.
        """
        self._subscribers.append(subscriber)
        if visitors:
            self._details.append(subscriber)
            self.visitors = True
        if visitors or ends:
            self._ends.append(subscriber)
            self.ends = True

    def emit(self, event: Event) -> None:
        """Pass an event on. A subscriber that raises keeps it neither from the others nor from going on."""
        subscribers = self._subscribers
        if isinstance(event, VisitorEvent):
            subscribers = self._ends if isinstance(event, VisitorEnded) else self._details
        for subscriber in subscribers:
            try:
                subscriber(event)
            except Exception:
                self._raised(subscriber, event)

    def _raised(self, subscriber: Subscriber, event: Event) -> None:
        """A subscriber has raised an exception, which is being handled: report the first one of each."""
        if subscriber not in self._faulty:
            self._faulty.append(subscriber)
            self._failed(subscriber, event)


class VisitorEnd(Enum):
    """Why a visitor was closed. The values are for people."""

    FINISHED = "both directions ended in order"
    VISITOR_CUT = "the visitor's side was cut"
    SERVICE_CUT = "the local service's side was cut"
    HALF_OPEN = "one direction had ended, and the other was silent for too long"
    NOT_TAKEN = "no client took it in time"
    LEFT_EARLY = "it left before it was served"
    NO_LANE = "its lanes were lost again and again"
    NO_DESCRIPTOR = "its descriptor was needed"
    TUNNEL_CLOSED = "its tunnel was closed"
    HANDED_OVER = "another process serves it from now on"
    STOPPED = "the program stops"
    FAILED = "the system could not serve it"


@value
class ShortSecret(Event):
    """The secret is short enough to be guessed from recorded traffic."""


@value
class NothingToReload(Event):
    """A reload was requested, and the program has no files to read."""


@value
class SettingsReloaded(Event):
    """
    The settings file was read again.

    :ivar file: the file.
    :ivar changes: what has changed, for people.
    """

    file: str
    changes: str


@value
class SettingsMistake(Event):
    """
    There is a mistake in a settings file that was read again.

    :ivar mistake: its place, what is wrong, and what would be right.
    """

    mistake: str


@value
class SettingsKept(Event):
    """
    The settings stay as they are, because the file that was read again has mistakes.

    :ivar file: the file.
    """

    file: str


@value
class RestartNeeded(Event):
    """
    A settings file has other values than those in effect for keys that cannot change while the program runs.

    :ivar keys: the keys, separated by commas.
    """

    keys: str


@value
class AdminSocketOpen(Event):
    """
    The admin socket is open.

    :ivar path: its path.
    """

    path: str


@value
class AdminSocketFailed(Event):
    """
    There is no admin socket.

    :ivar path: where it would be.
    :ivar error: why there is none, and what would be right.
    """

    path: str
    error: str


@value
class Draining(Event):
    """
    The program lets its visitors finish, takes no new ones, and ends.

    :ivar seconds: how long they have.
    """

    seconds: float


@value
class Stopped(Event):
    """The program stops. Events of what is still open may follow."""


# The status port.


@value
class StatusPortOpen(Event):
    """
    The status port accepts connections.

    :ivar url: where a browser on this machine finds it.
    """

    url: str


@value
class StatusTokenWritten(Event):
    """
    The file with the tokens of the status port was written, with a new token, as there was none.

    :ivar path: the file.
    """

    path: str


@value
class StatusTokensNotRead(Event):
    """
    The file with the tokens of the status port has changed and cannot be used: no token is valid.

    :ivar error: the file, and what is wrong with it.
    """

    error: str
