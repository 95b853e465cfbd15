"""What is asked over HTTP, and the answers, without HTTP: the interface between the site and what it shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from twisted.internet.defer import Deferred

#: Content types.
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"


class Refused(Exception):
    """
    A question is not answered.

    :param code: the HTTP status.
    :param text: why not, and what would be right.
    :ivar headers: further headers of the answer.
    """

    def __init__(self, code: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Question:
    """
    A request.

    :ivar method: ``GET`` or ``POST``, for instance; a ``HEAD`` is a ``GET`` whose answer is not sent.
    :ivar path: the path, with its leading slash, decoded.
    :ivar query: what stands behind the ``?``; of a name that is given twice, the last value.
    :ivar headers: the headers by their names in lower case; of several with one name, the last one.
    :ivar body: at most 64 KiB.
    :ivar peer: who asks, as ``HOST:PORT``; ``unix``: a process of this machine.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: str

    def json(self, **kinds: type) -> dict[str, object]:
        """
        Read the body as a JSON object.

        :param kinds: the keys that it may have, and their types.
        :raises Refused: if it is something else.
        """
        try:
            found = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            found = None
        keys = ", ".join(kinds) or "no keys"
        if not isinstance(found, dict):
            raise Refused(400, f"the body must be a JSON object with {keys}")
        for key, each in found.items():
            kind = kinds.get(key)
            if kind is None:
                raise Refused(400, f"unknown key {key!r}: the body may have {keys}")
            if not isinstance(each, (int, float) if kind is float else kind) or isinstance(each, bool):
                raise Refused(400, f"{key} must be a {_KINDS.get(kind, kind.__name__)}")
        return found


_KINDS: Final = {str: "text", int: "whole number", float: "number", object: "number or a text"}


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A response.

    :ivar body: its bytes; or its text in parts, each of which takes little time to make: they are made over several
        turns of the reactor.
    :ivar kind: its content type.
    :ivar headers: further headers.
    """

    body: bytes | Iterator[str]
    kind: str = JSON
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Outlet(Protocol):
    """The connection of a response that has no end."""

    @property
    def unread(self) -> int:
        """How many bytes the system has not taken yet."""

    def write(self, data: bytes) -> None:
        """Write, or cut the connection if its peer has left too much unread before. Nothing after its end."""

    def close(self) -> None:
        """End the response."""


@dataclass(frozen=True, slots=True)
class Endless:
    """
    A response that goes on until the peer leaves.

    :ivar begin: called with what it is written to; returns what has to be called when the peer has left.
    """

    begin: Callable[[Outlet], Callable[[], object]]
    kind: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


Answered: TypeAlias = Answer | Endless | Deferred[Answer]

Route: TypeAlias = Callable[[Question], Answered]


def jsonAnswer(found: object, code: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with JSON in one line."""
    return Answer(json.dumps(found).encode() + b"\n", JSON, code, headers or {})


def errorAnswer(refused: Refused) -> Answer:
    """Answer with an error."""
    return jsonAnswer({"error": str(refused)}, refused.code, refused.headers)


class Routes:
    """
    Who answers what.

    :param routes: the routes by method and path, as in ``"GET /status"``; a path that ends with a slash, and is not
        only that, stands for all that begin with it.
    """

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes: dict[str, dict[str, Route]] = {}
        for name, route in routes.items():
            method, _, path = name.partition(" ")
            self._routes.setdefault(path, {})[method] = route

    def __call__(self, question: Question) -> Answered:
        """
        Answer a question.

        :raises Refused: if it has no answer.
        """
        path = question.path
        found = self._routes.get(path) or next(
            (each for begin, each in self._routes.items() if begin[1:].endswith("/") and path.startswith(begin)), None
        )
        if found is None:
            raise Refused(404, f"there is no {path}: there are {', '.join(sorted(self._routes))}")
        route = found.get("GET" if question.method == "HEAD" else question.method)
        if route is None:
            allowed = ", ".join(sorted(found))
            raise Refused(405, f"{path} takes {allowed}, not {question.method}", {"Allow": allowed})
        return route(question)
