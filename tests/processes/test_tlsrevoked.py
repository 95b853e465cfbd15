"""The file of ``--tls-crl`` changes while the server runs."""

from __future__ import annotations

import datetime
import signal
import socket

from tests.certificates import Authority, Identity
from tests.processes.tlscase import TlsCase
from tests.promptness import within
from tests.support import Program, isClosed

DAY = datetime.timedelta(days=1)

#: How long a session of a certificate that is revoked may last, in seconds.
MOST = 2.0


class RevokedTests(TlsCase):
    """Clients of one authority, some of whose certificates are revoked."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        self.file = self.home / "revoked.pem"
        self.options = "--tls-client-ca", self.authority.write(self.home), "--tls-crl", str(self.file)
        self.stays, self.goes, self.alsoGoes = (self.authority.issue("me", forClients=True) for _ in range(3))

    def clientOf(self, identity: Identity, name: str, *words: str) -> tuple[Program, socket.socket]:
        """A client, and a visitor who stays."""
        client, port = self.tlsClient(self.control, "--no-state", *identity.options(self.home, name), *words)
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        return client, visitor

    def test_whoIsRevokedWhileTheServerRunsIsOutWithItsVisitorsAndOthersDoNotNotice(self) -> None:
        self.file.write_bytes(self.authority.revoke())
        self.bore, self.control = self.tlsServer(*self.options)
        _, visitor = self.clientOf(self.stays, "stays")
        gone = [self.clientOf(self.goes, "lanes"), self.clientOf(self.alsoGoes, "none", "--lanes", "0")]
        self.file.write_bytes(self.authority.revoke(self.goes, self.alsoGoes))
        self.bore.process.send_signal(signal.SIGHUP)
        self.bore.waitFor("revoked certificates of clients: 2")
        with within(MOST):
            for client, itsVisitor in gone:
                self.assertTrue(isClosed(itsVisitor))
                client.waitFor("the client's certificate is not accepted any more: it is revoked")
        for client, _ in gone:
            client.waitFor("it says that our certificate is revoked")
        self.assertEchoes(visitor)
        for content in (b"junk", self.authority.revoke(begins=-2 * DAY, ends=-DAY)):
            self.file.write_bytes(content)
            self.bore.process.send_signal(signal.SIGHUP)
        self.bore.waitFor("accepted as before: ", after=1)
        for client, _ in gone:
            client.waitFor("it says that our certificate is revoked", after=1)
        self.assertEchoes(visitor)
        self.assertNoTraceback(self.bore, *(client for client, _ in gone))
