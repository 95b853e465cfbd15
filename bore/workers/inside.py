"""What a worker process has behind its end of the channel, which :mod:`bore.workerprogram` puts together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

if TYPE_CHECKING:  # the supervisor has no sessions
    from bore.server.core import ServerCore
    from bore.server.custody import Custody
    from bore.wire.workermessages import Welcome, WorkerMessage
    from bore.workers.reporter import Reporter


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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a worker has around it, from which :class:`Inside` is made.

    :ivar welcome: the supervisor's first message.
    :ivar custody: has the public addresses.
    :ivar counters: the descriptor of the counters that all workers share; it belongs to whoever makes the inside.
    :ivar send: sends the supervisor a message without descriptors.
    :ivar isFull: returns whether so much waits to be sent to it that nothing should be added that can wait.
    :ivar pendingChanged: has to be called when the number of unclassified connections has changed.
    """

    welcome: Welcome
    custody: Custody
    counters: int
    send: Callable[[WorkerMessage], None]
    isFull: Callable[[], bool]
    pendingChanged: Callable[[], None]


class Inside(Protocol):
    """A server without listening sockets of its own."""

    @property
    def core(self) -> ServerCore:
        """What serves the connections."""

    def makeReporter(self) -> Reporter | None:
        """Make what answers the supervisor's questions for the status, when the first one comes; None: nothing does."""

    def start(self) -> None:
        """Start: connections come from now on."""

    def tick(self) -> None:
        """The supervisor has sent Ping, as it does each second."""

    def reload(self) -> tuple[Sequence[str], str | None]:
        """Read the files again, and return what has changed, and what is wrong, in one or several lines."""

    def rotate(self) -> None:
        """Open the files again that are written."""

    def stop(self) -> Deferred[object]:
        """End in order: no new sessions, a farewell to the clients; fires when the last stream has ended."""
