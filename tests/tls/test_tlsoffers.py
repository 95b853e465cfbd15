"""What both ends offer and accept in a TLS handshake."""

from __future__ import annotations

import datetime
import select
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from bore.streams.encryption import TlsError
from bore.tls.certificates import BadCredentials, Credentials, Key, makeSelfSigned
from bore.tls.clientcertificates import ClientCertificates
from bore.tls.contexts import clientContext, nodeContext, repeatedContext, serverContext
from bore.tls.tlssocket import TlsSocket
from tests.certificates import Authority
from tests.support import PATIENCE, temporaryFolder
from tests.tls.tlscase import (
    TlsCase,
    clientOffer,
    credentialsOf,
    longCredentials,
    ownCredentials,
    plainPair,
    receive,
    serverOffer,
    shake,
)


def signed(key: Key) -> Credentials:
    """A certificate that its own key has signed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Credentials(key, (builder.sign(key, None if edwards else SHA256()),))


def asking(*protocols: bytes, highest: int = 0) -> SSL.Context:
    """The context of another program's client or server, with these protocols, and TLS of no higher version."""
    context = SSL.Context(SSL.TLS_METHOD)
    if protocols:
        context.set_alpn_protos(list(protocols))
    context.set_max_proto_version(highest)
    return context


def agreed(end: TlsSocket) -> bytes:
    """The protocol that was agreed on by ALPN."""
    return end._tls.get_alpn_proto_negotiated()


class ProtocolTests(TlsCase):
    """TLS 1.3, and by ALPN nothing but bore/1, if anything."""

    def test_bothEndsAgreeOnOurProtocol(self) -> None:
        self.assertEqual([agreed(end) for end in self.pair()], [b"bore/1", b"bore/1"])
        self.assertEqual([agreed(end) for end in self.pair(client=repeatedContext())], [b"bore/1", b"bore/1"])

    def test_ourProtocolIsFoundAmongOthers(self) -> None:
        self.assertEqual(agreed(self.pair(client=asking(b"h2", b"bore/1", b"http/1.1"))[0]), b"bore/1")

    def test_aClientWithoutAlpnGetsNone(self) -> None:
        ends = self.pair(client=asking())
        self.assertEqual([agreed(end) for end in ends], [b"", b""])
        ends[0].send(b"hello")
        self.assertEqual(receive(ends[1], 5), b"hello")

    def test_aClientWithAnotherProtocolIsRefusedAndTheNextOneIsServed(self) -> None:
        for protocols in ((b"h2",), (b"h2", b"http/1.1"), (b"bore/2",), (b"\xff\0",)):
            client, server = self.ends(client=asking(*protocols))
            self.assertFalse(client.handshake())
            error = self.assertRaises(TlsError, server.handshake)
            self.assertIn("bore/1", str(error))
            self.assertRaises(OSError, shake, client, server)
            self.pair()

    def test_aServerWithoutAClusterServesNoNode(self) -> None:
        client, server = self.ends(client=nodeContext())
        self.assertFalse(client.handshake())
        error = self.assertRaises(TlsError, server.handshake)
        self.assertEqual(str(error), "the client offers 'bore-node/1', and this server needs bore/1")

    def test_inAClusterClientsGetTheirProtocolAndNodesTheirs(self) -> None:
        context = serverContext(ownCredentials(), nodes=True)
        for client, expected in ((clientOffer(), b"bore/1"), (nodeContext(), b"bore-node/1"), (asking(), b"")):
            self.assertEqual([end.protocol for end in self.pair(context, client)], [expected] * 2)

    def test_olderVersionsOfTlsAreRefusedByBothEnds(self) -> None:
        client, server = self.ends(client=asking(highest=SSL.TLS1_2_VERSION))
        self.assertFalse(client.handshake())
        self.assertEqual(str(self.assertRaises(TlsError, server.handshake)), "it does not speak TLS 1.3")
        self.assertRaises(TlsError, client.handshake)
        old = asking(highest=SSL.TLS1_2_VERSION)
        old.use_certificate(ownCredentials().chain[0])
        old.use_privatekey(ownCredentials().key)
        client, server = self.ends(server=old)
        self.assertFalse(client.handshake())
        self.assertRaises(TlsError, server.handshake)
        self.assertEqual(str(self.assertRaises(TlsError, client.handshake)), "it does not speak TLS 1.3")

    def test_otherDataThanTlsIsRefusedByBothEnds(self) -> None:
        for words in (
            *(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b'{"Hello":8000} \0' + bytes(20), b"SSH-2.0-OpenSSH\r\n"),
            *(b"\x16\x03\x01\x00\x05junk!", b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\x15\x03\x03\x00\x02\x02\x28"),
            bytes(100),
        ):
            for end in (0, 1):
                ends = self.ends()
                if end == 0:
                    ends[0].handshake()
                socket.socket.send(ends[1 - end], words)
                select.select([ends[end]], [], [], PATIENCE)
                self.assertRaises(TlsError, ends[end].handshake)

    def test_aPeerThatClosesDuringTheHandshakeFailsAtOnce(self) -> None:
        for end in (0, 1):
            for beginning in (b"", b"\x16\x03\x01"):
                ends = self.ends()
                if end == 0:
                    ends[0].handshake()
                socket.socket.send(ends[1 - end], beginning)
                ends[1 - end].close()
                select.select([ends[end]], [], [], PATIENCE)
                self.assertRaises(OSError, shake, *ends)

    def test_aLongChainGoesThroughSmallBuffers(self) -> None:
        client, server = self.ends(serverContext(longCredentials()), buffer=4096)
        client.handshake()
        self.assertFalse(server.handshake())
        self.assertTrue(server.wantsToWrite)
        shake(client, server)
        self.assertFalse(server.wantsToWrite)
        server.send(b"hello")
        self.assertEqual(receive(client, 5), b"hello")

    def test_theNameOfTheServerIsSentInAscii(self) -> None:
        names: list[bytes | None] = []
        context = serverContext(ownCredentials())
        context.set_tlsext_servername_callback(lambda connection: names.append(connection.get_servername()))
        for name in ("", "tunnel.example", "bücher.example"):
            self.pair(server=context, name=name)
        self.assertEqual(names, [None, b"tunnel.example", b"xn--bcher-kva.example"])


class CertificateTests(TlsCase):
    """The certificates of both ends."""

    def test_everyKindOfKeyThatSignsIsAccepted(self) -> None:
        keys: list[Key] = [
            *(ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())),
            *(ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()),
            rsa.generate_private_key(65537, 2048),
        ]
        for key in keys:
            credentials = signed(key)
            client, server = self.pair(serverContext(credentials))
            self.assertEqual(client.certificate, credentials.chain[0])
            self.assertIsNone(server.certificate)

    def test_aWeakKeyIsRefusedAtTheStart(self) -> None:
        weak = signed(rsa.generate_private_key(65537, 1024))
        for make in (serverContext, lambda credentials: clientContext((), credentials), repeatedContext):
            self.assertRaises(BadCredentials, make, weak)

    def test_aKeyWithoutASignatureSchemeIsRefusedAtTheStart(self) -> None:
        self.assertRaises(BadCredentials, serverContext, signed(ec.generate_private_key(ec.SECP256K1())))

    def test_errorsOfTheChainAreRecordedAndNotRefused(self) -> None:
        root = Authority()
        below = Authority("Below", root)
        day = datetime.timedelta(days=1)
        whole = credentialsOf(below.issue("tunnel.example"))
        trusted = (root.identity.certificate,)
        for credentials, authorities, chainErrors in (
            (ownCredentials(), (), {18}),
            (ownCredentials(), trusted, {18}),
            (whole, trusted, set()),
            (Credentials(whole.key, whole.chain[:1]), trusted, {20}),
            (whole, (Authority("Another").identity.certificate,), {20}),
            (credentialsOf(root.issue("x", begins=-2 * day, ends=-day)), trusted, {10}),
            (credentialsOf(root.issue("x", begins=day, ends=2 * day)), trusted, {9}),
            (credentialsOf(root.issue("x", forClients=True)), trusted, {26}),
        ):
            client, _ = self.pair(serverContext(credentials), clientContext(authorities))
            self.assertEqual(set(client.chainErrors), chainErrors)
            self.assertEqual(client.certificate, credentials.chain[0])

    def test_chainErrorsBelongToOneConnection(self) -> None:
        context = clientContext(())
        ends = [self.pair(client=context)[0] for _ in range(2)]
        self.assertEqual([end.chainErrors for end in ends], [[18], [18]])

    def test_theContextForAKnownCertificateDoesNotVerifyTheChain(self) -> None:
        client, _ = self.pair(client=repeatedContext())
        self.assertEqual((client.chainErrors, client.certificate), ([], ownCredentials().chain[0]))


class ClientCertificateTests(TlsCase):
    """A server may demand that clients show a certificate."""

    def setUp(self) -> None:
        self.authority = Authority("Clients")
        self.server = serverContext(ownCredentials(), ClientCertificates((self.authority.identity.certificate,)))

    def assertRefused(self, client: SSL.Context) -> None:
        ends = self.ends(self.server, client)
        error = self.assertRaises(TlsError, shake, *ends)
        self.assertNotEqual(str(error), "")
        self.assertRaises(OSError, receive, ends[0], 1)

    def test_aClientWithTheRightCertificateIsServed(self) -> None:
        identity = self.authority.issue("client", forClients=True)
        for make in (lambda credentials: clientContext((), credentials), repeatedContext):
            client, server = self.pair(self.server, make(credentialsOf(identity)))
            self.assertEqual(server.certificate, identity.certificate)
            client.send(b"hello")
            self.assertEqual(receive(server, 5), b"hello")

    def test_aClientWithAnotherCertificateOrNoneIsRefused(self) -> None:
        day = datetime.timedelta(days=1)
        self.assertRefused(clientOffer())
        for identity in (
            Authority("Clients").issue("client", forClients=True),
            self.authority.issue("client", begins=-2 * day, ends=-day, forClients=True),
            self.authority.issue("client"),
        ):
            self.assertRefused(clientContext((), credentialsOf(identity)))
        self.assertRefused(clientContext((), makeSelfSigned("client")[1]))

    def test_anotherNodeOfAClusterNeedsNoCertificate(self) -> None:
        context = serverContext(ownCredentials(), ClientCertificates((self.authority.identity.certificate,)), True)
        node, server = self.pair(context, nodeContext())
        self.assertEqual([node.protocol, server.protocol], [b"bore-node/1"] * 2)
        node.send(b"hello")
        self.assertEqual(receive(server, 5), b"hello")
        for protocols in ((b"bore-node/1", b"bore/1"), (b"bore/1", b"bore-node/1"), ()):
            self.assertRaises(TlsError, shake, *self.ends(context, asking(*protocols)))

    def test_aClientWithoutACertificateGetsAnError(self) -> None:
        client, server = self.ends(self.server)
        self.assertEqual(str(self.assertRaises(TlsError, shake, client, server)), "it has sent no certificate")
        words = "it requires a certificate of the client: give --tls-cert and --tls-key"
        self.assertEqual(str(self.assertRaises(TlsError, receive, client, 1)), words)

    def test_noCertificateIsRequestedWhereNoneIsRequired(self) -> None:
        identity = self.authority.issue("client", forClients=True)
        _, server = self.pair(serverOffer(), clientContext((), credentialsOf(identity)))
        self.assertIsNone(server.certificate)

    def test_aClientThatWantsToResumeIsServed(self) -> None:
        pem = temporaryFolder(self) / "client.pem"
        identity = self.authority.issue("client", forClients=True)
        pem.write_bytes(identity.keyPem + identity.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(pem)
        session = None
        for _ in range(3):
            near, far = plainPair()
            near.settimeout(PATIENCE)
            server = TlsSocket(far, self.server, None)
            self.addCleanup(server.close)
            thread = threading.Thread(target=self._serve, args=(server,))
            thread.start()
            with context.wrap_socket(near, session=session) as client:
                self.assertEqual(client.recv(5), b"hello")
                session = client.session
            thread.join(PATIENCE)

    def _serve(self, server: TlsSocket) -> None:
        while not server.handshake():
            select.select([server], [], [], PATIENCE)
        server.send(b"hello")
