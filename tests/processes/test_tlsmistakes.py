"""Clients and servers of which only one speaks TLS."""

from __future__ import annotations

import socket
import threading
import time

from bore.tls.handshakes import HANDSHAKE_TIMEOUT
from tests.processes.case import count
from tests.processes.tlscase import SECRET, TlsCase, hello, keyOf, portOf
from tests.promptness import within
from tests.support import PATIENCE, LocalService, connect, eventually, receiveAll

_NEEDS_TLS = b'{"Error":"this port speaks TLS: '

#: Sooner than any time-out, in seconds.
_AT_ONCE = 2.5


class PlainClientTests(TlsCase):
    """A client that speaks no TLS, at a port that speaks nothing else."""

    def test_aClientThatSpeaksFirstIsToldAtOnce(self) -> None:
        server, port = self.tlsServer()
        for words in (b'{"Hello":0}\0', b'{"Accept":"x"}\0', b"GET / HTTP/1.1\r\n\r\n", b"\x80" * 9000):
            with connect(self.host, port) as sock, within(_AT_ONCE):
                sock.sendall(words)
                self.assertTrue(receiveAll(sock).startswith(_NEEDS_TLS), words)
        self.assertNoTraceback(server)
        self.tlsClient(port)

    def test_aClientThatWaitsForTheChallengeIsToldAfterThreeSeconds(self) -> None:
        _, port = self.tlsServer(*SECRET)
        with connect(self.host, port) as sock:
            begin = time.monotonic()
            with within(4.5):
                said = receiveAll(sock)
            took = time.monotonic() - begin
        self.assertTrue(said.startswith(_NEEDS_TLS) and said.endswith(b'"}\0'), said)
        self.assertGreater(took, 2.5)

    def test_ourOwnClientIsToldWithAndWithoutASecret(self) -> None:
        _, port = self.tlsServer(*SECRET)
        for words in ((), SECRET):
            way = self.forwarder(port)
            client = self.launch(f"{self.host}:{way.port}", "--no-reconnect", *words)
            eventually(lambda way=way: bool(way.passages), "the client is there")  # type: ignore[misc]
            with within(2.5):  # with a secret the client waits for 1.5 s before it speaks
                eventually(lambda way=way: bool(way.passages[0].fromServer), "an answer")  # type: ignore[misc]
            self.assertEqual(client.wait(), 1, client.transcript())
            self.assertIn("this port speaks TLS: use 'bore local' of txbore with --tls", client.err[-1])


class PlainServerTests(TlsCase):
    """A client that speaks TLS, at a port that does not."""

    def assertSaysSo(self, port: int, *words: str, host: str = "") -> None:
        client = self.tlsLaunch(port, "--no-reconnect", *words, host=host)
        self.assertEqual(client.wait(HANDSHAKE_TIMEOUT - 2), 69, client.transcript())
        self.assertIn("it does not speak TLS, or not on this port", client.err[-1])
        self.assertFalse(self.pins.exists())

    def test_aServerOfOursIsNamed(self) -> None:
        server, port = self.server()
        self.assertSaysSo(port)
        self.assertSaysSo(port, *SECRET)
        server.waitFor("refused: this port speaks no TLS", after=1)
        self.assertEqual(count(server, "opened for"), 0)

    def test_aServerOfOursWithASecretIsNamed(self) -> None:
        server, port = self.server(*SECRET)
        self.assertSaysSo(port, *SECRET)
        server.waitFor("refused: this port speaks no TLS")
        self.assertEqual(count(server, "opened for"), 0)

    def test_aPortThatIsClosedAtOnceIsNamed(self) -> None:
        service = LocalService(lambda sock: None)
        self.addCleanup(service.close)
        self.assertSaysSo(service.port, host="127.0.0.1")

    def test_whatSpeaksSomethingElseIsNamed(self) -> None:
        def http(sock: socket.socket) -> None:
            sock.recv(1000)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html></html>")

        def ssh(sock: socket.socket) -> None:
            sock.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
            sock.recv(1000)

        for speak in (http, ssh):
            self.service.serve = speak
            self.assertSaysSo(self.service.port, host="127.0.0.1")

    def test_aClientCanBeStoppedInTheMiddleOfTheHandshake(self) -> None:
        waits = threading.Event()

        def hang(sock: socket.socket) -> None:
            sock.recv(1000)
            waits.set()
            while sock.recv(1000):  # a ClientHello may be longer than one read
                pass

        self.service.serve = hang
        client = self.tlsLaunch(self.service.port, host="127.0.0.1")
        self.assertTrue(waits.wait(PATIENCE))
        client.process.terminate()
        with within(3):
            self.assertEqual(client.wait(), 0, client.transcript())
        self.assertEqual((client.out, client.err), ([], []))

    def test_aClientThatTriesAgainFindsAServerThatHasLearntIt(self) -> None:
        server, port = self.server()
        client = self.tlsLaunch(port)
        client.waitFor("it does not speak TLS")
        server.kill()
        self.tlsServer(port=port)
        client.waitFor("listening at ")


class UsageTests(TlsCase):
    """Errors on the command line."""

    def test_serversWithAndWithoutTlsAreNotMixed(self) -> None:
        client = self.launch("tls://a.example", "--to", "b.example")
        self.assertEqual(client.wait(), 2, client.transcript())
        text = "--to names servers with and without tls://: add it to all of them"
        self.assertIn(text, client.err[0])

    def test_theFlagIsAsGoodAsTheScheme(self) -> None:
        server, port = self.tlsServer("--tls-port", "0", tls="")
        encrypted = portOf(server.waitFor("with TLS, key"))
        client = self.launch(f"{self.host}:{encrypted}", "--tls", "--to", f"tls://{self.host}:{port}", home=self.home)
        client.waitFor("listening at ")
        self.assertIn(keyOf(server), client.waitFor("TLS with"))
        with hello(self.host, encrypted, "bore/1") as peer:
            self.assertEqual(peer.version(), "TLSv1.3")
