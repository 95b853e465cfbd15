"""Handshakes that lead nowhere."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

from tests.processes.case import count
from tests.processes.tlscase import SECRET, TlsCase, clientContext
from tests.promptness import within
from tests.support import PATIENCE, connect, eventually, isClosed, receiveAll

_APPLICATION_DATA = 0x17


def clientHello() -> bytes:
    """How a client begins."""
    outgoing = ssl.MemoryBIO()
    client = clientContext("bore/1").wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="example.com")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake with nobody")


def records(stream: bytes) -> list[int]:
    """The types of the TLS records in a stream."""
    types = []
    while stream:
        types.append(stream[0])
        stream = stream[5 + int.from_bytes(stream[3:5], "big") :]
    return types


class ReplayTests(TlsCase):
    """All bytes that a client has sent, replayed from another address."""

    def test_itGivesNothingAndTheServerGoesOn(self) -> None:
        for secret in ((), SECRET):
            server, control = self.tlsServer(*secret)
            way = self.forwarder(control)
            _, port = self.tlsClient(way.port, "--no-state", *secret)
            self.assertServes(port)
            said = [bytes(passage.fromClient) for passage in list(way.passages)]
            recorded = [words for words in said if records(words).count(_APPLICATION_DATA) >= 2]
            self.assertGreater(len(recorded), 1)
            self.assertCounts(server, "opened for", 1)
            for words in recorded:
                with connect(self.host, control) as sock:
                    sock.sendall(words)
                    try:
                        answer = receiveAll(sock)
                    except ConnectionResetError:
                        answer = b""
                # Its answers in the handshake are public; after them comes at most an alert.
                self.assertLess(len(answer), 2000)
            server.waitFor(f": {len(recorded) - 1} more in ")
            self.assertEqual(count(server, "opened for"), 1)
            self.assertServes(port)
            self.assertNoTraceback(server)


class HangingTests(TlsCase):
    """Handshakes that do not go on."""

    def test_theyAreClosedAfterThreeSecondsWhereverTheyStopped(self) -> None:
        _, control = self.tlsServer()
        hello = clientHello()
        parts = (hello[:1], hello[:5], hello[: len(hello) // 2], hello, hello + b"\x14\x03\x03\0\1\1", b"\x16\x03\x01")
        begin = time.monotonic()
        with within(5):
            socks = [connect(self.host, control) for _ in parts]
            for sock, part in zip(socks, parts, strict=True):
                self.addCleanup(sock.close)
                sock.sendall(part)
            _, port = self.tlsClient(control)
            self.assertServes(port)
            for sock in socks:
                while not isClosed(sock):  # the server has sent something before
                    pass
        self.assertGreater(time.monotonic() - begin, 2)

    def test_thoseThatDripAreClosedAfterThreeSeconds(self) -> None:
        _, control = self.tlsServer()
        sock = connect(self.host, control)
        self.addCleanup(sock.close)
        with within(5), self.assertRaises(ConnectionError):
            for byte in clientHello():
                sock.sendall(bytes([byte]))
                time.sleep(0.1)

    def test_theyAreBoundedAndHonestClientsAreServedMeanwhile(self) -> None:
        server, control = self.tlsServer("--max-pending", "20", "--max-pending-per-source", "0")
        hello = clientHello()
        before = server.descriptors()
        socks = []
        for _ in range(100):
            sock = connect(self.host, control)
            self.addCleanup(sock.close)
            sock.sendall(hello[:100])
            socks.append(sock)
        with within(2):
            eventually(lambda: server.descriptors() <= before + 22, "the oldest are closed")
        _, port = self.tlsClient(control)
        self.assertServes(port)
        server.waitFor("the limit of connections without a message is reached, 20")
        for sock in socks:
            self.assertTrue(isClosed(sock))
        eventually(lambda: server.descriptors() < before + 15, "all are closed")
        self.assertNoTraceback(server)

    def test_theyDoNotHoldUpTheEndOfTheServer(self) -> None:
        server, control = self.tlsServer()
        for part in (b"", clientHello()[:50], clientHello()):
            sock = connect(self.host, control)
            self.addCleanup(sock.close)
            sock.sendall(part)
        self.tlsClient(control)
        server.process.terminate()
        with within(2):
            self.assertEqual(server.wait(), 0, server.transcript())
        self.assertNoTraceback(server)

    def test_whoShakesHandsAndThenSaysNothingIsClosedAsWell(self) -> None:
        _, control = self.tlsServer()
        plain = socket.create_connection((self.host, control), PATIENCE)
        with clientContext("bore/1").wrap_socket(plain) as peer:
            begin = time.monotonic()
            with within(5):
                self.assertEqual(peer.recv(1), b"")
            self.assertGreater(time.monotonic() - begin, 2)

    def test_whatIsNoHandshakeAtAllIsRefusedAtOnce(self) -> None:
        server, control = self.tlsServer()
        for words in (b"\x16\x03\x01\x00\x05hello", b"\x16" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 70000):
            with connect(self.host, control) as sock, within(2), contextlib.suppress(ConnectionError):
                sock.sendall(words)
                receiveAll(sock)
        self.assertNoTraceback(server)
        self.tlsClient(control)
