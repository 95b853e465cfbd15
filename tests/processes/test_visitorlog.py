"""The visitor log of a whole server: its lines agree with what a service has counted."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import threading
from pathlib import Path
from typing import Any

from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import (
    Program,
    bore,
    connect,
    eventually,
    isOpen,
    isTurnedAway,
    receiveAll,
    receiveExactly,
    temporaryFolder,
    twistd,
)

#: Visitors of one test.
VISITORS = 120


class CountingService:
    """
    Answers a request of any length with as many bytes as the request wants.

    :ivar got: the sums of bytes in each direction.
    """

    def __init__(self) -> None:
        self.got = self.sent = 0
        self._lock = threading.Lock()

    def serve(self, sock: socket.socket) -> None:
        wanted = int.from_bytes(head := receiveExactly(sock, 4))
        rest = receiveAll(sock)
        sock.sendall(b"x" * wanted)
        with self._lock:
            self.got += len(head) + len(rest)
            self.sent += wanted


def visit(host: str, port: int, sends: int, wants: int, names: list[str]) -> None:
    """Visit, and note the address of the visitor."""
    with connect(host, port) as sock:
        names.append("{}:{}".format(*sock.getsockname()))
        sock.sendall(wants.to_bytes(4) + b"y" * sends)
        sock.shutdown(socket.SHUT_WR)
        assert len(receiveAll(sock)) == wants


class VisitorLogCase(ProcessCase):
    """A server with a visitor log."""

    def setUp(self) -> None:
        super().setUp()
        self.path = temporaryFolder(self) / "visitors.log"

    def lines(self, path: Path | None = None) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (path or self.path).read_text().splitlines()]

    def awaitLines(self, count: int, path: Path | None = None) -> list[dict[str, Any]]:
        eventually(lambda: (path or self.path).exists() and len(self.lines(path)) >= count, f"{count} lines")
        return self.lines(path)


class LinesTests(VisitorLogCase):
    """What is in the log."""

    def test_eachVisitorHasALineAndTheBytesAreThoseOfTheService(self) -> None:
        counting = CountingService()
        self.service.serve = counting.serve
        server, port = self.server("--visitor-log", str(self.path))
        names: list[str] = []  # the system may use a port again
        for words in ((), ("--lanes", "0")):
            _, public = self.client(port, *words)
            sizes = [(random.randrange(1 << 12), random.randrange(1 << 14)) for _ in range(VISITORS // 2)]
            threads = [threading.Thread(target=visit, args=(self.host, public, *each, names)) for each in sizes]
            for start in range(0, len(threads), 20):
                for thread in threads[start : start + 20]:
                    thread.start()
                for thread in threads[start : start + 20]:
                    thread.join()
        lines = self.awaitLines(VISITORS)
        os.kill(server.pid, signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertEqual(self.lines(), lines)
        self.assertEqual({line["reason"] for line in lines}, {"finished"})
        self.assertEqual(sorted(line["from"] for line in lines), sorted(names))
        self.assertEqual(sum(line["toClient"] for line in lines), counting.got)
        self.assertEqual(sum(line["toVisitor"] for line in lines), counting.sent)

    def test_thoseAreThereThatAreRefusedAndThatLeaveWhileTheServerStops(self) -> None:
        server, port = self.server("--visitor-log", str(self.path), "--max-visitors", "1")
        _, public = self.client(port)
        visitor = self.visitor(public)
        self.assertEchoes(visitor)
        self.assertTrue(isTurnedAway(self.host, public))
        self.assertEqual(self.awaitLines(1)[0]["reason"], "too-many")
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: not isOpen(self.host, port), "it stops")
        visitor.shutdown(socket.SHUT_WR)
        self.assertEqual(server.wait(), 0)
        left = self.lines()[1]
        self.assertEqual((left["toClient"], left["toVisitor"], left["reason"]), (10, 10, "finished"))

    def test_aPipeThatNothingReadsHoldsUpNoVisitor(self) -> None:
        os.mkfifo(self.path)
        server, port = self.server("--visitor-log", str(self.path))
        _, public = self.client(port)
        self.assertServes(public)
        server.waitFor(f"visitor log {self.path}: nothing reads the pipe")
        self.assertServes(public)
        os.kill(server.pid, signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        server.waitFor("lines that were dropped: ")

    def test_aPathThatCannotBeIsAnErrorOfOneLine(self) -> None:
        words = ("--visitor-log", "/nonexistent/visitors.log")
        for program, code in (
            (bore("server", *words), 2),
            (twistd("-n", "--pidfile=", "bore-server", *words, cwd=str(self.path.parent)), 1),
        ):
            self.start(program)
            self.assertEqual(program.wait(), code, program.transcript())
            (line,) = program.out + program.err
            self.assertIn("there is no directory /nonexistent: make it, or name another one", line)


class RotationTests(VisitorLogCase):
    """The file is moved away."""

    def assertRotates(self, server: Program, public: int, number: signal.Signals) -> None:
        """A signal has the server open the file again."""
        self.assertServes(public)
        self.awaitLines(1)
        old = self.path.with_suffix(f".{number.name}")
        self.path.rename(old)
        os.kill(server.pid, number)
        server.waitFor(f"visitor log {self.path}: opened again", after=self.reopened)
        self.reopened += 1
        self.assertServes(public)
        self.awaitLines(1)
        self.assertEqual(len(self.lines(old)), 1)
        self.path.unlink()
        os.kill(server.pid, number)
        server.waitFor(f"visitor log {self.path}: opened again", after=self.reopened)
        self.reopened += 1

    def test_theFileIsOpenedAgainAtBothSignals(self) -> None:
        self.reopened = 0
        server, port = self.server("--visitor-log", str(self.path))
        _, public = self.client(port)
        for number in (signal.SIGUSR1, signal.SIGHUP):
            self.assertRotates(server, public, number)
        self.assertNotIn("nothing to reload", server.transcript())

    def test_underTwistdItsOwnLogIsRotatedToo(self) -> None:
        self.reopened = 0
        folder, port = self.path.parent, freePort(self.host)
        words = ("--bind-addr", self.host, "--control-port", str(port), "--visitor-log", str(self.path))
        server = self.start(twistd("-n", "--pidfile=", "--logfile=own.log", "bore-server", *words, cwd=str(folder)))
        own = folder / "own.log"
        eventually(lambda: own.exists() and "listening on" in own.read_text(), "it listens")
        _, public = self.client(port)
        self.assertServes(public)
        self.awaitLines(1)
        old = self.path.with_suffix(".1")
        self.path.rename(old)
        os.kill(server.pid, signal.SIGUSR1)
        eventually(lambda: (folder / "own.log.1").exists() and "opened again" in own.read_text(), "both are rotated")
        self.assertServes(public)
        self.awaitLines(1)
        self.assertEqual(len(self.lines(old)), 1)
