"""Certificates that a client does not accept, and one that it does."""

from __future__ import annotations

import contextlib
import datetime
import socket

from tests.certificates import Authority, Identity, selfSigned
from tests.processes.case import count
from tests.processes.tlscase import TlsCase, keyOf, serverContext
from tests.support import LocalService, eventually

_HOUR = datetime.timedelta(hours=1)


class Shower:
    """
    A TLS server that shows a certificate to each client, and records what it receives.

    :ivar heard: the bytes that it received inside TLS.
    """

    def __init__(self, case: TlsCase, identity: Identity) -> None:
        self._context = serverContext(identity, case.serverHome)
        self.heard = bytearray()
        self.over = 0
        self._service = LocalService(self._serve, case.host)
        case.addCleanup(self._service.close)
        self.port = self._service.port

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(sock, server_side=True) as encrypted:
            while data := encrypted.recv(1000):
                self.heard += data
        self.over += 1


class AuthorityTests(TlsCase):
    """--tls-ca: only these authorities may have signed the certificate."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        self.ca = ("--tls-ca", self.authority.write(self.home))

    def assertRefused(self, identity: Identity, *texts: str, host: str = "") -> None:
        """A client sends nothing to a server with this certificate, and reports why."""
        shower = Shower(self, identity)
        self.assertRefuses(self.tlsLaunch(shower.port, *self.ca, host=host), *texts)
        eventually(lambda: shower.over == 1, "the connection is over")
        self.assertEqual(shower.heard, b"")
        self.assertFalse(self.pins.exists())

    def test_aRightOneIsAccepted(self) -> None:
        server, port = self.tlsServer(*self.authority.issue("localhost", self.host).options(self.serverHome))
        client, public = self.tlsClient(port, *self.ca)
        self.assertServes(public)
        self.assertIn(keyOf(server), client.waitFor("signed by an authority of --tls-ca"))

    def test_aWrongIpAddressIsRefused(self) -> None:
        self.assertRefused(self.authority.issue("192.0.2.1", "localhost"), f"not for {self.host}", "192.0.2.1")

    def test_anIpAddressThatIsWrittenAsANameIsNone(self) -> None:
        self.assertRefused(self.authority.issue(), "for no name")

    def test_aWrongNameIsRefused(self) -> None:
        self.host = "127.0.0.1"
        identity = self.authority.issue("example.com", "127.0.0.1")
        self.assertRefused(identity, "not for localhost", "example.com", host="localhost")

    def test_aRightNameIsAccepted(self) -> None:
        self.host = "127.0.0.1"
        _, port = self.tlsServer(*self.authority.issue("localhost").options(self.serverHome))
        self.tlsClient(port, *self.ca, host="localhost")

    def test_datesThatAreWrongAreTriedAgainFromTheFirstAttemptOn(self) -> None:
        for text, begins, ends in (("has expired", -2, -1), ("not valid yet", 1, 2)):
            wrong = self.authority.issue(self.host, begins=begins * _HOUR, ends=ends * _HOUR)
            server, port = self.tlsServer(*wrong.options(self.serverHome, "wrong"))
            client = self.tlsLaunch(port, *self.ca)
            client.waitFor("set the clock of this machine", after=1)
            self.assertIn(" error ", client.waitFor(text))
            self.assertEqual(count(server, "opened for"), 0)
            server.kill()
            right = self.authority.issue(self.host)
            server, _ = self.tlsServer(*right.options(self.serverHome), port=port)
            client.waitFor("listening at ")
            client.kill()
            server.kill()

    def test_anotherNameOutOfItsDatesIsAnotherName(self) -> None:
        identity = self.authority.issue("192.0.2.1", begins=-2 * _HOUR, ends=-_HOUR)
        self.assertRefused(identity, f"not for {self.host}", "192.0.2.1")

    def test_aSelfSignedOneIsRefused(self) -> None:
        self.assertRefused(selfSigned(self.host), "self-signed", "--tls-ca")

    def test_oneOfAnotherAuthorityIsRefused(self) -> None:
        self.assertRefused(Authority("Another").issue(self.host), "authority that is not trusted")

    def test_oneOfAnAuthorityThatUsesTheSameNameIsRefused(self) -> None:
        self.assertRefused(Authority().issue(self.host), "certificate")

    def test_oneForClientsIsRefused(self) -> None:
        self.assertRefused(self.authority.issue(self.host, forClients=True), "not made for servers")

    def test_oneThatWasSignedByAServersCertificateIsRefused(self) -> None:
        leaf = self.authority.issue(self.host)
        forger = Authority("forger")
        forger.identity, forger._name = leaf, self.host  # who has a certificate is no authority for that
        forged = forger.issue(self.host)
        self.assertRefused(Identity(forged.key, (forged.certificate, leaf.certificate)), "certificate")

    def test_whatIsKnownOfTheServerDoesNotHelp(self) -> None:
        identity = selfSigned(self.host)
        shower = Shower(self, identity)
        self.know(shower.port, identity.fingerprint)
        self.assertRefuses(self.tlsLaunch(shower.port, *self.ca), "self-signed")

    def test_oneThatIsWrongForAWhileDoesNotEndAClientThatWasUp(self) -> None:
        options = self.authority.issue(self.host).options(self.serverHome)
        server, port = self.tlsServer(*options)
        client, public = self.tlsClient(port, *self.ca)
        server.kill()
        wrong, _ = self.tlsServer(*self.authority.issue("192.0.2.1").options(self.serverHome, "wrong"), port=port)
        self.assertIn("192.0.2.1", client.waitFor(f"not for {self.host}"))
        wrong.kill()
        self.tlsServer(*options, port=port)
        client.waitFor("listening at ", after=1)
        self.assertServes(public)


class FingerprintTests(TlsCase):
    """--tls-fingerprint decides alone."""

    def test_theRightKeyIsAcceptedWhateverTheCertificateSays(self) -> None:
        server, port = self.tlsServer(
            *Authority().issue("elsewhere", begins=-2 * _HOUR, ends=-_HOUR).options(self.serverHome)
        )
        self.know(port, selfSigned().fingerprint)
        client, public = self.tlsClient(port, "--tls-fingerprint", keyOf(server))
        self.assertServes(public)
        client.waitFor("as --tls-fingerprint says")

    def test_anotherKeyIsRefusedWhoeverHasSignedIt(self) -> None:
        authority = Authority()
        identity, expected = authority.issue(self.host), selfSigned().fingerprint
        shower = Shower(self, identity)
        self.know(shower.port, identity.fingerprint)
        client = self.tlsLaunch(
            shower.port, "--tls-fingerprint", expected, SSL_CERT_FILE=authority.write(self.serverHome)
        )
        self.assertRefuses(client, identity.fingerprint, expected, "--tls-fingerprint")
        self.assertEqual(shower.heard, b"")


class SystemTrustTests(TlsCase):
    """Authorities that the system trusts."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        self.trusting = {"SSL_CERT_FILE": self.authority.write(self.home)}

    def test_whatTheyHaveSignedIsAcceptedAndNothingLessFromThenOn(self) -> None:
        server, port = self.tlsServer(*self.authority.issue(self.host).options(self.serverHome))
        client, _ = self.tlsClient(port, **self.trusting)
        client.waitFor("signed by a trusted authority")
        self.assertEqual((count(client, "warn"), self.pins.read_text()), (0, f"{self.host}:{port} authority\n"))
        client.kill()
        self.authority.issue(self.host).write(self.serverHome)
        server.kill()
        server, _ = self.tlsServer(*self.authority.issue(self.host).options(self.serverHome), port=port)
        client, _ = self.tlsClient(port, **self.trusting)
        client.kill()
        server.kill()
        server, _ = self.tlsServer(port=port)
        client = self.tlsLaunch(port, **self.trusting)
        self.assertRefuses(client, "has changed", "a trusted authority", keyOf(server), f"line 1 of {self.pins}")
        self.assertEqual(self.pins.read_text(), f"{self.host}:{port} authority\n")

    def test_aWrongNameAtTheFirstVisitIsRefusedAndNotTrustedOnFirstUse(self) -> None:
        shower = Shower(self, self.authority.issue("example.com"))
        self.assertRefuses(self.tlsLaunch(shower.port, **self.trusting), "example.com", f"not for {self.host}")
        self.assertEqual((bytes(shower.heard), self.pins.exists()), (b"", False))

    def test_anExpiredOneAtTheFirstVisitIsNotTrustedOnFirstUse(self) -> None:
        shower = Shower(self, self.authority.issue(self.host, begins=-2 * _HOUR, ends=-_HOUR))
        client = self.tlsLaunch(shower.port, **self.trusting)
        client.waitFor("expired", after=1)
        self.assertEqual((bytes(shower.heard), self.pins.exists()), (b"", False))
        client.kill()
        client = self.tlsLaunch(shower.port, "--no-reconnect", **self.trusting)
        self.assertEqual(client.wait(), 69, client.transcript())
        self.assertIn("expired", client.err[-1])
