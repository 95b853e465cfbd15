"""Several tunnels of one of our clients, at our server and at the original one: the user sees no difference."""

from __future__ import annotations

import re
import signal
import socket
from functools import partial
from typing import Final

from tests.interop.case import PairingCase
from tests.original import CONTROL_PORT
from tests.ports import freePort, loopbackHost
from tests.support import LocalService, Program, connect, echo, eventually, isOpen, receiveAll, receiveExactly

_SECRET: Final = ("--secret", "correct horse battery staple")

#: Servers, and what their clients need, too.
SERVERS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("ours", ()),
    ("ours", _SECRET),
    ("ours", ("--tls",)),
    ("ours", ("--tls", *_SECRET)),
    ("original", ()),
    ("original", _SECRET),
)


def shout(sock: socket.socket) -> None:
    """Send everything back in capital letters."""
    while data := sock.recv(1 << 16):
        sock.sendall(data.upper())
    sock.shutdown(socket.SHUT_WR)


class SeveralCase(PairingCase):
    """Two local services."""

    def setUp(self) -> None:
        self.services = [LocalService(echo), LocalService(shout)]
        for service in self.services:
            self.addCleanup(service.close)
        self.echo, self.shout = (service.port for service in self.services)

    def launch(self, host: str, *words: str) -> Program:
        """A client of the server there."""
        eventually(lambda: isOpen(host, CONTROL_PORT), "the control port is open")
        return self.start("ours", "local", "--local-host", "127.0.0.1", "--to", host, *words)

    def port(self, client: Program, host: str, local: int, after: int = 0) -> int:
        """The public port for a local one, when the client reports it; ``after`` is how many such lines to skip."""
        line = client.waitFor(f"-> 127.0.0.1:{local}", after=after)
        found = re.fullmatch(rf"listening at {re.escape(host)}:(\d+) -> .*", line)
        assert found is not None, line
        return int(found[1])

    def ask(self, host: str, port: int, question: bytes = b"hello") -> bytes:
        with connect(host, port) as visitor:
            visitor.sendall(question)
            visitor.shutdown(socket.SHUT_WR)
            return receiveAll(visitor)

    def areClosed(self, host: str, ports: list[int]) -> bool:
        """Whether the server has closed these public ports."""
        return not any(isOpen(host, port) for port in ports)


class EverywhereTests(SeveralCase):
    """At each kind of server."""

    def test_eachTunnelLeadsToItsLocalService(self) -> None:
        for who, words in SERVERS:
            with self.subTest(server=who, words=words):
                host = self.server(who, *words)
                public = freePort(host)
                client = self.launch(host, *words, str(self.echo), f"{self.shout}:{public}")
                port = self.port(client, host, self.echo)
                self.assertEqual(self.port(client, host, self.shout), public)
                self.assertEqual((self.ask(host, port), self.ask(host, public)), (b"hello", b"HELLO"))
                self.assertEqual(len(client.out), 2, client.transcript())
                client.process.send_signal(signal.SIGTERM)
                self.assertEqual(client.wait(), 0, client.transcript())

    def test_aPortThatIsTakenHoldsUpNoOther(self) -> None:
        for who in ("ours", "original"):
            with self.subTest(server=who):
                host = self.server(who)
                public = freePort(host)
                taken = socket.create_server((host, public))
                self.addCleanup(taken.close)
                locals = f"{self.shout}:{public}", str(self.echo)
                client = self.launch(host, *locals, "--max-reconnect-delay", "1")
                self.assertEqual(self.ask(host, self.port(client, host, self.echo)), b"hello")
                client.waitFor(f"{locals[0]}: no tunnel from {host}:{CONTROL_PORT}: server error: ")
                taken.close()
                self.assertEqual(self.port(client, host, self.shout), public)
                self.assertEqual(self.ask(host, public), b"HELLO")

    def test_theirStreamsGoOnWhileTheServerIsAwayAndAllComeBack(self) -> None:
        for who in ("ours", "original"):
            with self.subTest(server=who):
                host = loopbackHost()
                first = self.start(who, "server", "--bind-addr", host)
                ports = freePort(host), freePort(host)
                locals = f"{self.echo}:{ports[0]}", f"{self.shout}:{ports[1]}"
                client = self.launch(host, *locals, "--max-reconnect-delay", "1")
                for local in (self.echo, self.shout):
                    self.port(client, host, local)
                first.kill()
                client.waitFor(f"lost {host}:{CONTROL_PORT}")
                self.start(who, "server", "--bind-addr", host)
                for port in ports:
                    eventually(partial(isOpen, host, port), "the tunnel is back")
                self.assertEqual((self.ask(host, ports[0]), self.ask(host, ports[1])), (b"hello", b"HELLO"))

    def test_theServerMayBecomeOneOfTheOtherKind(self) -> None:
        host = loopbackHost()
        ports = [freePort(host) for _ in range(4)]
        server = self.start("original", "server", "--bind-addr", host)
        client = self.launch(host, *[f"{self.echo}:{port}" for port in ports], "--max-reconnect-delay", "1")
        for who in ("ours", "original", "ours"):
            self.port(client, host, self.echo, after=len(ports) - 1)
            server.kill()
            server = self.start(who, "server", "--bind-addr", host)
            for port in ports:
                eventually(partial(isOpen, host, port), "the tunnel is back")
            self.assertEqual([self.ask(host, port) for port in ports], [b"hello"] * len(ports))
            if who == "ours":
                found = {line.partition(": opened for ")[2] for line in server.err if ": opened for " in line}
                self.assertEqual(len(found), 1, "all are in one session")

    def test_fiftyAreUpAndServedAndGone(self) -> None:
        for who in ("ours", "original"):
            with self.subTest(server=who):
                host = self.server(who)
                ports = [freePort(host) for _ in range(50)]
                client = self.launch(host, *[f"{self.echo}:{port}" for port in ports])
                self.port(client, host, self.echo, after=49)
                visitors = [connect(host, port) for port in ports]
                for number, visitor in enumerate(visitors):
                    visitor.sendall(b"%4d" % number)
                for number, visitor in enumerate(visitors):
                    with visitor:
                        self.assertEqual(receiveExactly(visitor, 4), b"%4d" % number)
                self.assertEqual(client.err, [])
                client.process.send_signal(signal.SIGTERM)
                self.assertEqual(client.wait(), 0, client.transcript())
                if who == "ours":
                    eventually(partial(self.areClosed, host, ports), "all are closed")


class RefusedTests(SeveralCase):
    """What cannot be."""

    def test_oneThatTheServerCannotServeIsGivenUpAndTheOthersGoOn(self) -> None:
        host = self.server("ours", "--max-port", "30000")
        locals = f"{self.shout}:31000", str(self.echo)
        client = self.launch(host, *locals, "--no-reconnect")
        client.waitFor(f"error {locals[0]}: server error: port 31000 is outside this server's range")
        self.assertEqual(self.ask(host, self.port(client, host, self.echo)), b"hello")

    def test_theProgramEndsWithTheCodeOfTheFirstWhenAllAreGivenUp(self) -> None:
        host = self.server("ours", *_SECRET)
        client = self.launch(host, str(self.echo), str(self.shout), "--secret", "it is another secret")
        self.assertEqual(client.wait(), 77, client.transcript())
        self.assertIn("server error: invalid secret: give the client the server's secret", client.err[-1])

    def test_aWrongSecretHasOneLineForAllTunnelsAtAnOriginalServerToo(self) -> None:
        host = self.server("original", *_SECRET)
        client = self.launch(host, str(self.echo), str(self.shout), "--secret", "it is another secret")
        self.assertEqual(client.wait(), 77, client.transcript())
        self.assertEqual(len([line for line in client.err if "invalid secret" in line]), 2, client.transcript())
