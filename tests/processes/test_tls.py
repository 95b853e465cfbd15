"""TLS between real servers and clients."""

from __future__ import annotations

import datetime
import socket
import ssl
import sys
import threading

from tests.certificates import Authority, selfSigned
from tests.ports import loopbackHost
from tests.processes.case import complaints, count
from tests.processes.tlscase import SECRET, TlsCase, clientContext, hello, keyOf, portOf
from tests.support import PATIENCE, connect, digest, eventually, pattern, receiveAll, receiveExactly

MEGABYTES = 5 << 20


class VersionTests(TlsCase):
    """What is spoken on the port."""

    def test_itIsTls13AndOurOwnProtocolAndNothingElse(self) -> None:
        server, port = self.tlsServer()
        with hello(self.host, port, "h2", "bore/1") as peer:
            self.assertEqual((peer.version(), peer.selected_alpn_protocol()), ("TLSv1.3", "bore/1"))
        with hello(self.host, port) as peer:
            self.assertEqual((peer.version(), peer.selected_alpn_protocol()), ("TLSv1.3", None))
        old = clientContext()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection((self.host, port), PATIENCE) as plain, self.assertRaises(ssl.SSLError) as refused:
            old.wrap_socket(plain)
        self.assertIn("PROTOCOL_VERSION", str(refused.exception))
        with self.assertRaises(OSError):
            peer = hello(self.host, port, "h2", "http/1.1")
            peer.recv(1)
        server.waitFor("does not speak TLS 1.3")
        server.waitFor("'h2 http/1.1'")
        self.assertNoTraceback(server)
        self.tlsClient(port)

    def test_aClientOfAnotherMakeHasATunnel(self) -> None:
        _, port = self.tlsServer()
        with hello(self.host, port, "bore/1") as peer:
            peer.sendall(b'{"Hello":0}\0')
            self.assertTrue(peer.recv(64).startswith(b'{"Hello":'))

    def test_tlsPortIsBesideThePlainControlPort(self) -> None:
        server, plain = self.tlsServer("--tls-port", "0", tls="")
        encrypted = portOf(server.waitFor("with TLS, key"))
        _, first = self.client(plain)
        _, second = self.tlsClient(encrypted)
        self.assertServes(first)
        self.assertServes(second)
        self.assertEqual([count(server, "with TLS, key"), count(server, "listening on")], [1, 2])


class StreamTests(TlsCase):
    """Visitors, by way of TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.bore, self.control = self.tlsServer(*SECRET)

    def test_fiveMegabytesEachWayArriveWholeOnLanesAndWithout(self) -> None:
        data = pattern(1, MEGABYTES)
        for lanes in ("4", "0"):
            client, port = self.tlsClient(self.control, "--lanes", lanes, "--no-state", *SECRET)
            visitor = self.visitor(port)
            sender = threading.Thread(target=lambda to: (to.sendall(data), to.shutdown(1)), args=(visitor,))
            sender.start()
            self.assertEqual(digest(receiveAll(visitor)), digest(data), lanes)
            sender.join()
            self.assertNoTraceback(client, self.bore)
            client.kill()

    def test_eachDirectionEndsOnItsOwn(self) -> None:
        ended = threading.Event()

        def answerAfterTheEnd(sock: socket.socket) -> None:
            sock.sendall(digest(receiveAll(sock)).encode())

        def endFirst(sock: socket.socket) -> None:
            sock.sendall(b"all that I have to say")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(sock), b"late words")
            ended.set()

        for lanes in ("4", "0"):
            client, port = self.tlsClient(self.control, "--lanes", lanes, "--no-state", *SECRET)
            for data in (b"", b"few words", pattern(2, 1 << 20)):
                self.service.serve = answerAfterTheEnd
                self.assertEqual(self.ask(port, data), digest(data).encode(), lanes)
            self.service.serve = endFirst
            ended.clear()
            visitor = self.visitor(port)
            self.assertEqual(receiveAll(visitor), b"all that I have to say", lanes)
            visitor.sendall(b"late words")
            visitor.shutdown(socket.SHUT_WR)
            self.assertTrue(ended.wait(PATIENCE), lanes)
            client.kill()
        self.assertEqual(self.service.errors, [])

    def test_aVisitorThatCutsIsCutAtTheService(self) -> None:
        resets: list[type[BaseException]] = []

        def serve(sock: socket.socket) -> None:
            sock.sendall(b"welcome")
            try:
                receiveAll(sock)
                resets.append(EOFError)
            except OSError as e:
                resets.append(type(e))

        self.service.serve = serve
        for number, lanes in enumerate(("4", "0"), 1):
            client, port = self.tlsClient(self.control, "--lanes", lanes, "--no-state", *SECRET)
            visitor = self.visitor(port)
            self.assertHears(visitor, b"welcome")
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            visitor.close()
            eventually(lambda number=number: len(resets) == number, "the service knows")  # type: ignore[misc]
            client.kill()
        self.assertEqual(resets, [ConnectionResetError] * 2)


class SecretTests(TlsCase):
    """The secret, inside TLS."""

    def test_theServerIsVerifiedByItAndThenWrittenDown(self) -> None:
        server, port = self.tlsServer(*SECRET)
        client, public = self.tlsClient(port, *SECRET)
        self.assertServes(public)
        line = client.waitFor("verified by secret")
        self.assertIn(keyOf(server), line)
        self.assertEqual(self.pins.read_text(), f"{self.host}:{port} {keyOf(server)}\n")
        self.assertEqual(complaints(client), [])
        client.kill()
        client, _ = self.tlsClient(port, *SECRET)
        self.assertIn("known, and verified by secret", client.waitFor("TLS with"))

    def test_whoDoesNotKnowItHasNoTunnelAndNothingIsWrittenDown(self) -> None:
        server, port = self.tlsServer(*SECRET)
        self.assertRefuses(self.tlsLaunch(port, "--secret", "another one, which is as long"), "invalid secret", code=77)
        self.assertRefuses(self.tlsLaunch(port), "no client secret was provided", code=77)
        server.waitFor("wrong secret from ")
        self.assertEqual(count(server, "opened for"), 0)
        # The one that was given no secret has trusted the key, as it was asked to.
        self.assertEqual(self.pins.read_text().count("\n"), 1)

    def test_aServerThatHasNoneIsRefusedAndNotWrittenDown(self) -> None:
        server, port = self.tlsServer()
        self.assertRefuses(self.tlsLaunch(port, *SECRET), "no secret was required", code=77)
        self.assertEqual(count(server, "opened for"), 0, "it is found out without a tunnel")
        self.assertFalse(self.pins.exists())

    def test_theUnboundChallengeIsNeverAnswered(self) -> None:
        challenge = b'{"Challenge":"00000000-0000-4000-8000-000000000000"}\0'
        heard: list[bytes] = []
        folder = self.home
        certificates = selfSigned().write(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates)

        def serve(sock: socket.socket) -> None:
            with context.wrap_socket(sock, server_side=True) as encrypted:
                encrypted.sendall(challenge)
                heard.append(encrypted.recv(1000))

        self.service.serve = serve
        client = self.start(self.tlsLaunch(self.service.port, *SECRET, host="127.0.0.1"))
        self.assertRefuses(client, "not bound to the connection", "bore server --tls", code=77)
        eventually(lambda: bool(heard or self.service.errors), "the connection is over")
        self.assertEqual(b"".join(heard), b"")
        self.assertFalse(self.pins.exists())


class ClientCertificateTests(TlsCase):
    """--tls-client-ca: the server demands certificates of its clients."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        self.bore, self.control = self.tlsServer("--tls-client-ca", self.authority.write(self.home))

    def assertTold(self, text: str, *words: str) -> None:
        """A client with this certificate is refused with the reason, each time."""
        clients = [self.tlsLaunch(self.control, "--no-reconnect", "--no-state", *words) for _ in range(3)]
        for client in clients:
            self.assertEqual(client.wait(), 69, client.transcript())
            self.assertIn(text, client.err[-1])

    def test_whoHasOneIsServed(self) -> None:
        client, public = self.tlsClient(
            self.control, *self.authority.issue("me", forClients=True).options(self.home, "mine")
        )
        self.assertServes(public)
        self.assertNoTraceback(client, self.bore)

    def test_whoHasNoneIsTold(self) -> None:
        self.assertTold("give --tls-cert and --tls-key")
        self.bore.waitFor("has sent no certificate")
        self.assertEqual(count(self.bore, "opened for"), 0)
        self.assertNoTraceback(self.bore)

    def test_whoHasOneOfAnotherAuthorityIsTold(self) -> None:
        foreign = Authority("Another").issue("me", forClients=True).options(self.home, "foreign")
        self.assertTold("it rejects our certificate", *foreign)
        self.assertEqual(count(self.bore, "opened for"), 0)
        self.assertNoTraceback(self.bore)

    def test_whoHasOneThatHasExpiredIsTold(self) -> None:
        day = datetime.timedelta(days=1)
        old = self.authority.issue("me", begins=-2 * day, ends=-day, forClients=True)
        self.assertTold("has expired", *old.options(self.home, "old"))

    def test_oneForServersIsNone(self) -> None:
        client = self.tlsLaunch(
            self.control, "--no-reconnect", *self.authority.issue("me").options(self.home, "server")
        )
        self.assertEqual(client.wait(), 69, client.transcript())
        self.assertEqual(count(self.bore, "opened for"), 0)


class SessionTests(TlsCase):
    """Sessions over TLS."""

    def test_aServerThatWasKilledAndStartedAgainHasTheSameKeyAndPortAndLanes(self) -> None:
        server, control = self.tlsServer("--log-level", "debug", *SECRET)
        client, port = self.tlsClient(control, "--log-level", "debug", *SECRET)
        key = keyOf(server)
        self.assertServes(port)
        server.kill()
        client.waitFor("next attempt")
        server, _ = self.tlsServer("--log-level", "debug", *SECRET, port=control)
        self.assertEqual(keyOf(server), key)
        server.waitFor(f"port {port}: opened for")
        self.assertServes(port)
        if sys.platform == "linux":
            eventually(lambda: count(server, " opened") - count(server, "opened for") >= 4, "lanes are there again")
            eventually(lambda: count(server, " on lane ") > 0, "the log has the visitor")
            self.assertEqual(count(server, " on lane "), 1)
        said = [line.partition("TLS with")[2] for line in client.err if "TLS with" in line]
        self.assertEqual([key in line for line in said], [True, True])
        self.assertIn("known, and verified by secret", said[1])
        self.assertEqual(
            [line for line in client.out if line], [f"listening at {self.host}:{port} -> 127.0.0.1:{self.service.port}"]
        )

    def test_aSessionIsTakenUpAgainThroughANewConnection(self) -> None:
        server, control = self.tlsServer()
        way = self.forwarder(control)
        _, port = self.tlsClient(way.port)
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        way.passages[0].cut()
        server.waitFor("is back")
        self.assertEchoes(visitor)
        self.assertServes(port)

    def test_eitherSideIsToldWhenTheOtherOneEnds(self) -> None:
        server, control = self.tlsServer()
        client, port = self.tlsClient(control)
        client.process.terminate()
        self.assertEqual(client.wait(), 0)
        server.waitFor("said goodbye")
        self.assertFree(port)
        client, _ = self.tlsClient(control)
        server.process.terminate()
        self.assertEqual(server.wait(), 0)
        client.waitFor("server is shutting down")

    def test_nothingIsSaidInTheClear(self) -> None:
        _, control = self.tlsServer(*SECRET)
        way = self.forwarder(control)
        _, port = self.tlsClient(way.port, *SECRET)
        self.assertEqual(self.ask(port, b"a visitor's words"), b"a visitor's words")
        said = b"".join(bytes(p.fromClient + p.fromServer) for p in way.passages)
        for words in (b"a visitor's words", b"Hello", b"Challenge", b"Lane", b"Open", b"Heartbeat", b"txbore"):
            self.assertNotIn(words, said)

    def test_ofTwoServersTheSecondIsUsedWhenTheFirstIsKilled(self) -> None:
        hosts = (loopbackHost(), loopbackHost())
        (first, firstPort), (second, secondPort) = (self.tlsServer(host=host) for host in hosts)
        self.assertEqual(keyOf(first), keyOf(second), "they share a folder")
        to = f"tls://{hosts[1]}:{secondPort}"
        client, _ = self.tlsClient(firstPort, "--to", to, host=hosts[0])
        first.kill()
        client.waitFor(f"listening at {hosts[1]}:")
        with connect(hosts[1], client.port(f"listening at {hosts[1]}:")) as visitor:
            visitor.sendall(b"hello")
            self.assertEqual(receiveExactly(visitor, 5), b"hello")
        names = [line.split()[0] for line in self.pins.read_text().splitlines()]
        self.assertEqual(names, [f"{hosts[0]}:{firstPort}", f"{hosts[1]}:{secondPort}"])
