"""Secrets and certificates of users that become invalid: who is out then, and who is not let in any more."""

from __future__ import annotations

from bore.server.control import ControlProtocol
from bore.users.entry import UserEntry, UserKey, Users
from bore.wire import extension
from bore.wire.extension import Close, Open, Opened, Refused, markedHello
from bore.wire.secret import Secret
from tests.fakes import FakeTransport
from tests.server.userscase import ALICE, BINDING, BOB, NOW, SHARED, UsersCase, portOf, usersOf
from tests.support import isOpen


class SecretTests(UsersCase):
    """Secrets that are replaced."""

    def test_aSecretThatIsReplacedEndsTheSessionsThatHaveProvedIt(self) -> None:
        _, transport, _ = self.tunnel("alice")
        new = UserKey(Secret("the new secret of alice"))
        self.change(Users({"alice": UserEntry("alice", (new, UserKey(ALICE, NOW + 60)))}))
        self.assertFalse(transport.disconnecting, "the former one is valid for some time")
        self.reactor.advance(59)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(1)
        self.assertTrue(transport.disconnecting)

    def test_soItIsWithWhatItsClientsHaveLeft(self) -> None:
        protocol, transport, opened = self.tunnel("alice")
        visitor = self.stream("alice", portOf(opened), transport)
        protocol.dataReceived(extension.encode(Close(1)))
        away, hers, kept = self.tunnel("alice")
        served = self.stream("alice", portOf(kept), hers)
        self.lose(away)
        self.change(Users({"alice": UserEntry("alice", (UserKey(Secret("the new secret of alice")),))}))
        self.assertFalse(isOpen(self.host, portOf(kept)))
        self.assertEqual([self.isServed(each) for each in (visitor, served)], [False, False])

    def test_butNotWithWhatWasTakenOverByOneWithTheNewSecret(self) -> None:
        self.change(Users({"alice": UserEntry("alice", (UserKey(BOB), UserKey(ALICE, NOW + 60)))}))
        first, transport, opened = self.tunnel("alice")
        visitor = self.stream("alice", portOf(opened), transport)
        self.lose(first)
        protocol, transport = self.come("alice", BOB)
        protocol.dataReceived(markedHello(0) + extension.encode(Open(1, portOf(opened), opened.resume)))
        self.assertIsInstance(self.said(transport)[-1], Opened)
        self.lose(protocol)
        self.change(Users({"alice": UserEntry("alice", (UserKey(BOB),))}))
        self.assertTrue(isOpen(self.host, portOf(opened)))
        self.assertTrue(self.isServed(visitor))

    def test_soDoesASharedSecret(self) -> None:
        _, transport, _ = self.tunnel("")
        self.change(usersOf(), SHARED, Secret("another"))
        self.assertFalse(transport.disconnecting)
        self.change(usersOf(), Secret("another"))
        self.assertEqual(self.refusal(transport), "access-withdrawn")


class CertificateTests(UsersCase):
    """Users who prove with a certificate who they are."""

    def certified(self) -> tuple[ControlProtocol, FakeTransport]:
        """A connection with the certificate of carol, who has no secret."""
        protocol = self.server.control.buildProtocol(None, "192.0.2.1:4711", "192.0.2.1", BINDING, ("carol",))
        transport = FakeTransport()
        self.addCleanup(transport.socket.close)
        protocol.makeConnection(transport)
        self.assertEqual(transport.takeWritten(), b"", "there is nothing to prove")
        return protocol, transport

    def test_oneThatIsRemovedBeforeItsFirstMessageIsNotAnotherUserThen(self) -> None:
        carol = Users({"carol": UserEntry("carol", ())})
        for secrets in ([], [SHARED]):
            self.enforcement.apply(carol, secrets)
            protocol, transport = self.certified()
            self.enforcement.apply(Users(), secrets)
            protocol.dataReceived(markedHello(0))
            [_, refused] = self.said(transport)
            assert isinstance(refused, Refused)
            self.assertEqual(refused.code, "access-withdrawn")

    def test_norIsOneThatGetsASecret(self) -> None:
        self.change(Users({"carol": UserEntry("carol", ())}))
        protocol, transport = self.certified()
        self.change(Users({"carol": UserEntry("carol", (UserKey(BOB),))}))
        protocol.dataReceived(markedHello(0))
        self.assertEqual(self.refusal(transport), "access-withdrawn")
