"""A site behind a door, and those who ask it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bore.status.door import Door
from bore.status.questions import Answer, Answered, Endless, Outlet, Question, Routes, jsonAnswer
from bore.status.site import Site
from bore.streams.reactor import IReactor
from tests.support import PATIENCE, receiveAll

GET = b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"
LATER = b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

#: More than the system takes of an answer that is not read, in bytes.
LARGE = 1 << 24


def post(body: bytes, path: str = "/kick", more: str = "Connection: close\r\n") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Response:
    """A response, in parts."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.code = int(first.split()[1]) if data else 0
        self.headers = dict(line.split(": ", 1) for line in lines)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json()["error"])


class SiteCase(TestCase):
    """A site behind a door, on a real socket."""

    def setUp(self) -> None:
        self.questions: list[Question] = []
        self.outlets: list[Outlet] = []
        self.left = self.turns = self.asked = 0
        self.madeIn: list[int] = []
        routes = {
            "GET /status": self.status,
            "POST /kick": self.kick,
            "GET /large": lambda question: Answer(bytes(LARGE)),
            "GET /long": lambda question: Answer(self.parts()),
            "GET /later": self.later,
            "GET /tunnels/": lambda question: jsonAnswer(question.path),
            "GET /fault": self.fault,
            "GET /faultInParts": lambda question: Answer(self.faultyParts()),
            "GET /events": lambda question: Endless(self.follow),
        }
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.made: list[Site] = []
        self.door = Door(cast(IReactor, reactor), self.listener, lambda: self.makeSite(Routes(routes)))
        self.addCleanup(self.closed)

    def makeSite(self, routes: Routes) -> Site:
        self.made.append(Site(cast(IReactor, reactor), routes))
        return self.made[-1]

    async def closed(self) -> None:
        """The door, and all connections, are closed."""
        self.door.close()
        for made in self.made:
            await self.until(lambda made=made: not made._channels)

    async def until(self, condition: Any) -> None:
        clock = cast(IReactor, reactor)
        end = clock.seconds() + PATIENCE
        while not condition():
            self.assertLess(clock.seconds(), end, "not in time")
            await deferLater(clock, 0.01)

    def status(self, question: Question) -> Answered:
        self.questions.append(question)
        return jsonAnswer({"state": "running"})

    def kick(self, question: Question) -> Answered:
        return jsonAnswer(question.json(user=str, within=float))

    def later(self, question: Question) -> Deferred[Answer]:
        self.asked += 1
        self.pending: Deferred[Answer] = Deferred()
        return self.pending

    def fault(self, question: Question) -> Answered:
        raise ZeroDivisionError

    def turn(self) -> None:
        """Count a turn of the reactor."""
        self.turns += 1

    def parts(self) -> Iterator[str]:
        clock = cast(IReactor, reactor)
        for number in range(10):
            end = clock.seconds() + 0.003
            while clock.seconds() < end:
                pass
            self.madeIn.append(self.turns)
            yield f"{number}"

    def faultyParts(self) -> Iterator[str]:
        yield "{"
        raise ZeroDivisionError

    def follow(self, outlet: Outlet) -> Any:
        self.outlets.append(outlet)

        def left() -> None:
            self.left += 1

        return left

    def connect(self) -> socket.socket:
        sock = socket.create_connection(self.address, timeout=PATIENCE)
        self.addCleanup(sock.close)
        return sock

    def connectFrom(self, host: str) -> socket.socket:
        """Connect from another address of this machine."""
        sock = socket.create_connection(self.address, timeout=PATIENCE, source_address=(host, 0))
        self.addCleanup(sock.close)
        return sock

    async def send(self, data: bytes) -> Response:
        """Send something, and receive all up to the end of the connection."""
        sock = self.connect()

        def talk() -> bytes:
            sock.sendall(data)
            return receiveAll(sock)

        return Response(await deferToThread(talk))
