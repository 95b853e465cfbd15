"""What the tests with processes share."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.publicaddress import PublicAddress
from tests.ports import loopbackHost
from tests.support import PATIENCE, LocalService, Program, bore, connect, echo, eventually, receiveAll, receiveExactly


class ProcessCase(SynchronousTestCase):
    """Starts processes, and ends them."""

    def setUp(self) -> None:
        self.host = loopbackHost()
        self.service = LocalService(echo)
        self.addCleanup(self.service.close)

    def start(self, program: Program) -> Program:
        self.addCleanup(lambda: sys.stdout.write(program.transcript() + "\n"))  # shown where a test has failed
        self.addCleanup(program.kill)
        return program

    def server(self, *words: str, port: int = 0, host: str | None = None) -> tuple[Program, int]:
        """A server that listens, and its control port."""
        program = self.start(bore("server", "--bind-addr", host or self.host, "--control-port", str(port), *words))
        return program, program.port("listening on ")

    def launch(self, to: str, *words: str, home: Path | None = None, **environment: str) -> Program:
        """
        A client that was started, and need not have a tunnel. The local service has the connections of visitors only.

        :param to: the server.
        :param home: where it keeps its state; by default where no other client does.
        """
        if home is not None:
            environment["XDG_STATE_HOME"] = str(home)
        service = (str(self.service.port), "-l", "127.0.0.1", "--no-probe")
        return self.start(bore("local", *service, "-t", to, *words, environment=environment))

    def client(self, controlPort: int, *words: str, home: Path | None = None) -> tuple[Program, int]:
        """A client that has a tunnel, and its public port."""
        program = self.launch(f"{self.host}:{controlPort}", *words, home=home)
        return program, program.port("listening at ")

    def visitor(self, port: int, source: str = "", host: str | None = None) -> socket.socket:
        """
        Somebody who visits a public port, and is gone when the test has ended.

        :param source: the address to come from.
        """
        visitor = socket.create_connection((host or self.host, port), PATIENCE, (source, 0) if source else None)
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(visitor.close)
        return visitor

    def ask(self, port: PublicAddress, question: bytes = b"hello") -> bytes:
        with connect(self.host, port) as visitor:
            visitor.sendall(question)
            visitor.shutdown(socket.SHUT_WR)
            return receiveAll(visitor)

    def assertServes(self, port: PublicAddress) -> None:
        """A new visitor is served."""
        self.assertEqual(self.ask(port), b"hello")

    def assertEchoes(self, visitor: socket.socket, text: bytes = b"still here") -> None:
        """A visitor is being served, and goes on to be."""
        visitor.sendall(text)
        self.assertHears(visitor, text)

    def assertHears(self, visitor: socket.socket, text: bytes) -> None:
        """A visitor receives this."""
        self.assertEqual(receiveExactly(visitor, len(text)), text)

    def assertFree(self, port: int) -> None:
        """The server no longer listens on a public port: another program can."""

        def isFree() -> bool:
            try:
                socket.create_server((self.host, port)).close()
            except OSError:
                return False
            return True

        eventually(isFree, f"port {port} is free")

    def assertComplains(self, program: Program, *lines: str) -> None:
        """A program has logged these warnings and no others, sums ("... times)") apart."""

        def said() -> list[str]:
            return [line for line in complaints(program) if not line.endswith(" times)")]

        # The line may still be on its way from the program to us.
        with contextlib.suppress(AssertionError):
            eventually(lambda: len(said()) >= len(lines), "the lines are there")
        self.assertEqual(said(), list(lines))

    def assertCounts(self, program: Program, text: str, number: int) -> None:
        """So many lines of a program's output have this text; the last ones may still be on their way to us."""
        eventually(lambda: count(program, text) >= number, f"{number} times {text!r}")
        self.assertEqual(count(program, text), number)

    def assertTurnedAway(self, visitor: socket.socket) -> None:
        """A visitor is closed without a byte."""
        try:
            self.assertEqual(receiveAll(visitor), b"")
        except ConnectionResetError:
            return


def complaints(program: Program) -> list[str]:
    """The texts of a program's warnings and errors on standard error."""
    return [re.sub(r"^\S+ \S+ warn  ", "", line) for line in program.err if not re.match(r"\S+ \S+ info  ", line)]


def count(program: Program, text: str) -> int:
    """How many lines of a program's output have this text."""
    return sum(text in line for line in [*program.out, *program.err])
