"""The page of a program that need not run, without a network."""

from __future__ import annotations

import json
from typing import cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.status.guard import Guard
from bore.status.page import pageRoutes
from bore.status.questions import Answer, Answered, Question, Refused, Routes, errorAnswer
from bore.status.report import Visited
from bore.status.traffic import Report, Traffic
from bore.status.viewers import Viewers
from tests.status.pagereports import NOW, serverReport, tunnelReport


class Viewer:
    """
    An outlet that keeps what is written to it.

    :ivar unread: what is left unread.
    """

    def __init__(self, viewers: Viewers) -> None:
        self.unread = 0
        self.isClosed = False
        self._written = b""
        self.leave = viewers.add(self)

    def write(self, data: bytes) -> None:
        self._written += data

    def close(self) -> None:
        self.isClosed = True
        self.leave()

    def events(self) -> list[tuple[str, dict[str, object]]]:
        """The events that were sent since the last call: their names and data."""
        found, written = [], self._written.decode("ascii")
        self._written = b""
        for block in written.split("\n\n")[:-1]:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((lines["event"], cast(dict[str, object], json.loads(lines["data"]))))
        return found

    def names(self) -> list[str]:
        """The names of the events that were sent since the last call."""
        return [name for name, _ in self.events()]


def refusal(reason: Failure) -> Answer:
    """The answer if there is none, as the site makes it."""
    reason.trap(Refused)
    return errorAnswer(cast(Refused, reason.value))


class PageCase(SynchronousTestCase):
    """
    A page.

    :ivar report: the snapshot; an exception: taking one fails.
    :ivar taken: how many snapshots were taken.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.report: Report | Exception = serverReport(tunnelReport(20000))
        self.taken = 0
        self.traffic = Traffic(self.clock, self.take)
        self.viewers = Viewers(self.clock, self.take, self.traffic, lambda: NOW)
        self.routes = Guard(None, Routes(pageRoutes(self.take, self.tunnel, self.viewers)))

    def take(self) -> Deferred[Report]:
        self.taken += 1
        return fail(self.report) if isinstance(self.report, Exception) else succeed(self.report)

    def tunnel(self, address: str, most: int | None) -> Deferred[Visited[object, int]]:
        assert most is not None
        return succeed(({"address": address}, list(range(most))) if address in ("20000", "unix:/run/a") else None)

    def ask(self, path: str, method: str = "GET") -> Answered:
        return self.routes(Question(method, path, {}, {"host": "127.0.0.1:7836"}, b"", "127.0.0.1:1"))

    def answer(self, path: str, method: str = "GET") -> Answer:
        answer = self.ask(path, method)
        if isinstance(answer, Deferred):
            answer = self.successResultOf(answer.addErrback(refusal))
        assert isinstance(answer, Answer)
        return answer

    def jsonOf(self, path: str) -> dict[str, object]:
        body = self.answer(path).body
        return cast(dict[str, object], json.loads(body if isinstance(body, bytes) else "".join(body)))
