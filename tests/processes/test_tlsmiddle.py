"""A man in the middle, who ends TLS to both sides and forwards everything."""

from __future__ import annotations

import contextlib

from tests.certificates import Authority, Identity, selfSigned
from tests.processes.case import count
from tests.processes.middle import Middle
from tests.processes.tlscase import NO_PERMISSION, SECRET, TlsCase, keyOf
from tests.support import Program, echo, eventually, receiveAll

WORDS = b"a visitor's words, which are nobody else's concern"


class MiddleCase(TlsCase):
    """
    A server, and somebody who stands before it.

    :ivar heard: the bytes that the local service has received.
    """

    def setUp(self) -> None:
        super().setUp()
        self.heard = bytearray()

    def listen(self) -> None:
        """A local service that sends nothing, and records what it receives."""
        self.service.serve = lambda sock: self.heard.extend(receiveAll(sock))

    def between(self, port: int, identity: Identity, honest: int = 0) -> Middle:
        middle = Middle(self.host, (self.host, port), identity, self.serverHome, honest)
        self.addCleanup(middle.close)
        return middle

    def visit(self, port: int) -> None:
        """Have a visitor send something confidential; the tunnel may be gone already."""
        with contextlib.suppress(OSError):
            self.visitor(port).sendall(WORDS)

    def isServed(self, port: int) -> bool:
        try:
            return self.ask(port) == b"hello"
        except OSError:
            return False

    def assertHasReachedNothing(self, middle: Middle, server: Program) -> None:
        """No tunnel was opened, and he knows nothing by which to open one."""
        self.assertEqual(count(server, "opened for"), 0, server.transcript())
        for words in (b"Hello", b"Open", b"Lane", b"Accept"):
            self.assertNotIn(words, middle.fromClients)


class WithoutSecretTests(MiddleCase):
    """Without a secret: there are only keys and certificates."""

    def setUp(self) -> None:
        super().setUp()
        self.stranger = selfSigned()

    def test_onFirstUseHeIsTrustedAndWhatHeShowsIsSaid(self) -> None:
        _, port = self.tlsServer()
        middle = self.between(port, self.stranger)
        client, public = self.tlsClient(middle.port)
        self.assertEqual(self.ask(public, WORDS), WORDS)
        self.assertIn(self.stranger.fingerprint, client.waitFor("trusted on first use"))
        # He hears everything: what the other tests find nothing with does find.
        self.assertIn(WORDS, middle.fromClients)
        self.assertIn(b'{"Hello":', middle.fromClients)

    def test_whereTheServerIsKnownHeIsRefused(self) -> None:
        server, port = self.tlsServer()
        middle = self.between(port, self.stranger)
        self.know(middle.port, keyOf(server))
        self.assertRefuses(self.tlsLaunch(middle.port), keyOf(server), self.stranger.fingerprint)
        self.assertHasReachedNothing(middle, server)
        self.assertEqual(middle.fromClients, b"")

    def test_whereAFingerprintIsGivenHeIsRefused(self) -> None:
        server, port = self.tlsServer()
        middle = self.between(port, self.stranger)
        client = self.tlsLaunch(middle.port, "--tls-fingerprint", keyOf(server))
        self.assertRefuses(client, keyOf(server), self.stranger.fingerprint)
        self.assertHasReachedNothing(middle, server)

    def test_whereAnAuthorityIsGivenHeIsRefused(self) -> None:
        authority = Authority()
        server, port = self.tlsServer(*authority.issue(self.host).options(self.serverHome))
        for identity in (self.stranger, Authority("Another").issue(self.host)):
            middle = self.between(port, identity)
            self.assertRefuses(self.tlsLaunch(middle.port, "--tls-ca", authority.write(self.home)), "certificate")
            self.assertHasReachedNothing(middle, server)

    def test_onLaterConnectionsHeIsRefused(self) -> None:
        self.listen()
        for lanes in ("0", "4"):
            server, port = self.tlsServer()
            middle = self.between(port, self.stranger, honest=1)
            client, public = self.tlsClient(middle.port, "--lanes", lanes, "--no-state")
            self.visit(public)
            self.assertIn("the key of", client.waitFor("has changed"))
            self.assertGreater(middle.accepted, 1)
            self.assertEqual((middle.fromClients, self.heard), (b"", b""))
            self.assertCounts(server, "opened for", 1)
            self.service.serve = echo
            middle.honest = 1 << 20
            eventually(lambda: self.isServed(public), "the session is as good as before", 30)  # noqa: B023
            self.assertEqual(count(client, "next attempt"), 0, client.transcript())
            client.kill()
            server.kill()
            self.listen()


class WithSecretTests(MiddleCase):
    """There is a secret: who does not know it reaches nothing, whatever he shows."""

    def setUp(self) -> None:
        super().setUp()
        self.bore, self.control = self.tlsServer(*SECRET)

    def test_onFirstUseHeReachesNothingOnEitherSide(self) -> None:
        middle = self.between(self.control, selfSigned())
        client = self.tlsLaunch(middle.port, *SECRET)
        self.assertRefuses(client, "invalid secret", code=NO_PERMISSION)
        self.bore.waitFor("wrong secret from ")
        self.assertIn(b"BindingProof", middle.fromClients)
        self.assertHasReachedNothing(middle, self.bore)
        self.assertFalse(self.pins.exists(), "he is not written down")

    def test_evenWithTheServersOwnKeyHeReachesNothing(self) -> None:
        authority = Authority()
        identity = authority.issue(self.host)
        server, port = self.tlsServer(*identity.options(self.serverHome), *SECRET)
        middle = self.between(port, identity)
        client = self.tlsLaunch(middle.port, *SECRET, "--tls-ca", authority.write(self.home))
        self.assertRefuses(client, "invalid secret", code=NO_PERMISSION)
        server.waitFor("wrong secret from ")
        self.assertHasReachedNothing(middle, server)

    def test_onLaterConnectionsHeReachesNothingEvenWithTheServersOwnKey(self) -> None:
        self.listen()
        identity = selfSigned()
        server, port = self.tlsServer(*identity.options(self.serverHome), *SECRET)
        for number, lanes in enumerate(("0", "4"), 1):
            middle = self.between(port, identity, honest=1)
            client, public = self.tlsClient(middle.port, "--lanes", lanes, "--no-state", *SECRET)
            self.visit(public)
            client.waitFor("invalid secret")
            eventually(lambda: b"invalid secret" in middle.fromServer, "the server has refused")  # noqa: B023
            self.assertIn(b"BindingProof", middle.fromClients)
            self.assertNotIn(WORDS, middle.fromServer + middle.fromClients)
            self.assertCounts(server, "opened for", number)
            self.assertEqual(self.heard, b"")
            client.kill()

    def test_onLaterConnectionsHeIsRefusedByHisKey(self) -> None:
        middle = self.between(self.control, selfSigned(), honest=1)
        client, public = self.tlsClient(middle.port, *SECRET)
        self.visit(public)
        self.assertIn("the key of", client.waitFor("has changed"))
        self.assertEqual((middle.fromClients, self.service.served), (b"", 0))
