"""Who a client is, and what belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from twisted.trial.unittest import SynchronousTestCase

from bore.server.control import ControlProtocol
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.server.users import NAMELESS, Login, SharedSecret, User
from bore.streams.reactor import IReactor
from bore.wire import extension
from bore.wire.errors import Refusal
from bore.wire.extension import Goodbye, Open, Opened, markedHello
from bore.wire.messages import Authenticate, Challenge, decodeServerMessage, encode
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from bore.wire.serverproof import Identity, OwnerOf, ServerProof, serverProof
from tests.fakes import FakeTransport
from tests.server.case import SessionCase
from tests.support import isOpen

ALICE, BOB = Secret("alice's own secret"), Secret("bob's own secret")


class TwoUsers:
    """An authenticator that knows two users, each by a secret."""

    asks = True
    permits = None

    _users: Final = {"alice": ALICE, "bob": BOB}

    def proof(self, channelBinding: bytes, ownerOf: OwnerOf, names: Sequence[str] = ()) -> ServerProof:
        return serverProof(self, channelBinding, ownerOf)

    def objection(self, login: Login) -> Refusal | None:
        return None

    def user(self, identity: Identity | None, names: Sequence[str] = ()) -> User:
        assert identity is not None
        return User(identity.user)

    def of(self, user: str) -> list[Secret]:
        return [self._users[user]]

    def nameless(self) -> list[Identity]:
        return [Identity(name, secret) for name, secret in self._users.items()]


class UsersTests(SessionCase):
    """A server with two users."""

    def setUp(self) -> None:
        super().setUp()
        self.server.shutDown()
        reactor = cast(IReactor, self.reactor)
        settings = ServerSettings(bindTunnels=self.host)
        self.server = Server(reactor, self.sink, settings, self.relay, TwoUsers())

    def prove(self, secret: Secret) -> tuple[ControlProtocol, FakeTransport]:
        """A client that answers the challenge."""
        protocol, transport = self.connect()
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        assert isinstance(challenge, Challenge)
        protocol.dataReceived(encode(Authenticate(proveBase(secret, challenge.id))))
        return protocol, transport

    def come(self, secret: Secret, resume: str | None = None) -> tuple[ControlProtocol, FakeTransport, Opened]:
        """A client that gets a tunnel."""
        protocol, transport = self.prove(secret)
        protocol.dataReceived(markedHello(0))
        protocol.dataReceived(extension.encode(Open(1, 0, resume)))
        [_, opened] = self.said(transport)
        assert isinstance(opened, Opened)
        return protocol, transport, opened

    def test_eachIsLetInWithTheOwnSecret(self) -> None:
        for secret in (ALICE, BOB):
            self.come(secret)
        protocol, transport = self.prove(Secret("mallory's"))
        protocol.dataReceived(markedHello(0))
        self.assertEqual(transport.takeWritten(), b'{"Error":"invalid secret"}\0')

    def test_aTokenIsWorthNothingToAnotherUser(self) -> None:
        _, hers, opened = self.come(ALICE)
        _, _, his = self.come(BOB, opened.resume)
        self.assertNotEqual((his.address, his.resume), (opened.address, opened.resume))
        self.assertFalse(hers.disconnecting)
        _, _, again = self.come(ALICE, opened.resume)
        self.assertEqual(again.address, opened.address)
        self.assertEqual(self.refusal(hers), "taken-over")

    def test_norWhileItsOwnerIsAway(self) -> None:
        protocol, _, opened = self.come(ALICE)
        self.lose(protocol)
        protocol, _, his = self.come(BOB, opened.resume)
        self.assertNotEqual(his.address, opened.address)
        protocol.dataReceived(extension.encode(Goodbye()))
        self.assertTrue(isOpen(self.host, opened.address))
        self.assertEqual(self.come(ALICE, opened.resume)[2].address, opened.address)


class SharedSecretTests(SynchronousTestCase):
    """All clients are one user."""

    def test_withoutASecretNothingIsAskedFor(self) -> None:
        authenticator = SharedSecret([])
        self.assertFalse(authenticator.asks)
        self.assertIsNone(authenticator.proof(b"", lambda request: None))
        self.assertEqual(authenticator.user(None), NAMELESS)

    def test_whoKnowsItIsTheUserWithoutAName(self) -> None:
        authenticator = SharedSecret([ALICE])
        self.assertTrue(authenticator.asks)
        proof = authenticator.proof(b"", lambda request: None)
        assert proof is not None
        challenge = decodeServerMessage(proof.challenge()[:-1])
        assert isinstance(challenge, Challenge)
        proof.check(encode(Authenticate(proveBase(ALICE, challenge.id)))[:-1])
        self.assertEqual(proof.identity, Identity("", ALICE))
        self.assertEqual(authenticator.user(proof.identity), NAMELESS)
