"""
Against the real thing: the original bore 0.6.0, in all pairings with ours.

The original always uses port 7835: each test has an address of its own, so that they need not take turns.
"""

from __future__ import annotations

import socket
import threading

from tests.interop.case import PAIRINGS, Pairing, PairingCase, publicPort
from tests.ports import loopbackHost
from tests.support import (
    LocalService,
    connect,
    digest,
    echo,
    eventually,
    isOpen,
    isTurnedAway,
    pattern,
    receiveAll,
    receiveExactly,
)

MEGABYTES = 100
VISITORS = 200


def sending(sock: socket.socket, data: bytes) -> threading.Thread:
    """Send a lot, and end, while the caller reads."""

    def send() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


class TunnelsCase(PairingCase):
    """A tunnel for each pairing, all to the same local service."""

    service: LocalService
    tunnels: list[tuple[Pairing, str, int]]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.service = LocalService(echo)
        words = [["--secret", pairing.secret] if pairing.secret else [] for pairing in PAIRINGS]
        hosts = [cls.server(pairing.server, *more) for pairing, more in zip(PAIRINGS, words, strict=True)]
        clients = [
            cls.client(pairing.client, host, cls.service.port, *more)
            for pairing, host, more in zip(PAIRINGS, hosts, words, strict=True)
        ]
        cls.tunnels = [
            (pairing, host, publicPort(client, host))
            for pairing, host, client in zip(PAIRINGS, hosts, clients, strict=True)
        ]

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        cls.service.close()


class TunnelsTests(TunnelsCase):
    """What must work in all pairings."""

    def test_aHundredMegabytesPassEachWay(self) -> None:
        block = pattern(7, MEGABYTES * 1_000_000)
        back = pattern(8, MEGABYTES * 1_000_000)
        heard: list[str] = []

        def serve(sock: socket.socket) -> None:
            sender = sending(sock, back)
            heard.append(digest(receiveAll(sock)))
            sender.join()

        self.service.serve = serve
        for pairing, host, port in self.tunnels:
            heard.clear()
            with connect(host, port) as visitor:
                sender = sending(visitor, block)
                self.assertEqual(digest(receiveAll(visitor)), digest(back), str(pairing))
                sender.join()
            eventually(lambda: bool(heard), "the service has heard all")
            self.assertEqual(heard, [digest(block)], str(pairing))

    def test_twoHundredVisitorsAreServedAtOnce(self) -> None:
        self.service.serve = echo
        for pairing, host, port in self.tunnels:
            visitors = [connect(host, port) for _ in range(VISITORS)]
            for n, visitor in enumerate(visitors):
                visitor.sendall(pattern(n, 10_000))
                visitor.shutdown(socket.SHUT_WR)
            for n, visitor in enumerate(visitors):
                self.assertEqual(digest(receiveAll(visitor)), digest(pattern(n, 10_000)), f"{pairing}: {n}")
                visitor.close()

    def test_halfACloseLeavesTheOtherHalfOpen(self) -> None:
        def visitorEndsFirst(sock: socket.socket) -> None:
            question = receiveAll(sock)
            sock.sendall(b"answer to " + question)

        def serviceEndsFirst(sock: socket.socket) -> None:
            sock.sendall(b"that is all from me")
            sock.shutdown(socket.SHUT_WR)
            heard.append(receiveAll(sock))

        heard: list[bytes] = []
        self.service.serve = visitorEndsFirst
        for pairing, host, port in self.tunnels:
            with connect(host, port) as visitor:
                visitor.sendall(b"question")
                visitor.shutdown(socket.SHUT_WR)
                self.assertEqual(receiveAll(visitor), b"answer to question", str(pairing))
        self.service.serve = serviceEndsFirst
        for pairing, host, port in self.tunnels:
            heard.clear()
            with connect(host, port) as visitor:
                self.assertEqual(receiveAll(visitor), b"that is all from me", str(pairing))
                visitor.sendall(b"but I go on")
                visitor.shutdown(socket.SHUT_WR)
                eventually(lambda: bool(heard), "the service has heard all")
                self.assertEqual(heard, [b"but I go on"], str(pairing))

    def test_aVisitorMaySayNothing(self) -> None:
        def serve(sock: socket.socket) -> None:
            sock.sendall(b"the service speaks first")
            heard.append(sock.recv(1))

        heard: list[bytes] = []
        self.service.serve = serve
        for pairing, host, port in self.tunnels:
            heard.clear()
            with connect(host, port) as visitor:
                self.assertEqual(receiveExactly(visitor, 24), b"the service speaks first", str(pairing))
                visitor.settimeout(0.3)
                self.assertRaises(TimeoutError, visitor.recv, 1)
                self.assertEqual(heard, [])
            eventually(lambda: heard == [b""], "the service has heard the end")


class DownTests(TunnelsCase):
    """A local service that is down."""

    def test_aLocalServiceThatIsDownClosesTheVisitor(self) -> None:
        self.service.close()
        for pairing, host, port in self.tunnels:
            for _ in range(2):
                self.assertTrue(isTurnedAway(host, port), str(pairing))


class TroubleTests(PairingCase):
    """What goes wrong."""

    def test_aWrongSecretIsRefused(self) -> None:
        ways = [
            ("the right secret", "a wrong secret, too", "invalid secret"),
            ("the right secret", None, "server requires authentication, but no client secret was provided"),
            (None, "some secret or other", "expected authentication challenge, but no secret was required"),
        ]
        cases = [(server, *way) for server in ("ours", "original") for way in ways]
        hosts = [self.server(server, *(["--secret", secret] if secret else [])) for server, secret, _, _ in cases]
        clients = [
            self.client("ours", host, 80, *(["--secret", secret] if secret else []))
            for host, (_, _, secret, _) in zip(hosts, cases, strict=True)
        ]
        for client, (server, _, _, text) in zip(clients, cases, strict=True):
            self.assertEqual(client.wait(), 77, client.transcript())
            self.assertEqual(len(client.err), 1)
            self.assertIn(text, client.err[0], f"server {server}")
        client = self.client("original", hosts[0], 80, "--secret", "a wrong secret, too")
        self.assertEqual(client.wait(), 1)
        self.assertIn("server error: invalid secret", "\n".join(client.err))

    def test_aServerWithoutASecretIsFoundOutWithoutATunnel(self) -> None:
        for who, opened in (("ours", "opened for"), ("original", "new client")):
            for words in ((), ("--min-port", "20000", "--max-port", "20999")):
                host = loopbackHost()
                server = self.start(who, "server", "--bind-addr", host, *words)
                client = self.client("ours", host, 80, "--secret", "one that is long enough")
                self.assertEqual(client.wait(), 77, client.transcript())
                self.assertIn("expected authentication challenge, but no secret was required", client.err[-1])
                # What is logged about a tunnel comes before the next tunnel's line.
                self.client("ours", host, 80, "--no-state").waitFor("listening at")
                server.waitFor(opened)
                lines = [line for line in [*server.out, *server.err] if opened in line]
                self.assertEqual(len(lines), 1, server.transcript())

    def test_ourClientIsBackAfterTheOriginalServerWasKilled(self) -> None:
        service = LocalService(echo)
        self.addCleanup(service.close)
        host = loopbackHost()
        server = self.start("original", "server", "--bind-addr", host)
        server.waitFor("listening")
        port = publicPort(self.client("ours", host, service.port), host)
        server.kill()
        self.start("original", "server", "--bind-addr", host).waitFor("listening")
        self.assertLess(eventually(lambda: isOpen(host, port), "the port is back"), 10)

    def test_anOriginalClientThatWasKilledFreesItsPortAtOnce(self) -> None:
        service = LocalService(echo)
        self.addCleanup(service.close)
        host = self.server("ours")
        client = self.client("original", host, service.port)
        port = publicPort(client, host)
        client.kill()
        self.assertLess(eventually(lambda: not isOpen(host, port), "the port is free"), 3)
