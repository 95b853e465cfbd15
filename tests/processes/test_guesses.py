"""An address that guesses the secret, and one that sends garbage, on real connections."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.processes.case import ProcessCase, count
from tests.processes.tlscase import TlsCase
from tests.support import PATIENCE

SECRET = ("--secret", "long enough, and right")

GUESS = b'{"Authenticate":"%s"}\0' % (b"0" * 64)


class GuessTests(ProcessCase):
    """Wrong secrets by the hundred."""

    def guess(self, control: int, over: threading.Event, answers: list[bytes]) -> None:
        while not over.is_set():
            with socket.create_connection((self.host, control), PATIENCE) as guesser:
                guesser.recv(200)
                guesser.sendall(GUESS)
                with contextlib.suppress(ConnectionResetError):
                    answers.append(guesser.recv(200))

    def test_theyAreSlowedDownSummedUpAndDoNotKeepTheRightOneOut(self) -> None:
        server, control = self.server(*SECRET)
        over = threading.Event()
        answers: list[bytes] = []
        guessers = [threading.Thread(target=self.guess, args=(control, over, answers)) for _ in range(2)]
        for guesser in guessers:
            guesser.start()
        try:
            server.waitFor("wrong secret from 127.0.0.1")
            client, port = self.client(control, *SECRET)
            server.waitFor("wrong secret from 127.0.0.1: ")
        finally:
            over.set()
            for guesser in guessers:
                guesser.join()
        self.assertLess(len(answers), 100, "in some ten seconds, of which ten are free")
        self.assertLessEqual(count(server, "wrong secret"), 3)
        self.assertServes(port)
        self.assertEqual([line for line in client.err if "next attempt" in line], [])

    def test_nonsenseDoesNotFillTheLog(self) -> None:
        server, control = self.server()
        for _ in range(300):
            with socket.create_connection((self.host, control), PATIENCE) as stranger:
                stranger.sendall(b"\xff" * 62 + b"\0")
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(stranger.recv(1), b"")
        line = server.waitFor(" more in ")
        self.assertIn("closed: not a JSON text", line)
        self.assertLessEqual(len(server.err), 3, server.transcript())


class ProxyHeaderTests(TlsCase):
    """HAProxy's send-proxy at the control port."""

    def test_itIsNamedOnceOnThePlainPortAndOnTheOneForTls(self) -> None:
        for server, control in (self.server(), self.tlsServer()):
            for header in (b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 7835\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"):
                with socket.create_connection((self.host, control), PATIENCE) as proxy:
                    proxy.sendall(header + b"\x16\x03\x01")
                    self.assertIn(b"a PROXY protocol header at the control port: remove send-proxy", proxy.recv(300))
            server.waitFor("refused: a PROXY protocol header at the control port")
            self.assertEqual(count(server, "refused: a PROXY"), 1, server.transcript())
