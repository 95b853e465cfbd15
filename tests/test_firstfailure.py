"""A client whose server cannot be what the user means: what it reports at its first attempt, on real sockets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred

from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.events import Event, Sink
from bore.events.client import ServerLost
from bore.tls.settings import ClientTls, ServerTls
from bore.wire.secret import Secret
from tests.certificates import selfSigned
from tests.ports import freePort
from tests.support import LocalService, temporaryFolder
from tests.test_clientservice import ServiceCase

SECRET: Final = Secret("correct horse battery staple")


def http(sock: socket.socket) -> None:
    """A web server."""
    sock.recv(1000)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n<html></html>")


def ssh(sock: socket.socket) -> None:
    """An SSH server."""
    sock.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    while sock.recv(1000):
        pass


def hangUp(sock: socket.socket) -> None:
    """What closes each connection after the first bytes."""
    sock.recv(1000)


class FirstFailureTests(ServiceCase):
    """The event of the first failure."""

    async def failure(self, port: int, *tunnels: TunnelSpec, **settings: object) -> ServerLost:
        """Start a client, and return its first failure."""
        lost: Deferred[ServerLost] = Deferred()

        def notice(event: Event) -> None:
            if isinstance(event, ServerLost) and not lost.called:
                lost.callback(event)

        client = self.client(port, tunnels, **settings)
        sink: Sink = client._sink
        sink.subscribe(notice)
        client.startService()
        found = await lost
        self.assertEqual(found.early, 1)
        await client.stopService()
        return found

    def program(self, serve: Callable[[socket.socket], None]) -> int:
        """Start another program, and return its port."""
        service = LocalService(serve, self.host)
        self.addCleanup(service.close)
        return service.port

    def assertReports(self, found: ServerLost, why: str, advice: str, mends: bool) -> None:
        self.assertIn(why, found.why)
        self.assertIn(advice, found.advice)
        self.assertIs(found.mends, mends)

    async def test_otherServersAreNamedWithAndWithoutASecret(self) -> None:
        for serve, why in ((http, "an HTTP server answers there, and not 'bore server'"), (ssh, "an SSH server")):
            port = self.program(serve)
            for secret in (None, SECRET):
                self.assertReports(await self.failure(port, secret=secret), why, "check the port", mends=False)
            found = await self.failure(port, tls=ClientTls())
            self.assertReports(found, "it does not speak TLS", f"--to {self.host}:{port} without tls://", mends=False)

    async def test_aServerThatHangsUpMayBeAProxyWhoseServerIsDown(self) -> None:
        self.assertReports(await self.failure(self.program(hangUp)), "it closed the connection", "a proxy", mends=True)

    async def test_anotherServerWithTls(self) -> None:
        folder = temporaryFolder(self)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*selfSigned().write(folder))

        def serve(sock: socket.socket) -> None:
            with context.wrap_socket(sock, server_side=True) as encrypted:
                http(encrypted)

        def alert(sock: socket.socket) -> None:
            sock.recv(1000)
            sock.sendall(b"\x15\x03\x01\x00\x02\x02\x46")  # protocol_version, as OpenSSL answers a Hello

        found = await self.failure(self.program(alert))
        self.assertReports(found, "a server with TLS answers there", "check the port", mends=False)
        port = self.program(serve)
        found = await self.failure(port, tls=ClientTls())
        self.assertReports(found, "an HTTP server answers there", "check the port", mends=False)

    async def test_tlsAtOneEndOnly(self) -> None:
        plain = self.server().controlPort
        found = await self.failure(plain, tls=ClientTls())
        self.assertReports(found, "it does not speak TLS", f"try --to {self.host}:{plain} without tls://", mends=False)
        encrypted = self.server(tls=ServerTls(folder=temporaryFolder(self))).controlPort
        for secret in (None, SECRET):
            found = await self.failure(encrypted, secret=secret)
            self.assertReports(found, "this port speaks TLS", f"give --to tls://{self.host}:{encrypted}", mends=False)

    async def test_aPortThatTheServerDoesNotGive(self) -> None:
        server = self.server(minPort=20000, maxPort=20999).controlPort
        found = await self.failure(server, TunnelSpec(Target(80), 80))
        text = "port 80 is outside this server's range, 20000 to 20999: choose one of these as --port, or omit it"
        self.assertReports(found, text, "", mends=False)

    async def test_aPortThatIsInUse(self) -> None:
        server, port = self.server().controlPort, freePort(self.host)
        with socket.create_server((self.host, port)):
            found = await self.failure(server, TunnelSpec(Target(80), port))
        self.assertReports(found, f"port {port} is already in use", "another client or program has it", mends=True)

    async def test_aTunnelThatIsRefusedBesideOthersHasItsAdviceToo(self) -> None:
        server = self.server(minPort=20000, maxPort=20999).controlPort
        found = await self.failure(server, TunnelSpec(Target(80), 0, name="a"), TunnelSpec(Target(81), 81, name="b"))
        self.assertReports(found, "port 81 is outside this server's range", "", mends=False)
        self.assertEqual(found.tunnel, "b")

    async def test_noServer(self) -> None:
        found = await self.failure(freePort(self.host))
        self.assertReports(found, "connection refused", "no program listens there: start 'bore server'", mends=True)
