"""
What a worker reports: it answers the supervisor's questions in parts, as fast as the channel takes them.

:mod:`bore.workers.reports` is the other end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.status.parts import parts
from bore.status.report import ServerReport, TunnelReport, Visited, VisitorReport
from bore.wire.values import value
from bore.wire.workermessages import FINAL_REPORT, Report, Reported, WorkerMessage

#: What the last part of an answer is: all was sent, or it could not be made.
_WHOLE: Final = b"[]"
_FAILED: Final = b""

#: Questions to a worker that wait, at most.
_QUESTIONS: Final = 16

#: How long to wait while the channel takes nothing more, in seconds.
_PAUSE: Final = 0.02


@value
class TunnelAnswer:
    """
    What a worker knows of a tunnel.

    :ivar tunnel: None: it does not have the tunnel.
    """

    tunnel: TunnelReport | None
    visitors: Sequence[VisitorReport]


class Reporter:
    """
    The worker's end.

    :param take: takes a snapshot of the worker.
    :param tunnel: reads a tunnel and so many of its visitors; None: all of them.
    :param send: sends a message to the supervisor.
    :param isFull: returns whether the channel takes nothing more for now.
    """

    _log: Final = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        take: Callable[[], Deferred[ServerReport]],
        tunnel: Callable[[str, int | None], Deferred[Visited[TunnelReport, VisitorReport]]],
        send: Callable[[WorkerMessage], object],
        isFull: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock = clock
        self._take = take
        self._tunnel = tunnel
        self._send = send
        self._isFull = isFull
        self._waiting: deque[Report] = deque()
        self._busy = self._closed = False
        self._call: IDelayedCall | None = None

    def ask(self, question: Report) -> None:
        """Answer a question, after those that were asked before."""
        if len(self._waiting) >= _QUESTIONS:
            self._send(Reported(question.id, _FAILED, True))
            return
        self._waiting.append(question)
        self._next()

    def sendFinal(self) -> Deferred[None]:
        """
        Report when all sessions and visitors have ended, so that the supervisor knows of all.

        :returns: fires when it is sent.
        """
        return self._take().addCallback(self._sendAtOnce)

    def close(self) -> None:
        """The channel is closed."""
        self._closed = True
        self._waiting.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _next(self) -> None:
        if self._waiting and not self._busy and not self._closed:
            self._busy = True
            question = self._waiting.popleft()
            found = self._found(question.question).addCallback(parts)
            found.addCallbacks(
                lambda made: self._sendSome(question.id, made), lambda why: self._failed(question.id, why)
            )

    def _found(self, question: str) -> Deferred[object]:
        word, _, rest = question.partition(" ")
        if word == "status":
            return cast(Deferred[object], self._take())
        most, _, address = rest.partition(" ")
        found = self._tunnel(address, int(most) if most else None)
        return found.addCallback(lambda read: TunnelAnswer(*((None, ()) if read is None else read)))

    def _sendSome(self, number: int, made: Iterator[bytes]) -> None:
        """Send parts, one in a turn of the reactor, and as fast as the supervisor takes them."""
        self._call = None
        if self._closed:
            return
        if self._isFull():
            self._call = self._clock.callLater(_PAUSE, self._sendSome, number, made)
            return
        part = next(made, None)
        if part is None:
            self._end(number, _WHOLE)
        else:
            self._send(Reported(number, part, False))
            self._call = self._clock.callLater(0, self._sendSome, number, made)

    def _sendAtOnce(self, report: ServerReport) -> None:
        for part in parts(report):
            self._send(Reported(FINAL_REPORT, part, False))
        self._send(Reported(FINAL_REPORT, _WHOLE, True))

    def _failed(self, number: int, reason: Failure) -> None:
        self._log.failure("a report could not be made", reason)
        if not self._closed:
            self._end(number, _FAILED)

    def _end(self, number: int, part: bytes) -> None:
        self._send(Reported(number, part, True))
        self._busy = False
        self._next()
