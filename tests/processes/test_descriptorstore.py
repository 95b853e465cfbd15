"""Servers that are started again by a manager that keeps their listening sockets: nobody is refused."""

from __future__ import annotations

import os
import signal
import socket

from tests.manager import Store
from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, Program, eventually, receiveExactly, temporaryFolder


class StoreCase(ProcessCase):
    """A server, and the manager that starts it."""

    def setUp(self) -> None:
        super().setUp()
        self.manager = Store(temporaryFolder(self) / "notify")
        self.addCleanup(self.manager.close)
        self.words: tuple[str, ...] = ("--control-port", "0")

    def begin(self, *words: str) -> Program:
        """Start the server with what is in the store, and wait until it listens."""
        self.manager.read()
        self.manager.notices.clear()
        line, descriptors = self.manager.launch("-m", "bore", "server", "--bind-addr", self.host, *self.words, *words)
        program = self.start(Program(line, self.manager.environment, str(CHECKOUT), *descriptors))
        eventually(lambda: self.isReady(program), "the server is ready")
        return program

    def isReady(self, program: Program) -> bool:
        self.manager.read()
        if program.process.poll() is not None:
            raise AssertionError(program.transcript())
        return any("READY=1" in each for each in self.manager.notices)

    def end(self, program: Program, number: int = signal.SIGKILL) -> None:
        os.kill(program.pid, number)
        program.wait()
        self.manager.read()


class ControlPortTests(StoreCase):
    """The control port."""

    def test_aClientThatComesMeanwhileIsServed(self) -> None:
        server = self.begin()
        port = server.port("listening on ")
        for number in (signal.SIGKILL, signal.SIGTERM):
            self.end(server, number)
            with socket.create_connection((self.host, port)) as client:
                client.sendall(b'{"Hello":0}\0')
                server = self.begin()
                self.assertEqual(receiveExactly(client, 8), b'{"Hello"')
                self.assertEqual(server.port("listening on "), port)

    def test_anotherPortIsNotThatOfBefore(self) -> None:
        server = self.begin()
        port = server.port("listening on ")
        self.end(server)
        self.assertNotEqual(self.begin("--control-port", str(freePort(self.host))).port("listening on "), port)
        self.assertFree(port)
