"""The page of a program that need not run, without a network."""

from __future__ import annotations

import json
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.status.guard import Guard
from bore.status.page import pageRoutes
from bore.status.questions import Answer, Answered, Question, Routes
from bore.status.routes import TunnelNotFound
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
        self.traffic = Traffic(self.clock, self.snapshot)
        self.viewers = Viewers(self.clock, self.snapshot, self.traffic, lambda: NOW)
        self.routes = Guard(None, Routes(pageRoutes(self.snapshot, self.tunnel, self.viewers)))

    def snapshot(self) -> Report:
        self.taken += 1
        if isinstance(self.report, Exception):
            raise self.report
        return self.report

    def tunnel(self, address: str, most: int) -> object:
        if address not in ("20000", "unix:/run/a"):
            raise TunnelNotFound(address)
        return {"address": address, "list": list(range(most))}

    def ask(self, path: str, method: str = "GET") -> Answered:
        return self.routes(Question(method, path, {}, {"host": "127.0.0.1:7836"}, b"", "127.0.0.1:1"))

    def answer(self, path: str, method: str = "GET") -> Answer:
        answer = self.ask(path, method)
        assert isinstance(answer, Answer)
        return answer

    def jsonOf(self, path: str) -> dict[str, object]:
        body = self.answer(path).body
        return cast(dict[str, object], json.loads(body if isinstance(body, bytes) else "".join(body)))
