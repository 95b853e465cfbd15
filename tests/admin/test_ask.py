"""Requests to admin sockets, and what may be at their other end."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from bore import exits
from bore.admin import ask as module
from bore.admin.ask import NoAnswer, ask
from tests.admin.program import FakeProgram, Listener
from tests.support import temporaryFolder


class AskTests(SynchronousTestCase):
    """One request, and one answer."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "server-7835.sock"

    def assertNoAnswer(self, text: str, code: int, timeout: float = 20.0, dead: bool = False) -> None:
        with self.assertRaises(NoAnswer) as caught:
            ask(self.path, "GET", "/status", timeout=timeout)
        error = caught.exception
        self.assertIn(text, str(error))
        self.assertIn(str(self.path), str(error))
        self.assertEqual((error.code, error.dead), (code, dead))

    def listen(self, serve: Callable[[socket.socket], None]) -> None:
        Listener(self, self.path, serve)

    def answer(self, content: bytes) -> None:
        """Have the other end answer this to everything."""

        def serve(sock: socket.socket) -> None:
            sock.recv(1 << 16)
            with contextlib.suppress(OSError):
                sock.sendall(content)

        self.path.unlink(missing_ok=True)
        self.listen(serve)

    def test_theAnswerIsJson(self) -> None:
        program = FakeProgram(self, self.path, {"GET /status": {"a": 1}, "POST /kick": {"b": 2}})
        self.assertEqual(ask(self.path, "GET", "/status"), {"a": 1})
        self.assertEqual(ask(self.path, "POST", "/kick", {"user": "alice"}), {"b": 2})
        self.assertEqual(program.asked, [("GET", "/status", ""), ("POST", "/kick", '{"user": "alice"}')])

    def test_anErrorOfTheProgramIsItsText(self) -> None:
        FakeProgram(self, self.path, {"GET /a": (400, {"error": "no\x1b!"}), "GET /b": (500, ["?"])})
        for target, text in (("/a", "no\\x1b!"), ("/b", "answers with error 500"), ("/c", "there is no /c")):
            with self.assertRaises(NoAnswer) as caught:
                ask(self.path, "GET", target)
            self.assertIn(text, str(caught.exception))
            self.assertEqual(caught.exception.code, exits.FAILURE)

    def test_aSocketThatDoesNotExist(self) -> None:
        self.assertNoAnswer("does not exist", exits.UNAVAILABLE, dead=True)

    def test_aSocketWhoseProgramHasEnded(self) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.path))
        self.assertNoAnswer("the program with this admin socket has ended", exits.UNAVAILABLE, dead=True)

    def test_aFileThatIsNoSocket(self) -> None:
        self.path.write_text("hello")
        self.assertNoAnswer("is not a socket", exits.USAGE)
        self.path = self.path.with_name("x" * 200)
        self.assertNoAnswer("too long", exits.USAGE)

    def test_aSocketOfAnotherUser(self) -> None:
        if os.geteuid() == 0:

            def connect(*_: object) -> None:
                raise PermissionError(13, "Permission denied")

            self.patch(module, "_connect", connect)
        else:
            self.listen(lambda _: None)
            self.path.chmod(0)
        self.assertNoAnswer(
            "permission denied: run this as the user of that program, or with sudo", exits.NO_PERMISSION
        )

    def test_aProgramThatHangs(self) -> None:
        self.listen(lambda sock: time.sleep(1))
        begin = time.monotonic()
        self.assertNoAnswer("has not answered for 0.2 s", exits.UNAVAILABLE, timeout=0.2)
        self.assertLess(time.monotonic() - begin, 5)

    def test_aProgramThatHangsWithAFullQueue(self) -> None:
        with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
            listener.bind(str(self.path))
            listener.listen(0)
            for _ in range(10):
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(str(self.path))
            self.assertNoAnswer("has not answered for 0.2 s", exits.UNAVAILABLE, timeout=0.2)

    def test_aProgramThatAnswersByteByByteWithoutEnd(self) -> None:
        def serve(sock: socket.socket) -> None:
            for _ in range(100):
                sock.sendall(b"H")
                time.sleep(0.02)

        self.listen(serve)
        self.assertNoAnswer("has not answered for 0.2 s", exits.UNAVAILABLE, timeout=0.2)

    def test_aProgramThatAnswersTooMuch(self) -> None:
        self.patch(module, "_LONGEST", 1 << 20)
        self.answer(b"x" * (1 << 21))
        self.assertNoAnswer("is longer than 1 MiB", exits.FAILURE)

    def test_aProgramThatClosesTheConnection(self) -> None:
        self.answer(b"")
        self.assertNoAnswer("has closed the connection", exits.UNAVAILABLE)

    def test_anotherProgram(self) -> None:
        head = b"HTTP/1.1 200 OK\r\n"
        for content in (
            b"SSH-2.0-x\r\n",
            head,
            head + b"\r\nhello",
            head + b"Content-Length: 9\r\n\r\n{}",
            b"\0" * 999,
        ):
            self.answer(content)
            self.assertNoAnswer("does not answer as a program of bore does", exits.UNAVAILABLE)
