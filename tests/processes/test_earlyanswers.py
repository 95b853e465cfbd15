"""A service answers before it has read all, and closes: real servers and clients, and curl."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import unittest

from tests.processes.case import ProcessCase
from tests.relay.earlycontract import Upload
from tests.support import PATIENCE, LocalService, bore, pattern, receiveExactly, temporaryFolder

BODY = pattern(31, 20_000)

ANSWER = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY

#: What was lost was not lost each time.
TIMES = 12

PORTABLE = {"BORE_RELAY": "portable"}


def refuse(sock: socket.socket) -> None:
    """Answer what has only begun; the close behind it is a reset, as there is more."""
    sock.recv(1000)
    sock.sendall(ANSWER)


class EarlyAnswerCase(ProcessCase):
    """A tunnel between processes.

    :cvar words: what the server and the client are started with.
    :cvar environments: what is in their environments.
    """

    words: tuple[tuple[str, ...], tuple[str, ...]] = (), ()
    environments: tuple[dict[str, str], dict[str, str]] = {}, {}

    def open(self, service: LocalService) -> int:
        """A tunnel to a service, and its public port."""
        self.addCleanup(service.close)
        (serverWords, clientWords), (serverEnvironment, clientEnvironment) = self.words, self.environments
        server = self.start(
            bore("server", "--bind-addr", self.host, "--control-port", "0", *serverWords, environment=serverEnvironment)
        )
        found = re.search(r"listening on (\S+:\d+)", server.waitFor("listening on "))
        assert found is not None
        to = ("tls://" if "--tls" in serverWords else "") + found.group(1)
        client = bore("local", str(service.port), "--no-probe", "-t", to, *clientWords, environment=clientEnvironment)
        return self.start(client).port("listening at ")


class _Tests:
    """The tests, for each pairing."""

    def test_anUploadIsAnsweredAndReset(self: EarlyAnswerCase) -> None:  # type: ignore[misc]
        port = self.open(LocalService(refuse))
        for number in range(TIMES):
            visitor = self.visitor(port)
            upload = Upload(visitor)
            upload.finish()
            self.assertEqual(len(upload.answer), len(ANSWER), f"the {number}.")
            self.assertEqual(upload.answer, ANSWER)
            self.assertTrue(upload.wasReset, f"the {number}. may have been cut short")
            visitor.close()

    def test_aDownloadIsAnsweredAndReset(self: EarlyAnswerCase) -> None:  # type: ignore[misc]
        """The visitor sends something, and closes in the middle of the answer."""
        done = threading.Semaphore(0)
        uploads: list[Upload] = []

        def serve(sock: socket.socket) -> None:
            upload = Upload(sock)
            upload.finish()
            uploads.append(upload)
            done.release()

        port = self.open(LocalService(serve))
        for _ in range(TIMES):
            visitor = self.visitor(port)
            self.assertEqual(len(receiveExactly(visitor, 100_000)), 100_000)
            visitor.sendall(BODY)
            visitor.recv(1, socket.MSG_PEEK)
            visitor.close()  # with unread bytes: a reset
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
        port = self.open(LocalService(refuse))
        options = ["-sS", "-m", str(PATIENCE), "-H", "Expect:", "--data-binary", f"@{folder / 'upload'}"]
        answers = []
        for _ in range(TIMES):
            got = subprocess.run(
                [curl, *options, "-o", str(folder / "answer"), "-w", "%{http_code}", f"http://{self.host}:{port}/"],
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
