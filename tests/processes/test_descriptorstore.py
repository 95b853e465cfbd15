"""Servers that are started again by a manager that keeps their listening sockets: nobody is refused."""

from __future__ import annotations

import os
import signal
import socket
import threading

from tests.manager import Store
from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, PATIENCE, Program, bore, eventually, receiveAll, receiveExactly, temporaryFolder


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

    def assertKept(self, *names: str) -> None:
        """The manager keeps these."""

        def isSo() -> bool:
            self.manager.read()
            return sorted(self.manager.names) == sorted(f"txbore.{each}" for each in ("control-port", "state", *names))

        eventually(isSo, f"the manager keeps {names}")

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


class PublicPortTests(StoreCase):
    """Public ports."""

    def test_noVisitorIsRefusedWhileTheServerIsStartedAgain(self) -> None:
        server = self.begin()
        client, port = self.client(server.port("listening on "))
        self.assertKept(str(port))
        visitors = Visitors(self.host, port)
        self.addCleanup(visitors.stop)
        for number in (signal.SIGKILL, signal.SIGTERM):
            before = visitors.served
            self.end(server, number)
            server = self.begin()
            server.waitFor("public addresses that were kept: 1")
            eventually(lambda now=before: visitors.served > now + 20, "visitors are served")  # type: ignore[misc]
        visitors.stop()
        self.assertEqual(visitors.refused, [])
        self.assertLessEqual(visitors.cut, 1)  # the one that was being served by the process that was killed
        self.assertEqual(client.port("listening at "), port)
        self.assertKept(str(port))

    def test_anotherClientDoesNotGetThePort(self) -> None:
        server = self.begin()
        control = server.port("listening on ")
        client, port = self.client(control)
        self.assertKept(str(port))
        self.end(client)
        self.end(server)
        self.begin()
        other = self.launch(f"{self.host}:{control}", "--port", str(port), "--no-reconnect")
        self.assertEqual(other.wait(), 1)
        self.assertIn("in use", other.err[-1])

    def test_thatOfAClientThatStopsIsFreeAndOneThatDrainsKeepsNone(self) -> None:
        server = self.begin("--admin-socket", str(temporaryFolder(self) / "admin"))
        control = server.port("listening on ")
        first, port = self.client(control)
        self.assertKept(str(port))
        self.end(first, signal.SIGTERM)
        self.assertKept()
        self.assertFree(port)
        _, port = self.client(control)
        self.assertKept(str(port))
        path = server.words[server.words.index("--admin-socket") + 1]
        drain = self.start(bore("drain", "--socket", path))
        self.assertEqual(drain.wait(), 0)
        self.assertEqual(server.wait(), 0)
        self.manager.read()
        self.assertEqual(self.manager.names, {})


class Visitors:
    """
    Visitors that come one after the other to a public port with an echo behind it.

    :ivar served: how many were served.
    :ivar refused: why others could not connect.
    :ivar cut: how many were cut.
    """

    def __init__(self, host: str, port: int) -> None:
        self.served = self.cut = 0
        self.refused: list[str] = []
        self._place = host, port
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have the last one served."""
        self._stopping = True
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while not self._stopping:
            try:
                visitor = socket.create_connection(self._place, PATIENCE)
            except OSError as e:
                self.refused.append(str(e))
                continue
            try:
                with visitor:
                    visitor.sendall(b"hello")
                    visitor.shutdown(socket.SHUT_WR)
                    isServed = receiveAll(visitor) == b"hello"
            except OSError:
                isServed = False
            self.served += isServed
            self.cut += not isServed
