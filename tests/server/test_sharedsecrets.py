"""Several shared secrets, which change while the server runs."""

from __future__ import annotations

from bore.server.control import ControlProtocol
from bore.wire import extension
from bore.wire.extension import Open, Opened, markedHello
from bore.wire.messages import Authenticate, Challenge, Hello, decodeServerMessage, encode
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from tests.fakes import FakeTransport
from tests.server.case import SessionCase
from tests.support import isOpen

OLD, NEW = Secret("the former secret"), Secret("the new secret")


class SharedSecretsTests(SessionCase):
    """One that takes the place of another."""

    secret = OLD

    def come(self, secret: Secret) -> tuple[ControlProtocol, FakeTransport]:
        """A client of the base protocol with a tunnel, if its secret is valid."""
        protocol, transport = self.connect()
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        assert isinstance(challenge, Challenge)
        protocol.dataReceived(encode(Authenticate(proveBase(secret, challenge.id))) + encode(Hello(0)))
        return protocol, transport

    def isLetIn(self, secret: Secret) -> bool:
        return b'"Hello"' in self.come(secret)[1].takeWritten()

    def test_eachOfThemIsValid(self) -> None:
        self.assertEqual([self.isLetIn(each) for each in (OLD, NEW)], [True, False])
        self.server.applySecrets([NEW, OLD])
        self.assertEqual([self.isLetIn(each) for each in (OLD, NEW)], [True, True])

    def test_theSessionsOfOneThatIsGoneEndAndNoOthers(self) -> None:
        self.server.applySecrets([OLD, NEW])
        clients = {secret: self.come(secret)[1] for secret in (OLD, NEW)}
        for transport in clients.values():
            self.assertIn(b'"Hello"', transport.takeWritten())
        self.server.applySecrets([NEW])
        self.assertIn(b'{"Error":"this user or its secret is not valid any more"}\0', clients[OLD].takeWritten())
        self.assertEqual([each.disconnecting for each in clients.values()], [True, False])
        self.assertEqual([self.isLetIn(each) for each in (OLD, NEW)], [False, True])

    def test_soDoTheTunnelsThatAreKeptForTheirClients(self) -> None:
        self.server.applySecrets([OLD, NEW])
        clients = {secret: self.resumable(secret) for secret in (OLD, NEW)}
        visitor = self.visit(clients[OLD][1])
        for protocol, _ in clients.values():
            self.lose(protocol)
        self.server.applySecrets([NEW])
        self.assertEqual([isOpen(self.host, port) for _, port in clients.values()], [False, True])
        self.assertEqual(visitor.recv(1), b"")

    def resumable(self, secret: Secret) -> tuple[ControlProtocol, int]:
        """A client of the extension with a tunnel, and its port."""
        protocol, transport = self.connect()
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        assert isinstance(challenge, Challenge)
        protocol.dataReceived(encode(Authenticate(proveBase(secret, challenge.id))) + markedHello(0))
        protocol.dataReceived(extension.encode(Open(1, 0)))
        [_, opened] = self.said(transport)
        assert isinstance(opened, Opened) and isinstance(opened.address, int)
        return protocol, opened.address

    def test_oneThatIsRemovedBetweenTheProofAndTheRequestLetsNobodyIn(self) -> None:
        self.server.applySecrets([OLD, NEW])
        for removed in (self.beforeTheProof, self.beforeTheRequest):
            protocol, transport = self.connect()
            removed(protocol, transport)
            protocol.dataReceived(encode(Hello(0)))
            self.assertEqual(
                transport.takeWritten(), b'{"Error":"this user or its secret is not valid any more"}\0', removed
            )
            self.server.applySecrets([OLD, NEW])

    def beforeTheProof(self, protocol: ControlProtocol, transport: FakeTransport) -> None:
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        self.server.applySecrets([NEW])
        assert isinstance(challenge, Challenge)
        protocol.dataReceived(encode(Authenticate(proveBase(OLD, challenge.id))))

    def beforeTheRequest(self, protocol: ControlProtocol, transport: FakeTransport) -> None:
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        assert isinstance(challenge, Challenge)
        protocol.dataReceived(encode(Authenticate(proveBase(OLD, challenge.id))))
        self.server.applySecrets([NEW])

    def test_norDoesAConnectionThatHadNothingToProve(self) -> None:
        self.server.applySecrets([])
        protocol, transport = self.connect()
        self.server.applySecrets([NEW])
        protocol.dataReceived(encode(Hello(0)))
        self.assertEqual(transport.takeWritten(), b'{"Error":"this user or its secret is not valid any more"}\0')

    def test_aServerThatGetsItsFirstOneEndsTheSessionsWithoutOne(self) -> None:
        self.server.applySecrets([])
        protocol, transport = self.connect()
        protocol.dataReceived(markedHello(0))
        self.assertIn(b'"Extended"', transport.takeWritten())
        self.server.applySecrets([NEW])
        self.assertTrue(transport.disconnecting)
