"""What is answered at the admin socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from bore.events import Event, RestartNeeded, SettingsKept, SettingsMistake, SettingsReloaded, entryOf, nameOf
from bore.status.questions import Answer, Question, Refused, Route, Routes, jsonAnswer
from bore.status.report import Visited, eventReport, fieldsIn, jsonParts

R = TypeVar("R")
S = TypeVar("S")
V = TypeVar("V")

#: Takes a snapshot.
Take: TypeAlias = Callable[[], Deferred[R]]

#: Reads a tunnel and its visitors: see :func:`tunnelRoute`.
TakeTunnel: TypeAlias = Callable[[str, int | None], Deferred[Visited[R, V]]]

#: How long visitors have by default to finish, when the program drains, in seconds, and at most.
DRAIN: Final = 300.0
MAX_DRAIN: Final = 86400.0


class Operated(Protocol):
    """A program, as its operator sees it."""

    def reload(self) -> list[Event]:
        """Read the files again, as on SIGHUP, and return what has happened."""

    def drain(self, seconds: float) -> int:
        """
        Take no more visitors, and end when the last one has left.

        :param seconds: how long visitors have.
        :returns: how many there are.
        :raises Refused: if that has begun already.
        """


class TunnelNotFound(Refused):
    """There is no such tunnel."""

    def __init__(self, name: str) -> None:
        super().__init__(404, f"there is no tunnel {name}: 'bore status', or GET /status, lists the tunnels")


def routes(
    take: Take[S],
    program: Operated,
    tunnel: TakeTunnel[R, V],
    kick: Route,
    more: Mapping[str, Route] = MappingProxyType({}),
) -> Routes:
    """
    Return the routes of a program.

    :param take: takes a snapshot.
    :param tunnel: see :func:`tunnelRoute`.
    :param kick: ends sessions.
    :param more: further ones.
    """

    def reload(question: Question) -> Answer:
        question.json()
        return reloadAnswer(program.reload())

    return Routes(
        {
            "GET /status": lambda _: take().addCallback(reportAnswer),
            "GET /tunnels/": tunnelRoute(tunnel),
            "POST /kick": kick,
            "POST /drain": drainRoute(program.drain),
            "POST /reload": reload,
            **more,
        }
    )


def drainRoute(drain: Callable[[float], int]) -> Route:
    """
    Answer when a program is to end.

    :param drain: see :meth:`Operated.drain`.
    """

    def route(question: Question) -> Answer:
        within = question.json(within=float).get("within", DRAIN)
        assert isinstance(within, int | float)
        if not 0 <= within <= MAX_DRAIN:  # nor is NaN; and there are whole numbers that are too long for a float
            raise Refused(400, f"within must be a number of seconds from 0 to {MAX_DRAIN:.0f}")
        return jsonAnswer({"visitors": drain(float(within)), "within": within})

    return route


def reloadAnswer(events: list[Event]) -> Answer:
    """
    Answer what a reload has changed, or what is wrong.

    :param events: what has happened meanwhile.
    """
    return reloadedAnswer(*reloadLines(events))


def reloadedAnswer(changes: Sequence[str], mistakes: Sequence[str], restart: str) -> Answer:
    """
    Answer what a reload has changed, or what is wrong.

    :param restart: the keys of the settings file for which the program has to be started again; empty: none.
    """
    found = {"changes": [*changes], "mistakes": [*mistakes], "restart": restart or None}
    return jsonAnswer({"error": "; ".join(mistakes), **found}, 422) if mistakes else jsonAnswer(found)


def reloadLines(events: Sequence[Event]) -> tuple[list[str], list[str], str]:
    """Return what a reload has changed, what is wrong, and for which keys a restart is needed."""
    changes, mistakes, restart = [], [], ""
    for event in events:
        match event:
            case SettingsMistake(mistake):
                mistakes.append(mistake)
            case SettingsReloaded(file, changed):
                changes.append(f"{file}: {changed}")
            case RestartNeeded(keys):
                restart = keys
            case SettingsKept():
                pass
            case _ if nameOf(type(event)).endswith("-not-read"):
                mistakes.append(eventReport(0, entryOf(event)).text)
            case _:
                changes.append(eventReport(0, entryOf(event)).text)
    return changes, mistakes, restart


def reportAnswer(report: object) -> Answer:
    """Answer with a report."""
    return Answer(jsonParts(report))


def withList(report: object, visitors: Sequence[object]) -> Mapping[str, object]:
    """A tunnel with its visitors, which may be thousands: its JSON is made in parts, see :func:`jsonParts`."""
    return {**dict(fieldsIn(report)), "list": visitors}


def tunnelRoute(tunnel: TakeTunnel[R, V], most: int | None = None) -> Route:
    """
    Answer with a tunnel and the list of its visitors.

    :param tunnel: reads both, by what the path has, with at most so many visitors; None: there is no such tunnel.
    """

    def route(question: Question) -> Deferred[Answer]:
        name = question.path.removeprefix("/tunnels/")

        def found(read: Visited[R, V]) -> Answer:
            if read is None:
                raise TunnelNotFound(name)
            return Answer(jsonParts(withList(*read)))

        return tunnel(name, most).addCallback(found)

    return route
