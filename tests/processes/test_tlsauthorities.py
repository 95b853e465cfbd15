"""The file of ``--tls-client-ca`` changes while the server runs."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl

from tests.certificates import Authority
from tests.oddcertificates import ODD, changed
from tests.processes.case import count
from tests.processes.tlscase import TlsCase, clientContext
from tests.support import PATIENCE, Program, eventually, isClosed, receiveAll


class AuthoritiesTests(TlsCase):
    """Two authorities, one of which is not accepted any more."""

    def setUp(self) -> None:
        super().setUp()
        self.authorities = Authority("Stays"), Authority("Goes")
        self.file = self.home / "clients.crt"
        self.accept(*self.authorities)
        self.bore, self.control = self.tlsServer("--tls-client-ca", str(self.file), "--log-level", "debug")

    def accept(self, *authorities: Authority) -> None:
        self.file.write_bytes(b"".join(each.identity.pem for each in authorities))

    def reload(self) -> None:
        self.bore.process.send_signal(signal.SIGHUP)

    def clientOf(self, authority: Authority, *words: str) -> tuple[Program, int, socket.socket]:
        """A client, its port, and a visitor who stays."""
        name = str(count(self.bore, "opened for"))
        own = authority.issue("me", forClients=True).options(self.home, name)
        client, port = self.tlsClient(self.control, "--no-state", *own, *words)
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        return client, port, visitor

    def test_sessionsWhoseAuthorityIsGoneEndWithTheirVisitorsAndOthersDoNotNotice(self) -> None:
        stays, goes = self.authorities
        _, port, visitor = self.clientOf(stays)
        ended = [self.clientOf(goes, "--lanes", lanes) for lanes in ("0", "4")]
        self.accept(stays)
        self.reload()
        self.bore.waitFor("new authorities for the certificates of clients: 1")
        for client, itsPort, itsVisitor in ended:
            client.waitFor("the client's certificate is not accepted any more")
            self.assertTrue(isClosed(itsVisitor))
            self.assertFree(itsPort)
            client.waitFor("it rejects our certificate")
        self.assertEchoes(visitor)
        self.assertServes(port)
        self.accept(stays, goes)
        for _, itsPort, _ in ended:
            eventually(lambda p=itsPort: self.isServed(p), "it is back")  # type: ignore[misc]
        self.assertEchoes(visitor)
        self.assertNoTraceback(self.bore, *(client for client, _, _ in ended))

    def isServed(self, port: int) -> bool:
        try:
            return self.ask(port) == b"hello"
        except OSError:
            return False

    def test_aFileThatIsDamagedOrGoneEndsNobody(self) -> None:
        _, port, visitor = self.clientOf(self.authorities[1])
        whole = self.file.read_bytes()
        for times, content in enumerate((whole[:-30], b"", None)):
            if content is None:
                self.file.unlink()
            else:
                self.file.write_bytes(content)
            self.reload()
            self.bore.waitFor("the TLS certificate stays as it was", after=times)
            self.assertEchoes(visitor)
            self.assertServes(port)

    def test_anOddCertificateOfAClientIsNoTroubleWhetherItIsAcceptedOrNot(self) -> None:
        """OpenSSL takes some of them, and the server never reads them otherwise."""
        served = []
        for name, change in ODD.items():
            identity = self.authorities[1].issue("me", forClients=True)
            path = self.home / "odd.pem"
            pem = ssl.DER_cert_to_PEM_cert(changed(identity, change, self.authorities[1].identity))
            path.write_bytes(identity.keyPem + pem.encode())
            plain = socket.create_connection((self.host, self.control), PATIENCE)
            self.addCleanup(plain.close)
            try:
                peer = clientContext("bore/1", identity=(str(path), str(path))).wrap_socket(plain)
                self.addCleanup(peer.close)
                peer.sendall(b'{"Hello":0}\0')
                if b"Hello" in peer.recv(100):
                    served.append((name, peer))
            except OSError:
                continue  # the system's own OpenSSL, or the server's, refuses it
        self.assertIn("version 6", [name for name, _ in served])
        self.accept(self.authorities[0])
        self.reload()
        self.bore.waitFor("the client's certificate is not accepted any more")
        for name, peer in served:
            with contextlib.suppress(ConnectionResetError):
                self.assertIn(b"not accepted any more", receiveAll(peer), name)
        self.assertNoTraceback(self.bore)

    def test_withoutASignalItIsReadWhenTheNextClientComes(self) -> None:
        client, _, visitor = self.clientOf(self.authorities[1])
        self.accept(self.authorities[0])

        def isOver() -> bool:
            with socket.create_connection((self.host, self.control)) as stranger:
                stranger.sendall(b"\x16\x03\x01")
                return count(client, "not accepted any more") > 0

        eventually(isOver, "the session is over")
        self.assertTrue(isClosed(visitor))
