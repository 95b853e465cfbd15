"""A service answers before it has read all, and closes: real servers and clients, and curl."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import unittest

from twisted.trial.unittest import SynchronousTestCase

from tests.ports import loopbackHost
from tests.relay.earlycontract import Upload, finishAll
from tests.support import PATIENCE, LocalService, bore, connect, pattern, receiveExactly, temporaryFolder

BODY = pattern(31, 20_000)

ANSWER = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY

#: What was lost was not lost each time.
TIMES = 12

PORTABLE = {"BORE_RELAY": "portable"}


def refuse(sock: socket.socket) -> None:
    """Answer what has only begun; the close behind it is a reset, as there is more."""
    sock.recv(1000)
    sock.sendall(ANSWER)


class EarlyAnswerCase(SynchronousTestCase):
    """A tunnel between processes, for all tests of a class.

    :cvar words: what the server and the client are started with.
    :cvar environments: what is in their environments.
    """

    words: tuple[tuple[str, ...], tuple[str, ...]] = (), ()
    environments: tuple[dict[str, str], dict[str, str]] = {}, {}
    service: LocalService
    host: str
    port: int

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = loopbackHost()
        cls.service = LocalService(refuse)
        cls.addClassCleanup(cls.service.close)
        (serverWords, clientWords), (serverEnvironment, clientEnvironment) = cls.words, cls.environments
        words = ("server", "--bind-addr", cls.host, "--control-port", "0", *serverWords)
        server = bore(*words, environment=serverEnvironment)
        cls.addClassCleanup(server.kill)
        found = re.search(r"listening on (\S+:\d+)", server.waitFor("listening on "))
        assert found is not None
        to = ("tls://" if "--tls" in serverWords else "") + found.group(1)
        words = ("local", str(cls.service.port), "--no-probe", "-t", to, *clientWords)
        client = bore(*words, environment=clientEnvironment)
        cls.addClassCleanup(client.kill)
        cls.port = client.port("listening at ")

    def visitor(self) -> socket.socket:
        """A visitor, who is gone when the test has ended."""
        visitor = connect(self.host, self.port)
        self.addCleanup(visitor.close)
        return visitor


class _Tests:
    """The tests, for each pairing."""

    def test_anUploadIsAnsweredAndReset(self: EarlyAnswerCase) -> None:  # type: ignore[misc]
        self.service.serve = refuse
        uploads = [Upload(self.visitor()) for _ in range(TIMES)]
        finishAll(uploads)
        for number, upload in enumerate(uploads):
            self.assertEqual(len(upload.answer), len(ANSWER), f"the {number}.")
            self.assertEqual(upload.answer, ANSWER)
            self.assertTrue(upload.wasReset, f"the {number}. may have been cut short")

    def test_aDownloadIsAnsweredAndReset(self: EarlyAnswerCase) -> None:  # type: ignore[misc]
        """The visitor sends something, and closes in the middle of the answer."""
        done = threading.Semaphore(0)
        uploads: list[Upload] = []

        def serve(sock: socket.socket) -> None:
            upload = Upload(sock)
            upload.finish()
            uploads.append(upload)
            done.release()

        self.service.serve = serve
        for _ in range(TIMES):
            visitor = self.visitor()
            self.assertEqual(len(receiveExactly(visitor, 100_000)), 100_000)
            visitor.sendall(BODY)
            visitor.recv(1, socket.MSG_PEEK)
            visitor.close()  # with unread bytes: a reset
        for _ in range(TIMES):
            self.assertTrue(done.acquire(timeout=PATIENCE))
        self.assertEqual([len(upload.answer) for upload in uploads], [len(BODY)] * TIMES)
        self.assertEqual({upload.answer for upload in uploads}, {BODY})
        self.assertEqual([upload.wasReset for upload in uploads], [True] * TIMES)

    def test_curlGetsTheAnswer(self: EarlyAnswerCase) -> None:  # type: ignore[misc]
        curl = shutil.which("curl")
        if curl is None:
            raise unittest.SkipTest("there is no curl")
        folder = temporaryFolder(self)
        (folder / "upload").write_bytes(bytes(8_000_000))
        self.service.serve = refuse
        options = ["-sS", "-m", str(PATIENCE), "-H", "Expect:", "--data-binary", f"@{folder / 'upload'}"]
        answers = []
        for _ in range(TIMES):
            got = subprocess.run(
                [
                    curl,
                    *options,
                    "-o",
                    str(folder / "answer"),
                    "-w",
                    "%{http_code}",
                    f"http://{self.host}:{self.port}/",
                ],
                capture_output=True,
                check=False,
            )
            if got.returncode == 0:
                self.assertEqual((got.stdout, (folder / "answer").read_bytes()), (b"413", BODY))
            answers.append(got.stdout)
        # A curl that is about to write when the reset comes does not read any more, with or without a tunnel: without
        # one, 3 of 100 on a busy machine.
        self.assertGreaterEqual(answers.count(b"413"), TIMES - 3, str(answers))


class LaneTests(_Tests, EarlyAnswerCase):
    """Over lanes."""


class BasePathTests(_Tests, EarlyAnswerCase):
    """Each visitor on a connection of its own."""

    words = (), ("--lanes", "0")


class TlsLaneTests(_Tests, EarlyAnswerCase):
    """Over lanes inside TLS."""

    words = ("--tls",), ()


class TlsBasePathTests(_Tests, EarlyAnswerCase):
    """Each visitor on a connection of its own, inside TLS."""

    words = ("--tls",), ("--lanes", "0")


class PortableServerTests(_Tests, EarlyAnswerCase):
    """The server moves the bytes by the portable body."""

    environments = PORTABLE, {}


class PortableClientTests(_Tests, EarlyAnswerCase):
    """The client moves the bytes by the portable body."""

    environments = {}, PORTABLE


class PortableTlsTests(_Tests, EarlyAnswerCase):
    """Both do, inside TLS."""

    words = ("--tls",), ()
    environments = PORTABLE, PORTABLE
