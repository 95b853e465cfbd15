"""What a worker process has behind its end of the channel, which :mod:`bore.workerprogram` puts together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from bore.server.core import ServerCore


class CannotStart(Exception):
    """
    A worker cannot start.

    :ivar code: the exit code that is right for the reason (:mod:`bore.exits`).
    :ivar lines: the reason, for people.
    """

    def __init__(self, code: int, lines: Sequence[str]) -> None:
        Exception.__init__(self, "\n".join(lines))
        self.code = code
        self.lines = tuple(lines)


class Inside(Protocol):
    """A server without listening sockets of its own."""

    @property
    def core(self) -> ServerCore:
        """What serves the connections."""

    def start(self) -> None:
        """Start: connections come from now on."""

    def reload(self) -> tuple[Sequence[str], str | None]:
        """Read the files again, and return what has changed, and what is wrong, in one or several lines."""

    def rotate(self) -> None:
        """Open the files again that are written."""

    def stop(self) -> Deferred[object]:
        """End in order: no new sessions, a farewell to the clients; fires when the last stream has ended."""
