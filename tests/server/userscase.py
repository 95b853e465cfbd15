"""A server with users, on a control port without a network."""

from __future__ import annotations

import socket
from typing import Final, cast

from bore.server.control import ControlProtocol
from bore.server.enforcement import Enforcement
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.server.userlist import UserList
from bore.streams.reactor import IReactor
from bore.users.entry import UserEntry, UserKey, Users
from bore.users.rights import ALL_RIGHTS, Rights
from bore.wire import extension
from bore.wire.binding import BindingChallenge, decodeServerMessage
from bore.wire.extension import Open, Opened, Visitor, markedHello
from bore.wire.messages import Accept, Authenticate, Challenge, encode
from bore.wire.proof import clientProof, proveBase
from bore.wire.secret import Secret
from tests.fakes import FakeTransport
from tests.server.case import SessionCase

ALICE: Final = Secret("the secret of alice")
BOB: Final = Secret("the secret of bob")
SHARED: Final = Secret("the secret of all others")
SECRETS: Final = {"alice": ALICE, "bob": BOB, "": SHARED}

#: Names a TLS connection, where a test needs one.
BINDING: Final = bytes(range(32))

#: The time at which the tests begin, in seconds since the epoch.
NOW: Final = 1_800_000_000.0


def entry(name: str, rights: Rights = ALL_RIGHTS, *more: UserKey) -> UserEntry:
    return UserEntry(name, (UserKey(SECRETS[name]), *more), rights)


def usersOf(shared: Rights = ALL_RIGHTS, **rights: Rights) -> Users:
    """Users with these rights."""
    return Users({name: entry(name, each) for name, each in rights.items()}, shared)


def portOf(opened: Opened) -> int:
    assert isinstance(opened.address, int)
    return opened.address


class UsersCase(SessionCase):
    """
    A server with users.

    :ivar wall: what the wall clock shows beside what passes on the reactor's clock.
    """

    def setUp(self) -> None:
        super().setUp()
        self.server.shutDown()
        self.wall = NOW
        lowest, highest = self.ports
        self.settings = ServerSettings(lowest, highest, bindTunnels=self.host, bounds=self.bounds, lease=self.lease)
        self.list = UserList(usersOf(alice=ALL_RIGHTS, bob=ALL_RIGHTS), [SHARED], self.wallClock)
        self.server = Server(cast(IReactor, self.reactor), self.sink, self.settings, self.relay, self.list)
        self.enforcement = Enforcement(self.reactor, self.sink, self.server, self.list, self.wallClock)
        self.enforcement.start()
        self.addCleanup(self.enforcement.stop)

    def wallClock(self) -> float:
        return self.wall + self.reactor.seconds()

    def come(
        self,
        name: str,
        secret: Secret | None = None,
        encrypted: bool = True,
        source: str = "192.0.2.1",
        lost: bool = False,
    ) -> tuple[ControlProtocol, FakeTransport]:
        """
        A connection that has sent a proof of a secret; inside TLS with a name.

        :param lost: whether the answer to the proof is left for the test.
        """
        binding = BINDING if encrypted else b""
        protocol = self.server.control.buildProtocol(None, f"{source}:4711", source, binding)
        transport = FakeTransport()
        self.addCleanup(transport.socket.close)
        protocol.makeConnection(transport)
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        secret = SECRETS[name] if secret is None else secret
        if isinstance(challenge, BindingChallenge):
            proof = clientProof(secret, BINDING, name)
            assert proof is not None
            protocol.dataReceived(proof.answer(challenge))
            if not lost:
                transport.takeWritten()
        else:
            assert isinstance(challenge, Challenge)
            protocol.dataReceived(encode(Authenticate(proveBase(secret, challenge.id))))
        return protocol, transport

    def begun(
        self, name: str, encrypted: bool = True, source: str = "192.0.2.1"
    ) -> tuple[ControlProtocol, FakeTransport]:
        """A session of a user."""
        protocol, transport = self.come(name, None, encrypted, source)
        protocol.dataReceived(markedHello(0))
        [self.agreed, *refused] = self.said(transport)
        self.assertEqual(refused, [])
        return protocol, transport

    def tunnel(
        self, name: str, port: int = 0, resume: str | None = None, source: str = "192.0.2.1"
    ) -> tuple[ControlProtocol, FakeTransport, Opened]:
        """A session of a user with a tunnel."""
        protocol, transport = self.begun(name, source=source)
        protocol.dataReceived(extension.encode(Open(1, port, resume)))
        [opened] = self.said(transport)
        assert isinstance(opened, Opened), opened
        return protocol, transport, opened

    def change(self, users: Users, *secrets: Secret) -> None:
        """Apply another version of the users file."""
        self.enforcement.apply(users, secrets or [SHARED])

    def stream(self, name: str, port: int, transport: FakeTransport) -> socket.socket:
        """A visitor that is served."""
        visitor = self.visit(port)
        [announced] = self.said(transport)
        assert isinstance(announced, Visitor)
        protocol, _ = self.come(name)
        protocol.dataReceived(encode(Accept(announced.id)))
        return visitor

    def isServed(self, visitor: socket.socket) -> bool:
        """Whether a visitor's stream is running."""
        port = visitor.getsockname()
        return any(
            left.socket.fileno() >= 0 and left.socket.getpeername() == port
            for pair, (left, _) in zip(self.relay.pairs, self.relay.joined, strict=True)
            if pair in self.relay._pairs
        )
