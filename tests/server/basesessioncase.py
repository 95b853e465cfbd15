"""Shared by the tests of base sessions: an original client, and two servers with one custody."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bore.events import Event, Sink
from bore.relay.backend import makeRelay
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import LocalRegistry
from bore.server.server import Server
from bore.server.session import BaseSession
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor
from bore.wire.messages import Accept, Hello, encode
from bore.wire.secret import Secret
from tests.ports import freePort, loopbackHost


class Client:
    """An original client: it says nothing after its Hello."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._received = b""
        self.frames: list[Any] = []

    def read(self) -> bool:
        """Read what has come; return whether there was something."""
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return False
        if not data:
            raise AssertionError(f"the control connection was closed behind {self.frames}")
        *frames, self._received = (self._received + data).split(b"\0")
        self.frames += [json.loads(frame) for frame in frames]
        return True

    def take(self, name: str) -> list[Any]:
        """The messages with this name, which are taken out; heartbeats have no value."""
        self.read()
        found = [each for each in self.frames if name in each]
        self.frames = [each for each in self.frames if name not in each]
        return found


class BaseSessionCase(TestCase):
    """Two servers with one custody, as two processes have it."""

    timeout = 60
    secrets: tuple[Secret, ...] = ()

    def setUp(self) -> None:
        self.reactor = cast(IReactor, reactor)
        self.host, self.port = loopbackHost(), 0
        self.port = freePort(self.host)
        self.events: list[Event] = []
        sink = Sink()
        sink.subscribe(self.events.append)
        settings = ServerSettings(bindTunnels=self.host)
        self.custody = LocalCustody(
            self.reactor, sink, settings, LocalRegistry(self.reactor, 60), Places(self.reactor, settings)
        )
        self.old, self.new = (
            Server(self.reactor, sink, settings, makeRelay(self.reactor, 30.0), custody=self.custody.forHolder())
            for _ in range(2)
        )
        self.door = socket.create_server((self.host, 0))
        self.addCleanup(self.door.close)

    async def tearDown(self) -> None:  # type: ignore[override]
        for server in (self.old, self.new):
            left = server.shutDown()
            await server.relay.drain(0.0)
            await left
        self.assertEqual(len(self.custody), 0)

    async def eventually(self, condition: Callable[[], object]) -> None:
        while not condition():
            await deferLater(self.reactor, 0.01)

    def connect(self, server: Server) -> socket.socket:
        """A connection to the control port of a server."""
        sock = socket.create_connection(self.door.getsockname())
        self.addCleanup(sock.close)
        sock.setblocking(False)
        accepted, address = self.door.accept()
        accepted.setblocking(False)
        server.control.accepted(accepted, address)
        return sock

    async def begun(self) -> Client:
        """A client with its tunnel, at the old server."""
        sock = self.connect(self.old)
        sock.send(encode(Hello(self.port)))
        client = Client(sock)
        await self.eventually(lambda: client.take("Hello"))
        return client

    def visit(self, say: bytes = b"") -> socket.socket:
        """A visitor."""
        visitor = socket.create_connection((self.host, self.port))
        self.addCleanup(visitor.close)
        visitor.sendall(say)
        visitor.setblocking(False)
        return visitor

    def move(self) -> BaseSession:
        """The session goes from the old server to the new one."""
        [session] = self.old.sessions.passable()
        base = session.handOver()
        self.new.control.adopt(base)
        return base

    async def announced(self, client: Client) -> str:
        """The id of the next visitor."""
        found: list[Any] = []

        def came() -> bool:
            found.extend(client.take("Connection"))
            return bool(found)

        await self.eventually(came)
        [message] = found
        return str(message["Connection"])

    async def talk(self, server: Server, id: str, visitor: socket.socket, early: bytes) -> None:
        """The client takes a visitor at a server, and they talk."""
        data = self.connect(server)
        data.send(encode(Accept(UUID(id))))
        await self.eventually(lambda: self.received(data, early))
        data.send(b"answer")
        await self.eventually(lambda: self.received(visitor, b"answer"))

    def received(self, sock: socket.socket, expected: bytes) -> bool:
        """Whether a socket has received this, and nothing else."""
        try:
            data = sock.recv(1 << 16, socket.MSG_PEEK)
        except BlockingIOError:
            data = b""
        self.assertTrue(expected.startswith(data), data)
        return data == expected

    def seen(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]
