"""TLS with other people's programs."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SkipTest

from tests.certificates import Authority
from tests.ports import freePort
from tests.processes.tlscase import NO_PERMISSION, SECRET, TlsCase, keyOf
from tests.support import PATIENCE, Program, digest, eventually, isOpen, pattern, receiveAll

_HAPROXY = """
defaults
    mode tcp
    timeout connect 20s
    timeout client 60s
    timeout server 60s
frontend sealed
    bind {host}:{port} ssl crt {pem} alpn bore/1 ssl-min-ver TLSv1.3
    default_backend plain
backend plain
    server bore {host}:{control}
"""


def program(name: str) -> str:
    """Where a program is, if it is here."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SkipTest(f"{name.upper()} IS NOT HERE: apt install {name}")
    return path


class OpenSslTests(TlsCase):
    """openssl s_client, as people try a server with it."""

    def see(self, port: int, *words: str) -> str:
        """Its report about the server."""
        command = [program("openssl"), "s_client", "-connect", f"{self.host}:{port}", *words]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=PATIENCE, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def test_itSeesTls13AndOurProtocolAndTheServersCertificate(self) -> None:
        server, port = self.tlsServer()
        said = self.see(port, "-alpn", "bore/1")
        self.assertIn("ALPN protocol: bore/1", said)
        self.assertRegex(said, r"TLSv1\.3, Cipher is TLS_")
        pem = re.search(r"-----BEGIN CERTIFICATE-----.*-----END CERTIFICATE-----", said, re.DOTALL)
        assert pem is not None, said
        own = x509.load_pem_x509_certificate((self.serverHome / "txbore" / "tls.pem").read_bytes())
        self.assertEqual(x509.load_pem_x509_certificate(pem.group().encode()), own)
        self.assertNoTraceback(server)

    def test_itIsRefusedWithAnOlderVersionAndWithAnotherProtocol(self) -> None:
        server, port = self.tlsServer()
        self.assertIn("alert protocol version", self.see(port, "-tls1_2"))
        self.assertIn("No ALPN negotiated", self.see(port, "-alpn", "h2"))
        server.waitFor("does not speak TLS 1.3")
        server.waitFor("the client offers 'h2'")
        self.assertNoTraceback(server)

    def test_itFindsAGivenChainInOrder(self) -> None:
        authority = Authority()
        identity = Authority("In Between", above=authority).issue(self.host)
        _, port = self.tlsServer(*identity.options(self.serverHome))
        ca = authority.write(self.home)
        said = self.see(port, "-CAfile", ca, "-verify_ip", self.host, "-verify_return_error")
        self.assertIn("Verify return code: 0 (ok)", said)


class HaproxyTests(TlsCase):
    """HAProxy, which ends TLS before a server that speaks none."""

    def setUp(self) -> None:
        self.haproxy = program("haproxy")
        super().setUp()
        self.authority = Authority()
        self.ca = ("--tls-ca", self.authority.write(self.home))

    def proxy(self, control: int) -> int:
        """Start one in front of a server; return its port."""
        identity = self.authority.issue(self.host)
        pem, port = Path(self.serverHome, "haproxy.pem"), freePort(self.host)
        pem.write_bytes(identity.pem + identity.keyPem)
        configuration = self.serverHome / "haproxy.conf"
        configuration.write_text(_HAPROXY.format(host=self.host, port=port, pem=pem, control=control))
        self.start(Program([self.haproxy, "-db", "-f", str(configuration)]))
        eventually(lambda: isOpen(self.host, port), "haproxy listens")
        return port

    def test_tunnelsWorkThroughItAndEachDirectionEndsOnItsOwn(self) -> None:
        _, control = self.server()
        port = self.proxy(control)
        self.service.serve = lambda sock: sock.sendall(digest(receiveAll(sock)).encode())
        for lanes in ("4", "0"):
            client, public = self.tlsClient(port, *self.ca, "--lanes", lanes, "--no-state")
            client.waitFor("signed by an authority of --tls-ca")
            for data in (b"few words", pattern(1, 5 << 20)):
                self.assertEqual(self.ask(public, data), digest(data).encode(), lanes)
            client.kill()

    def test_downloadsEndInOrder(self) -> None:
        _, control = self.server()
        port = self.proxy(control)
        data = pattern(2, 5 << 20)

        def give(sock: socket.socket) -> None:
            sock.sendall(data)

        self.service.serve = give
        for lanes in ("4", "0"):
            client, public = self.tlsClient(port, *self.ca, "--lanes", lanes, "--no-state")
            self.assertEqual(digest(receiveAll(self.visitor(public))), digest(data), lanes)
            client.kill()

    def test_theSecretIsNotProvedThroughItWhichIsSaid(self) -> None:
        _, control = self.server(*SECRET)
        client = self.tlsLaunch(self.proxy(control), *self.ca, *SECRET)
        self.assertRefuses(client, "not bound to the connection", "bore server --tls", code=NO_PERMISSION)

    def test_aServerWithTlsOfItsOwnMayBeBehindOneThatPassesBytesOn(self) -> None:
        server, control = self.tlsServer(*SECRET)
        configuration = self.serverHome / "tcp.conf"
        text = _HAPROXY.replace(" ssl crt {pem} alpn bore/1 ssl-min-ver TLSv1.3", "")
        port = freePort(self.host)
        configuration.write_text(text.format(host=self.host, port=port, control=control))
        self.start(Program([self.haproxy, "-db", "-f", str(configuration)]))
        eventually(lambda: isOpen(self.host, port), "haproxy listens")
        client, public = self.tlsClient(port, *SECRET)
        self.assertServes(public)
        self.assertIn(keyOf(server), client.waitFor("verified by secret"))
