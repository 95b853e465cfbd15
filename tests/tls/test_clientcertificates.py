"""Lists of certificates of clients that are revoked."""

from __future__ import annotations

import datetime
import os
import ssl

from cryptography import x509
from OpenSSL.crypto import X509
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.encryption import TlsError
from bore.tls.certificates import BadCredentials
from bore.tls.clientcertificates import ClientCertificates, readClientCertificates, readRevoked
from bore.tls.contexts import clientContext, serverContext
from tests.certificates import Authority, Identity
from tests.support import temporaryFolder
from tests.tls.tlscase import TlsCase, credentialsOf, ownCredentials, receive, shake

DAY = datetime.timedelta(days=1)


class ReadTests(SynchronousTestCase):
    """The file of the lists."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "revoked.pem"
        self.authority, self.other = Authority("One"), Authority("Other")
        self.authorities = self.authority.identity.certificate, self.other.identity.certificate
        self.alice, self.bob = (self.authority.issue(name, forClients=True) for name in ("alice", "bob"))

    def read(self, *lists: bytes) -> ClientCertificates:
        self.path.write_bytes(b"".join(lists))
        return ClientCertificates(self.authorities, readRevoked(self.path, self.authorities))

    def assertBad(self, text: str, content: bytes) -> None:
        self.path.write_bytes(content)
        error = str(self.assertRaises(BadCredentials, readRevoked, self.path, self.authorities))
        self.assertIn(str(self.path), error)
        self.assertIn(text, error)

    def isRevoked(self, found: ClientCertificates, identity: Identity) -> bool:
        return found.isRevoked([X509.from_cryptography(each) for each in identity.chain])

    def test_aFileMayHaveTheListsOfSeveralAuthorities(self) -> None:
        foreign = self.other.issue("alice", forClients=True)
        found = self.read(b"a comment\n", self.authority.revoke(self.alice), self.other.revoke(foreign))
        self.assertEqual(found.count, 2)
        revoked = [self.isRevoked(found, each) for each in (self.alice, self.bob, foreign)]
        self.assertEqual(revoked, [True, False, True])
        self.assertEqual(self.read(self.authority.revoke()).count, 0)

    def test_aNumberCountsForItsAuthorityOnly(self) -> None:
        found = self.read(self.other.revoke(self.alice))
        self.assertFalse(self.isRevoked(found, self.alice))

    def test_withoutAFileNothingIsRevoked(self) -> None:
        path = self.path.with_name("ca.crt")
        path.write_bytes(self.authority.identity.pem)
        self.assertFalse(self.isRevoked(readClientCertificates(path, None), self.alice))
        self.assertEqual(readClientCertificates(None, None), ClientCertificates())

    def test_aFileWithoutAListIsNamed(self) -> None:
        whole = self.authority.revoke(self.alice)
        der = ssl.PEM_cert_to_DER_cert(whole.decode().replace("X509 CRL", "CERTIFICATE"))
        for content in (b"", b"junk", der, self.alice.pem):
            self.assertBad("has no list of revoked certificates: give a PEM file with BEGIN X509 CRL in it", content)
        self.path.unlink()
        error = str(self.assertRaises(BadCredentials, readRevoked, self.path, self.authorities))
        self.assertIn("cannot be read: No such file or directory", error)

    def test_aFileThatIsNotWholeIsNamed(self) -> None:
        whole = self.authority.revoke(self.alice)
        self.assertBad("ends within a list of revoked certificates", whole[:-30])
        self.assertBad("ends within a list of revoked certificates", whole + whole[:100])
        middle = whole.index(b"\n", 60)
        self.assertBad("has a damaged list", whole[:40] + b"AAAA" + whole[44:])
        self.assertBad("has a damaged list", whole[:middle] + whole[middle + 30 :])

    def test_aListOfAnotherAuthorityIsNamed(self) -> None:
        for stranger in (Authority("Stranger"), Authority("One")):
            name = stranger.identity.certificate.subject.rfc4514_string()
            self.assertBad(
                f"has a list of {name}, and no authority of that name in the file of --tls-client-ca has signed it",
                self.authority.revoke() + stranger.revoke(self.alice),
            )

    def test_aListThatHasExpiredIsNamed(self) -> None:
        old = self.authority.revoke(self.alice, begins=-2 * DAY, ends=-DAY)
        self.assertBad("the list of CN=One has expired at", old)
        self.path.write_bytes(self.authority.revoke(self.alice))
        later = datetime.datetime.now(datetime.UTC) + 2 * DAY
        self.assertRaises(BadCredentials, readRevoked, self.path, self.authorities, later)

    def test_aListFromTheFutureIsAccepted(self) -> None:
        self.assertEqual(self.read(self.authority.revoke(self.alice, begins=DAY / 2)).count, 1)

    def test_aListOfAPartIsNamed(self) -> None:
        for extension in (x509.DeltaCRLIndicator(1), x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"")):
            self.assertBad(
                f"does not have all certificates that are revoked (critical extension {extension.oid.dotted_string})",
                self.authority.revoke(extensions=[(extension, True)]),
            )
        self.assertEqual(self.read(self.authority.revoke(extensions=[(x509.CRLNumber(1), False)])).count, 0)

    def test_aFileThatIsTooLongIsNamed(self) -> None:
        whole = self.authority.revoke(self.alice)
        self.assertBad("has more than 1 MiB", whole * ((1 << 20) // len(whole) + 1))

    def test_aFileThatOthersMayWriteIsRefused(self) -> None:
        self.path.write_bytes(self.authority.revoke(self.alice))
        self.path.chmod(0o646)
        error = str(self.assertRaises(BadCredentials, readRevoked, self.path, self.authorities))
        self.assertIn(f"chmod o-w {self.path}", error)
        if os.geteuid() == 0:
            self.path.chmod(0o644)
            os.chown(self.path, 4711, -1)
            self.assertRaises(BadCredentials, readRevoked, self.path, self.authorities)

    def test_anAuthorityBelowAnotherThatIsRevokedIsNotTrusted(self) -> None:
        below = Authority("Below", self.authority)
        authorities = self.authority.identity.certificate, below.identity.certificate
        self.path.write_bytes(self.authority.revoke(below.identity))
        found = ClientCertificates(authorities, readRevoked(self.path, authorities))
        self.assertEqual(found.trusted, authorities[:1])
        self.assertEqual(ClientCertificates(authorities).trusted, authorities)

    def test_aListInUseGrowsOld(self) -> None:
        found = self.read(self.authority.revoke(self.alice))
        now = datetime.datetime.now(datetime.UTC)
        self.assertEqual([found.isOld(now), found.isOld(now + 2 * DAY)], [False, True])


class HandshakeTests(TlsCase):
    """What a client with a certificate gets."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "revoked.pem"
        self.authority = Authority()
        self.alice, self.bob = (self.authority.issue(name, forClients=True) for name in ("alice", "bob"))

    def accepted(self, revoked: bytes, *authorities: Authority, now: datetime.datetime | None = None) -> None:
        """Make a server that accepts the certificates of authorities, with lists of those that are revoked."""
        self.path.write_bytes(revoked)
        found = tuple(each.identity.certificate for each in authorities or (self.authority,))
        lists = readRevoked(self.path, found, now)
        self.server = serverContext(ownCredentials(), ClientCertificates(found, lists))

    def answer(self, identity: Identity) -> str:
        """Return what a client gets from the server."""
        client, server = self.ends(self.server, clientContext((), credentialsOf(identity)))
        try:
            shake(client, server)
            server.send(b"welcome")
        except TlsError as e:
            self.logged = str(e)
        try:
            return receive(client, 7).decode()
        except TlsError as e:
            return str(e)

    def test_aRevokedCertificateIsRefusedWithTheAlertForThatAndOthersAreNot(self) -> None:
        self.accepted(self.authority.revoke(self.alice))
        self.assertIn("it says that our certificate is revoked", self.answer(self.alice))
        self.assertEqual(self.answer(self.bob), "welcome")
        self.assertIn("it rejects our certificate", self.answer(Authority().issue("me", forClients=True)))

    def test_theServerKnowsWhyItHasRefusedACertificate(self) -> None:
        self.accepted(self.authority.revoke(self.alice))
        for identity, why in (
            (self.alice, "its certificate is revoked"),
            (self.authority.issue("me", begins=-2 * DAY, ends=-DAY, forClients=True), "its certificate has expired"),
            (self.authority.issue("me"), "its certificate is not made for clients"),
            (Authority().issue("me", forClients=True), "no authority in the file of --tls-client-ca has signed"),
        ):
            self.answer(identity)
            self.assertIn(why, self.logged)

    def test_anAuthorityWithoutAListIsAccepted(self) -> None:
        other = Authority("Other")
        self.accepted(self.authority.revoke(self.alice), self.authority, other)
        self.assertEqual(self.answer(other.issue("me", forClients=True)), "welcome")
        self.assertIn("is revoked", self.answer(self.alice))

    def test_aListThatHasExpiredInUseStillCounts(self) -> None:
        old = self.authority.revoke(self.alice, begins=-2 * DAY, ends=-DAY)
        self.accepted(old, now=datetime.datetime.now(datetime.UTC) - 1.5 * DAY)
        self.assertIn("is revoked", self.answer(self.alice))
        self.assertEqual(self.answer(self.bob), "welcome")

    def test_anAuthorityBelowAnotherMayBeRevoked(self) -> None:
        below = Authority("Below", self.authority)
        mine = below.issue("me", forClients=True)
        self.accepted(self.authority.revoke())
        self.assertEqual(self.answer(mine), "welcome")
        self.accepted(self.authority.revoke(below.identity))
        self.assertIn("is revoked", self.answer(mine))
        self.assertEqual(self.answer(self.bob), "welcome")

    def test_anAuthorityBelowAnotherHasAListOfItsOwn(self) -> None:
        below = Authority("Below", self.authority)
        mine, other = (below.issue(name, forClients=True) for name in ("me", "other"))
        for authorities in ((below,), (self.authority, below)):
            self.accepted(below.revoke(mine), *authorities)
            self.assertIn("is revoked", self.answer(mine))
            self.assertEqual(self.answer(other), "welcome")
